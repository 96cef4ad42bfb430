package grouping

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The totals are right for every order in which the states of a group arrive.
func TestTotals(t *testing.T) {
	group := func(name, severity string, ended bool, writtenAt time.Duration) *AlertGroup {
		a := fires(name, 0)
		a.Labels = NewLabels(map[string]string{"alertname": name, "severity": severity})
		if ended {
			a.Status, a.EndsAt = StatusResolved, base.Add(writtenAt)
		}
		g, _ := applied(nil, Notification{
			Key: Key{Source: "prod", Receiver: "team-" + name, GroupKey: name}, GroupLabels: LabelsOf([]Label{{"alertname", name}}),
			Alerts: list(a), Stamp: NewStamp(base.Add(writtenAt), 0, testWriter), ExternalURL: "http://am-0",
		}, testRules)
		return g
	}
	down, up, paged := group("Down", "critical", false, 0), group("Down", "critical", true, second), group("Down", "page", false, 2*second)
	slow := group("Slow", "warning", false, 0)
	beat, again := group("Watchdog", "none", false, 0), group("Watchdog", "none", false, minute)
	states := []*AlertGroup{down, up, paged, slow, beat, again}
	for range 20 {
		x := newIndex(DefaultHeartbeats(), time.Now)
		for _, g := range states {
			x.update(g.ID, nil, g)
		}
		x.update(slow.ID, nil, nil)
		got := *x.currentTotals()
		require.Equal(t, Totals{
			GroupTotals: GroupTotals{
				Groups:     map[State]int{StateFiring: 2, StateMixed: 0, StateResolved: 0, StateSuppressed: 0, StateUnreported: 0},
				Alerts:     map[Status]int{StatusFiring: 2, StatusResolved: 0, StatusSuppressed: 0, StatusUnreported: 0},
				Receivers:  map[string]int{"team-Down": 1, "team-Watchdog": 1},
				Severities: map[string]int{"page": 1, "none": 1},
			},
			WithoutHeartbeats: GroupTotals{
				Groups:     map[State]int{StateFiring: 1, StateMixed: 0, StateResolved: 0, StateSuppressed: 0, StateUnreported: 0},
				Alerts:     map[Status]int{StatusFiring: 1, StatusResolved: 0, StatusSuppressed: 0, StatusUnreported: 0},
				Receivers:  map[string]int{"team-Down": 1},
				Severities: map[string]int{"page": 1},
			},
			Sources: map[string]SourceTotals{"prod": {
				Groups: 2, Firing: 2, FiringHeartbeats: 1, LastNotification: again.LastNotifiedAt,
				Alertmanagers: map[string]time.Time{"http://am-0": again.LastNotifiedAt},
			}},
			LastNotification: again.LastNotifiedAt,
		}, got)
		people := &got.WithoutHeartbeats
		require.Equal(t, 1, people.Size())
		require.Equal(t, 1, people.Firing())
		require.Equal(t, 1, people.FiringAlerts(SeverityCritical))
		require.Zero(t, people.FiringAlerts(SeverityWarning))
		require.Equal(t, []string{"page"}, people.SeverityWords(SeverityCritical))
		require.Empty(t, people.SeverityWords(SeverityNone))
		states = slices.Clone(states)
		rand.Shuffle(len(states), func(i, j int) { states[i], states[j] = states[j], states[i] })
	}
}

// Readers share one copy of the totals until the next change.
func TestTotalsAreCopiedOncePerChange(t *testing.T) {
	x := newIndex(nil, time.Now)
	g, _ := applied(nil, Notification{Key: testKey, Alerts: list(fires("a", 0)), Stamp: NewStamp(base, 0, testWriter)}, testRules)
	x.update(g.ID, nil, g)
	first := x.currentTotals()
	require.Same(t, first, x.currentTotals())
	x.update(g.ID, nil, nil)
	require.Equal(t, 1, first.Size(), "a reader keeps what it read")
	require.Zero(t, x.currentTotals().Size())
	require.Empty(t, x.currentTotals().Sources)
}

func TestASourceIsSilent(t *testing.T) {
	for name, tc := range map[string]struct {
		source  SourceTotals
		maximum time.Duration
		want    bool
	}{
		"fires, long ago":            {SourceTotals{Groups: 2, Firing: 2, LastNotification: base}, time.Hour, true},
		"fires, recently":            {SourceTotals{Groups: 2, Firing: 2, LastNotification: base.Add(time.Hour)}, time.Hour, false},
		"nothing fires":              {SourceTotals{Groups: 2, LastNotification: base}, time.Hour, false},
		"only its heartbeats fire":   {SourceTotals{Groups: 2, Firing: 1, FiringHeartbeats: 1, LastNotification: base}, time.Hour, false},
		"a maximum of 0 is no limit": {SourceTotals{Groups: 2, Firing: 2, LastNotification: base}, 0, false},
	} {
		require.Equal(t, tc.want, tc.source.IsSilent(base.Add(2*time.Hour), tc.maximum), name)
	}
}

// A group that only an observation made is of no Alertmanager that notified.
func TestTotalsOfAGroupThatWasNotNotified(t *testing.T) {
	s := newScene(t).observe(second, groupedAt(0, fires("a", 0)))
	x := newIndex(nil, time.Now)
	x.update(s.group.ID, nil, s.group)
	before := s.group
	s.observe(minute, groupedAt(minute, fires("a", -second)))
	x.update(s.group.ID, before, s.group)
	require.NotSame(t, before, s.group)
	of := x.currentTotals().Sources[s.group.Source]
	require.Equal(t, 1, of.Groups)
	require.Empty(t, of.Alertmanagers)
}
