package grouping

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/pkg/labels"
	"github.com/stretchr/testify/require"
)

// flapped returns an alert that started firing at each time. Each episode but the last
// ended after a second.
func flapped(starts ...time.Duration) *Alert {
	a := &Alert{Status: StatusFiring}
	for i, start := range starts {
		e := Episode{StartsAt: base.Add(start), Stamp: NewStamp(base.Add(start), uint16(i), testWriter)}
		if i < len(starts)-1 {
			e.EndsAt = e.StartsAt.Add(second)
		}
		a.Recorded = append(a.Recorded, e)
		a.StartsAt = e.StartsAt
	}
	return a
}

// An alert flaps if it starts firing four times within an hour.
func TestFlapping(t *testing.T) {
	now := base.Add(time.Hour)
	for name, tc := range map[string]struct {
		alerts []*Alert
		want   int
		flaps  bool
	}{
		"no alerts":            {nil, 0, false},
		"four starts":          {[]*Alert{flapped(0, minute, 2*minute, 3*minute)}, 4, true},
		"three starts":         {[]*Alert{flapped(0, minute, 2*minute)}, 0, false},
		"one of four is older": {[]*Alert{flapped(-minute, minute, 2*minute, 3*minute)}, 3, false},
		"the maximum of several": {
			[]*Alert{flapped(0, 1*minute, 2*minute, 3*minute), flapped(0, minute, 2*minute, 3*minute, 4*minute)}, 5, true,
		},
		"starts of two alerts do not add": {[]*Alert{flapped(0, minute), flapped(2*minute, 3*minute)}, 0, false},
	} {
		n, flaps := Flapping(tc.alerts, now)
		require.Equal(t, tc.want, n, name)
		require.Equal(t, tc.flaps, flaps, name)
	}
}

// An alert counts in each half hour in which it fired.
func TestActivity(t *testing.T) {
	now := base.Truncate(time.Hour).Add(10 * minute)
	at := func(ago time.Duration) time.Time { return now.Add(-ago) }
	ended := &Alert{Status: StatusResolved, StartsAt: at(70 * minute), EndsAt: at(41 * minute)}
	unreported := &Alert{Status: StatusUnreported, StartsAt: at(41 * minute), ChangedAt: at(39 * minute)}
	require.Equal(t, [ActivitySteps]int{11: 1}, Activity([]*Alert{{Status: StatusFiring, StartsAt: at(minute)}}, now))
	require.Equal(t, [ActivitySteps]int{9: 2, 10: 1}, Activity([]*Alert{ended, unreported}, now), "what is not reported may have ended")
	require.Equal(t, [ActivitySteps]int{}, Activity([]*Alert{{Status: StatusFiring, StartsAt: now.Add(minute)}}, now), "a start in the future")
	old := Activity([]*Alert{{Status: StatusFiring, StartsAt: at(48 * time.Hour)}}, now)
	for _, n := range old {
		require.Equal(t, 1, n)
	}
	require.Equal(
		t,
		[ActivitySteps]int{},
		Activity([]*Alert{{Status: StatusResolved, StartsAt: at(48 * time.Hour), EndsAt: at(7 * time.Hour)}}, now),
	)

	twice := &Alert{Status: StatusUnreported, StartsAt: at(12 * minute), ChangedAt: at(11 * minute), Recorded: []Episode{
		{StartsAt: at(5 * time.Hour), EndsAt: at(5*time.Hour - minute), Stamp: NewStamp(at(5*time.Hour), 0, testWriter)},
		{StartsAt: at(12 * minute), Stamp: NewStamp(at(12*minute), 0, testWriter)},
	}}
	require.Equal(t, [ActivitySteps]int{1: 1, 10: 1}, Activity([]*Alert{twice}, now), "each episode counts")
}

func TestKnownEnd(t *testing.T) {
	end, changed := base, base.Add(minute)
	for _, tc := range []struct {
		alert Alert
		want  time.Time
	}{
		{Alert{Status: StatusFiring, ChangedAt: changed}, time.Time{}},
		{Alert{Status: StatusResolved, EndsAt: end, ChangedAt: changed}, end},
		{Alert{Status: StatusUnreported, ChangedAt: changed}, changed},
		{Alert{Status: StatusUnreported, EndsAt: end, ChangedAt: changed}, end},
	} {
		require.Equal(t, tc.want, tc.alert.KnownEnd(), tc.alert.Status)
	}
}

func urgent(name string, s Status, severity string, start time.Duration) *Alert {
	return &Alert{
		Fingerprint: fp(name), Status: s, StartsAt: base.Add(start),
		Labels: NewLabels(map[string]string{"alertname": name, "severity": severity}),
	}
}

func TestSortByUrgency(t *testing.T) {
	var names []string
	for _, a := range SortByUrgency([]*Alert{
		urgent("resolved, old", StatusResolved, "critical", 0),
		urgent("unreported", StatusUnreported, "critical", 0),
		urgent("info, new", StatusFiring, "info", minute),
		urgent("resolved, new", StatusResolved, "info", minute),
		urgent("critical, old", StatusFiring, "critical", 0),
		urgent("critical, new", StatusFiring, "page", minute),
	}) {
		names = append(names, a.Name())
	}
	require.Equal(t, []string{"critical, new", "critical, old", "info, new", "unreported", "resolved, new", "resolved, old"}, names)
}

func TestOldestFiring(t *testing.T) {
	g := NewAlertGroup(AlertGroup{Alerts: []*Alert{
		urgent("a", StatusResolved, "critical", 0), urgent("b", StatusFiring, "info", minute),
		urgent("c", StatusFiring, "critical", 3*minute), urgent("d", StatusFiring, "critical", 2*minute),
	}})
	require.Equal(t, base.Add(minute), g.OldestFiring())
	require.Equal(t, base.Add(2*minute), g.WorstSince())
	quiet := NewAlertGroup(AlertGroup{Alerts: []*Alert{urgent("a", StatusResolved, "critical", 0)}})
	require.True(t, quiet.OldestFiring().IsZero())
	require.True(t, quiet.WorstSince().IsZero())
}

func TestFutureStart(t *testing.T) {
	_, future := FutureStart([]*Alert{urgent("a", StatusFiring, "", minute)}, base)
	require.False(t, future, "clocks differ a little")
	at, future := FutureStart([]*Alert{urgent("a", StatusFiring, "", 0), urgent("b", StatusFiring, "", 2*minute)}, base)
	require.True(t, future)
	require.Equal(t, base.Add(2*minute), at)
	_, future = FutureStart([]*Alert{urgent("a", StatusResolved, "", 2*minute)}, base)
	require.False(t, future)
}

// Within a source, the worst report of an alert counts, and of equal ones the newest.
func TestWorstReports(t *testing.T) {
	report := func(source, receiver string, s Status, stamp time.Duration) *AlertGroup {
		a := urgent("a", s, "critical", 0)
		a.Stamp = NewStamp(base.Add(stamp), 0, testWriter)
		return &AlertGroup{Meta: Meta{Key: Key{Source: source, Receiver: receiver}}, Alerts: []*Alert{a}}
	}
	staging := report("staging", "team", StatusResolved, minute)
	older, newer := report("prod", "team", StatusFiring, 0), report("prod", "pager", StatusFiring, minute)
	unreported := report("prod", "audit", StatusUnreported, 2*minute)
	worst := WorstReports(fp("a"), []*AlertGroup{staging, older, newer, unreported})
	require.Equal(t, []*AlertGroup{newer, staging}, worst)
	require.Same(t, newer, WorstReport(fp("a"), worst))
}

func TestSharedLabels(t *testing.T) {
	sets := []Labels{
		LabelsOf([]Label{{"a", "1"}, {"b", "2"}, {"c", ""}}), LabelsOf([]Label{{"a", "1"}, {"b", "3"}, {"c", ""}}),
		LabelsOf([]Label{{"a", "1"}, {"c", ""}}),
	}
	at := func(i int) Labels { return sets[i] }
	require.Zero(t, SharedLabels(0, at))
	require.Equal(t, sets[0], SharedLabels(1, at))
	require.Equal(t, NewLabels(map[string]string{"a": "1", "c": ""}), SharedLabels(3, at))
	require.Equal(t, 3, sets[0].Len(), "the sets do not change")
	sets[2] = LabelsOf([]Label{{"a", "1"}})
	require.Equal(t, LabelsOf([]Label{{"a", "1"}}), SharedLabels(3, at), "a missing label is not an empty one")
	require.Equal(t, NewLabels(map[string]string{"b": "2", "c": ""}), sets[0].Without(NewLabels(map[string]string{"a": "1", "b": "3"})))
}

func TestIdentifyingLabels(t *testing.T) {
	alerts := func(sets ...Labels) (out []*Alert) {
		for _, l := range sets {
			out = append(out, &Alert{Labels: l})
		}
		return out
	}
	for want, some := range map[string][]*Alert{
		"":         nil,
		"pod":      alerts(NewLabels(map[string]string{"pod": "a", "instance": "1"}), NewLabels(map[string]string{"pod": "b", "instance": "2"})),
		"instance": alerts(NewLabels(map[string]string{"pod": "a", "instance": "1"}), NewLabels(map[string]string{"pod": "a", "instance": "2"})),
		"zone": alerts(
			LabelsOf([]Label{{"x", "1"}, {"zone", "1"}}), LabelsOf([]Label{{"x", "1"}, {"zone", "2"}}),
			LabelsOf([]Label{{"x", "2"}, {"zone", "3"}}),
		),
	} {
		require.Equal(t, want, DistinguishingLabel(some))
	}
	require.Empty(
		t,
		DistinguishingLabel(
			alerts(
				NewLabels(map[string]string{"alertname": "a", "severity": "info"}),
				NewLabels(map[string]string{"alertname": "b", "severity": "none"}),
			),
		),
	)

	a := Alert{Labels: NewLabels(map[string]string{"pod": "a", "node": "n"})}
	require.Equal(t, "n", a.IdentifyingValue("node", Labels{}))
	require.Equal(t, "a", a.IdentifyingValue("zone", Labels{}))
	require.Equal(t, "n", a.IdentifyingValue("", LabelsOf([]Label{{"pod", "a"}})))
	require.Empty(t, a.IdentifyingValue("", a.Labels))

	all := NewLabels(map[string]string{
		"alertname": "Down", "aaa": "1", "severity": "critical", "pod": "p", "cluster": "c", "namespace": "n", "job": "j",
	})
	require.Equal(t, NewLabels(map[string]string{"namespace": "n", "cluster": "c", "pod": "p", "job": "j"}), all.MainLabels())
	require.Equal(
		t,
		NewLabels(map[string]string{"aaa": "1", "severity": "critical"}),
		NewLabels(map[string]string{"alertname": "Down", "aaa": "1", "severity": "critical"}).MainLabels(),
	)
}

// Alerts are sorted into buckets by their labels. An alert of several groups of one
// source counts once.
func TestByLabels(t *testing.T) {
	group := func(source string, alerts ...*Alert) *AlertGroup {
		return NewAlertGroup(AlertGroup{Meta: Meta{Key: Key{Source: source}}, Alerts: alerts})
	}
	a, b := urgent("a", StatusFiring, "info", minute), urgent("b", StatusFiring, "critical", 0)
	c, gone := urgent("c", StatusFiring, "info", 2*minute), urgent("d", StatusResolved, "critical", 3*minute)
	for _, x := range []*Alert{a, b, gone} {
		x.Labels = with(x.Labels, "team", "net")
	}
	groups := []*AlertGroup{group("prod", a, b, gone), group("prod", a), group("edge", a, c)}
	text := func(q ListQuery, names ...string) (out []string) {
		for _, bucket := range ByLabels(groups, q, names) {
			out = append(out, fmt.Sprintf("%q: %d alerts, %d groups, %v, since %s",
				bucket.Values, len(bucket.Alerts), bucket.Groups, bucket.Sources, bucket.NewestAt.Sub(base)))
		}
		return out
	}
	firing := ListQuery{States: []State{StateFiring, StateMixed}}
	net, none := `["net"]: 3 alerts, 3 groups, map[edge:1 prod:2], since 0s`, `[""]: 1 alerts, 1 groups, map[edge:1], since 2m0s`
	require.Equal(t, []string{net, none}, text(firing, "team"), "the worst severity first")
	for order, want := range map[Sort][]string{
		SortNewest: {none, net}, SortUpdated: {none, net}, SortName: {none, net}, SortCount: {net, none},
	} {
		firing.Sort = order
		require.Equal(t, want, text(firing, "team"), order)
	}
	require.Equal(t, []string{`["net" "d"]: 1 alerts, 1 groups, map[prod:1], since 3m0s`},
		text(ListQuery{States: []State{StateResolved}}, "team", "alertname"))
	require.Empty(t, text(ListQuery{Matchers: labels.Matchers{newMatcher(labels.MatchEqual, "team", "db")}}, "team"))
}

// written returns the n-th event of a write. A higher write is newer.
func written(write, n int, kind EventKind) Event {
	return Event{ID: fmt.Sprintf("%032d%06x", write, n), Time: base.Add(time.Duration(write) * minute), Kind: kind}
}

func TestTurns(t *testing.T) {
	turns := TurnsOf([]Event{
		written(4, 2, EventClosed), written(4, 1, EventResolved), written(4, 0, EventResolved),
		written(3, 0, EventResolved),
		written(2, 2, EventFired), written(2, 1, EventFired), written(2, 0, EventOpened),
		written(1, 0, EventOpened),
	})
	id := func(write int) string { e := written(write, 0, EventFired); return e.WriteID() }
	require.Equal(t, Turns{FirstFired: map[string]int{id(2): 5}, LastResolved: map[string]int{id(4): 1}}, turns)
}

// Copies of one notification from several Alertmanagers are one notification. A copy
// comes within a minute, and each Alertmanager sends one.
func TestNotifications(t *testing.T) {
	const one, two = ID("0123456789abcdef0123"), ID("ffffffffffffffffffff")
	notified := func(write int, group ID, from string, firing int) Event {
		e := written(write, 9, EventNotified)
		e.GroupID, e.Notified = group, &Notified{ExternalURL: from, Firing: firing}
		e.Time = base.Add(time.Duration(write) * 10 * second)
		return e
	}
	events := []Event{
		notified(20, one, "http://am-0", 1), // a repetition, much later
		notified(9, one, "http://am-1", 1),
		written(8, 1, EventResolved),
		notified(8, one, "http://am-0", 1), // the same notification
		notified(8, two, "http://am-0", 1), // of another group
		notified(7, one, "http://am-0", 1), // the same sender again
		written(7, 1, EventFired),
		notified(6, one, "http://am-1", 2), // other content
	}
	folded := FoldCopies(events)
	newest := make([]int, len(folded))
	for i, f := range folded {
		newest[i] = f.Newest
	}
	require.Equal(t, []int{0, 1, 2, 1, 4, 5, 6, 7}, newest)
	require.Equal(t, []string{"http://am-0", "http://am-1"}, folded[1].From)
	require.Empty(t, folded[3].From)

	var text []string
	for _, n := range Notifications(events, 4) {
		text = append(text, fmt.Sprintf("%s to %s: +%d -%d", n.Oldest.Time.Format("4:05"), n.Newest.Time.Format("4:05"), n.Joined, n.Left))
	}
	at := func(write int) string { return base.Add(time.Duration(write) * 10 * second).Format("4:05") }
	require.Equal(t, []string{
		at(20) + " to " + at(20) + ": +0 -0", at(8) + " to " + at(9) + ": +0 -1", at(8) + " to " + at(8) + ": +0 -1",
		at(7) + " to " + at(7) + ": +1 -0",
	}, text, "at most four")
	require.Len(t, Notifications(events, 10), 5)
}

func TestTransitionKinds(t *testing.T) {
	require.NotContains(t, TransitionKinds(), EventNotified)
	require.NotContains(t, TransitionKinds(), EventDelivered)
	require.Len(t, TransitionKinds(), len(EventKinds())-2)
}

// What the heartbeats of a source say about the path from there. The worst is first.
func TestHeartbeatPaths(t *testing.T) {
	beats := []Heartbeat{
		{Source: "prod", Group: "a", State: HeartbeatLate, At: base},
		{Source: "edge", Group: "b", State: HeartbeatUnknown, At: base},
		{Source: "edge", Group: "b", State: HeartbeatArrives, At: base.Add(minute)},
		{Source: "prod", Group: "c", State: HeartbeatArrives, At: base},
	}
	require.Equal(t, HeartbeatLate, PathState(beats, "prod"))
	require.Equal(t, HeartbeatUnknown, PathState(beats, "edge"))
	require.Empty(t, PathState(beats, "other"))
	require.Equal(t, beats[0], *MainHeartbeat(beats), "a broken one")
	require.Equal(t, beats[2], *MainHeartbeat(beats[1:]), "or the one that arrived last")
	require.Nil(t, MainHeartbeat(nil))
	require.True(t, HasBrokenHeartbeat(beats, "a"))
	require.False(t, HasBrokenHeartbeat(beats, "b"))
}
