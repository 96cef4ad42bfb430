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
	l := grouping.NewLabels(map[string]string{"alertname": "Watchdog", "prometheus": prometheus})
	na := grouping.NotifiedAlert{Fingerprint: l.Fingerprint(), Status: status, Labels: l, StartsAt: time.Now().Add(-time.Hour)}
	if status == grouping.StatusResolved {
		na.EndsAt = time.Now()
	}
	return na
}

// heartbeatStates maps "<source> <prometheus> <alertmanager>" to a state.
type heartbeatStates map[string]grouping.HeartbeatState

// heartbeatTest is a manager that receives heartbeats.
type heartbeatTest struct {
	t       *testing.T
	manager *grouping.Manager
	reg     *prometheus.Registry
}

func (h heartbeatTest) ingest(n grouping.Notification) {
	n.Stamp = h.manager.Stamp()
	_, err := h.manager.Ingest(context.Background(), n)
	require.NoError(h.t, err)
}

func (h heartbeatTest) states() heartbeatStates {
	all, err := h.manager.Heartbeats(context.Background())
	require.NoError(h.t, err)
	out := heartbeatStates{}
	for _, hb := range all {
		out[hb.Source+" "+hb.Labels.Get("prometheus")+" "+hb.Alertmanager] = hb.State
	}
	require.Len(h.t, out, len(all))
	return out
}

// testHeartbeats runs a test in simulated time.
func testHeartbeats(t *testing.T, test func(h heartbeatTest)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		m, err := grouping.NewManager(memory(), grouping.NewClock(), nil, reg, promslog.NewNopLogger(), grouping.DefaultOptions)
		require.NoError(t, err)
		test(heartbeatTest{t, m, reg})
	})
}

// Each heartbeat is late by its own usual interval.
func TestAHeartbeatIsLateByItsOwnInterval(t *testing.T) {
	testHeartbeats(t, func(h heartbeatTest) {
		const often, seldom = "often a am", "seldom a am"
		h.ingest(watchdog("often", "am"))
		h.ingest(watchdog("seldom", "am"))
		require.Equal(t, heartbeatStates{often: grouping.HeartbeatArrives, seldom: grouping.HeartbeatArrives}, h.states())
		time.Sleep(6 * time.Minute)
		require.Equal(t, heartbeatStates{often: grouping.HeartbeatUnknown, seldom: grouping.HeartbeatUnknown}, h.states(),
			"a single arrival gives no interval")
		for range 12 {
			for range 12 {
				time.Sleep(5 * time.Minute)
				h.ingest(watchdog("often", "am"))
			}
			h.ingest(watchdog("seldom", "am"))
		}
		require.Equal(t, heartbeatStates{often: grouping.HeartbeatArrives, seldom: grouping.HeartbeatArrives}, h.states())
		time.Sleep(14 * time.Minute)
		require.Equal(t, grouping.HeartbeatArrives, h.states()[often])
		time.Sleep(2 * time.Minute)
		require.Equal(t, heartbeatStates{often: grouping.HeartbeatLate, seldom: grouping.HeartbeatArrives}, h.states(),
			"a late heartbeat does not affect another")
		require.InDelta(t, 1, gaugeOf(t, h.reg, "muster_heartbeats", "often", "late"), 0)
		require.InDelta(t, 0, gaugeOf(t, h.reg, "muster_heartbeats", "seldom", "late"), 0)
		h.ingest(watchdog("often", "am"))
		require.Equal(t, grouping.HeartbeatArrives, h.states()[often])
		time.Sleep(20 * time.Minute)
		require.Equal(t, grouping.HeartbeatLate, h.states()[often], "after one pause, the next pause is still late")
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

// A heartbeat can end while its group still gets notifications.
func TestAHeartbeatThatEndsIsReported(t *testing.T) {
	testHeartbeats(t, func(h heartbeatTest) {
		h.ingest(watchdog("prod", "am", beatAlert("a", grouping.StatusFiring), beatAlert("b", grouping.StatusFiring)))
		time.Sleep(time.Minute)
		h.ingest(watchdog("prod", "am", beatAlert("a", grouping.StatusFiring), beatAlert("b", grouping.StatusResolved)))
		require.Equal(t, heartbeatStates{"prod a am": grouping.HeartbeatArrives, "prod b am": grouping.HeartbeatEnded}, h.states())
		time.Sleep(time.Minute)
		h.ingest(watchdog("prod", "am", beatAlert("b", grouping.StatusFiring)))
		require.Equal(t, heartbeatStates{"prod a am": grouping.HeartbeatEnded, "prod b am": grouping.HeartbeatArrives}, h.states(),
			"an omitted heartbeat ended too")
	})
}

// If its route was edited, a heartbeat continues under another key.
func TestAHeartbeatUnderAnotherKey(t *testing.T) {
	testHeartbeats(t, func(h heartbeatTest) {
		for range 5 {
			h.ingest(watchdog("prod", "am"))
			time.Sleep(5 * time.Minute)
		}
		for range 5 {
			n := watchdog("prod", "am")
			n.GroupKey = "edited"
			h.ingest(n)
			time.Sleep(5 * time.Minute)
		}
		require.Equal(t, heartbeatStates{"prod a am": grouping.HeartbeatArrives}, h.states())
	})
}

// A heartbeat is not late because Muster was down and could not receive it.
func TestAHeartbeatIsNotLateAfterADowntime(t *testing.T) {
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
		require.Equal(t, grouping.HeartbeatUnknown, state(), "without an arrival since the start, the state is not known")
		time.Sleep(16 * time.Minute)
		require.Equal(t, grouping.HeartbeatLate, state())
	})
}

// Only one replica of a cluster notifies at a time. Two Alertmanagers that both
// notify are two paths.
func TestHeartbeatsOfSeveralAlertmanagers(t *testing.T) {
	testHeartbeats(t, func(h heartbeatTest) {
		for range 6 {
			h.ingest(watchdog("ha", "am-0"))
			h.ingest(watchdog("two", "am-0"))
			h.ingest(watchdog("two", "am-1"))
			time.Sleep(5 * time.Minute)
		}
		for range 6 {
			h.ingest(watchdog("ha", "am-1")) // am-0 died or its pod was replaced
			h.ingest(watchdog("two", "am-1"))
			time.Sleep(5 * time.Minute)
		}
		require.Equal(t, heartbeatStates{
			"ha a am-1": grouping.HeartbeatArrives, "two a am-0": grouping.HeartbeatLate, "two a am-1": grouping.HeartbeatArrives,
		}, h.states())
	})
}

// After a restart, the time of the last notification comes from the restored groups.
func TestTheLastNotificationSurvivesARestart(t *testing.T) {
	store := memory()
	first := newManager(t, store, grouping.DefaultOptions)
	n := grouping.Notification{
		Key: grouping.Key{Source: "prod", Receiver: "r", GroupKey: "k"}, Stamp: first.Stamp(),
		Alerts: []grouping.NotifiedAlert{alert("a"), resolved(alert("b"))},
	}
	_, err := first.Ingest(t.Context(), n)
	require.NoError(t, err)

	reg := prometheus.NewRegistry()
	again, err := grouping.NewManager(store, grouping.NewClock(), nil, reg, promslog.NewNopLogger(), grouping.DefaultOptions)
	require.NoError(t, err)
	_, err = again.RestoreGroups(t.Context())
	require.NoError(t, err)
	require.InDelta(t, n.Stamp.Time().Unix(), gaugeOf(t, reg, "muster_last_notification_timestamp_seconds", "prod"), 1)
	require.InDelta(t, 1, gaugeOf(t, reg, "muster_source_firing_groups", "prod"), 0, "a group with one firing alert counts")
	problems, err := testutil.GatherAndLint(reg)
	require.NoError(t, err)
	require.Empty(t, problems)
}
