package file

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"sync/atomic"

	"go.etcd.io/bbolt"
)

// handle is an open database file with its lock. A panic of bbolt becomes
// an error of the file, so it does not end the process.
type handle struct {
	db *bbolt.DB
	// raw is the same file. It is used to find damage before bbolt panics on it.
	raw  *os.File
	info os.FileInfo
	// damaged is set when the file is found to be damaged. The file is not used
	// any more then, because bbolt may hold its locks forever after a panic.
	damaged atomic.Pointer[damagedFileError]
	// txid is the ID of the last transaction. It is 0 if the outcome of that
	// transaction is not known. Only commit uses it.
	txid int
}

// openHandle opens the file with the name, creates its buckets and checks its
// schema. deletions are those in the file.
func (f *Storage) openHandle(name string, deletions []tombstone) (*handle, error) {
	h := &handle{}
	err := h.open(name)
	if err == nil {
		err = h.commit(func(tx *bbolt.Tx) error { return f.prepare(tx, deletions) })
	}
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

func (h *handle) open(name string) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer h.recoverPanic(&err)
	// bbolt keeps the list of free pages in the file. Without this list, it would
	// scan the whole file after each failed write.
	h.db, err = bbolt.Open(name, 0o600, &bbolt.Options{Timeout: lockTimeout, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return err
	}
	h.db.AllocSize = allocSize
	if h.raw, err = os.Open(name); err != nil { //nolint:gosec // G304: the operator's path
		return err
	}
	h.info, err = h.raw.Stat()
	return err
}

// verifyLocked verifies the file under its lock, so that no other process
// writes to it meanwhile.
func verifyLocked(path string) (deletions []tombstone, err error) {
	db, err := bbolt.Open(path, 0, &bbolt.Options{Timeout: lockTimeout, ReadOnly: true})
	if err != nil {
		return nil, err
	}
	deletions, err = verifyFile(path)
	return deletions, errors.Join(err, db.Close())
}

// Close closes the file. A damaged file stays locked until the process ends.
func (h *handle) Close() error {
	var errs []error
	if h.db != nil && h.damaged.Load() == nil {
		errs = append(errs, h.db.Close())
	}
	if h.raw != nil {
		errs = append(errs, h.raw.Close())
	}
	return errors.Join(errs...)
}

// commit runs one transaction. It must not be called concurrently. After a panic
// it does not roll back, because that would read the damaged pages again. The
// file is not used any more then.
func (h *handle) commit(fn func(tx *bbolt.Tx) error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer h.recoverPanic(&err)
	meta, err := h.intactMeta()
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
		return fmt.Errorf("%w: %w", errNoGrowth, err) // bbolt has no error value for this
	}
	return err
}

func (h *handle) view(fn func(tx *bbolt.Tx) error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer h.recoverPanic(&err)
	if _, err := h.intactMeta(); err != nil {
		return err
	}
	return h.db.View(fn)
}

// intactMeta returns the meta of the file, or a *damagedFileError if the file was
// damaged since the start. It finds only damage that is quick to find. Without
// this check, bbolt would panic while it holds locks that other callers wait for.
func (h *handle) intactMeta() (boltMeta, error) {
	if damaged := h.damaged.Load(); damaged != nil {
		return boltMeta{}, damaged
	}
	meta, err := completeMeta(h.raw)
	if damaged, ok := errors.AsType[*damagedFileError](err); ok {
		h.damaged.Store(damaged)
	}
	return meta, err
}

// recoverPanic turns a panic of bbolt into an error. bbolt panics if it cannot
// read a page, or if a page is damaged. Callers defer it after they have called
// debug.SetPanicOnFault.
func (h *handle) recoverPanic(err *error) {
	if r := recover(); r != nil {
		damaged := &damagedFileError{fmt.Errorf("%v", r)}
		h.damaged.Store(damaged)
		*err = damaged
	}
}
