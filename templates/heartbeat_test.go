package templates

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
)

func siteWithBeats(beats ...grouping.Heartbeat) *Site {
	s := newSite(nil)
	s.Heartbeats = beats
	s.Totals.LastNotification = night
	s.Totals.Sources = map[string]grouping.SourceTotals{}
	for _, b := range beats {
		s.Totals.Sources[b.Source] = grouping.SourceTotals{Groups: 1, LastNotification: night}
	}
	return s
}

func beat(source, prometheus string, state grouping.HeartbeatState) grouping.Heartbeat {
	l := grouping.NewLabels(map[string]string{"alertname": "Watchdog", "prometheus": prometheus})
	return grouping.Heartbeat{
		Group: "0123456789abcdef0123", Source: source, Alertmanager: "http://am-" + source, Fingerprint: l.Fingerprint(), Labels: l,
		State: state, At: night.Add(-20 * time.Minute), Every: 5 * time.Minute,
	}
}

// A heartbeat proves the path from its own source only.
func TestHeartbeatProvesItsSourceOnly(t *testing.T) {
	for name, tc := range map[string]struct {
		site *Site
		says string
		good bool
	}{
		"one that arrives": {
			siteWithBeats(beat("prod", "a", grouping.HeartbeatArrives)),
			"Last notification  ago. The heartbeat Watchdog arrives. The path from Prometheus to Muster works.", true,
		},
		"one that arrived once": {
			siteWithBeats(beat("prod", "a", grouping.HeartbeatUnknown)),
			"Last notification  ago. The heartbeat Watchdog arrived once. Its interval is not known yet.", true,
		},
		"two sources": {
			siteWithBeats(beat("prod", "a", grouping.HeartbeatArrives), beat("staging", "a", grouping.HeartbeatArrives)),
			"Last notification  ago. Heartbeats arrive from prod, staging. The paths from there work.", true,
		},
		"one of two sources is late": {
			siteWithBeats(beat("prod", "a", grouping.HeartbeatLate), beat("staging", "a", grouping.HeartbeatArrives)),
			"Last notification  ago. The heartbeat Watchdog (source prod) is missing. The path from its Prometheus to Muster may be broken.", false,
		},
		"one of two in a group ended": {
			siteWithBeats(beat("prod", "a", grouping.HeartbeatEnded), beat("prod", "b", grouping.HeartbeatArrives)),
			"Last notification  ago. The heartbeat Watchdog (prometheus=a) is missing. The path from its Prometheus to Muster may be broken.", false,
		},
	} {
		e := nothingFiring(tc.site)
		require.Equal(t, tc.says, e.Text+e.After, name)
		require.Equal(t, tc.good, e.Good, name)
	}
	s := siteWithBeats(beat("prod", "a", grouping.HeartbeatArrives))
	s.Totals.Sources["edge"] = grouping.SourceTotals{Groups: 1}
	require.Contains(t, nothingFiring(s).After,
		"Heartbeats arrive from prod. The paths from there work. Muster cannot tell whether the path from edge works")
}

// Every page names a broken heartbeat in a notice, and the list shows its group.
func TestBrokenHeartbeatHasNotice(t *testing.T) {
	broken := beat("prod", "a", grouping.HeartbeatLate)
	s := siteWithBeats(broken, beat("staging", "a", grouping.HeartbeatArrives))
	notices := s.heartbeatNotices()
	require.Len(t, notices, 1)
	require.True(t, notices[0].Alarming())
	require.Equal(t,
		"The heartbeat Watchdog (source prod) is late: last seen 20m 0s ago, usually every 5m 0s. "+
			"Its Prometheus, or the path from there to Muster, may be down.",
		notices[0].Text+notices[0].Middle+notices[0].Since.Age+notices[0].After)
	group := func(id grouping.ID) *grouping.AlertGroup {
		return grouping.NewAlertGroup(grouping.AlertGroup{
			ID:     id,
			Alerts: []*grouping.Alert{{Labels: broken.Labels, Status: grouping.StatusFiring}},
		})
	}
	require.False(t, s.hides(group(broken.Group)))
	require.True(t, s.hides(group("ffffffffffffffffffff")))

	many := make([]grouping.Heartbeat, 0, 8)
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		many = append(many, beat("prod", name, grouping.HeartbeatEnded))
	}
	notices = siteWithBeats(many...).heartbeatNotices()
	require.Len(t, notices, maxHeartbeatNotices+1)
	require.Equal(t, "2 more heartbeats are late or ended.", notices[maxHeartbeatNotices].Text)
}

// A notice names a silent source, even if other sources are not silent.
func TestSilentSourceHasNotice(t *testing.T) {
	s := newSite(nil)
	s.StaleAfter = time.Hour
	s.Totals.Sources = map[string]grouping.SourceTotals{
		"prod": {Groups: 2, Firing: 2, LastNotification: night.Add(-3 * time.Hour)}, "staging": {Groups: 1, Firing: 1, LastNotification: night},
		"idle": {Groups: 1, LastNotification: night.Add(-5 * time.Hour)},
	}
	notices := s.sourceNotices()
	require.Len(t, notices, 1)
	require.Equal(t, "No notification from source prod for 3h 0m", notices[0].Text+notices[0].Since.Age)
}
