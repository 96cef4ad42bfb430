package storage

import (
	"sync"
	"time"
)

// tolerated is how many errors in a row are put down to chance: a connection
// that broke. A timeout is never one: it cost its caller the whole wait. Nor is
// a number of shards, or a file that was moved: writes would go where nobody
// looks.
const tolerated = 2

// breaker knows, from the writes that were really made, whether a backend
// takes writes. It opens on one timeout, on another number of shards, on a file
// that was moved or on three errors in a row; it is closed by whoever brought the
// backend up to date. A write that found no connection says nothing: it waited for
// others of this process.
type breaker struct {
	mu       sync.Mutex
	failures int       // guarded by mu; in a row
	since    time.Time // guarded by mu; zero: closed
	reason   string    // guarded by mu; of the last failure while open
}

// state returns since when and why writes are not tried: zero and "" where
// they are.
func (b *breaker) state() (since time.Time, reason string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.since, b.reason
}

func (b *breaker) success() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures = 0
}

// failure counts a failed write and reports whether that opened the breaker.
func (b *breaker) failure(reason string) (opened bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if reason == reasonPool {
		return false
	}
	b.failures++
	if b.failures <= tolerated && reason != reasonTimeout && reason != reasonShards && reason != reasonMoved {
		return false
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
