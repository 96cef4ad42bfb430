package grouping

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// What a change derives from the state before equals what is derived from the alerts
// alone.
func TestDerivedFieldsFollowFromTheAlerts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var g *AlertGroup
		at := base
		for range rapid.IntRange(1, 12).Draw(t, "changes") {
			at = at.Add(time.Duration(rapid.IntRange(1, 40).Draw(t, "seconds")) * second)
			stamp := NewStamp(at, 0, testWriter)
			if g != nil && len(g.Alerts) > 1 && rapid.IntRange(0, 4).Draw(t, "remove") == 0 {
				some := rapid.SampledFrom(g.Alerts).Draw(t, "removed")
				g, _ = removeAlerts(g, []Fingerprint{some.Fingerprint}, stamp)
			} else {
				n := Notification{Key: testKey, ExternalURL: am0, Stamp: stamp, Truncated: uint64(rapid.IntRange(0, 1).Draw(t, "truncated"))}
				for range rapid.IntRange(1, 6).Draw(t, "alerts") {
					n.Alerts = append(n.Alerts, drawNotified(t, at))
				}
				g, _ = applied(g, n, testRules)
			}
			checkDerived(t, g)
		}
	})
}

func drawNotified(t *rapid.T, at time.Time) NotifiedAlert {
	m := map[string]string{
		"alertname": "X", "instance": fmt.Sprint(rapid.IntRange(0, 7).Draw(t, "instance")),
		"severity": rapid.SampledFrom([]string{"critical", "warning", "odd", "none"}).Draw(t, "severity"),
	}
	if rapid.Bool().Draw(t, "has a team") {
		m["team"] = "a"
	}
	l := NewLabels(m)
	na := NotifiedAlert{
		Fingerprint: LabelsOf([]Label{{"instance", l.Get("instance")}}).Fingerprint(), Labels: l, Status: StatusFiring,
		StartsAt:    at.Add(-time.Duration(rapid.IntRange(0, 3).Draw(t, "age")) * minute),
		Annotations: LabelsOf([]Label{{"summary", rapid.SampledFrom([]string{"one", "two"}).Draw(t, "summary")}}),
	}
	if rapid.Bool().Draw(t, "resolved") {
		na.Status, na.EndsAt = StatusResolved, at
	}
	return na
}

func checkDerived(t require.TestingT, g *AlertGroup) {
	same := *g
	same.Alerts = slices.Clone(g.Alerts)
	want := NewAlertGroup(same)
	require.Equal(t, want.Counts, g.Counts)
	require.Equal(t, want.State, g.State)
	require.Equal(t, want.Severities, g.Severities)
	require.Equal(t, want.Severity, g.Severity)
	require.True(t, want.NewestAt.Equal(g.NewestAt), "%s %s", want.NewestAt, g.NewestAt)
	for _, a := range g.Alerts {
		require.GreaterOrEqual(t, g.Stamp, a.Stamp)
	}
	if g.second.alerts > 0 { // otherwise it is not known
		require.Zero(t, want.second.compare(g.second))
		require.Equal(t, want.second.alerts, g.second.alerts)
	}
	require.Equal(t, want.mostUrgent, g.mostUrgent)
	if g.shared == nil {
		return
	}
	counted := slices.DeleteFunc(slices.Clone(g.Alerts), func(a *Alert) bool { return g.Counts.Firing > 0 && a.Status != StatusFiring })
	ls, annotations := SharedByAlerts(counted)
	require.Equal(t, ls, g.shared.labels)
	require.Equal(t, annotations, g.shared.annotations)
}

// BenchmarkApplyTruncatedOneOf10000 is a message of one alert to a large group.
func BenchmarkApplyTruncatedOneOf10000(b *testing.B) {
	alerts := bigGroup(10_000)
	g, _ := applied(nil, Notification{Key: testKey, Alerts: alerts, ExternalURL: am0, Stamp: NewStamp(base, 0, testWriter)}, testRules)
	one := Notification{Key: testKey, Alerts: slices.Clone(alerts[5000:5001]), ExternalURL: am0, Truncated: 9999}
	b.ReportAllocs()
	for i := 1; b.Loop(); i++ {
		one.Stamp = NewStamp(base.Add(time.Duration(i)*minute), 0, testWriter)
		if one.Alerts[0].Status = StatusFiring; i%2 == 1 {
			one.Alerts[0].Status, one.Alerts[0].EndsAt = StatusResolved, base.Add(time.Duration(i)*minute)
		} else {
			one.Alerts[0].StartsAt, one.Alerts[0].EndsAt = base.Add(time.Duration(i)*minute), time.Time{}
		}
		g, _ = applied(g, one, testRules)
	}
}
