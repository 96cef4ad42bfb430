package grouping_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
)

// gate is a storage whose Store waits while the gate is closed.
type gate struct {
	grouping.GroupStorage

	mu      sync.Mutex
	changes []grouping.Change // guarded by mu
	opened  chan struct{}     // guarded by mu
	fault   error             // guarded by mu
}

// shut closes the gate until the returned function is called.
func (g *gate) shut() (open func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	opened := make(chan struct{})
	g.opened = opened
	return func() { close(opened) }
}

func (g *gate) Store(ctx context.Context, c grouping.Change) (*grouping.AlertGroup, error) {
	g.mu.Lock()
	g.changes = append(g.changes, c)
	opened, fault := g.opened, g.fault
	g.mu.Unlock()
	if opened != nil {
		<-opened
	}
	if fault != nil {
		return nil, fault
	}
	return g.GroupStorage.Store(ctx, c)
}

// together runs fn in a bubble, with a manager whose next write waits until open is called.
func together(t *testing.T, opts grouping.Options, fn func(t *testing.T, m *grouping.Manager, s *gate, open func())) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &gate{GroupStorage: memory()}
		m := newManager(t, s, opts)
		open := s.shut()
		go func() { _, _ = m.AddAlertToGroup(context.Background(), key, alert("first")) }()
		synctest.Wait()
		fn(t, m, s, open)
		synctest.Wait()
	})
}

// Reports that wait for one group are stored by one write, in the order of arrival, and
// each caller gets its own answer.
func TestWaitingReportsAreStoredTogether(t *testing.T) {
	together(t, grouping.DefaultOptions, func(t *testing.T, m *grouping.Manager, s *gate, open func()) {
		outcomes := make([]grouping.Outcome, 10)
		for i := range outcomes {
			go func() {
				n := notification(alert(fmt.Sprint(i)))
				n.Truncated = 1
				if i%2 == 1 { // it ends what the one before reported
					n.Alerts = []grouping.NotifiedAlert{resolved(alert(fmt.Sprint(i - 1)))}
				}
				out, err := m.Ingest(context.Background(), n)
				if err == nil {
					outcomes[i] = out
				}
			}()
			synctest.Wait()
		}
		open()
		synctest.Wait()
		require.Len(t, s.changes, 2, "one for the first write, one for the others")
		require.Equal(t, 10, s.changes[1].Notified)
		g, err := m.Get(t.Context(), key.ID())
		require.NoError(t, err)
		require.Equal(t, grouping.Counts{Firing: 1, Resolved: 5}, g.Counts, "each end is after its alert")
		require.Equal(t, int64(10), g.Notifications)
		require.Equal(t, int64(2), g.Version)
		for i, out := range outcomes {
			kinds := map[grouping.EventKind]int{}
			for _, e := range out.Events {
				kinds[e.Kind]++
			}
			want := map[grouping.EventKind]int{grouping.EventFired: 1, grouping.EventNotified: 1}
			if i%2 == 1 {
				want = map[grouping.EventKind]int{grouping.EventResolved: 1, grouping.EventNotified: 1}
			}
			require.Equal(t, want, kinds, "report %d", i)
		}
		page, err := m.Events(t.Context(), grouping.EventQuery{Limit: 100})
		require.NoError(t, err)
		require.Len(t, page.Events, 22, "opened and fired by the first, two by each other")
	})
}

// A report that is cancelled while it waits is not applied. Once it was taken, it is, and
// its caller still learns of it.
func TestACancelledReport(t *testing.T) {
	together(t, grouping.DefaultOptions, func(t *testing.T, m *grouping.Manager, s *gate, open func()) {
		cause := errors.New("the client went away")
		waiting, cancelWaiting := context.WithCancelCause(context.Background())
		taken, cancelTaken := context.WithCancelCause(context.Background())
		errs := map[string]error{}
		var mu sync.Mutex
		add := func(ctx context.Context, name string) {
			go func() {
				_, err := m.AddAlertToGroup(ctx, key, alert(name))
				mu.Lock()
				defer mu.Unlock()
				errs[name] = err
			}()
			synctest.Wait()
		}
		add(waiting, "waiting")
		for _, name := range []string{"a", "b", "c"} {
			add(taken, name)
		}
		cancelWaiting(cause)
		synctest.Wait()
		openAgain := s.shut()
		open()
		synctest.Wait() // the others are taken, and their write waits
		cancelTaken(cause)
		synctest.Wait()
		add(context.Background(), "later")
		openAgain()
		synctest.Wait()
		require.Equal(t, map[string]error{"waiting": cause, "a": nil, "b": nil, "c": nil, "later": nil}, errs)
		g, err := m.Get(t.Context(), key.ID())
		require.NoError(t, err)
		require.Len(t, g.Alerts, 5)
		require.Nil(t, g.Alert(alert("waiting").Fingerprint))
	})
}

// A report that is refused changes nothing, and does not affect the others.
func TestARefusedReportDoesNotAffectOthers(t *testing.T) {
	opts := grouping.DefaultOptions
	opts.MaxAlerts = 3
	together(t, opts, func(t *testing.T, m *grouping.Manager, s *gate, open func()) {
		errs := make([]error, 4)
		for i := range errs {
			go func() { _, errs[i] = m.AddAlertToGroup(context.Background(), key, alert(fmt.Sprint(i))) }()
			synctest.Wait()
		}
		open()
		synctest.Wait()
		require.Equal(t, []error{nil, nil}, errs[:2])
		for _, err := range errs[2:] {
			var full *grouping.FullError
			require.ErrorAs(t, err, &full)
		}
		require.Len(t, s.changes, 2)
		require.Len(t, s.changes[1].Events, 2)
	})
}

// If the write fails, every caller gets the fault, and nobody waits forever.
func TestAFaultIsTheAnswerOfAll(t *testing.T) {
	together(t, grouping.DefaultOptions, func(t *testing.T, m *grouping.Manager, s *gate, open func()) {
		errs := make([]error, 5)
		for i := range errs {
			go func() { _, errs[i] = m.AddAlertToGroup(context.Background(), key, alert(fmt.Sprint(i))) }()
			synctest.Wait()
		}
		s.mu.Lock()
		s.fault = &grouping.StorageError{Backend: "test", Op: "store", Err: errors.New("down")}
		s.mu.Unlock()
		open()
		synctest.Wait()
		for _, err := range errs {
			require.ErrorIs(t, err, grouping.ErrStorage)
		}
		s.mu.Lock()
		s.fault = nil
		s.mu.Unlock()
		_, err := m.AddAlertToGroup(t.Context(), key, alert("later"))
		require.NoError(t, err)
	})
}

// A removal is not stored together with reports, and waits for its turn like them.
func TestARemovalBetweenReports(t *testing.T) {
	together(t, grouping.DefaultOptions, func(t *testing.T, m *grouping.Manager, s *gate, open func()) {
		for i := range 3 {
			go func() { _, _ = m.AddAlertToGroup(context.Background(), key, alert(fmt.Sprint(i))) }()
			synctest.Wait()
		}
		go func() { _ = m.RemoveAlertFromGroup(context.Background(), key.ID(), alert("first").Fingerprint) }()
		open()
		synctest.Wait()
		require.Len(t, s.changes, 3)
		g, err := m.Get(t.Context(), key.ID())
		require.NoError(t, err)
		require.Len(t, g.Alerts, 3)
	})
}

// A conflict with another replica makes all the writes again. None is lost, and none is
// applied twice.
func TestAConflictOfWaitingReports(t *testing.T) {
	together(t, grouping.DefaultOptions, func(t *testing.T, m *grouping.Manager, s *gate, open func()) {
		replica := newManager(t, s.GroupStorage, grouping.DefaultOptions)
		outcomes := make([]grouping.Outcome, 5)
		for i := range outcomes {
			go func() {
				n := notification(alert(fmt.Sprint(i)))
				n.Truncated = 1
				outcomes[i], _ = m.Ingest(context.Background(), n)
			}()
			synctest.Wait()
		}
		openAgain := s.shut()
		open()
		synctest.Wait() // the write of all waits
		n := notification(alert("3"))
		n.Truncated = 1
		_, err := replica.Ingest(t.Context(), n)
		require.NoError(t, err)
		openAgain()
		time.Sleep(time.Second) // longer than the pause after a conflict
		synctest.Wait()
		g, err := m.Get(t.Context(), key.ID())
		require.NoError(t, err)
		require.Len(t, g.Alerts, 6)
		require.Equal(t, int64(6), g.Notifications)
		fired := map[grouping.Fingerprint]int{}
		page, err := m.Events(t.Context(), grouping.EventQuery{Kinds: []grouping.EventKind{grouping.EventFired}})
		require.NoError(t, err)
		for _, e := range page.Events {
			fired[e.Fingerprint]++
		}
		require.Len(t, fired, 6)
		for fp, n := range fired {
			require.Equal(t, 1, n, fp)
		}
		require.Len(t, outcomes[3].Events, 1, "the other replica reported it first")
		require.Len(t, outcomes[4].Events, 2)
	})
}
