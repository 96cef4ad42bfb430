package grouping_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"muster/grouping"
)

func watchdog(source, by string, alerts ...grouping.NotifiedAlert) grouping.Notification {
	if len(alerts) == 0 {
		alerts = []grouping.NotifiedAlert{beatAlert("a", grouping.StatusFiring)}
	}
	return grouping.Notification{Key: grouping.Key{Source: source, Receiver: "r", GroupKey: "watchdog"}, ExternalURL: by, Alerts: alerts}
}

func beatAlert(prometheus string, status grouping.Status) grouping.NotifiedAlert {
	l := grouping.Labels{"alertname": "Watchdog", "prometheus": prometheus}
	na := grouping.NotifiedAlert{Fingerprint: l.Fingerprint(), Status: status, Labels: l, StartsAt: time.Now().Add(-time.Hour)}
	if status == grouping.StatusResolved {
		na.EndsAt = time.Now()
	}
	return na
}

// beating runs a manager in simulated time.
func beating(t *testing.T, test func(ingest func(grouping.Notification), states func() map[string]grouping.HeartbeatState, m *grouping.Manager, reg *prometheus.Registry)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		m, err := grouping.NewManager(memory(), grouping.NewClock(), reg, promslog.NewNopLogger(), grouping.DefaultOptions)
		require.NoError(t, err)
		ingest := func(n grouping.Notification) {
			n.Stamp = m.Stamp()
			_, err := m.Ingest(context.Background(), n)
			require.NoError(t, err)
		}
		states := func() map[string]grouping.HeartbeatState {
			all, err := m.Heartbeats(context.Background())
			require.NoError(t, err)
			out := map[string]grouping.HeartbeatState{}
			for _, h := range all {
				out[h.Source+" "+h.Labels["prometheus"]+" "+h.Alertmanager] = h.State
			}
			require.Len(t, out, len(all))
			return out
		}
		test(ingest, states, m, reg)
	})
}

// Each heartbeat is watched by its own rhythm.
func TestAHeartbeatIsLateByItsOwnRhythm(t *testing.T) {
	beating(t, func(ingest func(grouping.Notification), states func() map[string]grouping.HeartbeatState, _ *grouping.Manager, reg *prometheus.Registry) {
		const often, seldom = "often a am", "seldom a am"
		ingest(watchdog("often", "am"))
		ingest(watchdog("seldom", "am"))
		require.Equal(t, map[string]grouping.HeartbeatState{often: grouping.HeartbeatArrives, seldom: grouping.HeartbeatArrives}, states())
		time.Sleep(6 * time.Minute)
		require.Equal(t, map[string]grouping.HeartbeatState{often: grouping.HeartbeatUnknown, seldom: grouping.HeartbeatUnknown}, states(), "one arrival is no rhythm")
		for range 12 {
			for range 12 {
				time.Sleep(5 * time.Minute)
				ingest(watchdog("often", "am"))
			}
			ingest(watchdog("seldom", "am"))
		}
		require.Equal(t, map[string]grouping.HeartbeatState{often: grouping.HeartbeatArrives, seldom: grouping.HeartbeatArrives}, states())
		time.Sleep(14 * time.Minute)
		require.Equal(t, grouping.HeartbeatArrives, states()[often])
		time.Sleep(2 * time.Minute)
		require.Equal(t, map[string]grouping.HeartbeatState{often: grouping.HeartbeatLate, seldom: grouping.HeartbeatArrives}, states(), "one stands for no other")
		require.InDelta(t, 1, gaugeOf(t, reg, "muster_heartbeats", "often", "late"), 0)
		require.InDelta(t, 0, gaugeOf(t, reg, "muster_heartbeats", "seldom", "late"), 0)
		ingest(watchdog("often", "am"))
		require.Equal(t, grouping.HeartbeatArrives, states()[often])
		time.Sleep(20 * time.Minute)
		require.Equal(t, grouping.HeartbeatLate, states()[often], "a pause does not hide the next one")
	})
}

func gaugeOf(t *testing.T, reg *prometheus.Registry, name string, values ...string) float64 {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			same := f.GetName() == name && len(m.GetLabel()) == len(values)
			for i := range values {
				same = same && m.GetLabel()[i].GetValue() == values[i]
			}
			if same {
				return m.GetGauge().GetValue()
			}
		}
	}
	require.Fail(t, "no such series", "%s %v", name, values)
	return 0
}

// Of a heartbeat that ended nothing else arrives, though its group goes on.
func TestAHeartbeatThatEndsIsSaid(t *testing.T) {
	beating(t, func(ingest func(grouping.Notification), states func() map[string]grouping.HeartbeatState, _ *grouping.Manager, _ *prometheus.Registry) {
		ingest(watchdog("prod", "am", beatAlert("a", grouping.StatusFiring), beatAlert("b", grouping.StatusFiring)))
		time.Sleep(time.Minute)
		ingest(watchdog("prod", "am", beatAlert("a", grouping.StatusFiring), beatAlert("b", grouping.StatusResolved)))
		require.Equal(t, map[string]grouping.HeartbeatState{"prod a am": grouping.HeartbeatArrives, "prod b am": grouping.HeartbeatEnded}, states())
		time.Sleep(time.Minute)
		ingest(watchdog("prod", "am", beatAlert("b", grouping.StatusFiring)))
		require.Equal(t, map[string]grouping.HeartbeatState{"prod a am": grouping.HeartbeatEnded, "prod b am": grouping.HeartbeatArrives}, states(), "left out is ended, too")
	})
}

// A heartbeat whose route was edited goes on under another key.
func TestAHeartbeatUnderAnotherKey(t *testing.T) {
	beating(t, func(ingest func(grouping.Notification), states func() map[string]grouping.HeartbeatState, _ *grouping.Manager, _ *prometheus.Registry) {
		for range 5 {
			ingest(watchdog("prod", "am"))
			time.Sleep(5 * time.Minute)
		}
		for range 5 {
			n := watchdog("prod", "am")
			n.GroupKey = "edited"
			ingest(n)
			time.Sleep(5 * time.Minute)
		}
		require.Equal(t, map[string]grouping.HeartbeatState{"prod a am": grouping.HeartbeatArrives}, states())
	})
}

// What could not be heard while Muster was down is not late.
func TestAHeartbeatIsNotLateForAStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory()
		first := newManager(t, store, grouping.DefaultOptions)
		for range 5 {
			n := watchdog("prod", "am")
			n.Stamp = first.Stamp()
			_, err := first.Ingest(t.Context(), n)
			require.NoError(t, err)
			time.Sleep(5 * time.Minute)
		}
		time.Sleep(5 * time.Hour)
		again := newManager(t, store, grouping.DefaultOptions)
		_, err := again.RestoreGroups(t.Context())
		require.NoError(t, err)
		state := func() grouping.HeartbeatState {
			all, err := again.Heartbeats(t.Context())
			require.NoError(t, err)
			require.Len(t, all, 1)
			return all[0].State
		}
		require.Equal(t, grouping.HeartbeatUnknown, state(), "it proves nothing either")
		time.Sleep(16 * time.Minute)
		require.Equal(t, grouping.HeartbeatLate, state())
	})
}

// Replicas of a cluster notify in each other's place. Two Alertmanagers that
// both notify are two paths.
func TestHeartbeatsOfSeveralAlertmanagers(t *testing.T) {
	beating(t, func(ingest func(grouping.Notification), states func() map[string]grouping.HeartbeatState, _ *grouping.Manager, _ *prometheus.Registry) {
		for range 6 {
			ingest(watchdog("ha", "am-0"))
			ingest(watchdog("two", "am-0"))
			ingest(watchdog("two", "am-1"))
			time.Sleep(5 * time.Minute)
		}
		for range 6 {
			ingest(watchdog("ha", "am-1")) // am-0 died, or its pod was replaced
			ingest(watchdog("two", "am-1"))
			time.Sleep(5 * time.Minute)
		}
		require.Equal(t, map[string]grouping.HeartbeatState{
			"ha a am-1": grouping.HeartbeatArrives, "two a am-0": grouping.HeartbeatLate, "two a am-1": grouping.HeartbeatArrives,
		}, states())
	})
}

// When a source was last heard is known from the restored groups, also by a
// process that has heard nothing yet.
func TestTheLastNotificationSurvivesARestart(t *testing.T) {
	store := memory()
	first := newManager(t, store, grouping.DefaultOptions)
	n := grouping.Notification{Key: grouping.Key{Source: "prod", Receiver: "r", GroupKey: "k"}, Stamp: first.Stamp(), Alerts: []grouping.NotifiedAlert{alert("a"), resolved(alert("b"))}}
	_, err := first.Ingest(t.Context(), n)
	require.NoError(t, err)

	reg := prometheus.NewRegistry()
	again, err := grouping.NewManager(store, grouping.NewClock(), reg, promslog.NewNopLogger(), grouping.DefaultOptions)
	require.NoError(t, err)
	_, err = again.RestoreGroups(t.Context())
	require.NoError(t, err)
	require.InDelta(t, n.Stamp.Time().Unix(), gaugeOf(t, reg, "muster_last_notification_timestamp_seconds", "prod"), 1)
	require.InDelta(t, 1, gaugeOf(t, reg, "muster_source_firing_groups", "prod"), 0, "a group of which one alert fires counts")
	problems, err := testutil.GatherAndLint(reg)
	require.NoError(t, err)
	require.Empty(t, problems)
}
