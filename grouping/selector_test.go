package grouping

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/pkg/labels"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// filledIndex returns an index of groups with ten alerts each, whose strings are shared
// like those of decoded notifications.
func filledIndex(groups int) *index {
	x := newIndex(nil, time.Now)
	text := func(format string, args ...any) string { return Intern(fmt.Appendf(nil, format, args...)) }
	for i := range groups {
		g := AlertGroup{ID: ID(fmt.Sprintf("%020x", i))}
		g.Source, g.Receiver, g.Stamp = "prod", "team", "1"
		g.GroupLabels = LabelsOf([]Label{{"namespace", text("ns-%d", i)}})
		for j := range 10 {
			l := LabelsOf([]Label{
				{"alertname", "KubePodCrashLooping"},
				{"cluster", "eu-1"},
				{"container", "app"},
				{"instance", "10.0.0.1:8443"},
				{"job", "kube-state-metrics"},
				{"namespace", text("ns-%d", i)},
				{"pod", text("app-7c9d8b6f5d-%05d", j)},
				{"prometheus", "monitoring/k8s"},
				{"severity", "warning"},
				{"uid", text("%d-%d", i, j)},
			})
			a := &Alert{Fingerprint: Fingerprint(fmt.Sprintf("%016x", j)), Status: StatusFiring, Labels: l, StartsAt: time.Unix(1, 0)}
			g.Alerts = append(g.Alerts, a)
		}
		x.update(g.ID, nil, NewAlertGroup(g))
	}
	return x
}

func matcherOf(b testing.TB, kind labels.MatchType, name, value string) *labels.Matcher {
	m, err := labels.NewMatcher(kind, name, value)
	require.NoError(b, err)
	return m
}

// Selects groups of 100,000 alerts by labels.
func BenchmarkListWithMatchers(b *testing.B) {
	x := filledIndex(10_000)
	for name, q := range map[string]ListQuery{
		"regexps": {Matchers: labels.Matchers{
			matcherOf(b, labels.MatchRegexp, "pod", "app-7c9d8b6f5d-0000[0-4]"), matcherOf(b, labels.MatchRegexp, "namespace", "ns-.*77"),
		}},
		"absent value": {Matchers: labels.Matchers{matcherOf(b, labels.MatchEqual, "pod", "absent")}},
		"absent name":  {Matchers: labels.Matchers{matcherOf(b, labels.MatchEqual, "unknown", "absent")}},
		"negative":     {Matchers: labels.Matchers{matcherOf(b, labels.MatchNotRegexp, "severity", "warning|critical")}},
		"all":          {Matchers: labels.Matchers{matcherOf(b, labels.MatchEqual, "cluster", "eu-1")}},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_, err := x.list(q)
				require.NoError(b, err)
			}
		})
	}
}

var (
	fewNames  = rapid.SampledFrom([]string{"a", "b", "c"})
	fewValues = rapid.SampledFrom([]string{"", "x", "xy", "y"})
	fewLabels = rapid.Custom(func(t *rapid.T) Labels { return NewLabels(rapid.MapOfN(fewNames, fewValues, 0, 3).Draw(t, "map")) })
)

func drawQuery(t *rapid.T) (q ListQuery) {
	kinds := rapid.SampledFrom([]labels.MatchType{labels.MatchEqual, labels.MatchNotEqual, labels.MatchRegexp, labels.MatchNotRegexp})
	values := rapid.SampledFrom([]string{"", "x", "xy", "absent", "x.*", ".+", ".*y"})
	for range rapid.IntRange(0, 3).Draw(t, "matchers") {
		m, err := labels.NewMatcher(kinds.Draw(t, "kind"), fewNames.Draw(t, "name"), values.Draw(t, "wanted"))
		require.NoError(t, err)
		q.Matchers = append(q.Matchers, m)
	}
	q.States = rapid.SampledFrom([][]State{nil, {StateFiring, StateMixed}, {StateResolved}}).Draw(t, "states")
	return q
}

// drawLabelled returns a group whose alerts may have its group labels. base is its earlier
// state, or nil.
func drawLabelled(t *rapid.T, i int, base *AlertGroup) *AlertGroup {
	g := AlertGroup{ID: ID(fmt.Sprint(i))}
	g.GroupLabels, g.Stamp = fewLabels.Draw(t, "group labels"), Stamp(fmt.Sprint(i))
	if base != nil && rapid.Bool().Draw(t, "same group labels") {
		g.GroupLabels = base.GroupLabels
	}
	for j := range rapid.IntRange(0, 4).Draw(t, "alerts") {
		a := &Alert{Fingerprint: Fingerprint(fmt.Sprint(j)), Labels: fewLabels.Draw(t, "labels")}
		a.Status = rapid.SampledFrom(Statuses()).Draw(t, "status")
		if rapid.Bool().Draw(t, "has group labels") {
			a.Labels = g.GroupLabels
		}
		g.Alerts = append(g.Alerts, a)
	}
	if base == nil {
		return NewAlertGroup(g)
	}
	next := &g
	next.deriveFrom(base, replacedAlerts(base.Alerts, g.Alerts))
	require.Equal(t, NewAlertGroup(*next).lacking, next.lacking)
	return next
}

// selectedByMatchers is Selects without anything that makes it fast.
func selectedByMatchers(q ListQuery, g *AlertGroup) bool {
	switch {
	case len(q.States) > 0 && !slices.Contains(q.States, g.State):
		return false
	case len(g.Alerts) == 0:
		return AllMatch(q.Matchers, g.GroupLabels)
	default:
		return len(q.Matchers) == 0 || slices.ContainsFunc(g.Alerts, q.MatchesAlert)
	}
}

// What a selector remembers, and what the index knows about labels, changes no answer.
func TestSelectorsAgreeWithMatchers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, q := newIndex(nil, time.Now), drawQuery(t)
		var groups, want []*AlertGroup
		for i := range rapid.IntRange(0, 4).Draw(t, "groups") {
			g := drawLabelled(t, i, nil)
			x.update(g.ID, nil, g)
			if rapid.Bool().Draw(t, "changes") {
				next := drawLabelled(t, i, g)
				x.update(g.ID, g, next)
				g = next
			}
			groups = append(groups, g)
			if selectedByMatchers(q, g) {
				want = append(want, g)
			}
			require.Equal(t, selectedByMatchers(q, g), q.Selects(g))
		}
		require.ElementsMatch(t, want, q.Select(groups))
		page, err := x.list(q)
		require.NoError(t, err)
		require.ElementsMatch(t, want, page.Groups)
		require.Equal(t, len(want), page.Total)
		require.Equal(t, len(want) > 0, x.selects(q))
	})
}
