package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
)

// smallHeap is the size to which the heap may grow between two garbage collections, even
// if little memory is in use. Otherwise a small heap is collected dozens of times a
// second in a storm of notifications.
const smallHeap = 64 << 20

const (
	// goGCPercent is Go's own percentage: the heap may grow by as much as is in use.
	goGCPercent = 100
	// minGCPercent is the percentage of a large heap. A collection then has twice the
	// share of the CPU time, but a third of the memory of Go's percentage is saved for
	// what is not in use.
	minGCPercent = 50
	// maxGCPercent limits the heap while it fills, for example at a restore: the
	// percentage is corrected only after a collection.
	maxGCPercent = 300
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

// gcTuner sets Go's garbage collection percentage after each collection. Go's memory
// limit is stronger: near it, the heap grows by less.
type gcTuner struct {
	stopped atomic.Bool
	percent atomic.Int64
}

// tuneGC starts a tuner. If GOGC is set, the operator decides, and the tuner does
// nothing.
func tuneGC() *gcTuner {
	t := &gcTuner{}
	if os.Getenv("GOGC") == "" {
		t.percent.Store(goGCPercent)
		t.await()
	}
	return t
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

// adjust sets the percentage for what the last collection left.
func (t *gcTuner) adjust() {
	if t.stopped.Load() {
		return
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	percent := gcPercent(live[0].Value.Uint64())
	// Each change stops the program for a moment, so ignore small ones.
	before := int(t.percent.Load())
	if percent < before*9/10 || percent > before*11/10 || percent != before && (percent == goGCPercent || percent == minGCPercent) {
		debug.SetGCPercent(percent)
		t.percent.Store(int64(percent))
	}
	t.await()
}
