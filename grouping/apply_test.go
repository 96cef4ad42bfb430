package grouping

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	testKey   = Key{Source: "default", Receiver: "team", GroupKey: `{}:{alertname="X"}`}
	testRules = rules{settle: 15 * time.Second, groupWait: 30 * time.Second}
)

const am0, am1 = "http://am-0", "http://am-1"

// fp returns a fingerprint that repeats the letter.
func fp(letter string) Fingerprint { return Fingerprint(strings.Repeat(letter, fingerprintLen)) }

// fires returns an alert that fires since start, relative to base.
func fires(letter string, start time.Duration) NotifiedAlert {
	return NotifiedAlert{
		Fingerprint: fp(letter), Status: StatusFiring, Labels: NewLabels(map[string]string{"alertname": "X", "instance": letter}),
		Annotations: LabelsOf([]Label{{"summary", "is down"}}), StartsAt: base.Add(start),
	}
}

// ended returns a resolved alert.
func ended(letter string, start, end time.Duration) NotifiedAlert {
	a := fires(letter, start)
	a.Status, a.EndsAt = StatusResolved, base.Add(end)
	return a
}

// step is a notification and the events that it must make.
type step struct {
	at        time.Duration // arrival, relative to base
	by        string
	alerts    []NotifiedAlert
	truncated uint64
	want      string
}

func (s step) notification(i int) Notification {
	return Notification{
		Key: testKey, Alerts: s.alerts, Truncated: s.truncated, ExternalURL: s.by,
		GroupLabels: LabelsOf([]Label{{"alertname", "X"}}), CommonLabels: LabelsOf([]Label{{"alertname", "X"}}),
		Stamp: NewStamp(base.Add(s.at), uint16(i), testWriter),
	}
}

type applyCase struct {
	name  string
	steps []step
	state State
	want  string // the alerts at the end, in the format of describe
}

func list(alerts ...NotifiedAlert) []NotifiedAlert { return alerts }

const second, minute = time.Second, time.Minute

// Each case tests one rule. The expected events are written beside each notification.
func TestApply(t *testing.T) {
	for _, tc := range slices.Concat(applyCases, listingCases) {
		t.Run(tc.name, func(t *testing.T) {
			g := run(t, tc.steps)
			require.Equal(t, tc.state, g.State)
			var alerts []string
			for _, a := range g.Alerts {
				alerts = append(alerts, describe(a))
			}
			require.Equal(t, table(tc.want), alerts)
		})
	}
}

// run applies the steps one after another and returns the group.
func run(t *testing.T, steps []step) *AlertGroup {
	t.Helper()
	var g *AlertGroup
	ids := map[string]bool{}
	for i, s := range steps {
		n := s.notification(i)
		before := snapshot(t, g)
		next, events := applied(g, n, testRules)
		require.Equal(t, before, snapshot(t, g), "apply must not change its argument")
		again, eventsAgain := applied(g, n, testRules)
		require.Equal(t, snapshot(t, next), snapshot(t, again), "apply must be a pure function")
		require.Equal(t, events, eventsAgain)
		checkGroup(t, next)
		checkEvents(t, next, n.Stamp, events)
		for _, e := range events {
			require.False(t, ids[e.ID], "event IDs must be unique")
			ids[e.ID] = true
		}
		require.Equal(t, s.want, strings.Join(abbreviate(events), " "), "notification %d", i)
		g = next
	}
	return g
}

// The caller uses the memory of the list of alerts again: a change has nothing of it.
func TestApplyDoesNotKeepTheList(t *testing.T) {
	alerts := bigGroup(3)
	alerts[0].Grafana = &Grafana{Values: map[string]float64{"A": 1}}
	n := Notification{Key: testKey, ExternalURL: am0, Stamp: NewStamp(base, 0, testWriter)}
	changes := make([]Change, 2)
	for i := range changes {
		n.Alerts = slices.Clone(alerts)
		changes[i] = apply(nil, n, testRules)
		if i == 0 {
			clear(n.Alerts)
		}
	}
	require.Equal(t, changes[1], changes[0])
}

// Two Alertmanagers contradict each other at each group_interval for a day.
func TestADisputeIsNotFlappedThroughTheHistory(t *testing.T) {
	steps := []step{
		{0, am0, list(fires("a", 0)), 0, "O Faaaa N"},
		{5 * minute, am0, list(ended("a", 0, minute)), 0, "Raaaa N C"},
		{5*minute + 20*second, am1, list(fires("a", 0)), 0, "O oaaaa N"},
	}
	for at := 10 * minute; at < 24*time.Hour; at += 5 * minute {
		steps = append(steps,
			step{at, am0, list(ended("a", 0, minute)), 0, "N"},
			step{at + 20*second, am1, list(fires("a", 0)), 0, "N"})
	}
	g := run(t, steps)
	require.Equal(t, []string{"aaaa firing 12:00:00 - 1 disputed"}, []string{describe(g.Alerts[0])})
	require.Equal(t, am1, g.Alerts[0].ReportedBy)
	require.Len(t, g.Alerts[0].Recorded, 1)
}

// A disputed alert does not hide the events of other alerts.
func TestADisputeDoesNotHideOthers(t *testing.T) {
	run(t, []step{
		{0, am0, list(fires("a", 0)), 0, "O Faaaa N"},
		{5 * minute, am0, list(ended("a", 0, minute)), 0, "Raaaa N C"},
		{6 * minute, am1, list(fires("a", 0)), 0, "O oaaaa N"},
		{10 * minute, am1, list(fires("a", 0), fires("b", 9*minute)), 0, "Fbbbb N"},
		{15 * minute, am0, list(ended("a", 0, minute), ended("b", 9*minute, 11*minute)), 0, "Rbbbb N C"},
		{16 * minute, am1, list(fires("a", 0), fires("b", 14*minute)), 0, "O fbbbb N"},
	})
}

func TestApplyTimesAndSender(t *testing.T) {
	g := run(t, []step{
		{0, am0, list(fires("a", -minute), fires("b", -minute)), 0, "O Faaaa Fbbbb N"},
		{5 * minute, am1, list(fires("a", -minute), fires("b", -minute)), 0, "N"},
	})
	at := func(d time.Duration) time.Time { return base.Add(d) }
	a := g.Alert(fp("a"))
	require.Equal(t, []time.Time{at(0), at(0), at(0)}, []time.Time{a.FirstSeenAt, a.LastSeenAt, a.ChangedAt},
		"a repeat is not written to the alert")
	seenAt, by := g.LastSeen(a)
	require.Equal(t, at(5*minute), seenAt, "but LastSeen knows it")
	require.Equal(t, am1, by)

	g, _ = applied(g, step{10 * minute, am0, list(fires("a", -minute)), 0, ""}.notification(9), testRules)
	b := g.Alert(fp("b"))
	require.Equal(t, []time.Time{at(0), at(5 * minute), at(10 * minute)}, []time.Time{b.FirstSeenAt, b.LastSeenAt, b.ChangedAt})
	require.Equal(t, am1, b.ReportedBy, "this one reported the alert last")

	g, _ = applied(g, step{11 * minute, am0, list(fires("a", -minute)), 1, ""}.notification(9), testRules)
	require.Equal(t, at(11*minute), g.Alert(fp("a")).LastSeenAt, "a truncated message is written to the listed alerts")
}

func TestApplyTakesTheNewestAnnotations(t *testing.T) {
	g := run(t, []step{{0, am0, list(fires("a", 0)), 0, "O Faaaa N"}})
	na := fires("a", 0)
	na.Annotations, na.GeneratorURL = LabelsOf([]Label{{"summary", "is down since 5m"}}), "http://prom-1/graph"
	g, events := applied(g, step{minute, am0, list(na), 0, ""}.notification(1), testRules)
	require.Equal(t, []string{"N"}, abbreviate(events))
	require.Equal(t, na.Annotations, g.Alerts[0].Annotations)
	require.Equal(t, na.GeneratorURL, g.Alerts[0].GeneratorURL)
}

func TestApplyMeta(t *testing.T) {
	n := step{0, am0, list(fires("a", 0), fires("b", 0)), 0, ""}.notification(0)
	n.Reason, n.RouteLabels = "first notification", LabelsOf([]Label{{"team", "x"}})
	g, events := applied(nil, n, testRules)
	require.Equal(t, Meta{
		Key: testKey, GroupLabels: n.GroupLabels, CommonLabels: n.CommonLabels, RouteLabels: n.RouteLabels,
		ExternalURL: am0, CreatedAt: base, UpdatedAt: base, LastNotifiedAt: base, LastReason: n.Reason,
		CompleteAt: base, CompleteBy: am0, Settling: true, FlushAt: base.Add(testRules.groupWait), Stamp: n.Stamp,
		Opened: n.Stamp,
	}, g.Meta)
	last := events[len(events)-1]
	require.Equal(t, EventNotified, last.Kind)
	require.Equal(t, Notified{Reason: n.Reason, ExternalURL: am0, Firing: 2}, *last.Notified)

	// After a truncated body, the common labels are recomputed from the known alerts.
	truncated := step{minute, am1, list(fires("a", 0)), 7, ""}.notification(1)
	truncated.CommonLabels = NewLabels(map[string]string{"alertname": "X", "instance": "a"})
	after, events := applied(g, truncated, testRules)
	require.Equal(t, LabelsOf([]Label{{"alertname", "X"}}), after.CommonLabels)
	require.Equal(t, uint64(7), after.Truncated)
	require.Equal(t, am0, after.CompleteBy)
	require.Equal(t, base, after.CreatedAt)

	// If no alert fires, they are those of all alerts.
	allResolved := step{minute, am0, list(ended("a", 0, second), ended("b", 0, second)), 1, ""}.notification(1)
	allResolved.CommonLabels = Labels{}
	after, _ = applied(g, allResolved, testRules)
	require.Equal(t, LabelsOf([]Label{{"alertname", "X"}}), after.CommonLabels)
	require.Equal(t, uint64(7), events[len(events)-1].Notified.Truncated)

	// They are also recomputed if the view is older than the known state.
	stale := step{5 * second, am1, list(fires("a", 0)), 0, ""}.notification(1)
	stale.CommonLabels = truncated.CommonLabels
	after, _ = applied(g, stale, testRules)
	require.Equal(t, LabelsOf([]Label{{"alertname", "X"}}), after.CommonLabels)

	// An outdated notification does not change the group's own fields.
	late := step{-second, am1, nil, 0, ""}.notification(1)
	after, events = applied(g, late, testRules)
	require.Equal(t, g.Meta, after.Meta)
	require.Equal(t, []string{"N"}, abbreviate(events))
}

func TestApplyAfterDeletion(t *testing.T) {
	deleted := NewStamp(base.Add(10*365*24*time.Hour), 0, testWriter) // by a clock that was ahead
	tombstone := Tombstone(testKey.ID(), deleted)
	g, events := applied(tombstone, step{0, am0, list(fires("a", 0)), 0, ""}.notification(0), testRules)
	checkGroup(t, g)
	require.Equal(t, []string{"O", "Faaaa", "N"}, abbreviate(events))
	require.True(t, g.Settling)
	require.Greater(t, g.Meta.Stamp, deleted)
	require.Equal(t, snapshot(t, g), snapshot(t, Merge(tombstone, g)), "the new group is newer than the deletion")

	empty, _ := applied(tombstone, step{0, am0, nil, 0, ""}.notification(0), testRules)
	require.Greater(t, empty.Meta.Stamp, deleted, "the group's own fields are newer than the deletion")
	require.False(t, Merge(tombstone, empty).IsTombstone())

	h, _ := appliedAlert(tombstone, testKey, fires("a", 0), NewStamp(base, 1, testWriter), testRules)
	checkGroup(t, h)
	require.Equal(t, snapshot(t, h), snapshot(t, Merge(tombstone, h)))
}

func TestApplyAlert(t *testing.T) {
	g, events := appliedAlert(nil, testKey, fires("a", 0), NewStamp(base, 0, testWriter), testRules)
	checkGroup(t, g)
	require.Equal(t, []string{"O", "Faaaa"}, abbreviate(events))
	require.Equal(t, NewLabels(map[string]string{"alertname": "X", "instance": "a"}), g.CommonLabels)

	g, events = appliedAlert(g, testKey, fires("b", 0), NewStamp(base, 1, testWriter), testRules)
	require.Equal(t, []string{"Fbbbb"}, abbreviate(events), "the other alert does not change")
	require.Equal(t, LabelsOf([]Label{{"alertname", "X"}}), g.CommonLabels)

	g, events = appliedAlert(g, testKey, ended("b", 0, second), NewStamp(base, 2, testWriter), testRules)
	require.Equal(t, []string{"Rbbbb"}, abbreviate(events))
	// The report names no Alertmanager, so it is not the older view of a replica.
	g, events = appliedAlert(g, testKey, fires("b", 0), NewStamp(base, 3, testWriter), testRules)
	require.Equal(t, []string{"obbbb"}, abbreviate(events))
	require.False(t, g.Alert(fp("b")).Disputed)

	late, events := appliedAlert(g, testKey, ended("b", 0, second), NewStamp(base, 1, testWriter), testRules)
	require.Empty(t, events, "an outdated report changes nothing")
	require.Same(t, g.Alert(fp("b")), late.Alert(fp("b")))

	g = run(t, []step{
		{0, am0, list(fires("a", 0)), 0, "O Faaaa N"},
		{minute, am0, list(ended("a", 0, second)), 0, "Raaaa N C"},
	})
	g, events = appliedAlert(g, testKey, fires("a", 0), NewStamp(base.Add(minute+second), 0, testWriter), testRules)
	require.Equal(t, []string{"O", "oaaaa"}, abbreviate(events))
	require.False(t, g.Alert(fp("a")).Disputed)
}

func TestRemoveAndAddAgain(t *testing.T) {
	g := run(t, []step{{0, am0, list(fires("a", 0), fires("b", 0)), 0, "O Faaaa Fbbbb N"}})
	old := g
	removed := NewStamp(base.Add(minute), 0, testWriter)
	g, events := removeAlerts(g, []Fingerprint{fp("a"), fp("f")}, removed)
	checkGroup(t, g)
	require.Equal(t, []string{"Xaaaa"}, abbreviate(events), "an unknown alert is not removed")
	require.Equal(t, map[Fingerprint]Stamp{fp("a"): removed}, g.Removed)
	require.Equal(t, NewLabels(map[string]string{"alertname": "X", "instance": "b"}), g.CommonLabels)
	require.Nil(t, Merge(old, g).Alert(fp("a")), "an older copy must not restore the alert")

	back, events := applied(g, step{2 * minute, am0, list(fires("a", 0), fires("b", 0)), 0, ""}.notification(0), testRules)
	checkGroup(t, back)
	require.Equal(t, []string{"Faaaa", "N"}, abbreviate(events), "it is a new record")
	require.Equal(t, removed, back.Alert(fp("a")).RemovalStamp)
	require.Empty(t, back.Removed)
	merged := Merge(old, back).Alert(fp("a"))
	require.Equal(t, base.Add(2*minute), merged.FirstSeenAt)
	require.Len(t, merged.Recorded, 1, "removed episodes are not restored")

	closed, events := removeAlerts(run(t, []step{
		{0, am0, list(fires("a", 0), ended("b", 0, second)), 0, "O Faaaa Rbbbb N"},
	}), []Fingerprint{fp("a")}, removed)
	require.Equal(t, []string{"Xaaaa", "C"}, abbreviate(events), "removing the last firing alert closes the group")

	empty, events := removeAlerts(closed, []Fingerprint{fp("b")}, removed)
	require.Equal(t, []string{"Xbbbb", "X"}, abbreviate(events))
	require.Empty(t, empty.Alerts)
}

// Times from a clock that was years ahead must not prevent a group from being flushed,
// or an alert from expiring.
func TestTimesInTheFarFutureAreReplaced(t *testing.T) {
	g := run(t, []step{
		{3650 * day, am0, list(fires("a", 0), fires("b", 0), ended("c", 0, second)), 0, "O Faaaa Fbbbb Rcccc N"},
		{minute, am1, list(fires("a", 0), ended("c", 0, minute)), 0, "ubbbb N"},
	})
	at := base.Add(minute)
	require.Equal(t, []time.Time{at, at, at, at}, []time.Time{g.CreatedAt, g.UpdatedAt, g.LastNotifiedAt, g.CompleteAt})
	require.Equal(t, at.Add(testRules.groupWait), g.FlushAt)
	for _, a := range g.Alerts {
		require.Equal(t, []time.Time{at, at, at}, []time.Time{a.FirstSeenAt, a.LastSeenAt, a.ChangedAt}, "%s", a.Fingerprint)
	}
}

func TestASenderThatSendsNoTimes(t *testing.T) {
	bare := func(s Status) []NotifiedAlert { return list(NotifiedAlert{Fingerprint: fp("a"), Status: s}) }
	steps := []step{
		{0, am0, bare(StatusFiring), 0, "O Faaaa N"},
		{minute, am0, bare(StatusFiring), 0, "N"},
		{2 * minute, am0, bare(StatusResolved), 0, "Raaaa N C"},
		{3 * minute, am0, bare(StatusResolved), 0, "N"},
		{4 * minute, am0, bare(StatusFiring), 0, "O faaaa N"},
	}
	for i, want := range []string{
		"aaaa firing 12:00:00 - 1", "aaaa firing 12:00:00 - 1", "aaaa resolved 12:00:00 12:02:00 1",
		"aaaa resolved 12:00:00 12:02:00 1", "aaaa firing 12:04:00 - 2",
	} {
		require.Equal(t, want, describe(run(t, steps[:i+1]).Alerts[0]))
	}
	over := ended("a", 0, -minute)
	over.StartsAt = time.Time{}
	g := run(t, []step{{0, am0, list(over), 0, "Raaaa N C"}})
	require.Equal(t, "aaaa resolved 11:59:00 11:59:00 1", describe(g.Alerts[0]))
}
