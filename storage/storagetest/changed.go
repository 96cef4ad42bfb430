package storagetest

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/storage/durable"
)

// ChangedChange is Change with one changed event for each value, beside its own event.
func (w *Writer) ChangedChange(t *testing.T, base *grouping.AlertGroup, key grouping.Key, values ...string) grouping.Change {
	t.Helper()
	c := w.FiredChange(t, base, key, values...)
	c.Changed = c.Events
	for i := range c.Changed {
		c.Changed[i].ID, c.Changed[i].Kind = fmt.Sprintf("%s%06x", c.Stamp, i+1), grouping.EventChanged
	}
	event := c.Changed[0]
	event.ID, event.Kind, event.Content = string(c.Stamp)+"000000", grouping.EventNotified, ""
	c.Events = []grouping.Event{event}
	return c
}

// Only a stream has changed events.
func contractChangedEvents(t *testing.T, w *Writer) {
	history := fillHistory(t, w, 30, 17)
	var all, changed []grouping.Event
	for i := range 60 {
		key := Key(fmt.Sprint(i % 3))
		base, _ := w.Load(t.Context(), key.ID())
		var values []string
		for n := range 20 {
			values = append(values, fmt.Sprint(i, " ", n))
		}
		c := w.ChangedChange(t, base, key, values...)
		if i%2 == 0 {
			c.Events = nil // nothing else happened
		}
		for range 2 { // a repeated write
			w.MustStore(t, c)
		}
		changed = append(changed, c.Changed...)
		all = append(all, c.Events...)
		require.Equal(t, values, StoredContents(t, w, values...))
	}
	all = slices.Concat(history, fillHistory(t, w, 30, 17), all)
	byID := func(a, b grouping.Event) int { return cmp.Compare(a.ID, b.ID) }
	slices.SortFunc(all, byID)
	pages, _ := Pages(t, w, grouping.EventQuery{Limit: 1000})
	slices.Reverse(pages)
	require.Equal(t, all, pages)
	for i := range 3 {
		pages, _ := Pages(t, w, grouping.EventQuery{Group: Key(fmt.Sprint(i)).ID(), Limit: 1000})
		require.False(t, slices.ContainsFunc(pages, func(e grouping.Event) bool { return e.Kind == grouping.EventChanged }))
	}

	streamed := slices.Concat(all, changed)
	slices.SortFunc(streamed, byID)
	require.Equal(t, streamed, stream(t, w, time.Time{}))
	from := streamed[1500].Time
	streamed = slices.DeleteFunc(streamed, func(e grouping.Event) bool { return e.Time.Before(from) })
	require.Equal(t, streamed, stream(t, w, from))
	contents, err := w.Contents(t.Context(), changed)
	require.NoError(t, err)
	for _, e := range changed {
		require.NotZero(t, contents[e.Content])
	}
}

func contractPushedChanges(t *testing.T, w *Writer) {
	d, ok := w.GroupStorage.(durable.Backend)
	if !ok {
		return
	}
	stored := w.ChangedChange(t, nil, Key("0"), "stored")
	w.MustStore(t, stored)
	pushed := w.ChangedChange(t, nil, Key("1"), "slow", "full", "slow")
	all := slices.Concat(stored.Changed, stored.Events, pushed.Events, pushed.Changed)
	missing, err := d.MissingEvents(t.Context(), all)
	require.NoError(t, err)
	require.ElementsMatch(t, all[2:], missing)
	for range 2 {
		require.NoError(t, d.PushEvents(t.Context(), missing, pushed.Contents))
	}
	missing, err = d.MissingEvents(t.Context(), all)
	require.NoError(t, err)
	require.Empty(t, missing)
	require.ElementsMatch(t, all, stream(t, w, time.Time{}))
	contents, err := w.Contents(t.Context(), pushed.Changed)
	require.NoError(t, err)
	require.Len(t, contents, 2)
	pages, _ := Pages(t, w, grouping.EventQuery{})
	require.Len(t, pages, 2)
	if d.HasLog() {
		events, texts, err := d.LoadEvents(t.Context(), []durable.LogEntry{
			{ID: stored.Group.ID, Position: durable.Position{Token: string(stored.Stamp)}},
		})
		require.NoError(t, err)
		require.ElementsMatch(t, slices.Concat(stored.Events, stored.Changed), events)
		require.Equal(t, stored.Contents, texts)
	}
}

// RunChangedFlood checks that annotations that change at every notification displace
// nothing. The storage may have about 200 events in its history.
func RunChangedFlood(t *testing.T, s grouping.GroupStorage) (changed []grouping.Event) {
	t.Helper()
	const alerts, repeats = 5, 40
	watched := 0
	watch := func(u grouping.Update) { watched += len(u.Events) }
	m, err := grouping.NewManager(s, grouping.NewClock(), watch, prometheus.NewRegistry(), promslog.NewNopLogger(), grouping.DefaultOptions)
	require.NoError(t, err)
	acknowledged := 0
	for i := range 1 + repeats {
		n := grouping.Notification{Key: Key("flood")}
		for name := range alerts {
			a := NotifiedAlert(fmt.Sprint(name))
			a.Annotations = grouping.NewLabels(map[string]string{"summary": fmt.Sprintf("%d: the value is %d", name, i)})
			n.Alerts = append(n.Alerts, a)
		}
		outcome, err := m.Ingest(t.Context(), n)
		require.NoError(t, err)
		acknowledged += len(outcome.Events)
	}
	const want = 1 + alerts + 1 + repeats // opened, fired, notified
	require.Equal(t, []int{want, want}, []int{watched, acknowledged}, "changed events are not live")
	w := NewWriter(s)
	for _, q := range []grouping.EventQuery{{}, {Group: Key("flood").ID()}} {
		events, _ := Pages(t, w, q)
		require.Len(t, events, want)
	}
	events := stream(t, w, time.Time{})
	require.True(t, slices.IsSortedFunc(events, func(a, b grouping.Event) int { return cmp.Compare(a.ID, b.ID) }))
	contents, err := s.Contents(t.Context(), events)
	require.NoError(t, err)
	for _, e := range events {
		if e.Kind == grouping.EventChanged {
			changed = append(changed, e)
		}
		if e.Content != "" {
			require.Contains(t, contents, e.Content, "%s", e.Kind)
		}
	}
	require.Len(t, events, want+len(changed))
	require.NotEmpty(t, changed)
	last := contents[changed[len(changed)-1].Content]
	require.Contains(t, last.Annotations.Get("summary"), fmt.Sprintf("the value is %d", repeats), "the newest are kept")
	return changed
}
