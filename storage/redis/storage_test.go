package redis

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/storage/durable"
	"muster/storage/storagetest"
)

// mini returns a Redis on a server whose keys the test can read and write.
func mini(t *testing.T, opts Options) (*miniredis.Miniredis, *Storage, *writer) {
	t.Helper()
	server := miniredis.RunT(t)
	opts.URL = "redis://" + server.Addr()
	r := openRedis(t, opts)
	return server, r, newWriter(r)
}

func TestRedisLayout(t *testing.T) {
	server, _, w := mini(t, Options{KeyPrefix: "am", Shards: 3})
	hostile := grouping.Key{Source: "{x}", Receiver: "*", GroupKey: "{}:{a=\"\r\n\x00\"}"}
	g := w.Add(t, hostile, a("x", "1"))
	tag := ""
	for n := range 3 {
		if server.Exists(fmt.Sprintf("am:{%d}:index", n)) {
			tag = fmt.Sprintf("am:{%d}:", n)
		}
	}
	keys := []string{tag + "g:" + string(g.ID), tag + "t:" + string(g.ID), tag + "index", tag + "log", tag + "meta", tag + "h"}
	require.ElementsMatch(t, keys, server.Keys(), "every key has the tag of the shard, and no key contains input from outside")
	fields, err := server.HKeys(tag + "g:" + string(g.ID))
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"m", "v", "n", "w", "s", "a:" + string(storagetest.Fingerprint("x"))}, fields)
	value := server.HGet(tag+"g:"+string(g.ID), "a:"+string(storagetest.Fingerprint("x")))
	require.True(t, strings.HasPrefix(value, string(g.Stamp)+`{"status":`), value)
	require.Equal(t, string(g.Stamp), server.HGet(tag+"index", string(g.ID)))
}

// A write contains only the changed fields. It does not touch the other fields, and
// not the fields of a later version.
func TestRedisWritesOnlyWhatChanged(t *testing.T) {
	server, r, w := mini(t, Options{})
	key := groupKey("g")
	g := w.Add(t, key, a("x", "1"), a("y", "1"), a("z", "1"))
	name := r.documentKey(g.ID)
	untouched := "a:" + string(storagetest.Fingerprint("y"))
	server.HSet(name, "future", "kept")
	server.HSet(name, untouched, "not decoded")
	c := w.Removal(g, "z")
	c.Group = w.Change(c.Group, key, a("x", "2")).Group
	c.Stamp = w.Stamp()
	w.MustStore(t, c)
	require.Equal(t, "kept", server.HGet(name, "future"))
	require.Equal(t, "not decoded", server.HGet(name, untouched))
	require.Len(t, server.HGet(name, "a:"+string(storagetest.Fingerprint("z"))), len(g.Stamp), "a removed alert leaves its stamp")

	forgotten := w.Change(c.Group, key)
	next := *forgotten.Group
	next.Removed = nil
	forgotten.Group = grouping.NewAlertGroup(next)
	w.MustStore(t, forgotten)
	require.Empty(t, server.HGet(name, "a:"+string(storagetest.Fingerprint("z"))), "until a writer drops it")
}

// After a failover, Redis may have older data. The next write must not hide that
// data was lost.
func TestRedisWentBackInTime(t *testing.T) {
	server, r, w := mini(t, Options{})
	key := groupKey("g")
	old := w.Add(t, key, a("x", "1"))
	name := r.documentKey(old.ID)
	before := map[string]string{}
	fields, err := server.HKeys(name)
	require.NoError(t, err)
	for _, f := range fields {
		before[f] = server.HGet(name, f)
	}
	g := w.Add(t, key, a("x", "2"))
	server.Del(name)
	for f, value := range before {
		server.HSet(name, f, value)
	}
	_, err = w.Store(t.Context(), w.Change(g, key, a("y", "1")))
	stored := storagetest.Conflict(t, g.ID, err)
	require.True(t, stored.Equal(old), "the conflict has the stored group")
	require.NoError(t, w.StoreAll(t.Context(), []*grouping.AlertGroup{g}))
	w.MustStore(t, w.Change(g, key, a("y", "1")))
	require.Equal(t, map[string]string{"x": "2", "y": "1"}, storagetest.Values(w.MustLoad(t, key)))
}

// A writer that knows an earlier deletion has fewer alerts than Redis stores. Its
// own deletion must still succeed.
func TestRedisDeletesWhatWasDeletedBefore(t *testing.T) {
	_, _, w := mini(t, Options{})
	w.Add(t, groupKey("g"), a("x", "1"), a("y", "1"))
	deleted := w.Stamp()
	stored := w.Add(t, groupKey("g"), a("x", "2"))
	base := grouping.Merge(stored, grouping.Tombstone(stored.ID, deleted))
	require.Len(t, base.Alerts, 1)
	require.NoError(t, w.Delete(t.Context(), grouping.Change{Base: base, Stamp: w.Stamp()}))
}

// Only a valid ID becomes part of a key. For any other ID, Redis is not asked.
func TestRedisTakesOnlyIDs(t *testing.T) {
	server, r, w := mini(t, Options{})
	server.Close()
	for _, id := range []grouping.ID{"", "*", "../x", "ABCDEFABCDEFABCDEFAB"} {
		_, err := w.Load(t.Context(), id)
		require.ErrorIs(t, err, grouping.ErrGroupNotFound)
		if id != "" {
			page, err := w.Events(t.Context(), grouping.EventQuery{Group: id})
			require.NoError(t, err)
			require.Empty(t, page)
			require.NoError(t, r.PushEvents(t.Context(), []grouping.Event{{ID: "1", GroupID: id}}, nil))
		}
		c := w.Change(nil, groupKey("g"), a("x", "1"))
		c.Group.ID = id
		_, err = w.Store(t.Context(), c)
		require.Error(t, err)
		require.NotErrorIs(t, err, grouping.ErrStorage)
	}
	c := w.Change(nil, groupKey("g"), a("x", "1"))
	c.Group.Alerts[0].Fingerprint = "../x"
	_, err := w.Store(t.Context(), c)
	require.ErrorContains(t, err, "is not a fingerprint")
}

func TestRedisExpiry(t *testing.T) {
	const retention = time.Hour
	resolve := func(c grouping.Change) grouping.Change {
		g := *c.Group
		g.Alerts = slices.Clone(g.Alerts)
		for i, alert := range g.Alerts {
			ended := *alert
			ended.Status, ended.EndsAt, ended.Stamp = grouping.StatusResolved, c.Stamp.Time(), c.Stamp
			g.Alerts[i] = &ended
		}
		c.Group = grouping.NewAlertGroup(g)
		return c
	}
	empty := func(t *testing.T, w *writer) {
		t.Helper()
		ids, err := w.ListKeys(t.Context())
		require.NoError(t, err)
		n, err := w.Size(t.Context())
		require.NoError(t, err)
		require.Empty(t, ids, "the index has no expired groups")
		require.Zero(t, n)
	}

	t.Run("a firing group never expires", func(t *testing.T) {
		server, r, w := mini(t, Options{Retention: retention})
		g := w.Add(t, groupKey("g"), a("x", "1"))
		g = w.MustStore(t, resolve(w.Change(g, g.Key)))
		g = w.MustStore(t, w.Change(g, g.Key, a("x", "again")))
		server.FastForward(1000 * time.Hour)
		require.True(t, w.MustLoad(t, g.Key).Equal(g))
		require.Zero(t, server.TTL(r.documentKey(g.ID)))
		page, err := w.Events(t.Context(), grouping.EventQuery{Group: g.ID})
		require.NoError(t, err)
		require.Len(t, page.Events, 3, "its history does not expire either")
	})
	t.Run("a resolved group expires", func(t *testing.T) {
		server, r, w := mini(t, Options{Retention: retention})
		g := w.Add(t, groupKey("g"), a("x", "1"))
		w.MustStore(t, resolve(w.Change(g, g.Key)))
		server.FastForward(retention + durable.TombstoneAge - time.Second)
		w.MustLoad(t, g.Key)
		server.FastForward(2 * time.Second)
		_, err := w.Load(t.Context(), g.ID)
		require.ErrorIs(t, err, grouping.ErrGroupNotFound)
		empty(t, w)
		require.False(t, server.Exists(r.key(0, "index")))
		require.True(t, server.Exists(r.timelineKey(g.ID)), "the history outlives the group")
		server.FastForward(r.opts.HistoryRetention)
		require.False(t, server.Exists(r.timelineKey(g.ID)))
	})
	t.Run("a resolved group with alerts of another writer does not expire", func(t *testing.T) {
		server, r, w := mini(t, Options{Retention: retention})
		g := w.Add(t, groupKey("g"), a("x", "1"))
		unseen := resolve(w.Change(g, g.Key))
		w.MustStore(t, w.Change(g, g.Key, a("new", "1"), a("x", "2")))
		_, err := w.Store(t.Context(), unseen)
		merged := grouping.Merge(g, storagetest.Conflict(t, g.ID, err))
		w.MustStore(t, resolve(w.Change(merged, g.Key)))
		require.Zero(t, server.TTL(r.documentKey(g.ID)))
		require.Zero(t, server.TTL(r.key(0, "t:"+string(g.ID))))
	})
	t.Run("a tombstone expires", func(t *testing.T) {
		server, r, w := mini(t, Options{Retention: retention})
		g := w.Add(t, groupKey("g"), a("x", "1"))
		stamp := w.Stamp()
		require.NoError(t, w.Delete(t.Context(), grouping.Change{Base: g, Stamp: stamp}))
		groups, damaged, err := r.LoadMany(t.Context(), []grouping.ID{g.ID, "no id", groupKey("none").ID()})
		require.NoError(t, err)
		require.Empty(t, damaged)
		require.Equal(t, map[grouping.ID]grouping.Document{
			g.ID: &grouping.AlertGroup{ID: g.ID, Deleted: stamp, Removed: map[grouping.Fingerprint]grouping.Stamp{}, Version: 0},
		}, groups)
		require.True(t, groups[g.ID].IsTombstone())
		later := w.Stamp()
		require.NoError(t, w.Delete(t.Context(), grouping.Change{Base: grouping.AsGroup(groups[g.ID]), Stamp: later}))
		require.Equal(t, string(later), server.HGet(r.documentKey(g.ID), "d"), "the later deletion wins")
		empty(t, w)
		require.Equal(t, durable.TombstoneAge, server.TTL(r.documentKey(g.ID)))
		server.FastForward(durable.TombstoneAge + time.Second)
		require.False(t, server.Exists(r.documentKey(g.ID)))
		page, err := w.Events(t.Context(), grouping.EventQuery{})
		require.NoError(t, err)
		require.Len(t, page.Events, 1, "the history of all groups has its own retention")
		back := w.Add(t, groupKey("g"), a("x", "2"))
		page, err = w.Events(t.Context(), grouping.EventQuery{Group: back.ID})
		require.NoError(t, err)
		require.Len(t, page.Events, 2, "a group that comes back has its history")
		require.Zero(t, server.TTL(r.timelineKey(g.ID)))
	})
}

func TestRedisHistoryIsBounded(t *testing.T) {
	server, r, w := mini(t, Options{MaxHistory: 7, MaxTimeline: 3, MaxLog: 5, HistoryRetention: time.Hour})
	for i := range 30 {
		w.Add(t, groupKey(fmt.Sprint(i%2)), a("x", fmt.Sprint(i)))
	}
	count := func(q grouping.EventQuery) int {
		page, err := w.Events(t.Context(), q)
		require.NoError(t, err)
		return len(page.Events)
	}
	require.Equal(t, 7, count(grouping.EventQuery{}))
	require.Equal(t, 3, count(grouping.EventQuery{Group: groupKey("0").ID()}))
	entries, err := server.Stream(r.key(0, "log"))
	require.NoError(t, err)
	require.Len(t, entries, 5)

	var pushed []grouping.Event
	for range 20 {
		pushed = append(pushed, w.Change(nil, groupKey("0")).Events...)
	}
	require.NoError(t, r.PushEvents(t.Context(), pushed, nil))
	require.Equal(t, 7, count(grouping.EventQuery{}))
	require.Equal(t, 3, count(grouping.EventQuery{Group: groupKey("0").ID()}))

	// Retention uses the clock of the server: a writer with the year 2100 removes
	// nothing.
	g := w.MustLoad(t, groupKey("1"))
	c := w.Change(g, g.Key)
	c.Stamp = grouping.NewStamp(time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC), 0, w.Writer())
	w.MustStore(t, c)
	require.Equal(t, 7, count(grouping.EventQuery{}))
	server.SetTime(time.Now().Add(2 * time.Hour))
	writes := 0
	for ; count(grouping.EventQuery{}) > 0; writes++ {
		w.Add(t, groupKey("1"), a("x", "last"))
	}
	require.LessOrEqual(t, writes, cleaning, "one of the next writes removes events past their retention")
}

func TestRedisReportsDamagedGroup(t *testing.T) {
	for name, test := range map[string]struct {
		field, value, want string
	}{
		"truncated alert": {
			"a:" + string(storagetest.Fingerprint("x")), "%s{\"fingerprint\":\"",
			"field a:" + string(storagetest.Fingerprint("x")),
		},
		"invalid alert": {
			"a:" + string(storagetest.Fingerprint("x")), "junk",
			"field a:" + string(storagetest.Fingerprint("x")) + ": 4 bytes",
		},
		"invalid stamp":      {"a:" + string(storagetest.Fingerprint("x")), strings.Repeat("z", 32) + "{}", "is not a stamp"},
		"invalid removal":    {"a:" + string(storagetest.Fingerprint("x")), strings.Repeat("z", 32), "is not a stamp"},
		"invalid name":       {"a:../x", "%s{}", "is not a fingerprint"},
		"invalid own fields": {"m", "%s[]", "field m"},
		"wrong type":         {"m", "%s{\"createdAt\":5}", "field m"},
		"invalid version":    {"v", "many", "field v"},
		"invalid counter":    {"n", "1e99", "field n"},
		"invalid deletion":   {"d", "now", "field d"},
		"wrong type of key":  {"", "", "WRONGTYPE"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, r, w := mini(t, Options{})
			fine, bad := w.Add(t, groupKey("fine"), a("x", "1")), w.Add(t, groupKey("bad"), a("x", "1"))
			if test.field == "" {
				server.Del(r.documentKey(bad.ID))
				require.NoError(t, server.Set(r.documentKey(bad.ID), "a string"))
			} else {
				server.HSet(r.documentKey(bad.ID), test.field, strings.ReplaceAll(test.value, "%s", string(bad.Stamp)))
			}
			_, err := w.Load(t.Context(), bad.ID)
			require.ErrorContains(t, err, test.want)
			require.NotErrorIs(t, err, grouping.ErrStorage)
			require.NotErrorIs(t, err, grouping.ErrGroupNotFound)
			var damaged *grouping.DamagedGroupError
			require.ErrorAs(t, err, &damaged)
			require.Equal(t, bad.ID, damaged.ID)

			var loaded []grouping.ID
			failed := 0
			for g, err := range w.LoadAll(t.Context()) {
				if err != nil {
					require.ErrorAs(t, err, &damaged)
					require.Equal(t, bad.ID, damaged.ID)
					failed++
					continue
				}
				loaded = append(loaded, g.ID)
			}
			require.Equal(t, []grouping.ID{fine.ID}, loaded, "the other groups are read")
			require.Equal(t, 1, failed)
		})
	}
}

// A key of another type has no group. A write replaces it.
func TestRedisReplacesKeyOfOtherType(t *testing.T) {
	server, r, w := mini(t, Options{})
	g := w.Add(t, groupKey("g"), a("x", "1"))
	server.Del(r.documentKey(g.ID))
	_, err := server.Push(r.documentKey(g.ID), "a list")
	require.NoError(t, err)
	_, err = w.Store(t.Context(), w.Change(g, g.Key, a("y", "1")))
	storagetest.Conflict(t, g.ID, err)
	w.MustStore(t, grouping.Change{Group: g, Stamp: w.Stamp()})
	require.True(t, w.MustLoad(t, g.Key).Equal(g))
}

// Redis does not roll back a script that fails in the middle. So a script must not
// fail after its first write.
func TestRedisWritesAllOrNothing(t *testing.T) {
	for _, key := range []string{"index", "log", "meta", "h", "t:" + string(groupKey("g").ID())} {
		server, r, w := mini(t, Options{})
		g := w.Add(t, groupKey("g"), a("x", "1"))
		other := w.Add(t, groupKey("other"), a("x", "1"))
		server.Del(r.key(0, key))
		require.NoError(t, server.Set(r.key(0, key), "a string"))
		before := server.Dump()
		_, err := w.Store(t.Context(), w.Change(g, g.Key, a("x", "2")))
		require.ErrorIs(t, err, grouping.ErrStorage, key)
		require.Error(t, w.Delete(t.Context(), grouping.Change{Base: g, Stamp: w.Stamp()}))
		require.Equal(t, before, server.Dump(), key)
		require.True(t, w.MustLoad(t, other.Key).Equal(other))
	}
}

func TestRedisIndex(t *testing.T) {
	server, r, w := mini(t, Options{Shards: 2})
	want := map[grouping.ID]string{}
	for i := range 700 { // more than one batch
		c := w.Change(nil, groupKey(fmt.Sprint(i)), a("x", "1"))
		w.MustStore(t, c)
		want[c.Group.ID] = string(c.Stamp)
	}
	last := w.Change(w.MustLoad(t, groupKey("3")), groupKey("3"), a("x", "2"))
	w.MustStore(t, last)
	want[last.Group.ID] = string(last.Stamp)
	server.HSet(r.key(0, "index"), "no id", "junk")
	require.Equal(t, want, storagetest.ReadIndex(t, r))
}

func TestRedisFollow(t *testing.T) {
	server, r, w := mini(t, Options{Shards: 3})
	from, err := r.Position(t.Context())
	require.NoError(t, err)
	require.Len(t, from, 3)
	again, err := r.Position(t.Context())
	require.NoError(t, err)
	require.Equal(t, from, again, "an epoch is written once")

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	type followed struct {
		shard int
		durable.LogEntry
	}
	entries := make(chan followed, 100)
	done := make(chan error, 1)
	go func() {
		done <- r.FollowLog(ctx, from, func(shard int, part []durable.LogEntry) {
			for _, e := range part {
				entries <- followed{shard, e}
			}
		})
	}()
	seq := map[int]int64{}
	for i := range 20 {
		g := w.Add(t, groupKey(fmt.Sprint(i)), a("x", "1"))
		if i%4 == 0 {
			stamp := w.Stamp()
			e := <-entries
			require.NoError(t, w.Delete(t.Context(), grouping.Change{Base: g, Stamp: stamp}))
			require.Equal(t, g.ID, e.ID)
			seq[e.shard]++
			g.Stamp = stamp // for the comparison below
		}
		e := <-entries
		require.Equal(t, r.shard(g.ID), e.shard)
		require.Equal(t, []any{g.ID, string(g.Stamp), w.Writer()}, []any{e.ID, e.Token, e.Writer})
		require.Equal(t, from[e.shard].Epoch, e.Epoch)
		seq[e.shard]++
		require.Equal(t, seq[e.shard], e.Seq)
	}
	now, err := r.Position(t.Context())
	require.NoError(t, err)
	for shard, p := range now {
		require.Equal(t, seq[shard], p.Seq)
	}
	cancel()
	require.NoError(t, <-done, "a cancelled context is not a fault")

	server.FlushAll()
	lost, err := r.Position(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, now[0].Epoch, lost[0].Epoch, "after a loss of data the epoch is another one")
	server.Close()
	err = r.FollowLog(t.Context(), lost, func(int, []durable.LogEntry) {})
	require.ErrorIs(t, err, grouping.ErrStorage)
	_, err = r.Position(t.Context())
	require.ErrorIs(t, err, grouping.ErrStorage)
}

func TestRedisOf10000Alerts(t *testing.T) {
	server := storagetest.StartRedis(t)
	r := openOn(t, server)
	w := newWriter(r)
	many := make([][2]string, 10_000)
	for i := range many {
		many[i] = a(fmt.Sprint("alert ", i), strings.Repeat("x", 500))
	}
	c := w.Change(nil, groupKey("large"), many...)
	for i := range 5000 {
		e := c.Events[0]
		e.ID = fmt.Sprintf("%s%06x", c.Stamp, i+1)
		c.Events = append(c.Events, e)
	}
	g := w.MustStore(t, c)
	require.True(t, w.MustLoad(t, g.Key).Equal(g))
	// These groups are so large that they need several pipelines.
	ids := []grouping.ID{g.ID}
	for i := range 20 {
		ids = append(ids, w.Add(t, groupKey(fmt.Sprint(i)), many[:500]...).ID)
	}
	groups, damaged, err := r.LoadMany(t.Context(), ids)
	require.NoError(t, err)
	require.Empty(t, damaged)
	require.ElementsMatch(t, ids, slices.Collect(maps.Keys(groups)))

	changed := w.MustStore(t, w.Change(g, g.Key, a("alert 1", "2")))
	_, err = w.Store(t.Context(), w.Change(g, g.Key, many...))
	stored := storagetest.Conflict(t, g.ID, err)
	require.Len(t, stored.Alerts, 1, "the conflict has only the alert that differs")
	require.NoError(t, w.Delete(t.Context(), grouping.Change{Base: changed, Stamp: w.Stamp()}))
	_, err = w.Load(t.Context(), g.ID)
	require.ErrorIs(t, err, grouping.ErrGroupNotFound)
}

// The client sends a script again if Redis does not know it any more.
func TestRedisForgetsItsScripts(t *testing.T) {
	server := storagetest.StartRedis(t)
	r := openOn(t, server)
	w := newWriter(r)
	var g *grouping.AlertGroup
	for range 3 {
		require.NoError(t, r.client.ScriptFlush(t.Context()).Err())
		g = w.Add(t, groupKey("g"), a("x", "1"))
	}
	require.Equal(t, int64(3), g.Version)
	now, err := r.Now(t.Context())
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), now, time.Minute)
}
