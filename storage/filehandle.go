package storage

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"sync/atomic"

	"go.etcd.io/bbolt"
)

// fileHandle is an open database file with its lock. A panic of bbolt's is a
// fault of the file, not of the process.
type fileHandle struct {
	db *bbolt.DB
	// raw is the same file, to look at what bbolt would panic on.
	raw  *os.File
	info os.FileInfo
	// damaged is why the file is left alone: after a panic
	// bbolt may hold its locks for ever.
	damaged atomic.Pointer[damagedFileError]
	// txid is the last transaction, 0 if its outcome is not known. Only commit
	// uses it.
	txid int
}

// openHandle opens the file under the name and makes it ready.
func (f *File) openHandle(name string) (*fileHandle, error) {
	h := &fileHandle{}
	err := h.open(name)
	if err == nil {
		err = h.commit(f.prepare)
	}
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

func (h *fileHandle) open(name string) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer h.caught(&err)
	// The list of free pages is kept in the file: without, bbolt walks over the
	// whole file after every write that failed.
	if h.db, err = bbolt.Open(name, 0o600, &bbolt.Options{Timeout: lockWait, FreelistType: bbolt.FreelistMapType}); err != nil {
		return err
	}
	h.db.AllocSize = allocSize
	if h.raw, err = os.Open(name); err != nil { //nolint:gosec // G304: the operator's path
		return err
	}
	h.info, err = h.raw.Stat()
	return err
}

// checkLocked looks through the file while nobody writes to it.
func checkLocked(path string) error {
	db, err := bbolt.Open(path, 0, &bbolt.Options{Timeout: lockWait, ReadOnly: true})
	if err != nil {
		return err
	}
	if err := checkFile(path); err != nil {
		return errors.Join(err, db.Close())
	}
	return db.Close()
}

// Close closes the file. A damaged one stays locked until the process ends.
func (h *fileHandle) Close() error {
	var errs []error
	if h.db != nil && h.damaged.Load() == nil {
		errs = append(errs, h.db.Close())
	}
	if h.raw != nil {
		errs = append(errs, h.raw.Close())
	}
	return errors.Join(errs...)
}

// commit runs one transaction, one at a time. It does not roll back after a
// panic, which reads the damaged pages again: the file is left alone from then
// on.
func (h *fileHandle) commit(fn func(tx *bbolt.Tx) error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer h.caught(&err)
	meta, err := h.intact()
	if err != nil {
		return err
	}
	if h.txid != 0 && meta.Txid != uint64(h.txid) { //nolint:gosec // G115: it counts up from 0
		damaged := &damagedFileError{errors.New("another program wrote to it")}
		h.damaged.Store(damaged)
		return damaged
	}
	tx, err := h.db.Begin(true)
	if err != nil {
		return err
	}
	if err := fn(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	id := tx.ID()
	h.txid = 0
	if err = tx.Commit(); err == nil {
		h.txid = id
		return nil
	}
	if strings.HasPrefix(err.Error(), "file resize error") {
		return fmt.Errorf("%w: %w", errNoGrowth, err) // bbolt tells it by text alone
	}
	return err
}

func (h *fileHandle) view(fn func(tx *bbolt.Tx) error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer h.caught(&err)
	if _, err := h.intact(); err != nil {
		return err
	}
	return h.db.View(fn)
}

// intact returns the file's meta, or how the file was damaged since the start, as
// far as that is seen at once. Without, bbolt panics while it holds the locks that all others
// wait for.
func (h *fileHandle) intact() (fileMeta, error) {
	if damaged := h.damaged.Load(); damaged != nil {
		return fileMeta{}, damaged
	}
	meta, err := wholeMeta(h.raw)
	if damaged, ok := errors.AsType[*damagedFileError](err); ok {
		h.damaged.Store(damaged)
	}
	return meta, err
}

// caught makes an error of a panic of bbolt's: a page cannot be read, or is not
// what it was. It is deferred where panics on faults are set.
func (h *fileHandle) caught(err *error) {
	if r := recover(); r != nil {
		damaged := &damagedFileError{fmt.Errorf("%v", r)}
		h.damaged.Store(damaged)
		*err = damaged
	}
}
