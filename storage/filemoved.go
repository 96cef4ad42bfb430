package storage

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// The open file stays usable when it is removed or renamed, but the next start
// would not find what is written to it. So a File looks whether the path still
// leads to it, and writes it there again once the path is free.

// movedFileError says that the open file is not at its path, and what to do.
type movedFileError struct {
	text string
	err  error
}

func (e *movedFileError) Error() string { return e.text }
func (e *movedFileError) Unwrap() error { return e.err }

// fileLost reports whether the next start would not find what the file holds.
func fileLost(err error) bool {
	_, moved := errors.AsType[*movedFileError](err)
	_, damaged := errors.AsType[*damagedFileError](err)
	return moved || damaged
}

// inPlace reports whether the open file is at its path.
func (f *File) inPlace() error {
	if moved := f.moved.Load(); moved != nil {
		return moved
	}
	info, err := os.Stat(f.opts.Path)
	if err == nil && os.SameFile(info, f.held.Load().info) {
		return nil
	}
	return f.noteMoved(err)
}

// noteMoved takes note of what is wrong with the path. Without an error another
// file is there.
func (f *File) noteMoved(err error) error {
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
		moved.text = fmt.Sprintf("the folder of %s was removed: make it again, then Muster writes the file there again", path)
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

// keepInPlace writes the file to its path again if it was away before.
func (f *File) keepInPlace() error {
	if f.moved.Load() == nil {
		return f.inPlace()
	}
	f.turn <- struct{}{} // nothing is committed meanwhile
	defer func() { <-f.turn }()
	before := f.held.Load()
	info, err := os.Stat(f.opts.Path)
	switch {
	case err == nil && os.SameFile(info, before.info):
		f.moved.Store(nil) // it was moved back
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return f.noteMoved(err)
	}
	h, err := f.create(before)
	if err != nil {
		return f.noteMoved(err)
	}
	f.held.Store(h)
	f.moved.Store(nil)
	_ = before.Close() // all that was in it is in the new one
	return nil
}

// unfinished is in the names of files that do not have their path yet.
const unfinished = ".new-"

// create makes a new file with what another one holds. It gets its path at the
// end, by a link, which never replaces a file: so nobody finds a part of it, and
// of two processes one fails. Its lock is held from the beginning.
func (f *File) create(from *fileHandle) (*fileHandle, error) {
	path := linkTarget(f.opts.Path)
	temp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+unfinished)
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(temp.Name()) }()
	if from != nil {
		err = from.copyTo(temp)
	}
	if err := errors.Join(err, temp.Close()); err != nil {
		return nil, err
	}
	h, err := f.openHandle(temp.Name())
	if err != nil {
		return nil, err
	}
	if err := os.Link(temp.Name(), path); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	syncFolder(filepath.Dir(path))
	return h, nil
}

// copyTo copies the file, unless it is damaged. Nothing is committed meanwhile.
func (h *fileHandle) copyTo(to *os.File) error {
	if _, err := h.intact(); err != nil {
		return nil //nolint:nilerr // the new file is filled from memory
	}
	info, err := h.raw.Stat()
	if err != nil {
		return err
	}
	if err := to.Chmod(info.Mode().Perm()); err != nil {
		return err
	}
	if _, err := io.Copy(to, io.NewSectionReader(h.raw, 0, info.Size())); err != nil {
		return err
	}
	err = checkFile(to.Name())
	if damaged, ok := errors.AsType[*damagedFileError](err); ok {
		h.damaged.Store(damaged) // the next try leaves it out
	}
	return errors.Join(err, to.Sync())
}

// linkTarget follows symbolic links, also to a file that is not there.
func linkTarget(path string) string {
	const most = 40 // as the kernel
	for range most {
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

// syncFolder makes the names in a folder durable, where the system can.
func syncFolder(path string) {
	folder, err := os.Open(path) //nolint:gosec // G304: the operator's path
	if err != nil {
		return
	}
	_ = folder.Sync()
	_ = folder.Close()
}

// unfinishedAge is the age of a file that nobody is still making.
const unfinishedAge = time.Hour

// removeUnfinished removes what a process left behind that died while it made
// the file.
func (f *File) removeUnfinished() {
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
