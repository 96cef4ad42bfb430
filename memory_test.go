package main

import (
	"bytes"
	"errors"
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"testing"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/stretchr/testify/require"
)

func TestLimitMemory(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	if value, ok := os.LookupEnv("GOMEMLIMIT"); ok {
		require.NoError(t, os.Unsetenv("GOMEMLIMIT"))
		t.Cleanup(func() { require.NoError(t, os.Setenv("GOMEMLIMIT", value)) }) //nolint:usetesting // t.Setenv cannot unset
	}
	for name, tc := range map[string]struct {
		ratio float64
		limit memlimit.Provider
		want  int64
		log   string
	}{
		"a container's":  {0.5, memlimit.Limit(100 << 20), 50 << 20, "bytes=52428800"},
		"no limit":       {0.5, func() (uint64, error) { return 0, memlimit.ErrNoLimit }, math.MaxInt64, ""},
		"no container":   {0.5, func() (uint64, error) { return 0, memlimit.ErrCgroupsNotSupported }, math.MaxInt64, ""},
		"disabled":       {0, memlimit.Limit(100 << 20), math.MaxInt64, ""},
		"cannot be read": {0.5, func() (uint64, error) { return 0, errors.New("no such file") }, math.MaxInt64, "no such file"},
	} {
		debug.SetMemoryLimit(math.MaxInt64)
		var log bytes.Buffer
		limitMemory(tc.ratio, tc.limit, slog.New(slog.NewTextHandler(&log, nil)))
		require.Equal(t, tc.want, debug.SetMemoryLimit(-1), name)
		require.Contains(t, log.String(), tc.log, name)
		require.Equal(t, tc.log == "", log.Len() == 0, name)
	}
	t.Setenv("GOMEMLIMIT", "1GiB")
	debug.SetMemoryLimit(1 << 30)
	limitMemory(0.5, memlimit.Limit(100<<20), slog.New(slog.DiscardHandler))
	require.Equal(t, int64(1<<30), debug.SetMemoryLimit(-1), "GOMEMLIMIT has priority")
}
