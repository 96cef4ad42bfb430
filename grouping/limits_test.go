package grouping

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A group never holds more than its limit. What fires and is known stays;
// what is new and fires is taken or counted as cut; nothing is said twice.
func TestAGroupKeepsItsLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := testRules
		r.maxAlerts = rapid.IntRange(1, 6).Draw(t, "limit")
		var g *AlertGroup
		for step := range rapid.IntRange(1, 8).Draw(t, "notifications") {
			n := Notification{
				Key: drawnKey(0), Stamp: NewStamp(base.Add(time.Duration(step)*minute), 0, testWriter),
				Truncated: rapid.Uint64Range(0, 1).Draw(t, "truncated"),
			}
			for _, name := range rapid.SliceOfDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g", "h"}), rapid.ID).Draw(t, "alerts") {
				a := fires(name, time.Duration(step)*minute)
				if rapid.Bool().Draw(t, "resolved") {
					a.Status, a.EndsAt = StatusResolved, a.StartsAt.Add(second)
				}
				n.Alerts = append(n.Alerts, a)
			}
			next, events := apply(g, n, r)
			checkGroup(t, next)
			require.LessOrEqual(t, len(next.Alerts), r.maxAlerts)
			left := uint64(0)
			for _, a := range n.Alerts {
				held := next.Alert(a.Fingerprint)
				if a.Status == StatusFiring && held == nil {
					left++
				}
				if g.Alert(a.Fingerprint) != nil {
					require.Equal(t, a.Status, held.Status, "known alerts are always updated")
				}
			}
			require.Equal(t, n.Truncated+left, next.Truncated)
			if left > 0 {
				for _, a := range next.Alerts {
					listed := slices.ContainsFunc(n.Alerts, func(na NotifiedAlert) bool { return na.Fingerprint == a.Fingerprint })
					require.True(t, listed || a.Status == StatusFiring, "what is quiet goes before what fires is cut")
				}
			}
			if g != nil {
				for _, a := range g.Alerts {
					if next.Alert(a.Fingerprint) == nil {
						require.True(t, a.Status != StatusFiring || n.Truncated == 0, "what fires and was not omitted stays")
						require.True(t, slices.ContainsFunc(events, func(e Event) bool {
							return e.Kind == EventExpired && e.Fingerprint == a.Fingerprint
						}))
					}
				}
			}
			n.Stamp = NewStamp(base.Add(time.Duration(step)*minute), 1, testWriter)
			again, repeated := apply(next, n, r)
			require.Equal(t, held(next), held(again))
			require.Equal(t, next.Truncated, again.Truncated)
			require.Len(t, repeated, 1, "notified, and no more")
			g = again
		}
	})
}

// held returns the status of each alert of a group.
func held(g *AlertGroup) map[Fingerprint]Status {
	out := map[Fingerprint]Status{}
	for _, a := range g.Alerts {
		out[a.Fingerprint] = a.Status
	}
	return out
}

// The resolved go before the unreported, and the longest quiet first.
func TestWhatGoesForANewAlert(t *testing.T) {
	r := testRules
	r.maxAlerts = 5
	at := func(m int) Stamp { return NewStamp(base.Add(time.Duration(m)*minute), 0, testWriter) }
	send := func(g *AlertGroup, m int, alerts ...NotifiedAlert) *AlertGroup {
		next, _ := apply(g, Notification{Key: drawnKey(0), Stamp: at(m), Alerts: alerts}, r)
		return next
	}
	ended := func(name string, m int) NotifiedAlert {
		a := fires(name, 0)
		a.Status, a.EndsAt = StatusResolved, base.Add(time.Duration(m)*minute)
		return a
	}
	f := func(name string) NotifiedAlert { return fires(name, 0) }
	g := send(nil, 0, f("left"), f("late"), f("soon"), f("on"), f("too"))
	g = send(g, 1, ended("soon", 1), f("late"), f("on"), f("too")) // left is omitted
	g = send(g, 2, ended("late", 2), f("on"), f("too"))
	for m, gone := range []string{"soon", "late", "left"} {
		name := fmt.Sprint("new", m)
		listed := []NotifiedAlert{f("on"), f("too"), f(name)}
		for _, before := range slices.Sorted(slices.Values([]string{"new0", "new1"}[:min(m, 2)])) {
			listed = append(listed, f(before))
		}
		g = send(g, 3+m, listed...)
		require.Nil(t, g.Alert(fp(gone)), gone)
		require.NotNil(t, g.Alert(fp(name)), name)
		require.Zero(t, g.Truncated)
		require.Len(t, g.Alerts, 5)
	}
	g = send(g, 9, f("on"), f("too"), f("new0"), f("new1"), f("new2"), f("new3"), ended("new4", 9))
	require.Equal(t, uint64(1), g.Truncated, "new4 does not fire")
	require.Nil(t, g.Alert(fp("new3")))
}

func TestRemovalsAreForgotten(t *testing.T) {
	at := func(d time.Duration) Stamp { return NewStamp(base.Add(d), 0, testWriter) }
	g := NewAlertGroup(AlertGroup{
		Meta:    Meta{Key: drawnKey(0), Stamp: at(0)},
		Removed: map[Fingerprint]Stamp{fp("old"): at(-removalRetention - second), fp("new"): at(-removalRetention + second)},
	})
	require.Equal(t, map[Fingerprint]Stamp{fp("new"): at(-removalRetention + second)}, g.PruneRemovals().Removed)
	require.Len(t, g.Removed, 2, "groups are immutable")
	g = g.PruneRemovals()
	require.Same(t, g, g.PruneRemovals(), "nothing is copied where nothing goes")

	many := map[Fingerprint]Stamp{}
	for i := range maxRemovals + 100 {
		many[Fingerprint(fmt.Sprintf("%016x", i))] = at(-time.Duration(i) * time.Millisecond)
	}
	g = NewAlertGroup(AlertGroup{Meta: Meta{Key: drawnKey(0), Stamp: at(0)}, Removed: many}).PruneRemovals()
	require.Len(t, g.Removed, prunedRemovals)
	require.Equal(t, at(-(prunedRemovals-1)*time.Millisecond), slices.Min(slices.Collect(maps.Values(g.Removed))), "the newest stay")
}
