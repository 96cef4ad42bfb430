package grouping_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/matcher/parse"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"muster/grouping"
	"muster/storage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var key = grouping.Key{Source: "default", Receiver: "team.a", GroupKey: `{}:{alertname="Down"}`}

func newManager(t *testing.T, s grouping.GroupStorage, opts grouping.Options) *grouping.Manager {
	t.Helper()
	m, err := grouping.NewManager(s, grouping.NewClock(), nil, prometheus.NewRegistry(), promslog.NewNopLogger(), opts)
	require.NoError(t, err)
	return m
}

func memory() *storage.Memory { return storage.NewMemory(storage.MemoryOptions{}) }

// alert returns an alert of the instance that has been firing for a minute.
func alert(instance string) grouping.NotifiedAlert {
	l := grouping.Labels{"alertname": "Down", "instance": instance}
	return grouping.NotifiedAlert{
		Fingerprint: l.Fingerprint(), Status: grouping.StatusFiring, Labels: l,
		StartsAt: time.Now().Add(-time.Minute).UTC().Truncate(time.Millisecond),
	}
}

func resolved(a grouping.NotifiedAlert) grouping.NotifiedAlert {
	a.Status, a.EndsAt = grouping.StatusResolved, time.Now().UTC().Truncate(time.Millisecond)
	return a
}

func notification(alerts ...grouping.NotifiedAlert) grouping.Notification {
	return grouping.Notification{
		Key: key, Alerts: alerts, GroupLabels: grouping.Labels{"alertname": "Down"},
		ExternalURL: "http://am-0:9093", Reason: "first notification",
	}
}

func TestEveryOperationChecksTheContextFirst(t *testing.T) {
	s := &spy{GroupStorage: memory()}
	m := newManager(t, s, grouping.DefaultOptions)
	_, err := m.Ingest(t.Context(), notification(alert("a")))
	require.NoError(t, err)

	cause := errors.New("client went away")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	fp := alert("a").Fingerprint
	for name, op := range map[string]func() error{
		"Ingest":                func() error { _, err := m.Ingest(ctx, notification(alert("b"))); return err },
		"AddAlertToGroup":       func() error { _, err := m.AddAlertToGroup(ctx, key, alert("b")); return err },
		"RemoveAlertFromGroup":  func() error { return m.RemoveAlertFromGroup(ctx, key.ID(), fp) },
		"GetGroup":              func() error { _, err := m.GetGroup(ctx, key.ID()); return err },
		"UpdateGroupState":      func() error { _, err := m.UpdateGroupState(ctx, key.ID()); return err },
		"ListGroups":            func() error { _, err := m.ListGroups(ctx, grouping.ListQuery{}); return err },
		"CleanupExpiredGroups":  func() error { _, err := m.CleanupExpiredGroups(ctx); return err },
		"GetGroupByFingerprint": func() error { _, err := m.GetGroupByFingerprint(ctx, fp); return err },
		"Events":                func() error { _, err := m.Events(ctx, grouping.EventQuery{}); return err },
		"GetMetrics":            func() error { _, err := m.GetMetrics(ctx); return err },
		"GetStats":              func() error { _, err := m.GetStats(ctx); return err },
		"RestoreGroups":         func() error { _, err := m.RestoreGroups(ctx); return err },
	} {
		before := s.calls()
		require.ErrorIs(t, op(), cause, name)
		require.Equal(t, before, s.calls(), "%s touched the storage", name)
	}
}

func TestAddAlertToGroup(t *testing.T) {
	m := newManager(t, memory(), grouping.DefaultOptions)
	_, err := m.AddAlertToGroup(t.Context(), key, alert("a"))
	require.NoError(t, err)
	g, err := m.AddAlertToGroup(t.Context(), key, alert("b"))
	require.NoError(t, err)
	require.Equal(t, grouping.Counts{Firing: 2}, g.Counts, "a report of one alert does not change the others")
	require.Equal(t, grouping.Labels{"alertname": "Down"}, g.CommonLabels)

	got, err := m.GetGroup(t.Context(), key.ID())
	require.NoError(t, err)
	require.True(t, got.Equal(g))
}

func TestRemoveAlertFromGroup(t *testing.T) {
	m := newManager(t, memory(), grouping.DefaultOptions)
	a, b := alert("a"), alert("b")
	_, err := m.Ingest(t.Context(), notification(a, b))
	require.NoError(t, err)

	require.NoError(t, m.RemoveAlertFromGroup(t.Context(), key.ID(), a.Fingerprint))
	g, err := m.GetGroup(t.Context(), key.ID())
	require.NoError(t, err)
	require.Len(t, g.Alerts, 1)

	err = m.RemoveAlertFromGroup(t.Context(), key.ID(), a.Fingerprint)
	require.ErrorIs(t, err, grouping.ErrGroupNotFound)
	var notFound *grouping.GroupNotFoundError
	require.ErrorAs(t, err, &notFound)
	require.Equal(t, a.Fingerprint, notFound.Fingerprint)

	require.NoError(t, m.RemoveAlertFromGroup(t.Context(), key.ID(), b.Fingerprint))
	_, err = m.GetGroup(t.Context(), key.ID())
	require.ErrorIs(t, err, grouping.ErrGroupNotFound, "removing the last alert removes the group")
	_, err = m.GetGroupByFingerprint(t.Context(), b.Fingerprint)
	require.ErrorIs(t, err, grouping.ErrGroupNotFound)

	g, err = m.AddAlertToGroup(t.Context(), key, a)
	require.NoError(t, err)
	require.Len(t, g.Alerts, 1, "a removed alert that is reported again comes back")
}

func TestGetGroupByFingerprint(t *testing.T) {
	m := newManager(t, memory(), grouping.DefaultOptions)
	a := alert("a")
	other := notification(a)
	other.Receiver = "audit" // continue: true
	for _, n := range []grouping.Notification{notification(a), other} {
		_, err := m.Ingest(t.Context(), n)
		require.NoError(t, err)
	}
	groups, err := m.GetGroupByFingerprint(t.Context(), a.Fingerprint)
	require.NoError(t, err)
	require.Len(t, groups, 2)
	require.Less(t, groups[0].ID, groups[1].ID)

	require.NoError(t, m.RemoveAlertFromGroup(t.Context(), other.ID(), a.Fingerprint))
	groups, err = m.GetGroupByFingerprint(t.Context(), a.Fingerprint)
	require.NoError(t, err)
	require.Len(t, groups, 1)
	require.Equal(t, key.ID(), groups[0].ID)
}

func TestListGroups(t *testing.T) {
	m := newManager(t, memory(), grouping.DefaultOptions)
	for i := range 5 {
		n := notification(alert("a"))
		n.GroupKey = fmt.Sprintf("{}:{n=%d}", i)
		n.GroupLabels = grouping.Labels{"alertname": fmt.Sprintf("Alert%d", i)}
		n.Alerts[0].Labels = grouping.Labels{"alertname": fmt.Sprintf("Alert%d", i), "odd": fmt.Sprint(i % 2)}
		_, err := m.Ingest(t.Context(), n)
		require.NoError(t, err)
	}
	matchers, err := parse.Matchers(`odd="0"`)
	require.NoError(t, err)
	var names []string
	q := grouping.ListQuery{Matchers: matchers, Sort: grouping.SortName, Limit: 2}
	for {
		page, err := m.ListGroups(t.Context(), q)
		require.NoError(t, err)
		require.Equal(t, 3, page.Total)
		for _, g := range page.Groups {
			names = append(names, g.Name)
		}
		if page.Next == "" {
			break
		}
		q.Cursor = page.Next
	}
	require.Equal(t, []string{"Alert0", "Alert2", "Alert4"}, names)

	_, err = m.ListGroups(t.Context(), grouping.ListQuery{Sort: "colour"})
	require.ErrorIs(t, err, grouping.ErrBadQuery)
	_, err = m.Events(t.Context(), grouping.EventQuery{Kinds: []grouping.EventKind{"explode"}})
	require.ErrorIs(t, err, grouping.ErrBadQuery)
}

func TestStats(t *testing.T) {
	m := newManager(t, memory(), grouping.DefaultOptions)
	a, b := alert("a"), alert("b")
	_, err := m.Ingest(t.Context(), notification(a, b))
	require.NoError(t, err)
	_, err = m.Ingest(t.Context(), notification(resolved(a), b))
	require.NoError(t, err)
	held, err := m.GetMetrics(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, held.Groups[grouping.StateMixed])
	require.Equal(t, map[grouping.Status]int{"firing": 1, "resolved": 1, "unreported": 0}, held.Alerts)

	stats, err := m.GetStats(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[string]int{"team.a": 1}, stats.Receivers)
	require.Contains(t, stats.Sources["default"].Alertmanagers, "http://am-0:9093")
	require.Equal(t, stats.LastNotification, stats.Sources["default"].LastNotification)
}

func TestAConflictLosesNothing(t *testing.T) {
	s := &spy{GroupStorage: memory()}
	m, replica := newManager(t, s, grouping.DefaultOptions), newManager(t, s.GroupStorage, grouping.DefaultOptions)
	a := alert("a")
	_, err := m.Ingest(t.Context(), notification(a, alert("b")))
	require.NoError(t, err)

	// Another replica writes the same alert after m loaded the group.
	s.beforeStore(1, func() {
		_, err := replica.AddAlertToGroup(context.Background(), key, resolved(a))
		require.NoError(t, err)
	})
	c := alert("c")
	a.Annotations = grouping.Labels{"value": "2"}
	out, err := m.Ingest(t.Context(), notification(a, alert("b"), c))
	require.NoError(t, err)
	require.Len(t, out.Group.Alerts, 3)
	require.NotNil(t, out.Group.Alert(c.Fingerprint))
}

func TestContentionIsNeverAnError(t *testing.T) {
	s := &spy{GroupStorage: memory()}
	m, replica := newManager(t, s, grouping.DefaultOptions), newManager(t, s.GroupStorage, grouping.DefaultOptions)
	a := alert("a")
	first := notification(a)
	first.Stamp = replica.Stamp() // all stamps come from one clock, so their order is known
	_, err := m.Ingest(t.Context(), first)
	require.NoError(t, err)
	// Notifications that arrived earlier, but are stored just before each attempt.
	var earlier []grouping.Notification
	for i := range 16 {
		b := a
		b.Annotations = grouping.Labels{"value": fmt.Sprint(i)}
		n := notification(b)
		n.Stamp = replica.Stamp()
		earlier = append(earlier, n)
	}
	i := 0
	s.beforeStore(16, func() {
		_, err := replica.Ingest(context.Background(), earlier[i])
		require.NoError(t, err)
		i++
	})
	last := notification(resolved(a))
	last.Stamp = replica.Stamp()
	out, err := m.Ingest(t.Context(), last)
	require.NoError(t, err)
	require.Equal(t, 16, i)
	require.Equal(t, grouping.StateResolved, out.Group.State)
	require.True(t, s.lastChange().Deferred, "after sixteen attempts, the write is deferred")
}

func TestManyWritersOfOneGroup(t *testing.T) {
	s := memory()
	managers := []*grouping.Manager{
		newManager(t, s, grouping.DefaultOptions), newManager(t, s, grouping.DefaultOptions), newManager(t, s, grouping.DefaultOptions),
	}
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			_, err := managers[i%3].AddAlertToGroup(context.Background(), key, alert(fmt.Sprint(i)))
			require.NoError(t, err)
		})
	}
	wg.Wait()
	g, err := managers[0].GetGroup(t.Context(), key.ID())
	require.NoError(t, err)
	require.Equal(t, grouping.Counts{Firing: 100}, g.Counts)
}

func TestOptionsAreChecked(t *testing.T) {
	opts := grouping.DefaultOptions
	opts.Interval = 0
	_, err := grouping.NewManager(memory(), grouping.NewClock(), nil, nil, promslog.NewNopLogger(), opts)
	require.ErrorContains(t, err, "group interval 0s is less than the minimum of 1ms")
}

// spy counts the calls of a storage, and lets a test write before a Store.
type spy struct {
	grouping.GroupStorage

	mu     sync.Mutex
	n      int
	times  int
	before func()
	last   grouping.Change
}

func (s *spy) count() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
}

func (s *spy) calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

func (s *spy) lastChange() grouping.Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

func (s *spy) beforeStore(times int, fn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.times, s.before = times, fn
}

func (s *spy) Store(ctx context.Context, c grouping.Change) (*grouping.AlertGroup, error) {
	s.count()
	s.mu.Lock()
	s.last = c
	before := s.before
	if s.times--; s.times < 0 {
		before = nil
	}
	s.mu.Unlock()
	if before != nil {
		before()
	}
	return s.GroupStorage.Store(ctx, c)
}

func (s *spy) Load(ctx context.Context, id grouping.ID) (*grouping.AlertGroup, error) {
	s.count()
	return s.GroupStorage.Load(ctx, id)
}

func (s *spy) Delete(ctx context.Context, c grouping.Change) error {
	s.count()
	return s.GroupStorage.Delete(ctx, c)
}

func (s *spy) LoadAll(ctx context.Context) iter.Seq2[*grouping.AlertGroup, error] {
	s.count()
	return s.GroupStorage.LoadAll(ctx)
}

func (s *spy) Events(ctx context.Context, q grouping.EventQuery) (grouping.EventPage, error) {
	s.count()
	return s.GroupStorage.Events(ctx, q)
}
