package grouping

import (
	"context"
	"slices"
	"sync"
)

// queues serializes the writers of this process per group. Many concurrent writers
// with optimistic retries would mostly conflict. Unlike a mutex, a wait ends if its
// context ends, and a writer may have the turn while it writes to the storage. It is
// safe for concurrent use.
type queues struct {
	mu     sync.Mutex
	groups map[ID]*queue // guarded by mu
	// free are queues without writers and writes. Most writers are alone, so each needs one.
	free []*queue // guarded by mu
}

// maxFree is the maximum number of free queues.
const maxFree = 64

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
func (q *queues) enter(id ID, w *queuedWrite) *queue {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.groups == nil {
		q.groups = map[ID]*queue{}
	}
	group, ok := q.groups[id]
	if !ok {
		group = q.newQueue()
		q.groups[id] = group
	}
	group.writers++
	if w != nil {
		group.waiting = append(group.waiting, w)
	}
	return group
}

// newQueue returns a queue whose turn nobody has. The caller holds mu.
func (q *queues) newQueue() *queue {
	if n := len(q.free); n > 0 {
		group := q.free[n-1]
		q.free = q.free[:n-1]
		return group
	}
	group := &queue{turn: make(chan struct{}, 1)}
	group.turn <- struct{}{}
	return group
}

// leave ends what enter began. The caller must not have the turn.
func (q *queues) leave(id ID, group *queue) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if group.writers--; group.writers > 0 {
		return
	}
	delete(q.groups, id)
	// A writer that panicked may have left its write.
	if len(q.free) < maxFree && len(group.waiting) == 0 && len(group.turn) == 1 {
		q.free = append(q.free, group)
	}
}

// lock waits until no other writer of this process writes to the group. The caller
// must call unlock after its write. If the context ends first, lock returns its cause.
func (q *queues) lock(ctx context.Context, id ID) (unlock func(), err error) {
	group := q.enter(id, nil)
	select {
	case <-group.turn:
		return func() { group.turn <- struct{}{}; q.leave(id, group) }, nil
	case <-ctx.Done():
		q.leave(id, group)
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
	group.waiting = slices.Delete(group.waiting, 0, 1)
	return w
}

// withdraw removes a waiting write. It returns false if the write was already taken.
func (q *queues) withdraw(group *queue, w *queuedWrite) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, other := range group.waiting {
		if other == w {
			group.waiting = slices.Delete(group.waiting, i, i+1)
			return true
		}
	}
	return false
}
