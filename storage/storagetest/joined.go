package storagetest

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/storage/durable"
)

// joinedChange returns a change that makes two writes to a group, each with its own
// stamp, an event and a changed event.
func (w *Writer) joinedChange(t *testing.T, base *grouping.AlertGroup, key grouping.Key, values [2]string) grouping.Change {
	t.Helper()
	one := w.ChangedChange(t, base, key, values[0])
	two := w.ChangedChange(t, one.Group, key, values[1])
	two.Base, two.Notified = base, 2
	two.Events, two.Changed = slices.Concat(one.Events, two.Events), slices.Concat(one.Changed, two.Changed)
	maps.Copy(two.Contents, one.Contents)
	return two
}

// One change can have the events of several notifications. It counts them all, and is
// applied once.
func contractJoined(t *testing.T, w *Writer) {
	key := Key("g")
	c := w.joinedChange(t, nil, key, [2]string{"1", "2"})
	for range 2 {
		g := w.MustStore(t, c)
		require.Equal(t, []int64{1, 2}, []int64{g.Version, g.Notifications})
		require.True(t, g.Equal(c.Group))
	}
	g := w.MustLoad(t, key)
	c = w.joinedChange(t, g, key, [2]string{"3", "4"})
	w.MustStore(t, c)
	require.Len(t, stream(t, w, time.Time{}), 8, "an event and a changed event of each notification")
	g = w.MustLoad(t, key)
	require.Equal(t, []int64{2, 4}, []int64{g.Version, g.Notifications})

	w.MustStore(t, w.Change(g, key, a("y", "1"))) // another write came in between
	if _, err := w.Store(t.Context(), c); err != nil {
		Conflict(t, key.ID(), err) // allowed for a storage that loses no answers
	}
	g = w.MustLoad(t, key)
	require.Equal(t, []int64{3, 5}, []int64{g.Version, g.Notifications})
	require.Len(t, stream(t, w, time.Time{}), 9)
	pages, _ := Pages(t, w, grouping.EventQuery{Group: key.ID(), Limit: 2})
	require.Len(t, pages, 5, "the timeline has the events of each notification")

	if d, ok := w.GroupStorage.(durable.Backend); ok {
		missing, err := d.MissingEvents(t.Context(), slices.Concat(c.Events, c.Changed))
		require.NoError(t, err)
		require.Empty(t, missing)
	}
	if d, ok := w.GroupStorage.(durable.Backend); ok && d.HasLog() {
		first := c.Events[0].Stamp()
		require.NotEqual(t, c.Stamp, first)
		events, texts, err := d.LoadEvents(t.Context(), []durable.LogEntry{
			{ID: key.ID(), Position: durable.Position{Token: string(c.Stamp)}, Stamps: []string{string(first)}},
		})
		require.NoError(t, err)
		require.ElementsMatch(t, slices.Concat(c.Events, c.Changed), events)
		require.Equal(t, c.Contents, texts)
	}
}
