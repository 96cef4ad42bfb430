package main

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"
)

// smallHeap is the size to which the heap may grow between two garbage collections, even
// if little memory is in use. Otherwise a small heap is collected dozens of times a
// second in a storm of notifications.
const smallHeap = 64 << 20

const (
	// goGCPercent is Go's own percentage: the heap may grow by as much as is in use.
	goGCPercent = 100
	// minGCPercent is the percentage of a large heap. Collections then have twice the share
	// of the CPU time that they have with Go's percentage, but the heap needs a quarter less
	// memory.
	minGCPercent = 45
	// maxGCPercent limits the heap while it fills: the percentage is corrected only after
	// a collection.
	maxGCPercent = 300
)

// While the stored groups are restored, most of what is allocated stays in use, so a
// collection takes much time and frees little. A restore of 50,000 groups with 100,000 alerts
// fits without one.
const (
	// restoreGrowth is the size by which the heap may grow between two collections, and before
	// the first one.
	restoreGrowth = 512 << 20
	// goMinHeap is the size in bytes below which Go does not collect at a percentage of 100. It
	// changes in proportion to the percentage.
	goMinHeap = 4 << 20
	// maxRestore ends this if the storage does not answer. A restore of 100,000 groups
	// takes some seconds.
	maxRestore = time.Minute
)

// gcPercent returns the percentage by which the heap may grow if live bytes are in use.
// Above smallHeap, it may grow by smallHeap at least.
func gcPercent(live uint64) int {
	switch {
	case live < smallHeap/2:
		return int(min(maxGCPercent, 100*(smallHeap-live)/max(live, 1)))
	case live < smallHeap:
		return goGCPercent
	default:
		return int(max(minGCPercent, 100*smallHeap/live))
	}
}

// restorePercent is gcPercent while the stored groups are restored.
func restorePercent(live uint64) int {
	return max(gcPercent(live), int(100*restoreGrowth/max(live, goMinHeap))) //nolint:gosec // G115: at most 12800
}

// gcTuner sets Go's garbage collection percentage after each collection. Go's memory
// limit is stronger: near it, the heap grows by less.
type gcTuner struct {
	stopped atomic.Bool

	mu        sync.Mutex
	percent   int  // guarded by mu; 0: the operator decides
	restoring bool // guarded by mu
}

// tuneGC starts a tuner. Until run ends that, it counts on a restore. If GOGC is set, the
// operator decides, and the tuner does nothing.
func tuneGC() *gcTuner {
	t := &gcTuner{}
	if os.Getenv("GOGC") == "" {
		t.percent, t.restoring = goGCPercent, true
		t.setPercent()
		t.await()
	}
	return t
}

// run waits until the stored groups are restored. Then the heap grows by less again. It
// returns when the context ends.
func (t *gcTuner) run(ctx context.Context, restored <-chan struct{}) error {
	timer := time.NewTimer(maxRestore)
	defer timer.Stop()
	select {
	case <-restored:
	case <-timer.C:
	case <-ctx.Done():
	}
	t.mu.Lock()
	t.restoring = false
	t.mu.Unlock()
	t.setPercent() // the heap may be too large for it, so this starts a collection
	<-ctx.Done()
	return nil
}

// stop ends the tuner after the next collection. The percentage stays.
func (t *gcTuner) stop() { t.stopped.Store(true) }

// await makes the next collection call adjust: an object that nobody uses is finalized
// then.
func (t *gcTuner) await() {
	runtime.SetFinalizer(&unused{t}, func(u *unused) { u.tuner.adjust() })
}

// unused is an object that nobody uses.
type unused struct{ tuner *gcTuner }

// adjust sets the percentage, and waits for the next collection.
func (t *gcTuner) adjust() {
	if t.stopped.Load() {
		return
	}
	t.setPercent()
	t.await()
}

// setPercent sets the percentage for what the last collection left.
func (t *gcTuner) setPercent() {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.percent
	if before == 0 {
		return
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	percent := gcPercent(live[0].Value.Uint64())
	if t.restoring {
		percent = restorePercent(live[0].Value.Uint64())
	}
	// Each change stops the program for a moment, so ignore small ones.
	if percent < before*9/10 || percent > before*11/10 || percent != before && (percent == goGCPercent || percent == minGCPercent) {
		debug.SetGCPercent(percent)
		t.percent = percent
	}
}
