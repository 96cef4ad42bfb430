package main

import (
	"runtime"
	"runtime/debug"
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
		{1 << 40, 50},
	} {
		require.Equal(t, tc.want, gcPercent(tc.live), tc.live)
	}
}

// currentGCPercent returns the percentage without changing it.
func currentGCPercent() int {
	percent := debug.SetGCPercent(100)
	debug.SetGCPercent(percent)
	return percent
}

// The percentage follows the memory in use, unless the operator sets GOGC.
func TestGCIsTuned(t *testing.T) {
	before := debug.SetGCPercent(100)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	t.Setenv("GOGC", "")
	tuner := tuneGC()
	t.Cleanup(tuner.stop)
	becomes := func(want func(percent int) bool, name string) {
		t.Helper()
		require.Eventually(t, func() bool {
			runtime.GC()
			return want(currentGCPercent())
		}, 20*time.Second, 5*time.Millisecond, name)
	}
	becomes(func(percent int) bool { return percent > 100 }, "little is in use")
	large := make([]byte, 2*smallHeap)
	becomes(func(percent int) bool { return percent == 50 }, "much is in use")
	runtime.KeepAlive(large)
	becomes(func(percent int) bool { return percent > 100 }, "little again")
}

func TestOperatorSetsGOGC(t *testing.T) {
	before := debug.SetGCPercent(70)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	t.Setenv("GOGC", "70")
	tuner := tuneGC()
	t.Cleanup(tuner.stop)
	for range 5 {
		runtime.GC()
	}
	require.Zero(t, tuner.percent.Load(), "it did not start")
	require.Equal(t, 70, currentGCPercent())
}
