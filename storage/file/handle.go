package file

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"sync/atomic"

	"go.etcd.io/bbolt"

	"muster/storage/durable"
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
	// transaction is not known.
	txid int // guarded by commitLock of the Storage
	// tx is the open transaction, or nil. It has all changes in the log.
	tx  *writeTx // guarded by commitLock of the Storage
	log writeLog // guarded by commitLock of the Storage
	// ahead is set while the pages do not have all changes in the log.
	ahead atomic.Bool
}

// openHandle opens the file with the name, creates its buckets and checks its
// schema. deletions are those in the file.
func (f *Storage) openHandle(name string, deletions []tombstone) (*handle, error) {
	h := &handle{}
	err := h.open(name)
	if err == nil {
		err = h.readLog()
	}
	if err == nil {
		// The outcome of the last transaction is not known yet, so this one is committed.
		err = h.write(func(tx *writeTx) error {
			deletions = append(deletions, h.log.deletions()...)
			h.log.mark = newMark()
			return f.prepare(tx, deletions)
		})
	}
	if err == nil {
		err = h.findLog()
	}
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

func (h *handle) open(name string) error {
	return h.guarded(func() error { return h.openFile(name) })
}

func (h *handle) openFile(name string) (err error) {
	// bbolt keeps the list of free pages in the file. Without this list, it would
	// scan the whole file after each failed write.
	h.db, err = bbolt.Open(name, 0o600, &bbolt.Options{Timeout: lockTimeout, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return err
	}
	h.db.AllocSize = allocSize
	if h.raw, err = os.OpenFile(name, os.O_RDWR, 0); err != nil { //nolint:gosec // G304: the operator's path
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
		if h.tx != nil {
			errs = append(errs, h.rollback())
		}
		errs = append(errs, h.db.Close())
	}
	if h.raw != nil {
		errs = append(errs, h.raw.Close())
	}
	return errors.Join(errs...)
}

// readLog reads the log that a Muster left which did not close the file.
func (h *handle) readLog() error {
	unclosed := false
	if err := h.view(func(tx *bbolt.Tx) error {
		if meta := tx.Bucket(bucketMeta); meta != nil {
			unclosed = string(meta.Get(keySchema)) == schemaWithLog
		}
		return nil
	}); err != nil || !unclosed {
		return err
	}
	if err := h.findLog(); err != nil {
		return err
	}
	content := make([]byte, h.log.capacity)
	if _, err := h.raw.ReadAt(content, h.log.start); err != nil {
		return err
	}
	return h.log.read(content)
}

// findLog finds the place of the log in the file, and its position. The log is the value
// of the only element of a leaf. It begins at the second page of this leaf, so no write to it
// can damage the first one, which bbolt reads.
func (h *handle) findLog() error {
	return h.view(func(tx *bbolt.Tx) error {
		meta, b, size := tx.Bucket(bucketMeta), tx.Bucket(bucketLog), int64(h.db.Info().PageSize)
		if meta == nil || b == nil {
			return errNoLog
		}
		value, root := int64(len(b.Get(keyLog))), make([]byte, pageHeaderSize)
		if _, err := h.raw.ReadAt(root, int64(b.Root())*size); err != nil { //nolint:gosec // G115: inside the file
			return err
		}
		mark, base, ok := splitPosition(meta.Get(keyPosition))
		if _, flags, elements, _ := readHeader(root); flags != leafPage || elements != 1 || value <= size || !ok {
			return errNoLog
		}
		h.log.start = (int64(b.Root()) + 1) * size //nolint:gosec // G115: inside the file
		h.log.capacity = pageHeaderSize + pageElementSize + int64(len(keyLog)) + value - size
		h.log.mark = bytes.Clone(mark)
		h.log.reset(base)
		return nil
	})
}

var errNoLog = &damagedFileError{errors.New("it has no log")}

// write makes changes, and returns when they are on disk: in the log or, if they do not fit,
// in the pages. It must not be called concurrently. If fn returns an error, nothing is
// changed.
func (h *handle) write(fn func(tx *writeTx) error) error {
	return h.begun(func() error {
		if err := fn(h.tx); err != nil {
			return errors.Join(err, h.rollback())
		}
		if h.txid != 0 && !h.log.full && h.appendRecord() == nil {
			return nil
		}
		return h.commit()
	})
}

// begun calls fn with an open transaction. It must not be called concurrently.
func (h *handle) begun(fn func() error) error {
	return h.guarded(func() error {
		if err := h.begin(); err != nil {
			return err
		}
		return fn()
	})
}

// appendRecord writes the record that was made to the log.
func (h *handle) appendRecord() error {
	record := h.log.finish()
	if record == nil {
		return nil // nothing was changed
	}
	if _, err := h.raw.WriteAt(record, h.log.start+int64(h.log.written)); err != nil {
		return err
	}
	if !h.db.NoSync {
		if err := syncData(h.raw); err != nil {
			return err
		}
	}
	h.log.written = len(h.log.records)
	h.ahead.Store(true)
	return nil
}

// begin opens a transaction with the changes in the log, unless one is open. After a panic
// it is not rolled back, because that would read the damaged pages again. The file is not
// used any more then.
func (h *handle) begin() error {
	meta, err := h.intactMeta()
	if err != nil {
		return err
	}
	if h.txid != 0 && meta.Txid != uint64(h.txid) { //nolint:gosec // G115: it counts up from 0
		damaged := &damagedFileError{errors.New("another program wrote to it")}
		h.damaged.Store(damaged)
		return damaged
	}
	if h.tx != nil {
		return nil
	}
	tx, err := h.db.Begin(true)
	if err != nil {
		return err
	}
	h.tx = newWriteTx(tx, &h.log)
	if b := tx.Bucket(bucketMeta); b != nil {
		if _, base, ok := splitPosition(b.Get(keyPosition)); ok && base != h.log.base {
			h.log.reset(base) // the last commit reported a failure, but was made
			h.ahead.Store(false)
		}
	}
	if err := h.log.apply(tx); err != nil {
		return errors.Join(err, h.rollback())
	}
	return nil
}

func (h *handle) rollback() error {
	tx := h.tx
	h.tx = nil
	h.log.discard()
	return tx.Rollback()
}

// commit commits the open transaction.
func (h *handle) commit() error {
	base := h.log.base + 1
	if err := h.tx.Tx.Bucket(bucketMeta).Put(keyPosition, position(h.log.mark, base)); err != nil {
		return errors.Join(err, h.rollback())
	}
	tx := h.tx
	h.tx, h.txid = nil, 0
	h.log.discard()
	id := tx.ID()
	err := tx.Commit()
	if err == nil {
		h.txid = id
		h.log.reset(base)
		h.ahead.Store(false)
		return nil
	}
	if strings.HasPrefix(err.Error(), "file resize error") {
		return fmt.Errorf("%w: %w", errNoGrowth, err) // bbolt has no error value for this
	}
	return err
}

// flush commits the changes in the log.
func (h *handle) flush() error {
	if !h.ahead.Load() {
		return nil
	}
	return h.begun(h.commit)
}

// clean commits the changes in the log, and a schema that says that the log is empty.
func (h *handle) clean() error {
	return h.begun(func() error {
		if meta := h.tx.Tx.Bucket(bucketMeta); string(meta.Get(keySchema)) == schemaWithLog {
			if err := meta.Put(keySchema, []byte(durable.Schema)); err != nil {
				return errors.Join(err, h.rollback())
			}
		}
		return h.commit()
	})
}

// viewAhead reads the open transaction. It must not be called concurrently with write.
func (h *handle) viewAhead(fn func(tx *bbolt.Tx) error) error {
	return h.begun(func() error { return fn(h.tx.Tx) })
}

func (h *handle) view(fn func(tx *bbolt.Tx) error) error {
	return h.guarded(func() error {
		if _, err := h.intactMeta(); err != nil {
			return err
		}
		return h.db.View(fn)
	})
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

// guarded calls fn, and turns a panic of bbolt into an error. bbolt panics if it cannot read
// a page, or if a page is damaged.
func (h *handle) guarded(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			damaged := &damagedFileError{fmt.Errorf("%v", r)}
			h.damaged.Store(damaged)
			err = damaged
		}
	}()
	return fn()
}
