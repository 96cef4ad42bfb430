package grouping_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"muster/grouping"
)

// link is the way of one process to the storage that it shares with others.
type link struct {
	grouping.GroupStorage

	cut    atomic.Bool  // nothing can be written
	writes atomic.Int64 // to documents of sources
}

var errCut = errors.New("cut")

func (l *link) StoreSource(ctx context.Context, c grouping.SourceChange) (*grouping.SourceDocument, error) {
	if l.cut.Load() {
		return nil, errCut
	}
	l.writes.Add(1)
	return l.GroupStorage.StoreSource(ctx, c)
}

// process is a running Muster that records its life.
type process struct {
	*grouping.Manager

	t       *testing.T
	link    *link
	updates atomic.Int64
	end     func()
}

// start starts a process. stored is closed when it can read the storage; nil: at once.
func start(t *testing.T, s grouping.GroupStorage, stored chan struct{}, change func(*grouping.Options)) *process {
	t.Helper()
	return startAt(t, s, stored, grouping.NewClock(), change)
}

func startAt(
	t *testing.T, s grouping.GroupStorage, stored chan struct{}, clock *grouping.Clock, change func(*grouping.Options),
) *process {
	t.Helper()
	p := &process{t: t, link: &link{GroupStorage: s}}
	opts := grouping.DefaultOptions
	if change != nil {
		change(&opts)
	}
	watch := func(grouping.Update) { p.updates.Add(1) }
	var err error
	p.Manager, err = grouping.NewManager(p.link, clock, watch, prometheus.NewRegistry(), promslog.NewNopLogger(), opts)
	require.NoError(t, err)
	_, err = p.RestoreGroups(t.Context())
	require.NoError(t, err)
	if stored == nil {
		stored = make(chan struct{})
		close(stored)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.RecordLife(ctx, stored) }()
	p.end = func() {
		cancel()
		require.NoError(t, <-ended)
	}
	t.Cleanup(cancel)
	synctest.Wait()
	return p
}

// stop stops the process as a signal does. kill ends it without a last sign of life.
func (p *process) stop() { p.t.Helper(); p.end() }

func (p *process) kill() {
	p.t.Helper()
	p.link.cut.Store(true)
	p.end()
}

// gaps returns the gaps that a process knows, and compares them with the history.
func (p *process) gaps() []grouping.Gap {
	p.t.Helper()
	gaps, err := p.Gaps(p.t.Context(), time.Time{}, time.Time{})
	require.NoError(p.t, err)
	page, err := p.Events(p.t.Context(), grouping.EventQuery{Kinds: []grouping.EventKind{grouping.EventGap}})
	require.NoError(p.t, err)
	var events []grouping.Gap
	for _, e := range page.Events {
		events = append([]grouping.Gap{*e.Gap}, events...)
	}
	require.Equal(p.t, gaps, events)
	return gaps
}

// own returns the stored document of Muster itself.
func (p *process) own() *grouping.SourceDocument {
	p.t.Helper()
	d, err := p.link.LoadSource(p.t.Context(), "")
	require.NoError(p.t, err)
	return d
}

func only(o *grouping.Options) { o.OnlyMuster = true }

// lifetime runs a test in a bubble with its own time.
func lifetime(t *testing.T, test func(t *testing.T, s grouping.GroupStorage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, memory()) })
}

func TestAFirstStartMakesNoGap(t *testing.T) {
	lifetime(t, func(t *testing.T, s grouping.GroupStorage) {
		p := start(t, s, nil, nil)
		passTime(time.Hour)
		require.Empty(t, p.gaps())
		p.stop()
	})
}

// A killed process lived up to 10 s longer than its last sign of life says.
func TestAKillMakesAGap(t *testing.T) {
	lifetime(t, func(t *testing.T, s grouping.GroupStorage) {
		p := start(t, s, nil, only)
		passTime(time.Minute + 7*time.Second)
		p.kill()
		killed := time.Now()
		passTime(time.Hour)
		p = start(t, s, nil, only)
		gaps := p.gaps()
		require.Len(t, gaps, 1)
		require.Equal(t, killed.Add(-7*time.Second), gaps[0].From.In(killed.Location()))
		require.True(t, gaps[0].To.Equal(time.Now()))
		passTime(time.Hour)
		require.Equal(t, gaps, p.gaps(), "it is written once")
		p.stop()
	})
}

// A process that is stopped says when.
func TestAStopMakesAnExactGap(t *testing.T) {
	lifetime(t, func(t *testing.T, s grouping.GroupStorage) {
		p := start(t, s, nil, only)
		passTime(time.Minute + 7*time.Second)
		p.stop()
		stopped := time.Now()
		passTime(11 * time.Second)
		p = start(t, s, nil, only)
		require.Len(t, p.gaps(), 1)
		require.True(t, p.gaps()[0].From.Equal(stopped))
		p.stop()
		passTime(10 * time.Second)
		p = start(t, s, nil, only)
		require.Len(t, p.gaps(), 1, "a short restart is not a gap")
		p.stop()
	})
}

// Two processes that start together write one gap, to the first start.
func TestTwoThatStartTogetherMakeOneGap(t *testing.T) {
	for _, after := range []time.Duration{0, time.Second, 5 * time.Second, 14 * time.Second, 16 * time.Second} {
		lifetime(t, func(t *testing.T, s grouping.GroupStorage) {
			a, b := start(t, s, nil, nil), start(t, s, nil, nil)
			passTime(time.Minute)
			a.kill()
			b.kill()
			killed := time.Now()
			passTime(time.Hour)
			restarted := time.Now()
			a = start(t, s, nil, nil)
			passTime(after)
			b = start(t, s, nil, nil)
			passTime(time.Minute)
			gaps := a.gaps()
			require.Len(t, gaps, 1)
			require.LessOrEqual(t, killed.Sub(gaps[0].From), 10*time.Second)
			require.True(t, gaps[0].To.Equal(restarted))
			require.Len(t, a.own().Lives, 2)
			a.stop()
			b.stop()
		})
	}
}

// Nothing is missing while another process lived.
func TestNoGapWhileAReplicaLives(t *testing.T) {
	lifetime(t, func(t *testing.T, s grouping.GroupStorage) {
		a, b := start(t, s, nil, nil), start(t, s, nil, nil)
		passTime(time.Minute)
		a.kill()
		passTime(time.Hour)
		a = start(t, s, nil, nil)
		passTime(time.Minute)
		require.Empty(t, a.gaps())
		b.kill()
		passTime(time.Hour)
		require.Empty(t, a.gaps())
		a.stop()
	})
}

// The storage fails, and one of two replicas is restarted with it. The other one lived all
// the time, and says so when the storage is back.
func TestNoGapIfAReplicaLivedWithoutItsStorage(t *testing.T) {
	lifetime(t, func(t *testing.T, s grouping.GroupStorage) {
		a, b := start(t, s, nil, nil), start(t, s, nil, nil)
		passTime(time.Minute)
		a.link.cut.Store(true)
		b.kill()
		passTime(time.Hour)
		b = start(t, s, nil, nil)
		passTime(5 * time.Second)
		a.link.cut.Store(false)
		passTime(time.Minute)
		require.Empty(t, b.gaps())
		a.stop()
		b.stop()
	})
}

// What ends while the storage fails counts as dead from its last stored sign of life.
func TestAProcessThatDiesInAnOutage(t *testing.T) {
	lifetime(t, func(t *testing.T, s grouping.GroupStorage) {
		p := start(t, s, nil, only)
		passTime(time.Minute)
		cut := time.Now()
		p.link.cut.Store(true)
		passTime(time.Hour)
		p.stop()
		p = start(t, s, nil, only)
		require.Len(t, p.gaps(), 1)
		require.True(t, p.gaps()[0].From.Equal(cut))
		p.stop()
	})
}

// A process that cannot reach its storage at the start runs nevertheless. The gap ends at its
// start.
func TestAGapThatIsFoundLater(t *testing.T) {
	lifetime(t, func(t *testing.T, s grouping.GroupStorage) {
		p := start(t, s, nil, nil)
		p.stop()
		stopped := time.Now()
		passTime(time.Hour)
		stored, started := make(chan struct{}), time.Now()
		a := start(t, s, stored, nil)
		passTime(time.Minute)
		b := start(t, s, stored, nil)
		passTime(10 * time.Minute)
		require.Empty(t, a.gaps())
		close(stored)
		passTime(time.Minute)
		require.Len(t, b.gaps(), 1)
		require.True(t, b.gaps()[0].From.Equal(stopped))
		require.True(t, b.gaps()[0].To.Equal(started))
		a.stop()
		b.stop()

		c := start(t, s, make(chan struct{}), nil)
		c.stop()
		require.Len(t, c.own().Lives, 2, "what cannot know the storage writes nothing")
	})
}

// A process that ends before it looked for gaps leaves that to the next one.
func TestAGapBeforeAShortLife(t *testing.T) {
	lifetime(t, func(t *testing.T, s grouping.GroupStorage) {
		start(t, s, nil, nil).stop()
		for range 3 {
			passTime(time.Hour)
			p := start(t, s, nil, nil)
			passTime(5 * time.Second)
			require.Empty(t, p.gaps())
			p.kill()
		}
		passTime(time.Hour)
		p := start(t, s, nil, nil)
		passTime(15 * time.Second)
		require.Len(t, p.gaps(), 4)
		passTime(time.Minute)
		require.Len(t, p.own().Lives, 1, "the records of the dead are removed")
		p.stop()
	})
}

// Signs of life are no changes: nobody is told, and nothing grows.
func TestSignsOfLifeCostNothing(t *testing.T) {
	lifetime(t, func(t *testing.T, s grouping.GroupStorage) {
		p := start(t, s, nil, nil)
		passTime(time.Hour)
		require.InDelta(t, 360, p.link.writes.Load(), 2)
		require.Zero(t, p.updates.Load())
		require.Len(t, p.own().Lives, 1)
		require.Empty(t, p.own().Removed)
		page, err := p.Events(t.Context(), grouping.EventQuery{})
		require.NoError(t, err)
		require.Empty(t, page.Events)
		keys, err := s.ListKeys(t.Context())
		require.NoError(t, err)
		require.Empty(t, keys)
		reports, err := p.SourceReports(t.Context())
		require.NoError(t, err)
		require.Empty(t, reports)
		totals, err := p.Totals(t.Context())
		require.NoError(t, err)
		require.Empty(t, totals.Sources)
		p.kill()
		passTime(time.Hour)

		p = start(t, s, nil, nil)
		passTime(time.Minute)
		require.EqualValues(t, 1, p.updates.Load(), "a gap is a change")
		p.stop()
	})
}

// After the host's clock was set back, the time since the last sign of life is not known. The
// next gap is.
func TestAGapWithAClockThatIsSetBack(t *testing.T) {
	lifetime(t, func(t *testing.T, s grouping.GroupStorage) {
		started := time.Now()
		clock := func(off time.Duration) *grouping.Clock {
			return grouping.NewClockOf(func() time.Time { return time.Now().Add(off) }, func() time.Duration { return time.Since(started) })
		}
		p := startAt(t, s, nil, clock(0), only)
		passTime(time.Minute)
		p.kill()
		passTime(time.Minute)
		p = startAt(t, s, nil, clock(-time.Hour), only)
		passTime(time.Minute)
		require.Empty(t, p.gaps())
		require.Len(t, p.own().Lives, 1)
		p.kill()
		passTime(time.Minute)
		p = startAt(t, s, nil, clock(-time.Hour), only)
		require.Len(t, p.gaps(), 1)
		require.InDelta(t, 60, p.gaps()[0].To.Sub(p.gaps()[0].From).Seconds(), 10)
		p.stop()
	})
}

// A window selects the gaps that have any part in it.
func TestGapsOfAWindow(t *testing.T) {
	lifetime(t, func(t *testing.T, s grouping.GroupStorage) {
		start(t, s, nil, only).stop()
		for range 3 {
			passTime(time.Hour)
			p := start(t, s, nil, only)
			passTime(time.Hour)
			p.stop()
		}
		p := start(t, s, nil, only)
		all := p.gaps()
		require.Len(t, all, 3)
		selected := func(since, until time.Time) []grouping.Gap {
			gaps, err := p.Gaps(t.Context(), since, until)
			require.NoError(t, err)
			return gaps
		}
		require.Equal(t, all[1:], selected(all[0].To, time.Time{}))
		require.Equal(t, all[:1], selected(time.Time{}, all[1].From))
		require.Equal(t, all[1:2], selected(all[1].From.Add(time.Minute), all[1].From.Add(2*time.Minute)))
		require.Empty(t, selected(all[1].To, all[2].From))
		ended, cancel := context.WithCancelCause(t.Context())
		cancel(errCut)
		_, err := p.Gaps(ended, time.Time{}, time.Time{})
		require.ErrorIs(t, err, errCut)
		p.stop()
	})
}
