package storage

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"muster/grouping"
)

// muster is a storage with a manager that takes itself for the only one.
type muster struct {
	*grouping.Manager

	t       *testing.T
	storage Storage
	clock   *grouping.Clock
	ctx     context.Context //nolint:containedctx // of the goroutines below
	ended   chan error
	end     func()
}

// open opens a Muster whose host's clock is behind by some time.
func open(t *testing.T, opts Options, behind time.Duration) *muster {
	t.Helper()
	began := time.Now()
	m := &muster{t: t, ended: make(chan error, 2), clock: grouping.NewClockOf(
		func() time.Time { return time.Now().Add(-behind) }, func() time.Duration { return time.Since(began) })}
	m.ctx, m.end = context.WithCancel(context.Background())
	var err error
	m.storage, err = Open(opts, m.clock, prometheus.NewRegistry(), promslog.NewNopLogger())
	require.NoError(t, err)
	settings := grouping.DefaultOptions
	settings.OnlyMuster = true
	m.Manager, err = grouping.NewManager(m.storage, m.clock, nil, prometheus.NewRegistry(), promslog.NewNopLogger(), settings)
	require.NoError(t, err)
	go func() { m.ended <- m.storage.Run(m.ctx) }()
	<-m.storage.Restored()
	_, err = m.RestoreGroups(t.Context())
	require.NoError(t, err)
	return m
}

// recordLife begins to record the life of the Muster.
func (m *muster) recordLife() {
	go func() { m.ended <- m.RecordLife(m.ctx, m.storage.Restored()) }()
}

func (m *muster) stop() {
	m.t.Helper()
	m.end()
	require.NoError(m.t, <-m.ended)
	require.NoError(m.t, <-m.ended)
	require.NoError(m.t, m.storage.Drain(m.t.Context()))
	require.NoError(m.t, m.storage.Close())
}

// live starts a Muster and waits for its first sign of life.
func live(t *testing.T, opts Options, behind time.Duration) *muster {
	t.Helper()
	m := open(t, opts, behind)
	m.recordLife()
	require.Eventually(t, func() bool { return ownDocument(t, m.storage).Lives[m.clock.Writer()] != nil }, 10*time.Second, time.Millisecond)
	return m
}

func ownDocument(t *testing.T, s grouping.SourceStore) *grouping.SourceDocument {
	t.Helper()
	d, err := s.LoadSource(t.Context(), "")
	require.NoError(t, err)
	return d
}

// gaps returns the lengths of the gaps, which the history has too.
func (m *muster) gaps(t *testing.T) (lengths []time.Duration) {
	t.Helper()
	known, err := m.Gaps(t.Context(), time.Time{}, time.Time{})
	require.NoError(t, err)
	var events []grouping.Gap
	for e, err := range m.storage.StreamEvents(t.Context(), time.Time{}) {
		require.NoError(t, err)
		require.Equal(t, grouping.EventGap, e.Kind)
		require.Equal(t, grouping.SourceID(""), e.DocumentID())
		events = append(events, *e.Gap)
	}
	require.Equal(t, known, events)
	for _, g := range known {
		lengths = append(lengths, g.To.Sub(g.From).Round(time.Minute))
	}
	return lengths
}

func fileOptions(path string) Options {
	opts := DefaultOptions()
	opts.File = fileAt(path)
	return opts
}

// A file that is put back from an old copy knows of no life since then, and has no events of
// that time. A file that is lost says nothing.
func TestGapsOfARestoredFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "muster.db")
	live(t, fileOptions(path), 5*time.Hour).stop()
	old, err := os.ReadFile(path)
	require.NoError(t, err)
	m := live(t, fileOptions(path), 4*time.Hour)
	require.Equal(t, []time.Duration{time.Hour}, m.gaps(t))
	m.stop()
	m = live(t, fileOptions(path), 2*time.Hour)
	require.Equal(t, []time.Duration{time.Hour, 2 * time.Hour}, m.gaps(t))
	m.stop()

	require.NoError(t, os.WriteFile(path, old, 0o600))
	m = live(t, fileOptions(path), 0)
	require.Equal(t, []time.Duration{5 * time.Hour}, m.gaps(t))
	m.stop()
	require.NoError(t, os.Remove(path))
	m = live(t, fileOptions(path), 0)
	require.Empty(t, m.gaps(t))
	m.stop()
}

// Of two that find the same gap at once, one writes it. Both know it.
func TestOneGapFromTwoReplicas(t *testing.T) {
	server := miniredis.RunT(t)
	opts := DefaultOptions()
	opts.Redis.URL = "redis://" + server.Addr()
	server.SetTime(time.Now().Add(-time.Hour))
	live(t, opts, 0).stop()
	server.SetTime(time.Time{})
	// Both have their storages before either of them looks for gaps.
	first, second := open(t, opts, 0), open(t, opts, 0)
	first.recordLife()
	second.recordLife()
	for _, m := range []*muster{first, second} {
		defer m.stop()
		require.Eventually(t, func() bool {
			known, err := m.Gaps(t.Context(), time.Time{}, time.Time{})
			return err == nil && len(known) == 1
		}, 10*time.Second, time.Millisecond)
		require.Equal(t, []time.Duration{time.Hour}, m.gaps(t))
	}
}

// While the backend fails, signs of life are dropped: they are nothing that must be written
// back, and no write that only memory has.
func TestSignsOfLifeInAnOutage(t *testing.T) {
	for _, outage := range []Outage{OutageDegrade, OutageStrict} {
		r := startReplica(t, miniredis.RunT(t).Addr(), TieredOptions{Outage: outage})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.RecordLife(ctx, r.storage.Restored()) }()
		require.Eventually(t, func() bool { return len(ownDocument(t, r.storage).Lives) == 1 }, 10*time.Second, time.Millisecond)
		before := ownDocument(t, r.storage)

		r.backend.fail("everything", refused)
		cancel() // the last sign of life
		require.NoError(t, <-ended)
		require.True(t, before.Equal(ownDocument(t, r.storage)))
		require.Empty(t, r.storage.nameDirty())
		require.Zero(t, testutil.CollectAndCount(r.storage.fallbacks))
		r.backend.heal()
	}
}
