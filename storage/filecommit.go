package storage

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"go.etcd.io/bbolt"
)

// How a File is read and written: writes that come together share a sync, and a
// panic of bbolt's is a fault of the file, not of the process.

// fileWrite is what one caller has to write.
type fileWrite struct {
	fn   func(*bbolt.Tx) error
	err  error
	done chan struct{} // closed when err is known
}

// update runs a write. Writes that come while another is under way are
// committed together by the first of them.
func (f *File) update(op string, fn func(tx *bbolt.Tx) error) error {
	w := &fileWrite{fn: fn, done: make(chan struct{})}
	f.mu.Lock()
	f.waiting = append(f.waiting, w)
	first := len(f.waiting) == 1
	f.mu.Unlock()
	if first {
		f.turn <- struct{}{}
		f.commitWaiting()
		<-f.turn
	}
	<-w.done
	f.failing.Store(w.err != nil)
	if w.err != nil {
		return f.fault(op, w.err)
	}
	return nil
}

func (f *File) commitWaiting() {
	f.mu.Lock()
	writes := f.waiting
	f.waiting = nil
	f.mu.Unlock()
	refused := false
	err := f.commit(func(tx *bbolt.Tx) error {
		if err := f.dropTombstones(tx); err != nil {
			return err
		}
		for _, w := range writes {
			if err := w.fn(tx); err != nil {
				refused = true
				return err
			}
		}
		return nil
	})
	for _, w := range writes {
		w.err = err
		if refused && len(writes) > 1 {
			w.err = f.commit(w.fn) // what one cannot write is not the others' fault
		}
		close(w.done)
	}
}

// commit runs one transaction. It does not roll back after a panic, which
// reads the damaged pages again: the file is left alone from then on.
func (f *File) commit(fn func(tx *bbolt.Tx) error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer f.caught(&err)
	if err := f.intact(); err != nil {
		return err
	}
	tx, err := f.db.Begin(true)
	if err != nil {
		return err
	}
	if err := fn(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	err = tx.Commit()
	if err != nil && strings.HasPrefix(err.Error(), "file resize error") {
		return fmt.Errorf("%w: %w", errNoGrowth, err) // bbolt tells it by text alone
	}
	return err
}

func (f *File) view(op string, fn func(tx *bbolt.Tx) error) (err error) {
	defer func() {
		if err != nil {
			err = f.fault(op, err)
		}
	}()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer f.caught(&err)
	if err := f.intact(); err != nil {
		return err
	}
	return f.db.View(fn)
}

// intact looks whether the file was damaged since the start, as far as that is
// seen at once. Without, bbolt panics while it holds the locks that all others
// wait for.
func (f *File) intact() error {
	if damaged := f.damaged.Load(); damaged != nil {
		return damaged
	}
	_, err := wholeMeta(f.raw)
	if damaged, ok := errors.AsType[*damagedFileError](err); ok {
		f.damaged.Store(damaged)
	}
	return err
}

// caught makes an error of a panic of bbolt's: a page cannot be read, or is not
// what it was. It is deferred where panics on faults are set.
func (f *File) caught(err *error) {
	if r := recover(); r != nil {
		damaged := &damagedFileError{fmt.Errorf("%v", r)}
		f.damaged.Store(damaged)
		*err = damaged
	}
}
