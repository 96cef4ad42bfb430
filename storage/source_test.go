package storage

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/storage/redis"
	"muster/storage/storagetest"
)

// silence writes one silence to the document of the source "prod", like a Muster: after
// a conflict it merges and tries again.
func (r replica) silence(t *testing.T, id, comment string) grouping.SourceChange {
	t.Helper()
	w := &writer{GroupStorage: r.storage, Clock: r.storage.clock}
	base := w.MustLoadSource(t, "prod")
	for {
		c := w.SourceChange(base, a(id, comment))
		_, err := r.storage.StoreSource(t.Context(), c)
		var mismatch *grouping.VersionMismatchError
		if !errors.As(err, &mismatch) {
			require.NoError(t, err)
			return c
		}
		base = grouping.MergeSources(base, grouping.AsSource(mismatch.Stored))
	}
}

// silences returns the comments of the silences of "prod" by their IDs.
func silences(s grouping.SourceStore) map[string]string {
	d, err := s.LoadSource(context.Background(), "prod")
	if err != nil {
		return nil
	}
	return storagetest.Comments(d)
}

// requireSilences waits until all storages have these silences.
func requireSilences(t *testing.T, want map[string]string, storages ...grouping.SourceStore) {
	t.Helper()
	for _, s := range storages {
		require.Eventually(t, func() bool { return maps.Equal(silences(s), want) }, 10*time.Second, 5*time.Millisecond,
			"%v, want %v", silences(s), want)
	}
}

// countEvents returns how often the history has the first event of a change.
func countEvents(t *testing.T, h grouping.History, c grouping.SourceChange) (n int) {
	t.Helper()
	for e, err := range h.StreamEvents(t.Context(), time.Time{}) {
		require.NoError(t, err)
		if e.ID == c.Events[0].ID {
			n++
		}
	}
	return n
}

// The document of a source has the guarantees of a group: in an outage it is written in
// memory, after the outage it is written back, other replicas follow it, and it survives
// a restart.
func TestASourceInAnOutage(t *testing.T) {
	server := miniredis.RunT(t)
	r := startReplica(t, server.Addr(), TieredOptions{})
	other := startReplica(t, server.Addr(), TieredOptions{})
	_, err := r.AddAlertToGroup(t.Context(), testKey, firing("a"))
	require.NoError(t, err)
	before := r.silence(t, "x", "1")
	requireSilences(t, map[string]string{"x": "1"}, other.storage)
	require.Eventually(t, func() bool { return countEvents(t, other.storage.memory, before) == 1 }, 10*time.Second, 5*time.Millisecond)

	r.backend.fail("everything", refused)
	during := r.silence(t, "x", "2")
	r.silence(t, "y", "1")
	require.Equal(t, map[string]string{"x": "2", "y": "1"}, silences(r.storage))
	require.Equal(t, 1, countEvents(t, r.storage.memory, during))
	require.Zero(t, r.storage.Status().DirtyGroups, "a source is not a group")
	require.False(t, r.storage.isClean())
	other.silence(t, "z", "1") // another replica still writes

	r.backend.heal()
	want := map[string]string{"x": "2", "y": "1", "z": "1"}
	again := openFast(t, "redis://"+server.Addr())
	defer func() { require.NoError(t, again.Close()) }()
	requireSilences(t, want, r.storage, other.storage, again)
	require.Eventually(t, r.storage.isClean, 10*time.Second, 5*time.Millisecond)
	require.Eventually(t, func() bool {
		v, _ := other.updates.Load(grouping.SourceID("prod"))
		seen, ok := v.(*grouping.SourceDocument)
		return ok && maps.Equal(storagetest.Comments(seen), want)
	}, 10*time.Second, 5*time.Millisecond, "the follower must be called")
	for _, c := range []grouping.SourceChange{before, during} {
		require.Equal(t, 1, countEvents(t, again, c), "each event is stored once")
	}

	restarted := startReplica(t, server.Addr(), TieredOptions{})
	require.Equal(t, want, silences(restarted.storage))
	require.Equal(t, 1, restarted.storage.Status().Restored, "a source is not a group")
	page, err := restarted.List(t.Context(), grouping.ListQuery{})
	require.NoError(t, err)
	require.Len(t, page.Groups, 1)
}

// isClean reports whether the backend has everything.
func (t *Tiered) isClean() bool { return t.Status().Healthy && t.nameDirty() == "" }

func TestASourceInAStrictOutage(t *testing.T) {
	r := startReplica(t, miniredis.RunT(t).Addr(), TieredOptions{Outage: OutageStrict})
	r.silence(t, "x", "1")
	r.backend.fail("store", refused)
	w := &writer{GroupStorage: r.storage, Clock: r.storage.clock}
	_, err := r.storage.StoreSource(t.Context(), w.SourceChange(w.MustLoadSource(t, "prod"), a("y", "1")))
	require.ErrorIs(t, err, grouping.ErrStorage)
	require.Equal(t, map[string]string{"x": "1"}, silences(r.storage))
	require.Empty(t, r.storage.nameDirty())
}

// A deferred change is kept in memory, and merged with the backend later.
func TestADeferredChangeOfASource(t *testing.T) {
	server := miniredis.RunT(t)
	r, other := startReplica(t, server.Addr(), TieredOptions{}), startReplica(t, server.Addr(), TieredOptions{})
	w := &writer{GroupStorage: r.storage, Clock: r.storage.clock}
	base := grouping.NewSourceDocument("prod")
	other.silence(t, "x", "1")
	c := w.SourceChange(base, a("y", "1"))
	c.Deferred = true
	if _, err := r.storage.StoreSource(t.Context(), c); err != nil {
		require.ErrorIs(t, err, grouping.ErrVersionMismatch, "the change of the other replica arrived first")
		r.silence(t, "y", "1")
	}
	requireSilences(t, map[string]string{"x": "1", "y": "1"}, r.storage, other.storage)
}

// A source that Redis loses is written back, with its events.
func TestALostSourceIsRepaired(t *testing.T) {
	server := miniredis.RunT(t)
	r := startReplica(t, server.Addr(), TieredOptions{})
	c := r.silence(t, "x", "1")
	again := openFast(t, "redis://"+server.Addr())
	defer func() { require.NoError(t, again.Close()) }()
	for name, lose := range map[string]func(){
		"everything": server.FlushAll,
		"one key":    func() { server.Del("muster:{0}:g:" + string(grouping.SourceID("prod"))) },
	} {
		lose()
		require.Empty(t, silences(again), name)
		requireSilences(t, map[string]string{"x": "1"}, again)
	}
	require.Eventually(t, func() bool { return countEvents(t, again, c) == 1 }, 10*time.Second, 5*time.Millisecond)
}

// Drain writes sources, too, and counts those that are lost.
func TestDrainOfASource(t *testing.T) {
	backend := &flaky{Backend: openRedis(t, redis.Options{URL: "redis://" + miniredis.RunT(t).Addr()})}
	joined, err := NewTiered(NewMemory(DefaultMemoryOptions()), backend, grouping.NewClock(), prometheus.NewRegistry(),
		promslog.NewNopLogger(), DefaultTieredOptions())
	require.NoError(t, err)
	backend.fail("everything", refused)
	replica{storage: joined, backend: backend}.silence(t, "x", "1")
	ctx, cancel := context.WithTimeout(t.Context(), 2*resyncPause)
	defer cancel()
	require.ErrorContains(t, joined.Drain(ctx), "1 source documents changed since the storage backend failed and are lost")
	backend.heal()
	require.NoError(t, joined.Drain(t.Context()))
	require.Equal(t, map[string]string{"x": "1"}, silences(backend))
}

func TestASourceInAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "muster.db")
	f := openFile(t, path)
	r, stop := runReplica(t, f, grouping.NewClock(), TieredOptions{})
	r.silence(t, "x", "1")
	c := r.silence(t, "y", "1")
	stop()
	require.NoError(t, f.Close())
	f = openFile(t, path)
	restarted := startReplicaOn(t, f, TieredOptions{})
	require.Equal(t, map[string]string{"x": "1", "y": "1"}, silences(restarted.storage))
	require.Zero(t, restarted.storage.Status().Restored)
	require.Equal(t, 1, countEvents(t, restarted.storage, c))
}

// The storages move records. They name neither alerts nor silences, nor what these say.
func TestStoragesKnowNoAlert(t *testing.T) {
	known := regexp.MustCompile(`grouping\.(Alert|Notified|Silence|Fingerprint|Status[A-Z]|State[A-Z]|Severity|Episode|Labels)\w*|"(a|s|am):`)
	var files []string
	for _, pattern := range []string{"*.go", "durable/*.go", "file/*.go", "redis/*.go", "redis/*.lua"} {
		found, err := filepath.Glob(pattern)
		require.NoError(t, err)
		files = append(files, found...)
	}
	require.NotEmpty(t, files)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		for _, word := range known.FindAllString(string(text), -1) {
			require.Equal(t, "grouping.AlertGroup", word, name) // the roles have it in their signatures
		}
	}
}
