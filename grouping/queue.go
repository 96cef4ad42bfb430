package grouping

import (
	"context"
	"sync"
)

// queues lets the writers of one process to one group follow one another:
// optimistic retries of many of them would collapse. Unlike a mutex it honours
// a context, and it is meant to be held while the storage is written to.
type queues struct {
	mu     sync.Mutex
	groups map[ID]*queue // guarded by mu
}

type queue struct {
	turn    chan struct{} // holds one token: whoever takes it writes
	waiting int           // guarded by queues.mu; those who write or want to
}

// lock waits for the turn to write to the group and returns the function that
// passes it on.
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
	group.waiting++
	q.mu.Unlock()

	leave := func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if group.waiting--; group.waiting == 0 {
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
