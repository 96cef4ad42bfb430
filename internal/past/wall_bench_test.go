package past_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/past"
	"muster/storage/durable"
	"muster/storage/file"
	"muster/storage/redis"
)

// The history of the benchmark: 100 groups of 100 alerts fire and end by turns for 30 days. That
// makes a million events.
const (
	benchGroups  = 100
	benchAlerts  = 100
	benchTurns   = 98
	benchHistory = 30*24*time.Hour - time.Hour
)

// BenchmarkWall measures the wall at times that are spread over the history. It is cold: nothing
// but the working copy is in memory. Redis must run at the URL in the environment variable
// BENCH_REDIS_URL.
func BenchmarkWall(b *testing.B) {
	b.Run("file", func(b *testing.B) {
		opts := file.DefaultOptions()
		opts.Path = filepath.Join(b.TempDir(), "muster.db")
		s, err := file.Open(opts, slog.New(slog.DiscardHandler))
		require.NoError(b, err)
		benchmarkWall(b, s)
	})
	b.Run("redis", func(b *testing.B) {
		opts := redis.DefaultOptions()
		if opts.URL = os.Getenv("BENCH_REDIS_URL"); opts.URL == "" {
			b.Skip("BENCH_REDIS_URL is not set")
		}
		s, err := redis.New(opts)
		require.NoError(b, err)
		benchmarkWall(b, s)
	})
}

func benchmarkWall(b *testing.B, s durable.Backend) {
	defer func() { require.NoError(b, s.Close()) }()
	end := time.Now().Add(-time.Hour)
	clock := &steppedClock{now: end.Add(-benchHistory)}
	m, err := grouping.NewManager(s, grouping.NewClockOf(clock.read, func() time.Duration { return 0 }), nil, nil,
		slog.New(slog.DiscardHandler), grouping.DefaultOptions)
	require.NoError(b, err)
	step := benchHistory / (benchTurns * benchGroups)
	for turn := range benchTurns {
		for group := range benchGroups {
			_, err := m.Ingest(b.Context(), benchNotification(group, turn, clock.now))
			require.NoError(b, err)
			if clock.now = clock.now.Add(step); group%10 == 0 {
				require.NoError(b, m.TakeCheckpoint(b.Context()))
			}
		}
	}
	stored, err := m.Checkpoints(b.Context())
	require.NoError(b, err)
	bytes := 0
	for _, c := range stored {
		bytes += c.Size
	}
	var slowest, most time.Duration
	var memory uint64
	n := 0
	for b.Loop() {
		r := past.New(m) // nothing is warm
		at := end.Add(-time.Duration(n*7919%1000) * (benchHistory - 5*time.Hour) / 1000)
		n++
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		started, used := time.Now(), cpuTime(b)
		wall, err := r.At(b.Context(), at)
		slowest, most = max(slowest, time.Since(started)), max(most, cpuTime(b)-used)
		require.NoError(b, err)
		runtime.GC()
		runtime.ReadMemStats(&after)
		memory = max(memory, after.HeapAlloc-min(before.HeapAlloc, after.HeapAlloc))
		require.NotEmpty(b, wall.Groups)
		runtime.KeepAlive(wall)
	}
	b.ReportMetric(slowest.Seconds(), "slowest-s")
	b.ReportMetric(most.Seconds(), "most-cpu-s")
	b.ReportMetric(float64(memory)/(1<<20), "wall-MiB")
	b.ReportMetric(float64(bytes)/(1<<20), "checkpoints-MiB")
	b.ReportMetric(float64(len(stored)), "checkpoints")
}

// steppedClock is a clock that the benchmark sets.
type steppedClock struct{ now time.Time }

func (c *steppedClock) read() time.Time { return c.now }

func benchNotification(group, turn int, now time.Time) grouping.Notification {
	name := fmt.Sprint("Group", group)
	groupLabels := grouping.NewLabels(map[string]string{"alertname": name})
	n := grouping.Notification{
		Key:         grouping.Key{Source: "default", Receiver: "team", GroupKey: fmt.Sprintf("{}:{alertname=%q}", name)},
		GroupLabels: groupLabels, CommonLabels: groupLabels, ExternalURL: "http://alertmanager:9093",
	}
	for i := range benchAlerts {
		a := grouping.NotifiedAlert{
			Status: grouping.StatusFiring, StartsAt: now.Add(-time.Minute), GeneratorURL: "http://prometheus:9090/graph?g0.expr=up",
			Labels: grouping.NewLabels(map[string]string{
				"alertname": name, "instance": fmt.Sprint("host-", i, ".example.com:9100"), "job": "node", "severity": "warning",
				"cluster": "eu-west-1",
			}),
			Annotations: grouping.NewLabels(map[string]string{
				"summary": fmt.Sprint("host-", i, " is down"), "description": "The target has not been scraped for more than five minutes.",
			}),
		}
		a.Fingerprint = a.Labels.Fingerprint()
		if turn%2 == 1 {
			a.Status, a.StartsAt, a.EndsAt = grouping.StatusResolved, now.Add(-time.Hour), now
		}
		n.Alerts = append(n.Alerts, a)
	}
	return n
}
