package grouping_test

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/storage"
)

func limited(t *testing.T, groups, alerts, sources int) *grouping.Manager {
	t.Helper()
	opts := grouping.DefaultOptions
	opts.MaxGroups, opts.MaxAlerts, opts.MaxSources = groups, alerts, sources
	return newManager(t, storage.NewMemory(storage.MemoryOptions{HistoryRetention: time.Hour, MaxEvents: 1000}), opts)
}

// of returns a notification of the group.
func of(group string, alerts ...grouping.NotifiedAlert) grouping.Notification {
	n := notification(alerts...)
	n.GroupKey = group
	return n
}

// groupKeys returns the keys of all groups, the last changed first.
func groupKeys(t *testing.T, m *grouping.Manager) []string {
	t.Helper()
	page, err := m.List(t.Context(), grouping.ListQuery{Sort: grouping.SortUpdated})
	require.NoError(t, err)
	keys := make([]string, 0, len(page.Groups))
	for _, g := range page.Groups {
		keys = append(keys, g.GroupKey)
	}
	return keys
}

// A new group evicts the oldest resolved group, then the oldest unreported one. A firing
// group is never evicted. If all groups fire, the new one is rejected.
func TestTooManyGroups(t *testing.T) {
	m := limited(t, 4, 0, 0)
	keep := func(n grouping.Notification) {
		t.Helper()
		_, err := m.Ingest(t.Context(), n)
		require.NoError(t, err)
		time.Sleep(2 * time.Millisecond) // stamps have a precision of milliseconds
	}
	for _, n := range []grouping.Notification{
		of("firing", alert("a")), of("unreported", alert("b")), of("resolved", alert("c")), of("later", alert("d")),
		of("unreported", resolved(alert("e"))), of("resolved", resolved(alert("c"))), of("later", resolved(alert("d"))),
	} {
		keep(n)
	}
	for _, step := range []struct{ added, want string }{
		{"new1", "[new1 later unreported firing]"},
		{"new2", "[new2 new1 unreported firing]"},
		{"new3", "[new3 new2 new1 firing]"},
	} {
		keep(of(step.added, alert(step.added)))
		require.Equal(t, step.want, fmt.Sprint(groupKeys(t, m)))
	}
	_, err := m.Ingest(t.Context(), of("new4", alert("new4")))
	var full *grouping.FullError
	require.ErrorAs(t, err, &full)
	require.Equal(t, grouping.FullError{What: "group", Limit: 4}, *full)
	_, err = m.AddAlertToGroup(t.Context(), of("new4").Key, alert("new4"))
	require.ErrorAs(t, err, &full)
	keep(of("firing", alert("a"), alert("f"))) // a known group is still updated
	keep(of("new1", resolved(alert("new1"))))
	keep(of("new4", alert("new4")))
	require.Equal(t, "[new4 firing new3 new2]", fmt.Sprint(groupKeys(t, m)))
}

func TestTooManySources(t *testing.T) {
	m := limited(t, 0, 0, 2)
	from := func(source string) error {
		n := of("g", alert("a"))
		n.Source = source
		_, err := m.Ingest(t.Context(), n)
		return err
	}
	require.NoError(t, from("a"))
	require.NoError(t, from("b"))
	var full *grouping.FullError
	require.ErrorAs(t, from("c"), &full)
	require.Equal(t, "source", full.What)
	require.NoError(t, from("a"))
}

func TestTooManyAlertsInAGroup(t *testing.T) {
	m := limited(t, 0, 2, 0)
	out, err := m.Ingest(t.Context(), of("g", alert("a"), alert("b"), alert("c"), alert("d")))
	require.NoError(t, err)
	require.Equal(t, uint64(2), out.Rejected)
	require.Len(t, out.Group.Alerts, 2)
	require.Equal(t, uint64(2), out.Group.Truncated)
	var full *grouping.FullError
	_, err = m.AddAlertToGroup(t.Context(), of("g").Key, alert("e"))
	require.ErrorAs(t, err, &full)
	require.Equal(t, grouping.FullError{What: "alert", Limit: 2}, *full)
}

// heap returns the number of heap bytes in use.
func heap() uint64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

// Concurrent senders flood the manager with new groups, or with new alerts of one
// group. The number of groups and alerts stays limited, and so does the memory.
func TestFloods(t *testing.T) {
	const groups, alerts = 200, 100
	for name, fn := range map[string]func(i int) grouping.Notification{
		"resolved groups": func(i int) grouping.Notification { return of(fmt.Sprint(i), resolved(alert("a"))) },
		"firing groups":   func(i int) grouping.Notification { return of(fmt.Sprint("on", i), alert("a")) },
		"resolved alerts": func(i int) grouping.Notification { return of("one", resolved(alert(fmt.Sprint(i)))) },
		"rejected alerts": func(i int) grouping.Notification { return of("one", alert(fmt.Sprint("o", i))) },
		"firing alerts": func(i int) grouping.Notification {
			n := of("one", alert(fmt.Sprint("a", i)))
			n.Truncated = 1
			return n
		},
		"groups and sources": func(i int) grouping.Notification { n := of("s", alert("a")); n.Source = fmt.Sprint(i); return n },
	} {
		t.Run(name, func(t *testing.T) {
			m := limited(t, groups, alerts, 0)
			flood := func(from, to int) {
				var wg sync.WaitGroup
				for worker := range 4 {
					wg.Go(func() {
						for i := from + worker; i < to; i += 4 {
							_, err := m.Ingest(t.Context(), fn(i))
							if full := (*grouping.FullError)(nil); err != nil && !errors.As(err, &full) {
								t.Errorf("%v", err)
							}
						}
					})
				}
				wg.Wait()
			}
			flood(0, 1500) // more than a group keeps removal stamps
			before := heap()
			flood(1500, 3500)
			grown := int64(heap()) - int64(before)
			require.Less(t, grown, int64(3<<20), "2,000 more notifications used %d bytes", grown)
			page, err := m.List(t.Context(), grouping.ListQuery{Limit: grouping.MaxLimit})
			require.NoError(t, err)
			require.LessOrEqual(t, page.Total, groups+4)
			for _, g := range page.Groups {
				require.LessOrEqual(t, len(g.Alerts), alerts)
				require.LessOrEqual(t, len(g.Removed), 1000)
			}
		})
	}
}

// A long-lived group does not accumulate removal stamps.
func TestRemovalsOfALongLivedGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := limited(t, 0, 0, 0)
		for range 60 {
			_, err := m.Ingest(t.Context(), of("g", alert("on"), resolved(alert(fmt.Sprint(time.Now())))))
			require.NoError(t, err)
			time.Sleep(6 * time.Hour)
			_, err = m.CleanupExpiredGroups(t.Context())
			require.NoError(t, err)
		}
		g, err := m.Get(t.Context(), of("g").ID())
		require.NoError(t, err)
		require.Len(t, g.Alerts, 29, "28 alerts of seven days, and the firing one")
		require.LessOrEqual(t, len(g.Removed), 5, "only removals of one day")
		require.NotEmpty(t, g.Removed)
	})
}
