package templates

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/templates/internal/fixture"
)

// The counts are right for every order of the changes of a group.
func TestCounter(t *testing.T) {
	group := func(name, severity string, ended, notified time.Duration) *grouping.AlertGroup {
		return fixture.Make(night, fixture.Spec{
			Receiver: "team-" + severity, Group: fixture.L{"alertname": name}, NotifiedAgo: notified,
			Alerts: []fixture.Alert{{Own: fixture.L{"alertname": name, "severity": severity}, Ago: time.Hour, Ended: ended}},
		})
	}
	down := group("Down", "critical", 0, time.Minute)
	paged := group("Down", "page", 0, time.Minute)
	up := group("Down", "critical", time.Minute, time.Second)
	slow := group("Slow", "warning", 0, time.Minute)
	beat := group("Watchdog", "none", 0, 2*time.Minute)
	again := group("Watchdog", "none", 0, 0)
	changes := [][2]*grouping.AlertGroup{
		{nil, down}, {down, up}, {up, paged}, {nil, slow}, {slow, nil}, {nil, beat}, {beat, again},
	}
	for range 20 {
		c := Counter{Heartbeats: grouping.DefaultHeartbeats()}
		for _, change := range changes {
			c.Update(change[0], change[1])
		}
		s := c.Summary()
		require.Equal(t, Summary{
			Critical: 1, Firing: 1, Receivers: map[string]int{"team-page": 1}, LastNotification: night.UTC(),
			Sources: map[string]SourceSummary{down.Source: {Groups: 2, Firing: 1, LastNotification: night.UTC()}},
			words:   [grouping.SeverityNone + 1]map[string]int{grouping.SeverityCritical: {"page": 1}, grouping.SeverityWarning: {}},
		}, s)
		require.Equal(t, `severity="page"`, s.severityMatcher(grouping.SeverityCritical, "critical").String())
		s.Receivers["changed"]++
		require.NotContains(t, c.Summary().Receivers, "changed", "the caller owns the summary")
		changes = slices.Clone(changes)
		rand.Shuffle(len(changes), func(i, j int) { changes[i], changes[j] = changes[j], changes[i] })
	}
}
