package past_test

import (
	"log/slog"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/history"
	"muster/internal/past"
	"muster/storage/file"
)

// BenchmarkReport measures a report of seven days over 250,000 events, with nothing warm.
func BenchmarkReport(b *testing.B) {
	opts := file.DefaultOptions()
	opts.Path = filepath.Join(b.TempDir(), "muster.db")
	s, err := file.Open(opts, slog.New(slog.DiscardHandler))
	require.NoError(b, err)
	defer func() { require.NoError(b, s.Close()) }()
	const turns, window = 25, 7 * 24 * time.Hour
	clock := &steppedClock{now: time.Now().Add(-window)}
	m, err := grouping.NewManager(s, grouping.NewClockOf(clock.read, func() time.Duration { return 0 }), nil, nil,
		slog.New(slog.DiscardHandler), grouping.DefaultOptions)
	require.NoError(b, err)
	for turn := range turns {
		for group := range benchGroups {
			_, err := m.Ingest(b.Context(), benchNotification(group, turn, clock.now))
			require.NoError(b, err)
			clock.now = clock.now.Add(window / (turns * benchGroups))
		}
	}
	b.ReportAllocs()
	before := cpuTime(b)
	for b.Loop() {
		now := time.Now()
		r, err := past.New(m).Report(b.Context(), history.ReportQuery{Since: now.Add(-window), Until: now, By: "alertname"})
		require.NoError(b, err)
		require.NotZero(b, r.Totals.Firings)
	}
	b.ReportMetric((cpuTime(b)-before).Seconds()/float64(b.N), "cpu-s/op")
}

// cpuTime returns the CPU time of the process.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
