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

func memory() *storage.Memory { return storage.NewMemory(storage.DefaultMemoryOptions()) }

// alert returns an alert of the instance that has been firing for a minute.
func alert(instance string) grouping.NotifiedAlert {
	l := grouping.NewLabels(map[string]string{"alertname": "Down", "instance": instance})
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
		Key: key, Alerts: alerts, GroupLabels: grouping.NewLabels(map[string]string{"alertname": "Down"}),
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
		"Ingest":               func() error { _, err := m.Ingest(ctx, notification(alert("b"))); return err },
		"AddAlertToGroup":      func() error { _, err := m.AddAlertToGroup(ctx, key, alert("b")); return err },
		"RemoveAlertFromGroup": func() error { return m.RemoveAlertFromGroup(ctx, key.ID(), fp) },
		"Get":                  func() error { _, err := m.Get(ctx, key.ID()); return err },
		"UpdateGroupState":     func() error { _, err := m.UpdateGroupState(ctx, key.ID()); return err },
		"List":                 func() error { _, err := m.List(ctx, grouping.ListQuery{}); return err },
		"CleanupExpiredGroups": func() error { _, err := m.CleanupExpiredGroups(ctx); return err },
		"ByFingerprint":        func() error { _, err := m.ByFingerprint(ctx, fp); return err },
		"Events":               func() error { _, err := m.Events(ctx, grouping.EventQuery{}); return err },
		"Totals":               func() error { _, err := m.Totals(ctx); return err },
		"All":                  func() error { _, err := m.All(ctx); return err },
		"Find":                 func() error { _, err := m.Find(ctx, "", grouping.Labels{}); return err },
		"Heartbeats":           func() error { _, err := m.Heartbeats(ctx); return err },
		"RestoreGroups":        func() error { _, err := m.RestoreGroups(ctx); return err },
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
	require.Equal(t, grouping.NewLabels(map[string]string{"alertname": "Down"}), g.CommonLabels)

	got, err := m.Get(t.Context(), key.ID())
	require.NoError(t, err)
	require.True(t, got.Equal(g))
}

func TestRemoveAlertFromGroup(t *testing.T) {
	m := newManager(t, memory(), grouping.DefaultOptions)
	a, b := alert("a"), alert("b")
	_, err := m.Ingest(t.Context(), notification(a, b))
	require.NoError(t, err)

	require.NoError(t, m.RemoveAlertFromGroup(t.Context(), key.ID(), a.Fingerprint))
	g, err := m.Get(t.Context(), key.ID())
	require.NoError(t, err)
	require.Len(t, g.Alerts, 1)

	err = m.RemoveAlertFromGroup(t.Context(), key.ID(), a.Fingerprint)
	require.ErrorIs(t, err, grouping.ErrGroupNotFound)
	var notFound *grouping.GroupNotFoundError
	require.ErrorAs(t, err, &notFound)
	require.Equal(t, a.Fingerprint, notFound.Fingerprint)

	require.NoError(t, m.RemoveAlertFromGroup(t.Context(), key.ID(), b.Fingerprint))
	_, err = m.Get(t.Context(), key.ID())
	require.ErrorIs(t, err, grouping.ErrGroupNotFound, "removing the last alert removes the group")
	_, err = m.ByFingerprint(t.Context(), b.Fingerprint)
	require.ErrorIs(t, err, grouping.ErrGroupNotFound)

	g, err = m.AddAlertToGroup(t.Context(), key, a)
	require.NoError(t, err)
	require.Len(t, g.Alerts, 1, "a removed alert that is reported again comes back")
}

func TestByFingerprint(t *testing.T) {
	m := newManager(t, memory(), grouping.DefaultOptions)
	a := alert("a")
	other := notification(a)
	other.Receiver = "audit" // continue: true
	for _, n := range []grouping.Notification{notification(a), other} {
		_, err := m.Ingest(t.Context(), n)
		require.NoError(t, err)
	}
	groups, err := m.ByFingerprint(t.Context(), a.Fingerprint)
	require.NoError(t, err)
	require.Len(t, groups, 2)
	require.Less(t, groups[0].ID, groups[1].ID)

	require.NoError(t, m.RemoveAlertFromGroup(t.Context(), other.ID(), a.Fingerprint))
	groups, err = m.ByFingerprint(t.Context(), a.Fingerprint)
	require.NoError(t, err)
	require.Len(t, groups, 1)
	require.Equal(t, key.ID(), groups[0].ID)
}

func TestManagerList(t *testing.T) {
	m := newManager(t, memory(), grouping.DefaultOptions)
	for i := range 5 {
		n := notification(alert("a"))
		n.GroupKey = fmt.Sprintf("{}:{n=%d}", i)
		n.GroupLabels = grouping.NewLabels(map[string]string{"alertname": fmt.Sprintf("Alert%d", i)})
		n.Alerts[0].Labels = grouping.NewLabels(map[string]string{"alertname": fmt.Sprintf("Alert%d", i), "odd": fmt.Sprint(i % 2)})
		_, err := m.Ingest(t.Context(), n)
		require.NoError(t, err)
	}
	matchers, err := parse.Matchers(`odd="0"`)
	require.NoError(t, err)
	var names []string
	q := grouping.ListQuery{Matchers: matchers, Sort: grouping.SortName, Limit: 2}
	for {
		page, err := m.List(t.Context(), q)
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

	_, err = m.List(t.Context(), grouping.ListQuery{Sort: "colour"})
	require.ErrorIs(t, err, grouping.ErrBadQuery)
	_, err = m.Events(t.Context(), grouping.EventQuery{Kinds: []grouping.EventKind{"explode"}})
	require.ErrorIs(t, err, grouping.ErrBadQuery)
}

func TestManagerTotals(t *testing.T) {
	m := newManager(t, memory(), grouping.DefaultOptions)
	a, b := alert("a"), alert("b")
	_, err := m.Ingest(t.Context(), notification(a, b))
	require.NoError(t, err)
	_, err = m.Ingest(t.Context(), notification(resolved(a), b))
	require.NoError(t, err)
	held, err := m.Totals(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, held.Groups[grouping.StateMixed])
	require.Equal(t, map[grouping.Status]int{"firing": 1, "resolved": 1, "suppressed": 0, "unreported": 0}, held.Alerts)
	require.Equal(t, map[string]int{"team.a": 1}, held.Receivers)
	require.Contains(t, held.Sources["default"].Alertmanagers, "http://am-0:9093")
	require.Equal(t, held.LastNotification, held.Sources["default"].LastNotification)
}

// A read of the state touches no storage, so it works while the storage fails.
func TestReadsTouchNoStorage(t *testing.T) {
	s := &spy{GroupStorage: memory()}
	m := newManager(t, s, grouping.DefaultOptions)
	a := alert("a")
	_, err := m.Ingest(t.Context(), notification(a))
	require.NoError(t, err)
	before := s.calls()
	g, err := m.Get(t.Context(), key.ID())
	require.NoError(t, err)
	page, err := m.List(t.Context(), grouping.ListQuery{})
	require.NoError(t, err)
	all, err := m.All(t.Context())
	require.NoError(t, err)
	holding, err := m.ByFingerprint(t.Context(), a.Fingerprint)
	require.NoError(t, err)
	found, err := m.Find(t.Context(), key.Receiver, grouping.NewLabels(map[string]string{"alertname": "Down"}))
	require.NoError(t, err)
	for _, got := range [][]*grouping.AlertGroup{page.Groups, all, holding, found} {
		require.Len(t, got, 1)
		require.Same(t, g, got[0])
	}
	_, err = m.Totals(t.Context())
	require.NoError(t, err)
	_, err = m.Heartbeats(t.Context())
	require.NoError(t, err)
	require.Equal(t, before, s.calls())
}

func TestFind(t *testing.T) {
	m := newManager(t, memory(), grouping.DefaultOptions)
	arrival := time.Now().Add(-time.Minute)
	ingest := func(source, receiver, groupKey string, alerts ...grouping.NotifiedAlert) {
		n := notification(alerts...)
		arrival = arrival.Add(time.Second)
		n.Stamp = grouping.NewStamp(arrival, 0, "00000000000000aa")
		n.Source, n.Receiver, n.GroupKey = source, receiver, groupKey
		_, err := m.Ingest(t.Context(), n)
		require.NoError(t, err)
	}
	ingest("prod", "team", "old route", resolved(alert("a")))
	ingest("prod", "team", "route", alert("a"))
	ingest("edge", "team", "route", resolved(alert("a")))
	ingest("prod", "audit", "route", alert("a"))
	find := func(receiver string, l grouping.Labels) (names []string) {
		groups, err := m.Find(t.Context(), receiver, l)
		require.NoError(t, err)
		for _, g := range groups {
			names = append(names, g.Source+" "+g.GroupKey)
		}
		return names
	}
	down := grouping.NewLabels(map[string]string{"alertname": "Down"})
	require.Equal(t, []string{"prod route", "edge route", "prod old route"}, find("team", down), "firing first, then the last notified")
	require.Equal(t, []string{"prod route"}, find("audit", down))
	require.Empty(t, find("tea", down))
	require.Empty(t, find("team", grouping.Labels{}))
	require.Empty(t, find("team", grouping.NewLabels(map[string]string{"alertname": "Down", "x": "y"})))

	changed := notification(alert("a"))
	changed.Source, changed.Receiver, changed.GroupKey, changed.GroupLabels = "prod", "team", "route", grouping.NewLabels(
		map[string]string{"team": "a"},
	)
	_, err := m.Ingest(t.Context(), changed)
	require.NoError(t, err)
	require.Equal(t, []string{"prod route"}, find("team", grouping.NewLabels(map[string]string{"team": "a"})))
	require.NotContains(t, find("team", down), "prod route", "a group is found by its current labels only")
}

// A storage that reads a backend passes each group to the manager while it reads it. The
// restore after it does not repeat that.
func TestRestoreLoadsWhatIsNotPassed(t *testing.T) {
	for _, passesStored := range []bool{true, false} {
		t.Run(fmt.Sprint(passesStored), func(t *testing.T) { testRestore(t, passesStored) })
	}
}

func testRestore(t *testing.T, passesStored bool) {
	t.Helper()
	// The clock of the host was set back since the groups were written.
	ahead := grouping.NewClockOf(func() time.Time { return time.Now().Add(time.Hour) }, func() time.Duration { return 0 })
	writer, err := grouping.NewManager(memory(), ahead, nil, prometheus.NewRegistry(), promslog.NewNopLogger(), grouping.DefaultOptions)
	require.NoError(t, err)
	var groups []*grouping.AlertGroup
	for i := range 3 {
		n := notification(alert("a"))
		n.GroupKey = fmt.Sprint(i)
		out, err := writer.Ingest(t.Context(), n)
		require.NoError(t, err)
		groups = append(groups, out.Group)
	}
	s := &followed{GroupStorage: memory(), passesStored: passesStored}
	require.NoError(t, s.StoreAll(t.Context(), groups)) // without their events
	updates := map[grouping.ID]int{}
	m, err := grouping.NewManager(s, grouping.NewClock(), func(u grouping.Update) { updates[u.ID]++ },
		prometheus.NewRegistry(), promslog.NewNopLogger(), grouping.DefaultOptions)
	require.NoError(t, err)
	if passesStored {
		for _, g := range groups {
			s.notify(g.ID, nil, g)
		}
	}
	n, err := m.RestoreGroups(t.Context())
	require.NoError(t, err)
	require.Equal(t, 3, n)
	require.Equal(t, map[grouping.ID]int{groups[0].ID: 1, groups[1].ID: 1, groups[2].ID: 1}, updates)
	totals, err := m.Totals(t.Context())
	require.NoError(t, err)
	require.Equal(t, 3, totals.Size())
	for _, g := range groups {
		require.Greater(t, m.Stamp(), g.Stamp, "new writes are ordered before stored ones")
	}
}

// followed is a storage whose groups other processes change too.
type followed struct {
	grouping.GroupStorage

	notify       func(id grouping.ID, before, group *grouping.AlertGroup)
	passesStored bool
}

func (s *followed) Follow(fn func(id grouping.ID, before, group *grouping.AlertGroup)) bool {
	s.notify = fn
	return s.passesStored
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
	a.Annotations = grouping.NewLabels(map[string]string{"value": "2"})
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
		b.Annotations = grouping.NewLabels(map[string]string{"value": fmt.Sprint(i)})
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
	g, err := s.Load(t.Context(), key.ID())
	require.NoError(t, err)
	require.Equal(t, grouping.Counts{Firing: 100}, g.Counts)
}

func TestOptionsAreChecked(t *testing.T) {
	opts := grouping.DefaultOptions
	opts.Interval = 0
	_, err := grouping.NewManager(memory(), grouping.NewClock(), nil, nil, promslog.NewNopLogger(), opts)
	require.ErrorContains(t, err, "group interval 0s is less than the minimum of 1ms")

	opts = grouping.DefaultOptions
	opts.Receivers = []grouping.SourceReceiver{{Source: "prod", Receiver: "muster"}, {Source: "prod"}}
	_, err = grouping.NewManager(memory(), grouping.NewClock(), nil, nil, promslog.NewNopLogger(), opts)
	require.ErrorContains(t, err, `a receiver of source "prod" has no name`)
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
