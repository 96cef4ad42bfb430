package storage

import "go.etcd.io/bbolt"

// How a File is read and written: writes that come together share a sync.

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

// commit runs one transaction. A file that is not at its path takes no writes:
// they would be gone after the next start.
func (f *File) commit(fn func(tx *bbolt.Tx) error) error {
	if err := f.inPlace(); err != nil {
		return err
	}
	return f.held.Load().commit(fn)
}

func (f *File) view(op string, fn func(tx *bbolt.Tx) error) error {
	if err := f.held.Load().view(fn); err != nil {
		return f.fault(op, err)
	}
	return nil
}
