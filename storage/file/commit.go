package file

import (
	"slices"
	"time"

	"go.etcd.io/bbolt"
)

// This file has the transactions of a Storage. Concurrent writes share one sync.

// commitDelay is how long a commit waits at most for the writers of the last one. It is
// shorter than a sync of most disks. The CPU time of a commit hardly depends on the number
// of its writes, so half as many commits cost half as much.
const commitDelay = 500 * time.Microsecond

// queuedWrite is the write of one caller.
type queuedWrite struct {
	fn   func(*writeTx) error
	err  error
	done chan struct{} // closed when err is known
}

// update runs a write and returns when it is on disk. Writes that arrive during
// a commit wait, and the first of them commits them all together. If other writers were
// active during the last commit, it waits a moment for their next writes, too.
func (f *Storage) update(op string, fn func(tx *writeTx) error) error {
	w := &queuedWrite{fn: fn, done: make(chan struct{})}
	f.mu.Lock()
	f.waiting = append(f.waiting, w)
	first := len(f.waiting) == 1
	f.mu.Unlock()
	select {
	case f.arrived <- struct{}{}:
	default: // the last arrival was not noticed yet
	}
	if first {
		f.commitLock <- struct{}{}
		f.gather()
		f.commitWaiting()
		<-f.commitLock
	}
	<-w.done
	f.failing.Store(w.err != nil)
	if w.err != nil {
		return f.fault(op, w.err)
	}
	return nil
}

// gather waits until as many writes wait as there were active writers during the last
// commit, but not longer than commitDelay. A single writer never waits.
func (f *Storage) gather() {
	enough := func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.waiting) >= f.active
	}
	if enough() {
		return
	}
	timeout := time.NewTimer(commitDelay)
	defer timeout.Stop()
	for !enough() {
		select {
		case <-f.arrived:
		case <-timeout.C:
			return
		}
	}
}

// commitWaiting commits all waiting writes in one transaction. If one of them
// fails, it commits each of them in a transaction of its own.
func (f *Storage) commitWaiting() {
	f.mu.Lock()
	writes := f.waiting
	f.waiting = nil
	f.mu.Unlock()
	writeFailed := false
	dropped := 0
	err := f.commit(func(tx *writeTx) (err error) {
		if dropped, err = f.dropTombstones(tx); err != nil {
			return err
		}
		for _, w := range writes {
			if err := w.fn(tx); err != nil {
				writeFailed = true
				return err
			}
		}
		return nil
	})
	f.mu.Lock()
	if err == nil {
		f.tombstones = slices.Delete(f.tombstones, 0, dropped)
	}
	f.active = len(writes) + len(f.waiting)
	f.mu.Unlock()
	for _, w := range writes {
		w.err = err
		if writeFailed && len(writes) > 1 {
			w.err = f.commit(w.fn) // one failed write must not fail the others
		}
		close(w.done)
	}
}

// commit makes the changes of one or more writes. It fails if the file is not at its path,
// because the next start would not find the written data.
func (f *Storage) commit(fn func(tx *writeTx) error) error {
	if err := f.verifyPath(); err != nil {
		return err
	}
	return f.handle.Load().write(fn)
}

// view reads the pages, after the changes in the log were written to them. If that fails, it
// reads the open transaction, and no write is made meanwhile.
func (f *Storage) view(op string, fn func(tx *bbolt.Tx) error) error {
	if !f.handle.Load().ahead.Load() {
		return f.viewPages(op, fn)
	}
	f.commitLock <- struct{}{}
	h := f.handle.Load()
	if h.flush() == nil {
		<-f.commitLock
		return f.viewPages(op, fn)
	}
	defer func() { <-f.commitLock }()
	if err := h.viewAhead(fn); err != nil {
		return f.fault(op, err)
	}
	return nil
}

// viewPages is view for what no write changes. It leaves the changes in the log.
func (f *Storage) viewPages(op string, fn func(tx *bbolt.Tx) error) error {
	if err := f.handle.Load().view(fn); err != nil {
		return f.fault(op, err)
	}
	return nil
}
