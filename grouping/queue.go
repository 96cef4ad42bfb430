package grouping

import (
	"context"
	"sync"
)

// queues serializes the writers of this process per group. Many concurrent writers
// with optimistic retries would mostly conflict. Unlike a mutex, lock returns if its
// context ends, and a writer may hold the lock while it writes to the storage. It is
// safe for concurrent use.
type queues struct {
	mu     sync.Mutex
	groups map[ID]*queue // guarded by mu
}

type queue struct {
	turn    chan struct{} // holds one value; a writer takes it, writes and puts it back
	writers int           // guarded by queues.mu; the number of active and waiting writers
}

// lock waits until no other writer of this process writes to the group. The caller
// must call unlock after its write. If the context ends first, lock returns its cause.
func (q *queues) lock(ctx context.Context, id ID) (unlock func(), err error) {
	q.mu.Lock()
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
	q.mu.Unlock()

	leave := func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if group.writers--; group.writers == 0 {
			delete(q.groups, id)
		}
	}
	select {
	case <-group.turn:
		return func() { group.turn <- struct{}{}; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, context.Cause(ctx)
	}
}
