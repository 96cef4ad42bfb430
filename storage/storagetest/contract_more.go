package storagetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"muster/grouping"
	"muster/storage/durable"

	"github.com/prometheus/alertmanager/pkg/labels"
	"github.com/stretchr/testify/require"
)

func contractDelete(t *testing.T, w *Writer) {
	key := Key("g")
	g := w.Add(t, key, a("x", "1"), a("y", "1"))
	kept := w.Add(t, Key("kept"), a("x", "1"))
	c := grouping.Change{Base: g, Stamp: w.Stamp()}
	c.Events = []grouping.Event{{ID: string(c.Stamp) + "000000", Time: c.Stamp.Time(), Kind: grouping.EventExpired, GroupID: g.ID}}
	require.NoError(t, w.Delete(t.Context(), c))
	_, err := w.Load(t.Context(), g.ID)
	require.ErrorIs(t, err, grouping.ErrGroupNotFound)
	ids, err := w.ListKeys(t.Context())
	require.NoError(t, err)
	require.Equal(t, []grouping.ID{kept.ID}, ids)
	page, err := w.Events(t.Context(), grouping.EventQuery{Group: g.ID})
	require.NoError(t, err)
	require.Equal(t, grouping.EventExpired, page.Events[0].Kind, "the history of a deleted group must be kept")
	require.Len(t, page.Events, 2)
}

func contractDeleteConflict(t *testing.T, w *Writer) {
	for name, meanwhile := range map[string]func(*grouping.AlertGroup) grouping.Change{
		"an alert changed":               func(g *grouping.AlertGroup) grouping.Change { return w.Change(g, g.Key, a("x", "2")) },
		"an alert was added":             func(g *grouping.AlertGroup) grouping.Change { return w.Change(g, g.Key, a("new", "1")) },
		"an alert was removed":           func(g *grouping.AlertGroup) grouping.Change { return w.Removal(g, "x") },
		"the group's own fields changed": func(g *grouping.AlertGroup) grouping.Change { return w.Change(g, g.Key) },
	} {
		key := Key(name)
		g := w.Add(t, key, a("x", "1"), a("y", "1"))
		w.MustStore(t, meanwhile(g))
		err := w.Delete(t.Context(), grouping.Change{Base: g, Stamp: w.Stamp()})
		stored := Conflict(t, key.ID(), err)
		merged := grouping.Merge(g, stored)
		require.True(t, merged.Equal(w.MustLoad(t, key)), name)
		require.NoError(t, w.Delete(t.Context(), grouping.Change{Base: merged, Stamp: w.Stamp()}), name)
		_, err = w.Load(t.Context(), key.ID())
		require.ErrorIs(t, err, grouping.ErrGroupNotFound)
	}

	// An alert was added, while newer fields of the group were kept.
	key := Key("late")
	base := w.Add(t, key, a("x", "1"))
	late := w.Change(base, key, a("late", "1"))
	g := w.MustStore(t, w.Change(base, key, a("x", "2")))
	w.MustStore(t, late)
	err := w.Delete(t.Context(), grouping.Change{Base: g, Stamp: w.Stamp()})
	require.NotNil(t, Conflict(t, key.ID(), err).Alert(Fingerprint("late")))
}

func contractTombstone(t *testing.T, w *Writer) {
	key := Key("g")
	base := w.Add(t, key, a("x", "1"))
	older := w.Change(base, key, a("x", "2"), a("y", "1"))
	unknowing := w.Change(nil, key, a("z", "1"))
	deletion := grouping.Change{Base: base, Stamp: w.Stamp()}
	require.NoError(t, w.Delete(t.Context(), deletion))
	for _, c := range []grouping.Change{older, unknowing} {
		_, err := w.Store(t.Context(), c)
		stored := Conflict(t, key.ID(), err)
		require.Equal(t, deletion.Stamp, stored.Deleted)
		require.True(t, grouping.Merge(c.Group, stored).IsTombstone(), "the write is older than the deletion")
	}
	require.NoError(t, w.StoreAll(t.Context(), []*grouping.AlertGroup{older.Group}))
	_, err := w.Load(t.Context(), key.ID())
	require.ErrorIs(t, err, grouping.ErrGroupNotFound)

	// A newer write creates the group again. It conflicts with the tombstone first.
	again := w.Change(nil, key, a("x", "3"))
	_, err = w.Store(t.Context(), again)
	tombstone := Conflict(t, key.ID(), err)
	require.True(t, tombstone.IsTombstone())
	w.MustStore(t, w.Change(tombstone, key, a("x", "3")))
	g := w.MustLoad(t, key)
	require.Equal(t, map[string]string{"x": "3"}, Values(g))
	require.Equal(t, deletion.Stamp, g.Deleted)
	require.NoError(t, w.StoreAll(t.Context(), []*grouping.AlertGroup{older.Group}))
	require.Equal(t, map[string]string{"x": "3"}, Values(w.MustLoad(t, key)), "deleted alerts must stay deleted")
	ids, err := w.ListKeys(t.Context())
	require.NoError(t, err)
	require.Equal(t, []grouping.ID{key.ID()}, ids)
}

func contractRemoved(t *testing.T, w *Writer) {
	key := Key("g")
	base := w.Add(t, key, a("x", "1"), a("y", "1"))
	removal := w.Removal(base, "x")
	w.MustStore(t, removal)
	require.NoError(t, w.StoreAll(t.Context(), []*grouping.AlertGroup{base}), "an older copy")
	g := w.MustLoad(t, key)
	require.Equal(t, map[string]string{"y": "1"}, Values(g))
	require.Equal(t, removal.Stamp, g.Removed[Fingerprint("x")])

	g = w.MustStore(t, w.Change(g, key, a("y", "2")))
	require.Equal(t, removal.Stamp, w.MustLoad(t, key).Removed[Fingerprint("x")], "other writes must keep the removal")

	// A writer can delete the record of a removal.
	c := w.Change(g, key, a("x", "3"))
	next := *c.Group
	next.Removed = nil
	c.Group = grouping.NewAlertGroup(next)
	w.MustStore(t, c)
	require.Equal(t, map[string]string{"x": "3", "y": "2"}, Values(w.MustLoad(t, key)))
}

// Two copies of a group are merged. One was deleted and created again, the other
// was changed meanwhile. Alerts from before the deletion are deleted, and they must
// not cause conflicts for ever.
func contractDeletedThreshold(t *testing.T, w *Writer) {
	key := Key("g")
	base := w.Add(t, key, a("x", "1"), a("y", "1"), a("z", "1"))
	base = w.MustStore(t, w.Removal(base, "z"))
	unseen := w.Change(base, key, a("unseen", "1"))
	brief := w.Change(base, key, a("brief", "1"))
	w.MustStore(t, unseen)
	w.MustStore(t, w.Removal(w.MustStore(t, brief), "brief"))
	deleted := w.Stamp()
	remade := w.Change(grouping.Tombstone(key.ID(), deleted), key, a("x", "2")).Group
	w.MustStore(t, grouping.Change{Group: grouping.Merge(base, remade), Base: base, Stamp: w.Stamp()})
	g := w.MustLoad(t, key)
	require.Equal(t, map[string]string{"x": "2"}, Values(g), "alerts that the writer had not seen must be deleted as well")
	require.Empty(t, g.Removed)
	require.Equal(t, deleted, g.Deleted)
	g = w.MustStore(t, w.Change(g, key, a("y", "3"), a("unseen", "3"), a("z", "3")))
	require.Equal(t, map[string]string{"x": "2", "y": "3", "z": "3", "unseen": "3"}, Values(grouping.Merge(g, w.MustLoad(t, key))))

	// A writer knows about a deletion that the storage does not know.
	key = Key("other")
	w.Add(t, key, a("x", "1"), a("y", "1"))
	deleted = w.Stamp()
	stored := w.Add(t, key, a("x", "2"))
	base = grouping.Merge(stored, grouping.Tombstone(key.ID(), deleted))
	require.Equal(t, map[string]string{"x": "2"}, Values(base))
	w.MustStore(t, w.Change(base, key, a("y", "3")))
	g = w.MustLoad(t, key)
	require.Equal(t, map[string]string{"x": "2", "y": "3"}, Values(g))
	require.Equal(t, deleted, g.Deleted)
}

func contractKeys(t *testing.T, w *Writer) {
	var want []grouping.ID
	var groups []*grouping.AlertGroup
	for i := range 30 {
		groups = append(groups, w.Add(t, Key(fmt.Sprint(i)), a("x", "1")))
	}
	for i, g := range groups {
		if i%3 == 0 {
			require.NoError(t, w.Delete(t.Context(), grouping.Change{Base: g, Stamp: w.Stamp()}))
		} else {
			want = append(want, g.ID)
		}
	}
	ids, err := w.ListKeys(t.Context())
	require.NoError(t, err)
	require.ElementsMatch(t, want, ids)
	n, err := w.Size(t.Context())
	require.NoError(t, err)
	require.Equal(t, len(want), n)
}

func contractLoadAll(t *testing.T, w *Writer) {
	want := map[grouping.ID]*grouping.AlertGroup{}
	for i := range 120 { // more than one batch
		g := w.Add(t, Key(fmt.Sprint(i)), a("x", "1"), a("y", fmt.Sprint(i)))
		want[g.ID] = g
	}
	got := map[grouping.ID]*grouping.AlertGroup{}
	for g, err := range w.LoadAll(t.Context()) {
		require.NoError(t, err)
		require.True(t, g.Equal(want[g.ID]))
		got[g.ID] = g
	}
	require.Len(t, got, len(want))
	n := 0
	for _, err := range w.LoadAll(t.Context()) {
		require.NoError(t, err)
		if n++; n == 3 {
			break
		}
	}
	require.Equal(t, 3, n, "the reader must be able to stop the stream")
}

func contractStoreAll(t *testing.T, w *Writer) {
	key := Key("g")
	base := w.Add(t, key, a("x", "1"), a("y", "1"))
	ours := w.Change(base, key, a("x", "ours"), a("new", "ours")).Group
	stored := w.Add(t, key, a("y", "stored"), a("x", "newer"))
	other := w.Change(nil, Key("other"), a("x", "1")).Group
	doomed := w.Add(t, Key("doomed"), a("x", "1"))
	tombstone, neverStored := grouping.Tombstone(doomed.ID, w.Stamp()), grouping.Tombstone(Key("never").ID(), w.Stamp())
	for range 2 { // the second call must change nothing
		require.NoError(t, w.StoreAll(t.Context(), []*grouping.AlertGroup{ours, other, tombstone, neverStored}))
	}
	g := w.MustLoad(t, key)
	require.Equal(t, map[string]string{"x": "newer", "y": "stored", "new": "ours"}, Values(g))
	require.Equal(t, stored.Stamp, g.Stamp)
	require.Equal(t, int64(2), g.Notifications)
	require.True(t, w.MustLoad(t, Key("other")).Equal(other))
	_, err := w.Load(t.Context(), doomed.ID)
	require.ErrorIs(t, err, grouping.ErrGroupNotFound)
	n, err := w.Size(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, n)
}

// FillHistory writes events of three groups, two with each write. It returns them
// newest first.
func FillHistory(t *testing.T, w *Writer, writes int) []grouping.Event {
	t.Helper()
	return fillHistory(t, w, writes, 2)
}

func fillHistory(t *testing.T, w *Writer, writes, eventsPerWrite int) []grouping.Event {
	t.Helper()
	var events []grouping.Event
	kinds := grouping.EventKinds()
	for i := range writes {
		key := Key(fmt.Sprint(i % 3))
		base, _ := w.Load(t.Context(), key.ID())
		c := w.Change(base, key, a("x", fmt.Sprint(i)))
		event := c.Events[0]
		event.Kind = kinds[i%len(kinds)]
		c.Events = []grouping.Event{event}
		for n := 1; n < eventsPerWrite; n++ {
			event := event
			event.ID, event.Kind = fmt.Sprintf("%s%06x", c.Stamp, n), grouping.EventNotified
			event.Fingerprint, event.Labels = Fingerprint(fmt.Sprint(i%5)), grouping.NewLabels(map[string]string{"alertname": fmt.Sprint(i % 5)})
			c.Events = append(c.Events, event)
		}
		w.MustStore(t, c)
		events = append(events, c.Events...)
	}
	slices.Reverse(events)
	return events
}

// Pages reads all pages of a query.
func Pages(t *testing.T, w *Writer, q grouping.EventQuery) (events []grouping.Event, n int) {
	t.Helper()
	for {
		page, err := w.Events(t.Context(), q)
		require.NoError(t, err)
		if q.Limit > 0 {
			require.LessOrEqual(t, len(page.Events), q.Limit)
		}
		events = append(events, page.Events...)
		n++
		if page.Next == "" {
			return events, n
		}
		require.NotEqual(t, q.Cursor, page.Next)
		q.Cursor = page.Next
	}
}

func contractEventPages(t *testing.T, w *Writer) {
	want := FillHistory(t, w, 60)
	for limit, wantPages := range map[int]int{0: 2, 1: 120, 7: 18, 60: 2, 119: 2, 120: 1, 121: 1, 1000: 1} {
		got, n := Pages(t, w, grouping.EventQuery{Limit: limit})
		require.Equal(t, want, got, "limit %d", limit)
		require.Equal(t, wantPages, n, "limit %d", limit)
	}
	// Events that arrive while a reader turns pages do not shift the pages.
	page, err := w.Events(t.Context(), grouping.EventQuery{Limit: 50})
	require.NoError(t, err)
	FillHistory(t, w, 3)
	rest, _ := Pages(t, w, grouping.EventQuery{Limit: 50, Cursor: page.Next})
	require.Equal(t, want[50:], rest)
	for _, cursor := range []string{"0", "\x00", "("} {
		page, err := w.Events(t.Context(), grouping.EventQuery{Cursor: cursor})
		require.NoError(t, err)
		require.Empty(t, page, "nothing is older than %q", cursor)
	}
}

func contractEventFilters(t *testing.T, w *Writer) {
	all := FillHistory(t, w, 60)
	matcher, err := labels.NewMatcher(labels.MatchRegexp, "alertname", "[12]")
	require.NoError(t, err)
	middle := all[61].Time
	for name, q := range map[string]grouping.EventQuery{
		"group":       {Group: Key("1").ID()},
		"fingerprint": {Fingerprint: Fingerprint("3")},
		"kinds":       {Kinds: []grouping.EventKind{grouping.EventFired, grouping.EventClosed}},
		"matchers":    {Matchers: labels.Matchers{matcher}},
		"since":       {Since: middle},
		"until":       {Until: middle},
		"a moment":    {Since: middle, Until: middle.Add(time.Nanosecond)},
		"together":    {Group: Key("2").ID(), Fingerprint: Fingerprint("3"), Since: all[100].Time, Until: all[10].Time},
		"none":        {Since: all[0].Time.Add(time.Hour)},
		"long ago":    {Until: time.Unix(0, 0)},
	} {
		want := slices.DeleteFunc(slices.Clone(all), func(e grouping.Event) bool { return !q.Matches(&e) })
		q.Limit = 4
		got, _ := Pages(t, w, q)
		require.Len(t, got, len(want), name)
		for i := range want {
			require.Equal(t, want[i], got[i], name)
		}
	}
}

func contractBoundedReads(t *testing.T, w *Writer) {
	const writes = 310
	key, other := Key("g"), Key("other")
	first := w.Change(nil, key, a("x", "0"))
	first.Events[0].Kind = grouping.EventOpened
	g := w.MustStore(t, first)
	for i := range writes {
		g = w.MustStore(t, w.Change(g, key, a("x", fmt.Sprint(i))))
		if i%100 == 0 {
			w.Add(t, other, a("x", fmt.Sprint(i)))
			time.Sleep(2 * time.Millisecond) // events of one millisecond have one time
		}
	}
	all, _ := Pages(t, w, grouping.EventQuery{Group: key.ID(), Limit: 1000})
	rare := grouping.EventQuery{Group: key.ID(), Kinds: []grouping.EventKind{grouping.EventOpened}, MaxRead: 120}
	page, err := w.Events(t.Context(), rare)
	require.NoError(t, err)
	require.Empty(t, page.Events, "the event is older than what is read")
	require.NotEmpty(t, page.Next)
	oldest := len(all) - 1
	for page.CompleteSince().After(all[oldest].Time) {
		oldest--
	}
	require.Greater(t, oldest, 100, "less is not read")
	require.Less(t, oldest, len(all)-1, "and not everything")

	got, pages := Pages(t, w, rare)
	require.Equal(t, all[len(all)-1:], got, "the next pages have the rest")
	require.Greater(t, pages, 1)
	rare.Kinds = nil
	got, _ = Pages(t, w, rare)
	require.Equal(t, all, got)
	rare.MaxRead, rare.Kinds = 2*writes, []grouping.EventKind{grouping.EventOpened}
	page, err = w.Events(t.Context(), rare)
	require.NoError(t, err)
	require.Equal(t, grouping.EventPage{Events: all[len(all)-1:]}, page)
	require.Zero(t, page.CompleteSince())
}

func contractEventsOnce(t *testing.T, w *Writer) {
	key := Key("g")
	c := w.Change(nil, key, a("x", "1"))
	g := w.MustStore(t, c)
	w.MustStore(t, c)
	w.MustStore(t, w.Change(g, key, a("x", "2")))
	if d, ok := w.GroupStorage.(durable.Backend); ok {
		for range 2 {
			require.NoError(t, d.PushEvents(t.Context(), append(c.Events, grouping.Event{GroupID: "../no group", ID: "f"}), nil))
		}
	}
	page, err := w.Events(t.Context(), grouping.EventQuery{})
	require.NoError(t, err)
	require.Len(t, page.Events, 2)
	require.Equal(t, c.Events[0], page.Events[1])

	// An event of a source belongs to no group.
	d, ok := w.GroupStorage.(durable.Backend)
	if !ok {
		return
	}
	s := w.Stamp()
	alone := grouping.Event{ID: string(s) + "000000", Time: s.Time(), Kind: grouping.EventStale, Source: "prod"}
	missing, err := d.MissingEvents(t.Context(), []grouping.Event{alone})
	require.NoError(t, err)
	require.Equal(t, []grouping.Event{alone}, missing)
	require.NoError(t, d.PushEvents(t.Context(), missing, nil))
	missing, err = d.MissingEvents(t.Context(), []grouping.Event{alone})
	require.NoError(t, err)
	require.Empty(t, missing)
	page, err = w.Events(t.Context(), grouping.EventQuery{})
	require.NoError(t, err)
	require.Equal(t, alone, page.Events[0])
	events := stream(t, w, time.Time{})
	require.Equal(t, alone, events[len(events)-1])
}

func contractCancelled(t *testing.T, w *Writer) {
	key := Key("g")
	g := w.Add(t, key, a("x", "1"))
	cause := errors.New("the client went away")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	c := w.Change(g, key, a("x", "2"))
	calls := map[string]func() error{
		"Store":    func() error { _, err := w.Store(ctx, c); return err },
		"Load":     func() error { _, err := w.Load(ctx, g.ID); return err },
		"Delete":   func() error { return w.Delete(ctx, grouping.Change{Base: g, Stamp: c.Stamp}) },
		"ListKeys": func() error { _, err := w.ListKeys(ctx); return err },
		"StoreSource": func() error {
			_, err := w.StoreSource(ctx, w.SourceChange(grouping.NewSourceDocument("prod"), a("x", "1")))
			return err
		},
		"LoadSource":       func() error { _, err := w.LoadSource(ctx, "prod"); return err },
		"Size":             func() error { _, err := w.Size(ctx); return err },
		"StoreAll":         func() error { return w.StoreAll(ctx, []*grouping.AlertGroup{c.Group}) },
		"Ping":             func() error { return w.Ping(ctx) },
		"Events":           func() error { _, err := w.Events(ctx, grouping.EventQuery{}); return err },
		"Contents":         func() error { _, err := w.Contents(ctx, c.Events); return err },
		"HistorySince":     func() error { _, err := w.HistorySince(ctx); return err },
		"Checkpoints":      func() error { _, err := w.Checkpoints(ctx); return err },
		"LoadCheckpoint":   func() error { _, err := w.LoadCheckpoint(ctx, c.Stamp); return err },
		"StoreCheckpoint":  func() error { return w.StoreCheckpoint(ctx, c.Stamp, []byte("x")) },
		"DeleteCheckpoint": func() error { return w.DeleteCheckpoint(ctx, c.Stamp) },
		"StreamEvents": func() error {
			n, last := 0, error(nil)
			for e, err := range w.StreamEvents(ctx, time.Time{}) {
				n, last = n+1, err
				require.Empty(t, e)
			}
			require.Equal(t, 1, n)
			return last
		},
		"LoadAll": func() error {
			n, last := 0, error(nil)
			for g, err := range w.LoadAll(ctx) {
				n, last = n+1, err
				require.Nil(t, g)
			}
			require.Equal(t, 1, n)
			return last
		},
	}
	if d, ok := w.GroupStorage.(durable.Backend); ok {
		calls["Position"] = func() error { _, err := d.Position(ctx); return err }
		calls["Index"] = func() error { return d.Index(ctx, func(map[grouping.ID]string) {}) }
		calls["LoadMany"] = func() error { _, _, err := d.LoadMany(ctx, []grouping.ID{g.ID}); return err }
		calls["LoadWritten"] = func() error { _, err := d.LoadWritten(ctx, nil, nil, nil); return err }
		calls["PushEvents"] = func() error { return d.PushEvents(ctx, c.Events, nil) }
		calls["CheckLineage"] = func() error { _, err := d.CheckLineage(ctx, nil); return err }
		calls["LoadEvents"] = func() error { _, _, err := d.LoadEvents(ctx, nil); return err }
		calls["MissingEvents"] = func() error { _, err := d.MissingEvents(ctx, c.Events); return err }
		calls["FindLosses"] = func() error { _, err := d.FindLosses(ctx, []grouping.ID{g.ID}); return err }
		calls["Now"] = func() error { _, err := d.Now(ctx); return err }
	}
	for name, call := range calls {
		err := call()
		require.ErrorIs(t, err, cause, name)
		require.NotErrorIs(t, err, grouping.ErrStorage, "%s: a cancelled caller is not a fault", name)
	}
	require.True(t, w.MustLoad(t, key).Equal(g))
	page, err := w.Events(t.Context(), grouping.EventQuery{})
	require.NoError(t, err)
	require.Len(t, page.Events, 1)
}
