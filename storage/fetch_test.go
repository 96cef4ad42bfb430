package storage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/storage/durable"
)

// watched is a backend that counts what is loaded.
type watched struct {
	durable.Backend

	whole, parts atomic.Int64
	// older makes the log entries those of an older Muster.
	older atomic.Bool
	// beforeRecords, if set, is called before records are loaded.
	beforeRecords atomic.Pointer[func()]
}

func (w *watched) LoadMany(ctx context.Context, ids []grouping.ID) (
	map[grouping.ID]grouping.Document, []*grouping.DamagedGroupError, error,
) {
	w.whole.Add(int64(len(ids)))
	return w.Backend.LoadMany(ctx, ids)
}

func (w *watched) LoadWritten(
	ctx context.Context, names map[grouping.ID][]string, entries []durable.LogEntry, known func(*grouping.Event) bool,
) (durable.Written, error) {
	w.parts.Add(int64(len(names)))
	if before := w.beforeRecords.Swap(nil); before != nil {
		(*before)()
	}
	return w.Backend.LoadWritten(ctx, names, entries, known)
}

func (w *watched) FollowLog(ctx context.Context, from []durable.Position, fn func(int, []durable.LogEntry)) error {
	return w.Backend.FollowLog(ctx, from, func(shard int, entries []durable.LogEntry) {
		for i := range entries {
			if w.older.Load() {
				e := &entries[i]
				e.Version, e.Records, e.NoChanged = 0, nil, false
			}
		}
		fn(shard, entries)
	})
}

// watchedReplicas starts two replicas on one Redis, and returns the backend of the second.
func watchedReplicas(t *testing.T) (one, other replica, backend *watched) {
	t.Helper()
	url := "redis://" + miniredis.RunT(t).Addr()
	open := func() *watched {
		r := openFast(t, url)
		t.Cleanup(func() { require.NoError(t, r.Close()) })
		return &watched{Backend: r}
	}
	backend = open()
	// Only the log shows what changed.
	return startReplicaOn(t, open(), TieredOptions{CompareInterval: time.Hour}),
		startReplicaOn(t, backend, TieredOptions{CompareInterval: time.Hour}), backend
}

// requireFollowed waits until a replica has the state that another one has, and knows that
// it has it.
func requireFollowed(t *testing.T, of, by replica, key grouping.Key) {
	t.Helper()
	require.Eventually(t, func() bool {
		want, err := of.Get(context.Background(), key.ID())
		got, gotErr := by.Get(context.Background(), key.ID())
		return err == nil && gotErr == nil && want.Equal(got) && by.hasSeen(key)
	}, 10*time.Second, 2*time.Millisecond)
}

// hasSeen reports whether the copy has the last write of the group in the backend.
func (r replica) hasSeen(key grouping.Key) bool {
	index := map[grouping.ID]string{}
	err := r.backend.Index(context.Background(), func(tokens map[grouping.ID]string) { maps.Copy(index, tokens) })
	r.storage.mu.Lock()
	defer r.storage.mu.Unlock()
	return err == nil && r.storage.seen[key.ID()].token == index[key.ID()]
}

func (r replica) notify(t *testing.T, alerts ...grouping.NotifiedAlert) grouping.Outcome {
	t.Helper()
	out, err := r.Ingest(t.Context(), grouping.Notification{Key: testKey, Alerts: alerts, Truncated: 1, Reason: t.Name()})
	require.NoError(t, err)
	return out
}

// A replica loads only the records that another one has written, also if it writes to the
// same group.
func TestAFollowerLoadsWhatChanged(t *testing.T) {
	one, other, backend := watchedReplicas(t)
	var all []grouping.NotifiedAlert
	for i := range 100 {
		all = append(all, firing(fmt.Sprint(i)))
	}
	one.notify(t, all...)
	requireFollowed(t, one, other, testKey)
	backend.whole.Store(0)
	for i := range 5 {
		ended := all[i]
		ended.Status, ended.EndsAt = grouping.StatusResolved, ended.StartsAt.Add(time.Minute)
		one.notify(t, ended, firing(fmt.Sprint("new", i)))
		requireFollowed(t, one, other, testKey)
		require.NoError(t, one.RemoveAlertFromGroup(t.Context(), testKey.ID(), all[50+i].Fingerprint))
		requireFollowed(t, one, other, testKey)
		other.notify(t, firing(fmt.Sprint("other", i)))
		requireFollowed(t, other, one, testKey)
		one.notify(t) // only the group's own fields
		requireFollowed(t, one, other, testKey)
	}
	require.Zero(t, backend.whole.Load(), "a whole document was loaded")
	require.Positive(t, backend.parts.Load())
	require.Zero(t, other.storage.Status().DirtyGroups)

	want, err := one.Events(t.Context(), grouping.EventQuery{Limit: 1000})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		page, err := other.storage.memory.Events(context.Background(), grouping.EventQuery{Limit: 1000})
		a, otherErr := one.Get(context.Background(), testKey.ID())
		b, oneErr := other.Get(context.Background(), testKey.ID())
		return errors.Join(err, otherErr, oneErr) == nil && len(page.Events) == len(want.Events) &&
			a.Version == b.Version && a.Notifications == b.Notifications
	}, 5*time.Second, 2*time.Millisecond, "events and counters must be those of the other process")
}

// If an entry does not name the records, or names too many, the follower loads the whole
// document.
func TestAFollowerLoadsTheWholeDocument(t *testing.T) {
	one, other, backend := watchedReplicas(t)
	one.notify(t, firing("a"), firing("b"))
	requireFollowed(t, one, other, testKey)
	for name, change := range map[string]func(){
		"an older Muster wrote it": func() {
			backend.older.Store(true)
			one.notify(t, firing("c"))
			requireFollowed(t, one, other, testKey)
			backend.older.Store(false)
		},
		"more records than an entry names": func() {
			var many []grouping.NotifiedAlert
			for i := range 200 {
				many = append(many, firing(fmt.Sprint(i)))
			}
			one.notify(t, many...)
		},
		"deleted and created again": func() {
			g, err := one.Get(t.Context(), testKey.ID())
			require.NoError(t, err)
			for _, a := range g.Alerts {
				require.NoError(t, one.RemoveAlertFromGroup(t.Context(), testKey.ID(), a.Fingerprint))
			}
			one.notify(t, firing("z"))
		},
	} {
		before := backend.whole.Load()
		change()
		requireFollowed(t, one, other, testKey)
		require.Greater(t, backend.whole.Load(), before, name)
		// The first write after a deletion may leave out versions.
		one.notify(t, firing("once"+name))
		requireFollowed(t, one, other, testKey)
		before = backend.whole.Load()
		one.notify(t, firing("again"+name))
		requireFollowed(t, one, other, testKey)
		require.Equal(t, before, backend.whole.Load(), "after it, parts are enough again: %s", name)
	}
}

// A document may be written or deleted after its log entry was read.
func TestADocumentThatIsWrittenBeforeItsRecordsAreLoaded(t *testing.T) {
	one, other, backend := watchedReplicas(t)
	one.notify(t, firing("a"), firing("b"))
	requireFollowed(t, one, other, testKey)
	for i := range 5 {
		later := func() { one.notify(t, firing("a"), firing(fmt.Sprint("later", i))) }
		if i == 3 {
			later = func() {
				g, err := one.Get(context.Background(), testKey.ID())
				require.NoError(t, err)
				for _, a := range g.Alerts {
					require.NoError(t, one.RemoveAlertFromGroup(context.Background(), testKey.ID(), a.Fingerprint))
				}
				one.notify(t, firing("b"))
			}
		}
		one.notify(t)
		requireFollowed(t, one, other, testKey)
		backend.beforeRecords.Store(&later)
		one.notify(t, firing(fmt.Sprint("first", i)))
		require.Eventually(t, func() bool { return backend.beforeRecords.Load() == nil }, 5*time.Second, time.Millisecond)
		requireFollowed(t, one, other, testKey)
	}
	require.Zero(t, other.storage.Status().DirtyGroups)
}

func TestWhatAFetchNeeds(t *testing.T) {
	entry := func(version int64, names ...string) durable.LogEntry {
		return durable.LogEntry{Position: durable.Position{Token: fmt.Sprint("w", version)}, Version: version, Records: names}
	}
	many := make([]string, maxFetched)
	next := []durable.LogEntry{entry(6, "a"), entry(7, "b")}
	tooMany := []durable.LogEntry{entry(6, many...), entry(7, "a")}
	for _, test := range []struct {
		what    string
		seen    seenWrite
		entries []durable.LogEntry
		want    fetch
	}{
		{"the next write", seenWrite{"w5", 5}, []durable.LogEntry{entry(6, "a")}, fetch{seenWrite{"w6", 6}, []string{"a"}, false, false}},
		{"two writes", seenWrite{"w5", 5}, next, fetch{seenWrite{"w7", 7}, []string{"a", "b"}, false, false}},
		{"a write is missing", seenWrite{"w5", 5}, []durable.LogEntry{entry(7, "a")}, fetch{seenWrite{"w7", 7}, nil, true, false}},
		{"nothing is known", seenWrite{}, []durable.LogEntry{entry(1, "a")}, fetch{seenWrite{"w1", 1}, nil, true, false}},
		{"no names", seenWrite{"w5", 5}, []durable.LogEntry{entry(0)}, fetch{seenWrite{"w0", 0}, nil, true, false}},
		{"names after none", seenWrite{"w5", 5}, []durable.LogEntry{entry(0), entry(7, "a")}, fetch{seenWrite{"w7", 7}, nil, true, false}},
		{"an earlier write", seenWrite{"w5", 5}, []durable.LogEntry{entry(4, "a")}, fetch{seenWrite{"w5", 5}, nil, false, false}},
		{"the same version", seenWrite{"older", 5}, []durable.LogEntry{entry(5, "a")}, fetch{seenWrite{"w5", 5}, nil, false, false}},
		{"too many names", seenWrite{"w5", 5}, tooMany, fetch{seenWrite{"w7", 7}, many, true, false}},
	} {
		f := fetch{seenWrite: test.seen}
		for i := range test.entries {
			f.add(&test.entries[i])
		}
		require.Equal(t, test.want, f, test.what)
	}
}

// Whatever replicas do at the same time, in the end they agree with each other and with
// Redis.
func TestFollowersAgree(t *testing.T) {
	one, other, backend := watchedReplicas(t)
	keys := []grouping.Key{testKey, groupKey("1"), groupKey("2")}
	var wg sync.WaitGroup
	for i, r := range []replica{one, other} {
		random := rand.New(rand.NewPCG(1, uint64(i)))
		wg.Go(func() {
			for range 300 {
				key, a := keys[random.IntN(len(keys))], firing(fmt.Sprint(random.IntN(20)))
				var err error
				switch random.IntN(8) {
				case 0:
					_ = r.RemoveAlertFromGroup(context.Background(), key.ID(), a.Fingerprint) // it may not be there
				case 1:
					a.Status, a.EndsAt = grouping.StatusResolved, time.Now()
					_, err = r.AddAlertToGroup(context.Background(), key, a)
				case 2:
					a.StartsAt = time.Now()
					_, err = r.AddAlertToGroup(context.Background(), key, a)
				default:
					n := grouping.Notification{Key: key, Alerts: []grouping.NotifiedAlert{a, firing(fmt.Sprint(random.IntN(20)))}}
					n.Truncated = uint64(random.IntN(2))
					_, err = r.Ingest(context.Background(), n)
				}
				if err != nil {
					panic(err)
				}
			}
		})
	}
	wg.Wait()
	require.Positive(t, backend.parts.Load())
	for _, key := range keys {
		requireFollowed(t, one, other, key)
		want, err := backend.Load(t.Context(), key.ID())
		require.NoError(t, err)
		got, err := other.Get(t.Context(), key.ID())
		require.NoError(t, err)
		require.True(t, want.Equal(got))
	}
}

// A replica that could not load what log entries name loads it later, also the events, which
// no comparison of documents brings.
func TestEntriesThatCouldNotBeLoadedAreReadAgain(t *testing.T) {
	for _, op := range []string{"events of", "load"} {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			one, other, backend := watchedReplicas(t)
			one.notify(t, firing("known"))
			requireFollowed(t, one, other, testKey)
			other.backend.fail(op, refused)
			for i := range 3 {
				one.notify(t, firing(fmt.Sprint("new", i)))
			}
			require.Eventually(t, func() bool { return other.backend.hits.Load() > 0 }, 5*time.Second, time.Millisecond)
			other.backend.heal()
			want := eventsByKind(t, backend)
			require.Eventually(t, func() bool {
				return fmt.Sprint(eventsByKind(t, other.storage.memory)) == fmt.Sprint(want)
			}, 5*time.Second, 5*time.Millisecond)
			requireFollowed(t, one, other, testKey)
		})
	}
}
