package testserver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
)

// Silence makes the alert of wiretest.Body, and another one that no notification listed,
// suppressed by the silence s1, as the API of an Alertmanager reports it. The silence s0 is
// over and muted nothing.
func (s *Server) Silence(t testing.TB) {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Second)
	matchers := [][]grouping.SilenceMatcher{{{Name: "alertname", Type: "=~", Value: "Down|Never"}}}
	require.NoError(t, s.Manager.ObserveSilences(t.Context(), "default", "http://am", now, []grouping.Silence{
		{
			ID: "s1", CreatedBy: "mira", Comment: "canary", MatcherSets: matchers,
			StartsAt: now.Add(-time.Hour), EndsAt: now.Add(time.Hour), UpdatedAt: now.Add(-time.Hour),
		},
		{ID: "s0", MatcherSets: matchers, StartsAt: now.Add(-3 * time.Hour), EndsAt: now.Add(-2 * time.Hour), UpdatedAt: now.Add(-3 * time.Hour)},
	}))
	observed := func(name string, fp grouping.Fingerprint) grouping.ObservedAlert {
		return grouping.ObservedAlert{
			Group: grouping.ObservedGroup{Receiver: "team", GroupLabels: grouping.Labels{}}, Listed: true,
			Alert: grouping.NotifiedAlert{
				Fingerprint: fp, Status: grouping.StatusFiring, StartsAt: time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC),
				Labels: grouping.NewLabels(map[string]string{"alertname": name, "severity": "critical"}),
			},
			Mutes: []grouping.Mute{{Kind: grouping.MuteSilence, ID: "s1"}},
		}
	}
	s.Manager.RecordPoll("default", "http://am", grouping.PollReport{URL: "http://am", Version: "0.35.0", LastAt: now})
	require.NoError(t, s.Manager.ObservePoll(t.Context(), "default", "http://am", grouping.Poll{
		At: now.Add(time.Minute), StartedAt: now.Add(-time.Hour), Complete: true,
		Alerts: []grouping.ObservedAlert{observed("Down", "0011223344556677"), observed("Never", "00000000000000ff")},
	}))
}
