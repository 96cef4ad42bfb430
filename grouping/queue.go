package grouping

import (
	"context"
	"sync"
)

// queues serializes the writers of this process per group. Many concurrent writers
// with optimistic retries would mostly conflict. Unlike a mutex, a wait ends if its
// context ends, and a writer may have the turn while it writes to the storage. It is
// safe for concurrent use.
type queues struct {
	mu     sync.Mutex
	groups map[ID]*queue // guarded by mu
}

type queue struct {
	turn    chan struct{} // holds one value; a writer takes it, writes and puts it back
	writers int           // guarded by queues.mu; the number of active and waiting writers
	// waiting are the writes that may be made together, in the order of their arrival.
	waiting []*queuedWrite // guarded by queues.mu
}

// queuedWrite is a write that may be made together with others.
type queuedWrite struct {
	stamp Stamp
	plan  func(base *AlertGroup) (Change, error)

	// The result. The writer that has the turn sets it before it closes done.
	group *AlertGroup
	err   error
	done  chan struct{}
}

// enter returns the queue of a group. The caller must call leave at the end. w is added to
// the waiting writes, if it is not nil.
func (q *queues) enter(id ID, w *queuedWrite) (group *queue, leave func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.groups == nil {
		q.groups = map[ID]*queue{}
	}
	group, ok := q.groups[id]
	if !ok {
		group = &queue{turn: make(chan struct{}, 1)}
		group.turn <- struct{}{}
		q.groups[id] = group
	}
	group.writers++
	if w != nil {
		group.waiting = append(group.waiting, w)
	}
	return group, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if group.writers--; group.writers == 0 {
			delete(q.groups, id)
		}
	}
}

// lock waits until no other writer of this process writes to the group. The caller
// must call unlock after its write. If the context ends first, lock returns its cause.
func (q *queues) lock(ctx context.Context, id ID) (unlock func(), err error) {
	group, leave := q.enter(id, nil)
	select {
	case <-group.turn:
		return func() { group.turn <- struct{}{}; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, context.Cause(ctx)
	}
}

// take takes the first waiting write if it is acceptable. Otherwise it returns nil.
func (q *queues) take(group *queue, acceptable func(*queuedWrite) bool) *queuedWrite {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(group.waiting) == 0 || !acceptable(group.waiting[0]) {
		return nil
	}
	w := group.waiting[0]
	group.waiting[0] = nil
	group.waiting = group.waiting[1:]
	return w
}

// withdraw removes a waiting write. It returns false if the write was already taken.
func (q *queues) withdraw(group *queue, w *queuedWrite) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, other := range group.waiting {
		if other == w {
			group.waiting = append(group.waiting[:i:i], group.waiting[i+1:]...)
			return true
		}
	}
	return false
}
