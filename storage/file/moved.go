package file

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"muster/storage/durable"
)

// An open file stays usable after it is removed or renamed. But the next start
// would not find the data that is written to it. So a Storage checks whether its
// path still leads to the open file. If not, it rejects writes, and writes the
// file to the path again as soon as the path is free.

// movedFileError says that the open file is not at its path, and what to do.
type movedFileError struct {
	text string
	err  error
}

func (e *movedFileError) Error() string { return e.text }
func (e *movedFileError) Unwrap() error { return e.err }

// Is makes errors.Is(err, durable.ErrDataGone) true.
func (*movedFileError) Is(target error) bool { return target == durable.ErrDataGone }

// verifyPath returns a *movedFileError if the open file is not at its path.
func (f *Storage) verifyPath() error {
	if moved := f.moved.Load(); moved != nil {
		return moved
	}
	info, err := os.Stat(f.opts.Path)
	if err == nil && os.SameFile(info, f.handle.Load().info) {
		return nil
	}
	return f.setMoved(err)
}

// setMoved records and returns what is wrong with the path. err is the error of
// the last attempt to find or create the file. If it is nil, another file is at
// the path.
func (f *Storage) setMoved(err error) error {
	path, moved := f.opts.Path, &movedFileError{err: err}
	switch {
	case err == nil, errors.Is(err, fs.ErrExist):
		moved.text = "another file was put at " + path
		if owner := holder(path); strings.HasPrefix(owner, "process ") {
			moved.text += ", and " + owner + " uses it: give that process another path"
		} else {
			moved.text += ": move it away"
		}
		moved.text += ", then Muster writes its own file there again"
	case !isDirectory(filepath.Dir(path)):
		moved.text = fmt.Sprintf("the folder of %s was removed: create it again, then Muster writes the file there again", path)
	case errors.Is(err, fs.ErrNotExist):
		moved.text = path + " was removed or renamed; Muster writes it again"
	default:
		moved.text = fmt.Sprintf("%s cannot be found or written again: %s", path, err)
	}
	f.moved.Store(moved)
	return moved
}

func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// restoreAtPath writes the file to its path again if an earlier call reported
// that it was moved. Otherwise it only checks the path.
func (f *Storage) restoreAtPath() error {
	if f.moved.Load() == nil {
		return f.verifyPath()
	}
	f.commitLock <- struct{}{} // no commits meanwhile
	defer func() { <-f.commitLock }()
	before := f.handle.Load()
	info, err := os.Stat(f.opts.Path)
	switch {
	case err == nil && os.SameFile(info, before.info):
		f.moved.Store(nil) // the file was moved back
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return f.setMoved(err)
	}
	h, err := f.create(before)
	if err != nil {
		return f.setMoved(err)
	}
	f.handle.Store(h)
	f.moved.Store(nil)
	_ = before.Close() // the new file has all of its data
	return nil
}

// unfinished is part of the names of files that are not yet at their path.
const unfinished = ".new-"

// create creates a new file at the path, with the content of from if that is
// given. It writes and locks a temporary file first, and links it to the path at
// the end. So no other process can see an unfinished file. A link never replaces
// a file, so if two processes create the file, one of them fails.
func (f *Storage) create(from *handle) (*handle, error) {
	path := linkTarget(f.opts.Path)
	temp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+unfinished)
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(temp.Name()) }()
	var deletions []tombstone
	if from != nil {
		deletions, err = from.copyTo(temp)
	}
	if err := errors.Join(err, temp.Close()); err != nil {
		return nil, err
	}
	h, err := f.openHandle(temp.Name(), deletions)
	if err != nil {
		return nil, err
	}
	if err := os.Link(temp.Name(), path); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	syncFolder(filepath.Dir(path))
	return h, nil
}

// copyTo copies the file to another one. It copies nothing if the file is
// damaged. It returns the deletions in the file. The caller holds the commit lock.
func (h *handle) copyTo(to *os.File) (deletions []tombstone, err error) {
	if _, err := h.intactMeta(); err != nil {
		return nil, nil //nolint:nilerr // the new file is filled from the memory tier
	}
	info, err := h.raw.Stat()
	if err != nil {
		return nil, err
	}
	if err := to.Chmod(info.Mode().Perm()); err != nil {
		return nil, err
	}
	if _, err := io.Copy(to, io.NewSectionReader(h.raw, 0, info.Size())); err != nil {
		return nil, err
	}
	deletions, err = verifyFile(to.Name())
	if damaged, ok := errors.AsType[*damagedFileError](err); ok {
		h.damaged.Store(damaged) // the next attempt copies nothing
	}
	return deletions, errors.Join(err, to.Sync())
}

// linkTarget follows symbolic links. Unlike filepath.EvalSymlinks it also follows
// a link to a file that does not exist.
func linkTarget(path string) string {
	const maxLinks = 40 // as in the Linux kernel
	for range maxLinks {
		to, err := os.Readlink(path)
		if err != nil {
			break
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		path = to
	}
	return path
}

// syncFolder makes the names in a folder durable. It ignores errors, because not
// every system can sync a folder.
func syncFolder(path string) {
	folder, err := os.Open(path) //nolint:gosec // G304: the operator's path
	if err != nil {
		return
	}
	_ = folder.Sync()
	_ = folder.Close()
}

// unfinishedAge is the age above which no process is still creating the file.
const unfinishedAge = time.Hour

// removeUnfinished removes temporary files of processes that ended while they
// created the file.
func (f *Storage) removeUnfinished() {
	path := linkTarget(f.opts.Path)
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), filepath.Base(path)+unfinished) || !e.Type().IsRegular() {
			continue
		}
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > unfinishedAge {
			_ = os.Remove(filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
}
