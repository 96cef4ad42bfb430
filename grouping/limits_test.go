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

// A group never exceeds its maximum number of alerts. Known firing alerts stay. New
// firing alerts are added or counted as truncated. A repeat makes no more events.
func TestAGroupKeepsItsLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := testRules
		r.maxAlerts = rapid.IntRange(1, 6).Draw(t, "limit")
		var g *AlertGroup
		for step := range rapid.IntRange(1, 8).Draw(t, "notifications") {
			n := drawNotification(t, step)
			next, events := applied(g, n, r)
			checkGroup(t, next)
			require.LessOrEqual(t, len(next.Alerts), r.maxAlerts)
			checkLimited(t, g, next, n, events)
			n.Stamp = NewStamp(base.Add(time.Duration(step)*minute), 1, testWriter)
			again, repeated := applied(next, n, r)
			require.Equal(t, held(next), held(again))
			require.Equal(t, next.Truncated, again.Truncated)
			require.Len(t, repeated, 1, "only a notified event")
			g = again
		}
	})
}

// drawNotification draws the notification of a step. It has some of eight alerts.
func drawNotification(t *rapid.T, step int) Notification {
	n := Notification{
		Key: drawnKey(0), Stamp: NewStamp(base.Add(time.Duration(step)*minute), 0, testWriter),
		Truncated: rapid.Uint64Range(0, 1).Draw(t, "truncated"),
	}
	names := rapid.SliceOfDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g", "h"}), rapid.ID)
	for _, name := range names.Draw(t, "alerts") {
		a := fires(name, time.Duration(step)*minute)
		if rapid.Bool().Draw(t, "resolved") {
			a.Status, a.EndsAt = StatusResolved, a.StartsAt.Add(second)
		}
		n.Alerts = append(n.Alerts, a)
	}
	return n
}

// checkLimited checks what a notification changed in a group that may be full.
func checkLimited(t *rapid.T, g, next *AlertGroup, n Notification, events []Event) {
	rejected := uint64(0)
	for _, a := range n.Alerts {
		held := next.Alert(a.Fingerprint)
		if a.Status == StatusFiring && held == nil {
			rejected++
		}
		if g.Alert(a.Fingerprint) != nil {
			require.Equal(t, a.Status, held.Status, "known alerts are always updated")
		}
	}
	require.Equal(t, n.Truncated+rejected, next.Truncated)
	if rejected > 0 {
		for _, a := range next.Alerts {
			listed := slices.ContainsFunc(n.Alerts, func(na NotifiedAlert) bool { return na.Fingerprint == a.Fingerprint })
			require.True(t, listed || a.Status == StatusFiring, "alerts that do not fire are evicted before a firing one is rejected")
		}
	}
	if g == nil {
		return
	}
	for _, a := range g.Alerts {
		if next.Alert(a.Fingerprint) == nil {
			require.True(t, a.Status != StatusFiring || n.Truncated == 0, "a firing alert that was not omitted stays")
			require.True(t, slices.ContainsFunc(events, func(e Event) bool {
				return e.Kind == EventExpired && e.Fingerprint == a.Fingerprint
			}))
		}
	}
}

// held returns the status of each alert of a group.
func held(g *AlertGroup) map[Fingerprint]Status {
	out := map[Fingerprint]Status{}
	for _, a := range g.Alerts {
		out[a.Fingerprint] = a.Status
	}
	return out
}

// Resolved alerts are evicted before unreported ones, those that changed longest ago
// first.
func TestEvictionOrderOfAlerts(t *testing.T) {
	r := testRules
	r.maxAlerts = 5
	at := func(m int) Stamp { return NewStamp(base.Add(time.Duration(m)*minute), 0, testWriter) }
	send := func(g *AlertGroup, m int, alerts ...NotifiedAlert) *AlertGroup {
		next, _ := applied(g, Notification{Key: drawnKey(0), Stamp: at(m), Alerts: alerts}, r)
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
	for m, evicted := range []string{"soon", "late", "left"} {
		name := fmt.Sprint("new", m)
		listed := []NotifiedAlert{f("on"), f("too"), f(name)}
		for _, before := range slices.Sorted(slices.Values([]string{"new0", "new1"}[:min(m, 2)])) {
			listed = append(listed, f(before))
		}
		g = send(g, 3+m, listed...)
		require.Nil(t, g.Alert(fp(evicted)), evicted)
		require.NotNil(t, g.Alert(fp(name)), name)
		require.Zero(t, g.Truncated)
		require.Len(t, g.Alerts, 5)
	}
	g = send(g, 9, f("on"), f("too"), f("new0"), f("new1"), f("new2"), f("new3"), ended("new4", 9))
	require.Equal(t, uint64(1), g.Truncated, "new4 does not fire, so it does not count")
	require.Nil(t, g.Alert(fp("new3")))
}

func TestOldRemovalsArePruned(t *testing.T) {
	at := func(d time.Duration) Stamp { return NewStamp(base.Add(d), 0, testWriter) }
	g := NewAlertGroup(AlertGroup{
		Meta:    Meta{Key: drawnKey(0), Stamp: at(0)},
		Removed: map[Fingerprint]Stamp{fp("old"): at(-removalRetention - second), fp("new"): at(-removalRetention + second)},
	})
	require.Equal(t, map[Fingerprint]Stamp{fp("new"): at(-removalRetention + second)}, g.PruneRemovals().Removed)
	require.Len(t, g.Removed, 2, "groups are immutable")
	g = g.PruneRemovals()
	require.Same(t, g, g.PruneRemovals(), "the group is not copied if there is nothing to prune")

	many := map[Fingerprint]Stamp{}
	for i := range maxRemovals + 100 {
		many[Fingerprint(fmt.Sprintf("%016x", i))] = at(-time.Duration(i) * time.Millisecond)
	}
	g = NewAlertGroup(AlertGroup{Meta: Meta{Key: drawnKey(0), Stamp: at(0)}, Removed: many}).PruneRemovals()
	require.Len(t, g.Removed, prunedRemovals)
	oldest := slices.Min(slices.Collect(maps.Values(g.Removed)))
	require.Equal(t, at(-(prunedRemovals-1)*time.Millisecond), oldest, "the newest removals are kept")
}
