package grouping_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/storage"
)

var timing = grouping.Options{
	Wait: 30 * time.Second, Interval: 5 * time.Minute, Settle: 15 * time.Second,
	StaleAfter: time.Hour, Retention: 24 * time.Hour,
}

// timed is a manager with running timers. stop stops them.
type timed struct {
	*grouping.Manager
	reg  *prometheus.Registry
	stop func()
}

func runManager(t *testing.T, s grouping.GroupStorage) timed {
	t.Helper()
	reg := prometheus.NewRegistry()
	m, err := grouping.NewManager(s, grouping.NewClock(), nil, reg, promslog.NewNopLogger(), timing)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	return timed{m, reg, func() {
		cancel()
		require.NoError(t, <-done)
	}}
}

func (m timed) group(t *testing.T) *grouping.AlertGroup {
	t.Helper()
	g, err := m.Get(context.Background(), key.ID())
	require.NoError(t, err)
	return g
}

func (m timed) flushes(t *testing.T) float64 {
	t.Helper()
	families, err := m.reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == "muster_timer_flushes_total" {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatal("no muster_timer_flushes_total")
	return 0
}

// passTime advances the time and waits until the timers are idle.
func passTime(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestGroupWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := runManager(t, memory())
		defer m.stop()
		_, err := m.Ingest(t.Context(), notification(alert("a")))
		require.NoError(t, err)
		passTime(29 * time.Second)
		require.True(t, m.group(t).Settling)
		passTime(2 * time.Second)
		require.False(t, m.group(t).Settling)
		require.InDelta(t, 1, m.flushes(t), 0)
	})
}

// A notification takes its stamp when it arrives. What Muster itself writes to
// the group before the notification is applied is newer, and tells of no alert.
func TestAFlushDoesNotOvertakeANotification(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t, memory(), timing)
		a, b := alert("a"), alert("b")
		_, err := m.Ingest(t.Context(), notification(a, b))
		require.NoError(t, err)
		passTime(timing.Wait)
		n := notification(resolved(a))
		n.Stamp = m.Stamp()
		passTime(3 * time.Millisecond) // its body comes, or its turn
		flushed, err := m.UpdateGroupState(t.Context(), key.ID())
		require.NoError(t, err)
		require.False(t, flushed.Settling)
		require.Greater(t, flushed.Stamp, n.Stamp)

		out, err := m.Ingest(t.Context(), n)
		require.NoError(t, err)
		require.Equal(t, grouping.StatusResolved, out.Group.Alert(a.Fingerprint).Status)
		require.Equal(t, grouping.StatusUnreported, out.Group.Alert(b.Fingerprint).Status)
		require.Equal(t, n.Stamp.Time(), out.Group.LastNotifiedAt)
		require.False(t, out.Group.Settling)
		require.Greater(t, out.Group.Stamp, flushed.Stamp, "the newest write wins a merge")

		again, err := m.Ingest(t.Context(), n)
		require.NoError(t, err)
		require.Equal(t, out.Group.Alerts, again.Group.Alerts, "the same notification once more")
	})
}

// A storage that another replica writes to: between loads and stores.
type sharedStorage struct {
	grouping.GroupStorage

	otherWrites func() // runs once, before the next store
}

func (s *sharedStorage) Store(ctx context.Context, c grouping.Change) (*grouping.AlertGroup, error) {
	if write := s.otherWrites; write != nil {
		s.otherWrites = nil
		write()
	}
	return s.GroupStorage.Store(ctx, c)
}

// A flush of another replica is newer than the notification, and stored first. What the
// notification says about the group itself is kept all the same.
func TestAFlushElsewhereKeepsTheNotification(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stored := memory()
		shared := &sharedStorage{GroupStorage: stored}
		m, other := newManager(t, shared, timing), newManager(t, stored, timing)
		a := alert("a")
		first := notification(a)
		first.Truncated = 5
		_, err := m.Ingest(t.Context(), first)
		require.NoError(t, err)
		passTime(timing.Wait)
		shared.otherWrites = func() {
			passTime(time.Millisecond)
			flushed, err := other.UpdateGroupState(t.Context(), key.ID())
			require.NoError(t, err)
			require.False(t, flushed.Settling)
		}
		n := notification(resolved(a))
		n.Stamp = m.Stamp()
		out, err := m.Ingest(t.Context(), n)
		require.NoError(t, err)
		require.Nil(t, shared.otherWrites)
		require.Equal(t, n.Stamp.Time(), out.Group.LastNotifiedAt)
		require.Equal(t, n.Stamp.Time(), out.Group.CompleteAt)
		require.Zero(t, out.Group.Truncated)
		require.Equal(t, grouping.StateResolved, out.Group.State)
		require.False(t, out.Group.Settling)
		require.Equal(t, int64(2), out.Group.Notifications)
		page, err := m.Events(t.Context(), grouping.EventQuery{Kinds: []grouping.EventKind{grouping.EventNotified, grouping.EventClosed}})
		require.NoError(t, err)
		require.Len(t, page.Events, 3, "each notification once, and the end")
	})
}

// The same of a resolution under another key, whose own word stays.
func TestAResolutionElsewhereDoesNotOvertakeANotification(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t, memory(), timing)
		a, b := alert("a"), alert("b")
		_, err := m.Ingest(t.Context(), notification(a, b))
		require.NoError(t, err)
		passTime(time.Minute)
		n := notification(a, resolved(b))
		n.Stamp = m.Stamp()
		passTime(3 * time.Millisecond)
		other := notification(resolved(a))
		other.GroupKey = `{}/{team="a"}:{alertname="Down"}`
		_, err = m.Ingest(t.Context(), other)
		require.NoError(t, err)
		g, err := m.Get(t.Context(), key.ID())
		require.NoError(t, err)
		require.Equal(t, grouping.StatusResolved, g.Alert(a.Fingerprint).Status)
		require.Greater(t, g.Stamp, n.Stamp)

		out, err := m.Ingest(t.Context(), n)
		require.NoError(t, err)
		require.Equal(t, grouping.StatusResolved, out.Group.Alert(b.Fingerprint).Status)
		require.Equal(t, grouping.StatusResolved, out.Group.Alert(a.Fingerprint).Status, "what is newer than the notification stays")
	})
}

// A notification omits nothing that was added after it arrived.
func TestANotificationDoesNotOmitWhatIsNewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t, memory(), timing)
		a, b := alert("a"), alert("b")
		_, err := m.Ingest(t.Context(), notification(a))
		require.NoError(t, err)
		passTime(time.Minute)
		n := notification(resolved(a))
		n.Stamp = m.Stamp()
		_, err = m.AddAlertToGroup(t.Context(), key, b)
		require.NoError(t, err)
		out, err := m.Ingest(t.Context(), n)
		require.NoError(t, err)
		require.Equal(t, grouping.StatusResolved, out.Group.Alert(a.Fingerprint).Status)
		require.Equal(t, grouping.StatusFiring, out.Group.Alert(b.Fingerprint).Status)
	})
}

func TestGroupInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := runManager(t, memory())
		defer m.stop()
		_, err := m.Ingest(t.Context(), notification(alert("a")))
		require.NoError(t, err)
		passTime(59 * time.Minute)
		require.False(t, m.group(t).Stale)
		version := m.group(t).Version
		require.InDelta(t, 1, m.flushes(t), 0, "a flush that changes nothing stores nothing")
		passTime(7 * time.Minute)
		require.True(t, m.group(t).Stale, "the first flush after an hour without a notification")
		require.Equal(t, version+1, m.group(t).Version)
		page, err := m.Events(t.Context(), grouping.EventQuery{Kinds: []grouping.EventKind{grouping.EventStale}})
		require.NoError(t, err)
		require.Len(t, page.Events, 1)

		_, err = m.Ingest(t.Context(), notification(alert("a")))
		require.NoError(t, err)
		require.False(t, m.group(t).Stale, "a notification clears stale")
	})
}

func TestRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := runManager(t, memory())
		defer m.stop()
		a, b := alert("a"), alert("b")
		_, err := m.Ingest(t.Context(), notification(a, b))
		require.NoError(t, err)
		_, err = m.Ingest(t.Context(), notification(resolved(a), b))
		require.NoError(t, err)
		passTime(24*time.Hour + 6*time.Minute)
		g := m.group(t)
		require.Nil(t, g.Alert(a.Fingerprint), "a resolved alert is removed from a group that still fires")
		require.NotNil(t, g.Alert(b.Fingerprint), "a firing alert never expires")

		_, err = m.Ingest(t.Context(), notification(resolved(b)))
		require.NoError(t, err)
		passTime(23 * time.Hour)
		require.Equal(t, grouping.StateResolved, m.group(t).State)
		passTime(time.Hour + 6*time.Minute)
		_, err = m.Get(t.Context(), key.ID())
		require.ErrorIs(t, err, grouping.ErrGroupNotFound)
		page, err := m.Events(t.Context(), grouping.EventQuery{Kinds: []grouping.EventKind{grouping.EventExpired}})
		require.NoError(t, err)
		require.NotEmpty(t, page.Events)
	})
}

func TestCleanupExpiredGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t, memory(), timing) // its timers do not run
		_, err := m.Ingest(t.Context(), notification(resolved(alert("a"))))
		require.NoError(t, err)
		n, err := m.CleanupExpiredGroups(t.Context())
		require.NoError(t, err)
		require.Zero(t, n)
		passTime(25 * time.Hour)
		n, err = m.CleanupExpiredGroups(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, n)
		page, err := m.List(t.Context(), grouping.ListQuery{})
		require.NoError(t, err)
		require.Empty(t, page.Groups)
	})
}

func TestRemovingTheLastAlertRemovesTheTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &spy{GroupStorage: memory()}
		m := runManager(t, s)
		defer m.stop()
		a := alert("a")
		_, err := m.Ingest(t.Context(), notification(a))
		require.NoError(t, err)
		require.NoError(t, m.RemoveAlertFromGroup(t.Context(), key.ID(), a.Fingerprint))
		calls := s.calls()
		passTime(time.Hour)
		require.Equal(t, calls, s.calls())
		require.Zero(t, m.flushes(t))
	})
}

func TestTimersResumeAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory()
		first := runManager(t, s)
		_, err := first.Ingest(t.Context(), notification(alert("a")))
		require.NoError(t, err)
		passTime(20 * time.Second)
		first.stop()

		second := runManager(t, s)
		defer second.stop()
		n, err := second.RestoreGroups(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, n)
		passTime(9 * time.Second)
		require.True(t, second.group(t).Settling, "the stored deadline is used")
		passTime(2 * time.Second)
		require.False(t, second.group(t).Settling)
		groups, err := second.ByFingerprint(t.Context(), alert("a").Fingerprint)
		require.NoError(t, err)
		require.Len(t, groups, 1, "the index is rebuilt")
	})
}

func TestAFlushHappensOnceAcrossReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory()
		var replicas []timed
		for range 3 {
			replicas = append(replicas, runManager(t, s))
		}
		_, err := replicas[0].Ingest(t.Context(), notification(alert("a")))
		require.NoError(t, err)
		for _, r := range replicas {
			_, err := r.RestoreGroups(t.Context())
			require.NoError(t, err)
		}
		passTime(2 * time.Hour)
		total := 0.0
		for _, r := range replicas {
			total += r.flushes(t)
			r.stop()
		}
		require.InDelta(t, 2, total, 0, "one flush ends the group wait, one marks the group stale")
		stored, err := s.Load(t.Context(), key.ID())
		require.NoError(t, err)
		require.EqualValues(t, 3, stored.Version)
	})
}

func TestGaugesAreCollectedFromTheState(t *testing.T) {
	reg := prometheus.NewRegistry()
	m, err := grouping.NewManager(
		storage.NewMemory(storage.DefaultMemoryOptions()), grouping.NewClock(), nil, reg, promslog.NewNopLogger(), timing)
	require.NoError(t, err)
	_, err = m.Ingest(t.Context(), notification(alert("a"), alert("b")))
	require.NoError(t, err)
	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP muster_alerts Number of alerts, by status. An alert in several groups counts once in each.
# TYPE muster_alerts gauge
muster_alerts{status="firing"} 2
muster_alerts{status="resolved"} 0
muster_alerts{status="suppressed"} 0
muster_alerts{status="unreported"} 0
# HELP muster_groups Number of alert groups, by state.
# TYPE muster_groups gauge
muster_groups{state="firing"} 1
muster_groups{state="mixed"} 0
muster_groups{state="resolved"} 0
muster_groups{state="suppressed"} 0
muster_groups{state="unreported"} 0
`), "muster_groups", "muster_alerts"))
}

// Several changes of a group can be due at once. None waits for the next flush.
func TestAFlushMakesAllChanges(t *testing.T) {
	opts := timing
	opts.Retention = 10 * time.Minute // shorter than the silence
	observing(t, opts, func(o observatory) {
		a, b := alert("a"), alert("b")
		o.notify(a, b)
		time.Sleep(time.Minute)
		o.observe(muted(b, silence("s-1", 16*time.Minute)))
		time.Sleep(5 * time.Minute)
		o.notify(resolved(a))
		require.Equal(o.t, grouping.StatusSuppressed, o.alert(b).ShownStatus())
		time.Sleep(11*time.Minute + time.Second) // a expired since the last flush
		require.Equal(o.t, grouping.StatusUnreported, o.alert(b).ShownStatus(), "its silence ended")
		_, err := o.ByFingerprint(o.t.Context(), a.Fingerprint)
		require.ErrorIs(o.t, err, grouping.ErrGroupNotFound)
	})
}
