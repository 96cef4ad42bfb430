package file

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	bolterrors "go.etcd.io/bbolt/errors"

	"muster/grouping"
	"muster/storage/durable"
)

// Open opens the file, and creates it if it does not exist. It upgrades a file of an
// earlier schema, and logs that. The error says in one sentence what is wrong and what
// to do.
func Open(opts Options, logger *slog.Logger) (*Storage, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(opts.Path), 0o700); err != nil {
		return nil, fmt.Errorf("the folder of --storage.path %s cannot be created: %w", opts.Path, err)
	}
	f := &Storage{opts: opts, now: time.Now, commitLock: make(chan struct{}, 1), arrived: make(chan struct{}, 1)}
	h, err := f.openOrCreate()
	if err != nil {
		return nil, startError(opts.Path, err)
	}
	f.handle.Store(h)
	if f.upgradedFrom != "" {
		logger.Info("Upgraded the storage: older versions of Muster cannot read it", "path", opts.Path,
			"from", "schema "+f.upgradedFrom, "to", "schema "+durable.Schema)
	}
	f.removeUnfinished()
	return f, nil
}

func (f *Storage) openOrCreate() (*handle, error) {
	info, err := os.Stat(f.opts.Path)
	if errors.Is(err, fs.ErrNotExist) {
		h, failed := f.create(nil)
		if !errors.Is(failed, fs.ErrExist) {
			return h, failed
		}
		info, err = os.Stat(f.opts.Path) // another process created the file first
	}
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, errDirectory
	case !info.Mode().IsRegular():
		return nil, errNotRegular
	case info.Size() == 0:
		return nil, errEmptyFile
	}
	deletions, err := verifyLocked(f.opts.Path)
	if err != nil {
		return nil, err
	}
	return f.openHandle(f.opts.Path, deletions)
}

var (
	errDirectory  = errors.New("it is a directory")
	errNotRegular = errors.New("it is not a regular file")
	errEmptyFile  = errors.New("it is empty")
)

// startError turns an error of the start into a sentence that says what to do.
func startError(path string, err error) error {
	var (
		damaged *damagedFileError
		other   *durable.SchemaError
	)
	switch {
	case errors.Is(err, errDirectory):
		return fmt.Errorf("%s is a directory: set --storage.path to a file in it, such as %s", path, filepath.Join(path, "muster.db"))
	case errors.Is(err, errNotRegular):
		return fmt.Errorf("%s is a device, a pipe or a socket: change --storage.path to a file", path)
	case errors.Is(err, errEmptyFile):
		return fmt.Errorf("%s is empty, and Muster never leaves an empty file: put a backup in its place, "+
			"remove it to start without history, or change --storage.path", path)
	case errors.As(err, &damaged):
		return fmt.Errorf("%s is damaged: move it away to start with an empty file, or change --storage.path (%w)", path, damaged.Err)
	case errors.As(err, &other):
		return fmt.Errorf("%s was written by %w: use that version, or change --storage.path", path, err)
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("%s is in use by %s: stop that process, or change --storage.path of this Muster", path, holder(path))
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%s cannot be written to: make it writable, or change --storage.path (%w)", path, err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("the disk of %s is full: free some space, or change --storage.path (%w)", path, err)
	default:
		return fmt.Errorf("%s is not a file that Muster can read: move it away to start with an empty file, "+
			"or change --storage.path (%w)", path, err)
	}
}

// errNoGrowth says that the file could not grow.
var errNoGrowth = errors.New("the file cannot grow")

// damagedFileError says that the content of a file is not what Muster wrote.
type damagedFileError struct{ Err error }

func (e *damagedFileError) Error() string { return "the file is damaged: " + e.Err.Error() }
func (e *damagedFileError) Unwrap() error { return e.Err }

// Is makes errors.Is(err, durable.ErrDataGone) true.
func (*damagedFileError) Is(target error) bool { return target == durable.ErrDataGone }

// prepare checks the schema, or upgrades to this one, creates the buckets, finds the
// tombstones among the deletions in the file.
func (f *Storage) prepare(tx *writeTx, deletions []tombstone) error {
	for _, name := range [][]byte{
		bucketGroups, bucketHistory, bucketTimeline, bucketContents,
		bucketChanged, bucketChangedContents, bucketCheckpoints, bucketMeta, bucketLog,
	} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	for _, name := range []string{"uses", "changedUses"} { // earlier versions had them
		if err := tx.DeleteBucket([]byte(name)); err != nil && !errors.Is(err, bolterrors.ErrBucketNotFound) {
			return err
		}
	}
	if log := tx.Bucket(bucketLog); log.Get(keyLog) == nil {
		if err := log.Put(keyLog, make([]byte, logSize)); err != nil {
			return err
		}
	}
	meta := tx.Bucket(bucketMeta)
	switch found := string(meta.Get(keySchema)); {
	case found == "", found == durable.Schema, found == schemaWithLog:
	case durable.IsOlder(found): // what it has is read as it is
		f.upgradedFrom = found
	default:
		return &durable.SchemaError{Found: found}
	}
	if meta.Get(keyEpoch) == nil {
		if err := meta.Put(keyEpoch, []byte(rand.Text())); err != nil {
			return err
		}
	}
	if err := meta.Put(keySchema, []byte(schemaWithLog)); err != nil {
		return err
	}
	var tombstones []tombstone
	documents := tx.Bucket(bucketGroups)
	for _, t := range deletions {
		if documents.Get([]byte(string(t.id)+grouping.HeadRecord)) == nil {
			tombstones = append(tombstones, t)
		}
	}
	slices.SortFunc(tombstones, func(a, b tombstone) int { return cmp.Compare(a.deleted, b.deleted) })
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tombstones = tombstones // the next write removes the old ones
	return nil
}

// dropTombstones removes the tombstones that are older than durable.TombstoneAge, and
// the oldest ones if there are too many. It returns the number of those that it dropped, which
// are the first ones of f.tombstones.
func (f *Storage) dropTombstones(tx *writeTx) (n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	documents := tx.Bucket(bucketGroups)
	oldest := grouping.NewStamp(f.now().Add(-durable.TombstoneAge), 0, "")
	for _, t := range f.tombstones {
		if t.deleted >= oldest && len(f.tombstones)-n <= durable.MaxTombstones {
			break
		}
		n++
		if string(documents.Get([]byte(string(t.id)+durable.FieldDeleted))) != string(t.deleted) ||
			documents.Get([]byte(string(t.id)+grouping.HeadRecord)) != nil {
			continue // the document was stored again since then
		}
		if err := deletePrefix(documents, []byte(t.id)); err != nil {
			return 0, err
		}
	}
	return n, nil
}
