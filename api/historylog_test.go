package api_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"muster/api"
	"muster/grouping"
)

// logged is a history log that runs until the end of the test.
type logged struct {
	*api.HistoryLog

	registry *prometheus.Registry
	lines    *lockedBuffer // of the program's own log
	stop     func()
}

// lockedBuffer is a buffer for several goroutines.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func runHistoryLog(t *testing.T, path string, maxQueue int, standard io.Writer) *logged {
	t.Helper()
	l := &logged{registry: prometheus.NewRegistry(), lines: &lockedBuffer{}}
	opts := api.DefaultHistoryLogOptions()
	opts.Path, opts.Retry, opts.MaxQueue = path, 20*time.Millisecond, maxQueue
	if opts.LastWrite = time.Minute; standard != nil {
		opts.LastWrite = 100 * time.Millisecond // it may block for ever
	}
	var err error
	l.HistoryLog, err = api.NewHistoryLog(l.registry, slog.New(slog.NewTextHandler(l.lines, nil)), opts)
	require.NoError(t, err)
	if standard != nil {
		l.SetStandardOutput(standard)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	l.stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-done)
	})
	t.Cleanup(l.stop)
	return l
}

// publish publishes events with these numbers.
func (l *logged) publish(from, to int) {
	for i := from; i < to; i++ {
		labels := grouping.NewLabels(map[string]string{"text": hostile[i%len(hostile)]})
		l.Publish(grouping.Update{Events: []grouping.Event{{ID: fmt.Sprint(i), Kind: grouping.EventFired, Labels: labels}}})
	}
}

func (l *logged) count(t *testing.T, name string) (n float64) {
	t.Helper()
	families, err := l.registry.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == name {
			n = f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	return n
}

// numbers returns the numbers of the events in a file.
func numbers(t *testing.T, path string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil
	}
	require.NoError(t, err)
	for _, e := range lines[api.EventView](t, bytes.NewReader(text)) {
		all = append(all, e.ID)
	}
	return all
}

// Each event is in one of the files, although they are moved away like logrotate does.
func TestHistoryLogIsRotated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.log")
	l := runHistoryLog(t, path, 1000, nil)
	var want, got []string
	for round := range 4 {
		l.publish(10*round, 10*round+10)
		require.Eventually(t, func() bool { return len(numbers(t, path)) == 10 }, 5*time.Second, time.Millisecond)
		got = append(got, numbers(t, path)...)
		require.NoError(t, os.Rename(path, fmt.Sprint(path, ".", round)))
	}
	for i := range 40 {
		want = append(want, fmt.Sprint(i))
	}
	require.Equal(t, want, got)
	require.Zero(t, l.count(t, "muster_history_log_errors_total"))
	require.Empty(t, l.lines.String())
}

// What still waits is written at the stop, and an existing file is kept.
func TestHistoryLogIsCompleteAfterAStop(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.log")
	for round := range 2 {
		l := runHistoryLog(t, path, 5000, nil)
		l.publish(0, 1000)
		l.stop()
		require.Len(t, numbers(t, path), 1000*(round+1))
	}
}

// A full disk is logged once, and costs no event until the queue is full.
func TestHistoryLogOnAFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.log")
	require.NoError(t, os.Symlink("/dev/full", path))
	l := runHistoryLog(t, path, 100, nil)
	l.publish(0, 1)
	require.Eventually(t, func() bool { return l.count(t, "muster_history_log_errors_total") >= 3 }, 5*time.Second, time.Millisecond)
	l.publish(1, 201)
	require.InDelta(t, 100, l.count(t, "muster_history_log_dropped_events_total"), 1)
	require.Equal(t, 1, strings.Count(l.lines.String(), "\n"), l.lines)
	require.Contains(t, l.lines.String(), "no space left on device")

	require.NoError(t, os.Remove(path)) // the disk has space again
	require.Eventually(t, func() bool { return len(numbers(t, path)) >= 100 }, 5*time.Second, time.Millisecond)
	require.Equal(t, "0", numbers(t, path)[0])
	require.Eventually(t, func() bool { return strings.Count(l.lines.String(), "\n") == 2 }, 5*time.Second, time.Millisecond)
	require.Contains(t, l.lines.String(), "can be written again")
}

// blocked is an output that never accepts anything before the end of the test.
type blocked chan struct{}

func (b blocked) Write(p []byte) (int, error) {
	<-b
	return len(p), nil
}

// An output that blocks neither blocks a change nor the stop.
func TestHistoryLogThatBlocks(t *testing.T) {
	out := make(blocked)
	defer close(out)
	l := runHistoryLog(t, api.StandardOutput, 100, out)
	l.publish(0, 1000)
	require.GreaterOrEqual(t, l.count(t, "muster_history_log_dropped_events_total"), 500.0)
	l.stop()
}

func TestHistoryLogOnStandardOutput(t *testing.T) {
	out := &lockedBuffer{}
	l := runHistoryLog(t, api.StandardOutput, 100, out)
	l.publish(0, 10)
	require.Eventually(t, func() bool { return strings.Count(out.String(), "\n") == 10 }, 5*time.Second, time.Millisecond)
	l.stop()
	require.Len(t, lines[api.EventView](t, strings.NewReader(out.String())), 10)
	problems, err := testutil.GatherAndLint(l.registry)
	require.NoError(t, err)
	require.Empty(t, problems)
}
