package redis

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/storage/durable"
	"muster/storage/storagetest"
)

// countContents returns the numbers of contents and of their uses in a shard.
func countContents(t *testing.T, server *miniredis.Miniredis, r *Storage) (contents, uses int) {
	t.Helper()
	for name, n := range map[string]*int{"c": &contents, "cu": &uses} {
		if !server.Exists(r.key(0, name)) {
			continue
		}
		if name == "c" {
			keys, err := server.HKeys(r.key(0, name))
			require.NoError(t, err)
			*n = len(keys)
			continue
		}
		members, err := server.ZMembers(r.key(0, name))
		require.NoError(t, err)
		*n = len(members)
	}
	return contents, uses
}

// A content stays as long as an event that has it.
func TestRedisContentsGoWithTheHistory(t *testing.T) {
	server, r, w := mini(t, Options{MaxHistory: 10, HistoryRetention: time.Hour})
	key := groupKey("g")
	var g *grouping.AlertGroup
	for i := range cleaning - 1 {
		// Writes of one millisecond go together.
		require.NoError(t, w.Sync(func() (time.Time, error) { return time.Now().Add(time.Duration(i) * time.Second), nil }))
		g = w.MustStore(t, w.FiredChange(t, g, key, "always", fmt.Sprint(i)))
	}
	// From time to time a write removes what no event has any more.
	g = w.MustStore(t, w.FiredChange(t, g, key, "always", "last"))
	n, uses := countContents(t, server, r)
	require.Equal(t, n, uses)
	require.LessOrEqual(t, n, 7)
	require.Equal(t, []string{"always", "60", "last"}, storagetest.StoredContents(t, r, "always", "10", "60", "last"))
	for range cleaning {
		g = w.MustStore(t, w.Change(g, key, a("x", "1")))
	}
	require.Empty(t, storagetest.StoredContents(t, r, "always", "60", "last"))

	pushed := w.FiredChange(t, g, key, "pushed")
	require.NoError(t, r.PushEvents(t.Context(), pushed.Events, pushed.Contents))
	require.Equal(t, []string{"pushed"}, storagetest.StoredContents(t, r, "pushed"))
	server.SetTime(time.Now().Add(2 * time.Hour))
	for range cleaning {
		g = w.MustStore(t, w.Change(g, key, a("x", "2")))
	}
	require.Empty(t, storagetest.StoredContents(t, r, "pushed"), "the retention removes its event")
}

// If a key of the contents has another type, a write fails before it writes an event.
func TestRedisWritesNoEventWithoutItsContent(t *testing.T) {
	for _, key := range []string{"c", "cu", "xc", "xu"} {
		server, r, w := mini(t, Options{})
		g := w.Add(t, groupKey("g"), a("x", "1"))
		require.NoError(t, server.Set(r.key(0, key), "a string"))
		c := w.ChangedChange(t, g, g.Key, "changed")
		fired := w.FiredChange(t, g, g.Key, "fired")
		maps.Copy(c.Contents, fired.Contents)
		c.Events = fired.Events
		_, err := w.Store(t.Context(), c)
		require.ErrorIs(t, err, grouping.ErrStorage, key)
		require.Len(t, groupEvents(t, r, g.ID, 10), 1, key)
		require.False(t, server.Exists(r.key(0, "x")), key)
		require.True(t, w.MustLoad(t, g.Key).Equal(g), key)
	}
}

// Redis can evict one of the two keys.
func TestRedisLosesContents(t *testing.T) {
	for _, lost := range [][]string{{"c"}, {"cu"}, {"c", "cu"}} {
		server, r, w := mini(t, Options{})
		c := w.FiredChange(t, nil, groupKey("g"), "slow")
		g := w.MustStore(t, c)
		losses, err := r.FindLosses(t.Context(), []grouping.ID{g.ID})
		require.NoError(t, err)
		require.Empty(t, losses)
		for _, name := range lost {
			server.Del(r.key(0, name))
		}
		missing, err := r.MissingEvents(t.Context(), c.Events)
		require.NoError(t, err)
		require.Equal(t, c.Events, missing)
		losses, err = r.FindLosses(t.Context(), []grouping.ID{g.ID})
		require.NoError(t, err)
		require.True(t, losses.History, "%v", lost)
		n, uses := countContents(t, server, r)
		require.Equal(t, n, uses)
		require.NoError(t, r.PushEvents(t.Context(), missing, c.Contents))
		for range 2 {
			losses, err = r.FindLosses(t.Context(), []grouping.ID{g.ID})
			require.NoError(t, err)
			require.Empty(t, losses, "it is repaired")
		}
	}
}

func TestRedisSaysSinceWhenItsHistoryIsWhole(t *testing.T) {
	_, r, _ := mini(t, Options{MaxHistory: 200, HistoryRetention: time.Hour})
	storagetest.RunHistorySince(t, r)
}

// A checkpoint of which Redis evicted a part does not exist.
func TestACheckpointIsWholeOrAbsent(t *testing.T) {
	server, r, w := mini(t, Options{})
	for name, lose := range map[string]func(key string){
		"all parts": func(key string) { server.Del(key) },
		"a part":    func(key string) { server.HDel(key, "1") },
		"bytes":     func(key string) { server.HSet(key, "1", "short") },
		"the entry": func(string) { server.Del(r.checkpointsKey(0)) },
	} {
		checkpoint := w.Stamp()
		require.NoError(t, r.StoreCheckpoint(t.Context(), checkpoint, make([]byte, 2*durable.CheckpointPart)))
		key := r.checkpointKey(checkpoint)
		require.NotZero(t, server.TTL(key), "it expires if its entry is never written")
		lose(key)
		data, err := r.LoadCheckpoint(t.Context(), checkpoint)
		require.NoError(t, err)
		require.Nil(t, data, name)
		require.NoError(t, r.DeleteCheckpoint(t.Context(), checkpoint))
		require.False(t, server.Exists(key), name)
	}
}

func TestRedisKeepsChangedEventsApart(t *testing.T) {
	server, r, w := mini(t, Options{MaxHistory: 200, HistoryRetention: time.Hour})
	require.Len(t, storagetest.RunChangedFlood(t, r), 20)
	for range cleaning {
		w.Add(t, groupKey("g"), a("x", "1"))
	}
	hashes, err := server.HKeys(r.key(0, "xc"))
	require.NoError(t, err)
	// Contents of one millisecond go together, and a fast machine makes some writes in it.
	require.LessOrEqual(t, len(hashes), 20+4*5)

	var pushed []grouping.Event
	for range 30 {
		pushed = append(pushed, w.ChangedChange(t, nil, groupKey("g"), "1").Changed...)
	}
	require.NoError(t, r.PushEvents(t.Context(), pushed, nil))
	n, err := server.ZMembers(r.key(0, "x"))
	require.NoError(t, err)
	require.Len(t, n, 20)

	// The retention removes them at one of the next writes.
	server.SetTime(time.Now().Add(2 * time.Hour))
	for range cleaning {
		w.Add(t, groupKey("g"), a("x", "1"))
	}
	require.False(t, server.Exists(r.key(0, "x")))
	require.False(t, server.Exists(r.key(0, "xc")))
	require.False(t, server.Exists(r.key(0, "xu")))
}
