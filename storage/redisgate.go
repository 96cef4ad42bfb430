package storage

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/semaphore"
)

// gateBytes is how much is on its way to Redis at once: four groups of a
// thousand alerts. More would only wait in Redis' queue.
const gateBytes = 4 << 20

// gate lets so many writes through at once that each has a connection, and few
// large ones. Who waits before it does not wait for Redis.
type gate struct {
	room  *semaphore.Weighted
	least int64 // the share of a small write

	mu sync.Mutex
	// outage ends when a server is found to hang, with why as its cause.
	outage context.Context         // guarded by mu
	end    context.CancelCauseFunc // guarded by mu
}

func newGate(connections int) *gate {
	g := &gate{room: semaphore.NewWeighted(gateBytes), least: gateBytes / int64(connections)}
	g.outage, g.end = context.WithCancelCause(context.Background())
	return g
}

// pass runs one write of a number of bytes. If a server is found to hang, those
// who wait get its error: they would only find the same.
func (g *gate) pass(ctx context.Context, bytes int, write func() error) error {
	share := min(max(int64(bytes), g.least), gateBytes)
	if err := g.enter(ctx, share); err != nil {
		return err
	}
	defer g.room.Release(share)
	err := write()
	if err != nil && FaultReason(err) == reasonTimeout {
		g.fail(err)
	}
	return err
}

func (g *gate) enter(ctx context.Context, share int64) error {
	if g.room.TryAcquire(share) {
		return nil
	}
	g.mu.Lock()
	outage := g.outage
	g.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(outage, cancel)() //nolint:contextcheck // the end of an outage ends the wait, too
	if g.room.Acquire(ctx, share) == nil {
		return nil
	}
	return cmp.Or(context.Cause(outage), redis.ErrPoolTimeout) //nolint:contextcheck // of the outage
}

func (g *gate) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.end(err)
	g.outage, g.end = context.WithCancelCause(context.Background())
}

const (
	// A batch starts small, since nothing is known of the link, and grows to
	// what Redis takes in a few milliseconds.
	startBatch, largestBatch = 64 << 10, 1 << 20
	// A batch is too large if it takes longer than batchTime: it would delay
	// what a webhook writes. In less than a quarter of it a larger one fits.
	batchTime = 200 * time.Millisecond
)

// pace sizes what is sent at once by the time that it takes.
type pace struct {
	mu    sync.Mutex
	bytes int // guarded by mu; 0: nothing was sent yet
}

// size is how many bytes the next batch may have. It may have one piece in any
// case.
func (p *pace) size() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	orDefault(&p.bytes, startBatch)
	return p.bytes
}

// sent takes note of what became of a batch.
func (p *pace) sent(bytes int, took time.Duration, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err != nil && isAnswer(err):
	case err != nil || took > batchTime:
		p.bytes = max(min(p.bytes, bytes)/2, 1)
	case took < batchTime/4 && bytes > p.bytes/2:
		p.bytes = min(2*p.bytes, largestBatch)
	}
}
