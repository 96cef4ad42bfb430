package storage

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/storage/storagetest"
)

// lockedBuffer is a log that can be read while it is written.
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

// The status shows the problems that a check finds, and each of them is logged once.
// A server that cannot be reached does not change the problems.
func TestTieredChecks(t *testing.T) {
	server := storagetest.StartRedis(t, "--maxmemory-policy", "allkeys-lru")
	var log lockedBuffer
	r := openOn(t, server)
	options := tieredDefaults(TieredOptions{
		CheckInterval: 10 * time.Millisecond, CompareInterval: 20 * time.Millisecond, WriteTimeout: 20 * time.Second,
	})
	m, err := NewTiered(NewMemory(DefaultMemoryOptions()), InstrumentDurable(r, prometheus.NewRegistry()), grouping.NewClock(),
		prometheus.NewRegistry(), slog.New(slog.NewTextHandler(&log, nil)), options)
	require.NoError(t, err)
	require.Empty(t, m.Status().Problems)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = m.Run(ctx) }()
	defer func() {
		cancel()
		<-done
	}()
	const evicts = "Redis evicts any group when its memory is full"
	require.Eventually(t, func() bool { return len(m.Status().Problems) == 1 }, 20*time.Second, 5*time.Millisecond)
	require.Contains(t, m.Status().Problems[0], evicts)

	admin := goredis.NewClient(&goredis.Options{Network: "unix", Addr: server.Socket})
	defer func() { require.NoError(t, admin.Close()) }()
	require.NoError(t, admin.ConfigSet(t.Context(), "maxmemory-policy", "noeviction").Err())
	require.Eventually(t, func() bool { return len(m.Status().Problems) == 0 }, 20*time.Second, 5*time.Millisecond, "it was corrected")
	require.NoError(t, admin.ConfigSet(t.Context(), "maxmemory-policy", "volatile-lru").Err())
	require.Eventually(t, func() bool { return len(m.Status().Problems) == 1 }, 20*time.Second, 5*time.Millisecond)
	_ = server.Process.Kill()
	require.Eventually(t, func() bool { return !m.Status().Healthy }, 20*time.Second, 5*time.Millisecond)
	require.Len(t, m.Status().Problems, 1, "nothing new is known")
	require.Equal(t, 1, strings.Count(log.String(), evicts))
	require.Equal(t, 1, strings.Count(log.String(), "resolved groups and their history"))
}
