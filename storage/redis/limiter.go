package redis

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/semaphore"

	"muster/storage/durable"
)

// maxBytesInFlight is the maximum size of all concurrent writes: four groups with
// a thousand alerts each. More writes would only wait in the queue of Redis.
const maxBytesInFlight = 4 << 20

// writeLimiter limits the concurrent writes to Redis by their number and by their
// size. Each admitted write finds a free connection. The time limit for an answer
// of Redis does not include the wait for the limiter.
type writeLimiter struct {
	capacity *semaphore.Weighted
	minShare int64 // the share of a small write

	mu sync.Mutex
	// healthy is cancelled when a write finds that a server hangs. Its cause is
	// the error of that write.
	healthy context.Context         // guarded by mu
	cancel  context.CancelCauseFunc // guarded by mu
}

func newWriteLimiter(connections int) *writeLimiter {
	l := &writeLimiter{capacity: semaphore.NewWeighted(maxBytesInFlight), minShare: maxBytesInFlight / int64(connections)}
	l.healthy, l.cancel = context.WithCancelCause(context.Background())
	return l
}

// runWrite runs one write of the given size. If another write finds that a server
// hangs, all waiting writes fail with its error: they would only find the same.
func (l *writeLimiter) runWrite(ctx context.Context, bytes int, write func() error) error {
	share := min(max(int64(bytes), l.minShare), maxBytesInFlight)
	if err := l.acquire(ctx, share); err != nil {
		return err
	}
	defer l.capacity.Release(share)
	err := write()
	if err != nil && faultReason(err) == durable.ReasonTimeout {
		l.failWaiting(err)
	}
	return err
}

func (l *writeLimiter) acquire(ctx context.Context, share int64) error {
	if l.capacity.TryAcquire(share) {
		return nil
	}
	l.mu.Lock()
	healthy := l.healthy
	l.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(healthy, cancel)() //nolint:contextcheck // a hanging server ends the wait, too
	if l.capacity.Acquire(ctx, share) == nil {
		return nil
	}
	return cmp.Or(context.Cause(healthy), redis.ErrPoolTimeout) //nolint:contextcheck // the error of the other write
}

// failWaiting fails all waiting writes with the error. Later writes wait again.
func (l *writeLimiter) failWaiting(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cancel(err)
	l.healthy, l.cancel = context.WithCancelCause(context.Background())
}

const (
	// The first batch is small, because the speed of the link is not known yet.
	// Batches grow up to a size that Redis applies in a few milliseconds.
	firstBatch, maxBatch = 64 << 10, 1 << 20
	// A batch is too large if it takes longer than batchTime: it would delay the
	// writes of webhooks. The next batch may be larger if this one took less
	// than a quarter of batchTime.
	batchTime = 200 * time.Millisecond
)

// pace adapts the size of batches to the time that they take.
type pace struct {
	mu    sync.Mutex
	bytes int // guarded by mu; 0: nothing was sent yet
}

// size returns the maximum number of bytes of the next batch. A batch may always
// have one item, even if that is larger.
func (p *pace) size() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bytes = cmp.Or(p.bytes, firstBatch)
	return p.bytes
}

// sent adapts the size after a batch was sent. It gets the size of that batch, the
// time that it took and its error.
func (p *pace) sent(bytes int, took time.Duration, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err != nil && isRedisError(err):
	case err != nil || took > batchTime:
		p.bytes = max(min(p.bytes, bytes)/2, 1)
	case took < batchTime/4 && bytes > p.bytes/2:
		p.bytes = min(2*p.bytes, maxBatch)
	}
}
