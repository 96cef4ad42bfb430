package redis

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"muster/grouping"
)

// A timeline of an earlier version has the texts of events instead of stamps of writes.
func TestRedisReadsTextsInATimeline(t *testing.T) {
	server, r, w := mini(t, Options{})
	key := groupKey("g")
	timeline := r.timelineKey(key.ID())
	for i := range 5 {
		w.Add(t, key, a("x", fmt.Sprint(i)))
	}
	before := groupEvents(t, r, key.ID(), 100)
	server.Del(timeline)
	for _, e := range before {
		text, err := e.Encode()
		require.NoError(t, err)
		_, err = server.ZAdd(timeline, 0, text)
		require.NoError(t, err)
	}
	require.Equal(t, before, groupEvents(t, r, key.ID(), 100))
	missing, err := r.MissingEvents(t.Context(), before)
	require.NoError(t, err)
	require.Empty(t, missing)

	// The next write adds its stamp, and a repair that of an event with a text.
	w.Add(t, key, a("x", "last"))
	all := groupEvents(t, r, key.ID(), 100)
	require.Equal(t, before, all[len(all)-len(before):])
	require.Greater(t, len(all), len(before))
	require.NoError(t, r.PushEvents(t.Context(), before[1:2], nil))
	for _, limit := range []int{1, 2, 3, 100} {
		require.Equal(t, all, groupEvents(t, r, key.ID(), limit), "limit %d", limit)
	}
}

// A write with very many events is read in parts.
func TestRedisTimelineOfALargeWrite(t *testing.T) {
	_, r, w := mini(t, Options{})
	key := groupKey("g")
	c := w.Change(nil, key)
	first := c.Events[0]
	c.Events = nil
	for i := range 2*historyChunk + 1 {
		e := first
		e.ID = fmt.Sprintf("%s%04x", c.Stamp, i)
		c.Events = append(c.Events, e)
	}
	w.MustStore(t, c)
	require.Len(t, groupEvents(t, r, key.ID(), 700), 2*historyChunk+1)
}

// groupEvents returns the events of a group, newest first, read in pages.
func groupEvents(t *testing.T, r *Storage, id grouping.ID, limit int) (all []grouping.Event) {
	t.Helper()
	for cursor := ""; ; {
		page, err := r.Events(t.Context(), grouping.EventQuery{Group: id, Limit: limit, Cursor: cursor})
		require.NoError(t, err)
		all = append(all, page.Events...)
		if cursor = page.Next; cursor == "" {
			return all
		}
	}
}
