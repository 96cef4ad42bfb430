package main

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestGCPercent(t *testing.T) {
	for _, tc := range []struct {
		live uint64
		want int
	}{
		{0, 300},
		{1 << 20, 300},
		{16 << 20, 300},
		{20 << 20, 220},
		{31 << 20, 106},
		{32 << 20, 100},
		{64 << 20, 100},
		{80 << 20, 80},
		{128 << 20, 50},
		{160 << 20, 45},
		{1 << 40, 45},
	} {
		require.Equal(t, tc.want, gcPercent(tc.live), tc.live)
	}
}

// A restore lets the heap grow by more, but never by less than usual.
func TestGCPercentOfARestore(t *testing.T) {
	for _, tc := range []struct {
		live uint64
		want int
	}{
		{0, 12800},
		{4 << 20, 12800},
		{64 << 20, 800},
		{512 << 20, 100},
		{1 << 30, 50},
		{2 << 30, 45},
		{1 << 40, 45},
	} {
		require.Equal(t, tc.want, restorePercent(tc.live), tc.live)
	}
}

// currentGCPercent returns the percentage.
func currentGCPercent() int {
	percent := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(percent)
	return int(percent[0].Value.Uint64())
}

// eventually collects garbage until the percentage is what is wanted.
func eventually(t *testing.T, want func(percent int) bool, name string) {
	t.Helper()
	require.Eventually(t, func() bool {
		runtime.GC()
		return want(currentGCPercent())
	}, 20*time.Second, 5*time.Millisecond, name)
}

// runTuner starts a tuner, and ends it with the test.
func runTuner(t *testing.T, restored <-chan struct{}) *gcTuner {
	t.Helper()
	before := debug.SetGCPercent(100)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	tuner := tuneGC()
	t.Cleanup(tuner.stop)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- tuner.run(ctx, restored) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	return tuner
}

// The percentage follows the memory in use, unless the operator sets GOGC.
func TestGCIsTuned(t *testing.T) {
	t.Setenv("GOGC", "")
	restored := make(chan struct{})
	close(restored)
	runTuner(t, restored)
	eventually(t, func(percent int) bool { return percent > 100 && percent <= maxGCPercent }, "little is in use")
	large := make([]byte, 3*smallHeap)
	eventually(t, func(percent int) bool { return percent == minGCPercent }, "much is in use")
	runtime.KeepAlive(large)
	eventually(t, func(percent int) bool { return percent > 100 && percent <= maxGCPercent }, "little again")
}

// The heap may grow by more until the stored groups are restored. Then a collection need not
// happen before the percentage changes.
func TestGCIsTunedForARestore(t *testing.T) {
	t.Setenv("GOGC", "")
	restored := make(chan struct{})
	runTuner(t, restored)
	isHigh := func(percent int) bool { return percent > 10*maxGCPercent }
	require.True(t, isHigh(currentGCPercent()), "before the first collection")
	eventually(t, isHigh, "the groups are not restored")
	close(restored)
	require.Eventually(t, func() bool { return currentGCPercent() <= maxGCPercent }, 20*time.Second, 5*time.Millisecond, "they are restored")
}

func TestOperatorSetsGOGC(t *testing.T) {
	t.Setenv("GOGC", "70")
	restored := make(chan struct{})
	close(restored)
	tuner := runTuner(t, restored)
	debug.SetGCPercent(70)
	for range 5 {
		runtime.GC()
	}
	tuner.setPercent()
	require.Equal(t, 70, currentGCPercent())
}
