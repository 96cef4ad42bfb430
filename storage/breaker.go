package storage

import (
	"sync"
	"time"

	"muster/storage/durable"
)

// maxFailures is the maximum number of failures in a row that leave the breaker
// closed. A few failures are normal, for example when a connection breaks.
//
// Some failures open the breaker at once. A timeout made the caller wait for the
// whole time limit. With another number of shards, or with a file that was moved,
// writes would go to a place that other processes do not read.
const maxFailures = 2

// breaker stops writes to a backend that fails. It judges by the results of real
// writes. It opens after one timeout, if the number of shards differs, if the file
// was moved, or after three failures in a row. The caller closes it after the
// backend has received all pending changes.
//
// A write that got no connection from the pool does not count. It waited for other
// writes of this process, which says nothing about the backend.
type breaker struct {
	mu       sync.Mutex
	failures int       // guarded by mu; number of failures in a row
	since    time.Time // guarded by mu; when it opened, zero while it is closed
	reason   string    // guarded by mu; reason of the last failure while open
}

// state returns the time when the breaker opened and the reason of the last
// failure. Both are zero while the breaker is closed.
func (b *breaker) state() (since time.Time, reason string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.since, b.reason
}

// success records a write that succeeded.
func (b *breaker) success() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures = 0
}

// failure records a failed write and reports whether it opened the breaker.
func (b *breaker) failure(reason string) (opened bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if reason == durable.ReasonPool {
		return false
	}
	b.failures++
	switch reason {
	case durable.ReasonTimeout, durable.ReasonShards, durable.ReasonSchema, durable.ReasonMoved: // no retry helps
	default:
		if b.failures <= maxFailures {
			return false
		}
	}
	opened = b.since.IsZero()
	if opened {
		b.since = time.Now()
	}
	b.reason = reason
	return opened
}

// close closes the breaker and reports whether it was open.
func (b *breaker) close() (closed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	closed = !b.since.IsZero()
	b.failures, b.since, b.reason = 0, time.Time{}, ""
	return closed
}
