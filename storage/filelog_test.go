package storage

import (
	"bytes"
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"muster/grouping"
)

// syncedLog is a log that can be read while it is written.
type syncedLog struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (l *syncedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *syncedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// A file has no log that reports this process its own writes. So a write that no
// log reports must not count as lost.
func TestFileUnderTrafficLosesNothing(t *testing.T) {
	file, err := OpenFile(FileOptions{Path: filepath.Join(t.TempDir(), "muster.db")})
	require.NoError(t, err)
	clock, log := grouping.NewClock(), &syncedLog{}
	tiered, err := NewTiered(NewMemory(MemoryOptions{}), file, clock, prometheus.NewRegistry(),
		promslog.New(&promslog.Config{Writer: log}), TieredOptions{CheckInterval: 20 * time.Millisecond})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- tiered.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
		require.NoError(t, file.Close())
	})
	<-tiered.Restored()
	groups, err := grouping.NewManager(tiered, clock, nil, nil, promslog.NewNopLogger(), grouping.DefaultOptions)
	require.NoError(t, err)
	for i := range 200 {
		alert := grouping.NotifiedAlert{
			Fingerprint: "00000000000000aa", Status: grouping.StatusFiring, StartsAt: time.Now().Add(time.Duration(i) * time.Second),
		}
		_, err := groups.Ingest(t.Context(), grouping.Notification{
			Key: grouping.Key{Source: "s", Receiver: "r", GroupKey: string(rune('a' + i%5))}, Stamp: groups.Stamp(),
			Alerts: []grouping.NotifiedAlert{alert},
		})
		require.NoError(t, err)
		time.Sleep(time.Millisecond) // Tiered compares with the backend several times meanwhile
	}
	require.NotContains(t, log.String(), "lost")
	require.Zero(t, tiered.Status().DirtyGroups)
}
