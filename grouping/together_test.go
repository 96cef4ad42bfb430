package grouping

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// takeFrom returns the function take of a batch that takes these writes.
func takeFrom(writes []*queuedWrite) func(func(*queuedWrite) bool) *queuedWrite {
	return func(acceptable func(*queuedWrite) bool) *queuedWrite {
		if len(writes) == 0 || !acceptable(writes[0]) {
			return nil
		}
		w := writes[0]
		writes = writes[1:]
		return w
	}
}

// Writes that are made together have the result of writes that are made one after another.
func TestTogetherIsOneAfterAnother(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t)
		before := rapid.SampledFrom(h.states).Draw(t, "before")
		r := rapid.SampledFrom(h.replicas).Draw(t, "writer")
		var want []Event
		var stamps []Stamp
		for range rapid.IntRange(1, 8).Draw(t, "writes") {
			stamps = append(stamps, r.stamp(base))
		}
		// A request that arrived earlier may wait later, because its body took longer.
		stamps = rapid.Permutation(stamps).Draw(t, "order")
		own := make([][]Event, len(stamps))
		var writes []*queuedWrite
		group := before
		for i, stamp := range stamps {
			alerts := rapid.SliceOfN(rapid.Custom(drawAlert), 1, 4).Draw(t, "alerts")
			refused := rapid.IntRange(0, 5).Draw(t, "refused") == 0
			plan := func(g *AlertGroup) (Change, error) {
				if refused {
					return Change{}, &FullError{What: "alert"}
				}
				c := apply(g, Notification{Key: testKey, Stamp: stamp, Alerts: slices.Clone(alerts), ExternalURL: am0}, testRules)
				own[i], c.Notified = c.Events, 1
				return c, nil
			}
			if c, err := plan(group); err == nil {
				group = c.Group.PruneRemovals()
				want = append(want, c.Events...)
			}
			writes = append(writes, &queuedWrite{stamp: stamp, plan: plan, done: make(chan struct{})})
		}
		slices.SortFunc(want, func(a, b Event) int { return cmp.Compare(a.ID, b.ID) })

		b := &batch{take: takeFrom(writes)}
		c, err := b.plan(before)
		if errors.Is(err, errNoChange) {
			require.Empty(t, want)
			return
		}
		require.NoError(t, err)
		require.True(t, group.Equal(c.Group), "%s\n%s", snapshot(t, group), snapshot(t, c.Group))
		require.Equal(t, want, c.Events)
		for i, w := range writes {
			if w.err == nil {
				require.GreaterOrEqual(t, c.Stamp, w.stamp)
				for _, e := range own[i] {
					require.Equal(t, w.stamp, e.Stamp(), "each caller gets its own events")
				}
			}
		}
		// After a conflict, the same writes are planned again.
		again, err := b.plan(before)
		require.NoError(t, err)
		require.Equal(t, want, again.Events)
		require.Equal(t, c.Notified, again.Notified)
		w := Write{Stamp: c.Stamp, Events: c.Events, Changed: c.Changed}
		for _, s := range stamps {
			made := slices.ContainsFunc(want, func(e Event) bool { return e.Stamp() == s })
			require.Equal(t, made && s != c.Stamp, slices.Contains(w.OtherStamps(), s))
		}
		require.Less(t, len(w.OtherStamps()), len(stamps))
	})
}

// The limits end a batch, and what is left waits for the next one.
func TestLimitsOfABatch(t *testing.T) {
	write := func(stamp Stamp, events int) *queuedWrite {
		return &queuedWrite{stamp: stamp, plan: func(*AlertGroup) (Change, error) {
			return Change{Group: &AlertGroup{}, Stamp: stamp, Events: make([]Event, events)}, nil
		}}
	}
	now, later := NewStamp(base, 0, testWriter), NewStamp(base.Add(maxSpread), 0, testWriter)
	for _, test := range []struct {
		what   string
		writes []*queuedWrite
		taken  int
	}{
		{"the number of writes", slices.Repeat([]*queuedWrite{write(now, 0)}, maxTogether+1), maxTogether},
		{"the number of events", []*queuedWrite{write(now, 0), write(now, maxEventsTogether+1), write(now, 1)}, 2},
		{"the time between the stamps", []*queuedWrite{write(now, 1), write(now, 1), write(later, 1)}, 2},
		{"an earlier stamp", []*queuedWrite{write(later, 1), write(now, 1)}, 1},
		{"nothing else waits", []*queuedWrite{write(now, maxEventsTogether+1)}, 1},
	} {
		b := &batch{take: takeFrom(test.writes)}
		_, err := b.plan(nil)
		require.NoError(t, err)
		require.Len(t, b.taken, test.taken, test.what)
	}
}

// A plan that panics must not keep the others waiting.
func TestAPanicOfAWriteAnswersTheOthers(t *testing.T) {
	m := &Manager{storage: absentStorage{}, clock: NewClock()}
	group := m.queues.enter("x", nil)
	<-group.turn // so that both wait
	var wg sync.WaitGroup
	results := make(chan any, 2)
	for i := range 2 {
		wg.Go(func() {
			defer func() {
				if r := recover(); r != nil {
					results <- r
				}
			}()
			_, err := m.writeTogether(t.Context(), "x", "", func(*AlertGroup) (Change, error) {
				if i == 1 {
					panic("bad")
				}
				return Change{Group: &AlertGroup{ID: "x"}}, nil
			})
			results <- err
		})
		for waiting := 0; waiting <= i; {
			m.queues.mu.Lock()
			waiting = len(group.waiting)
			m.queues.mu.Unlock()
		}
	}
	group.turn <- struct{}{}
	wg.Wait()
	m.queues.leave("x", group)
	require.ElementsMatch(t, []any{"bad", errAborted}, []any{<-results, <-results})
	require.Empty(t, m.queues.groups)
}

// A queue is used again for another group, but not with a write that a panic left in it.
func TestQueuesAreUsedAgain(t *testing.T) {
	var q queues
	first, other := q.enter("a", nil), q.enter("b", nil)
	require.NotSame(t, first, other)
	require.Same(t, first, q.enter("a", nil))
	q.leave("a", first)
	require.NotSame(t, first, q.enter("c", nil), "it has a writer")
	q.leave("a", first)
	require.Same(t, first, q.enter("d", &queuedWrite{}))
	q.leave("d", first)
	require.NotSame(t, first, q.enter("e", nil), "it has a write")
	<-other.turn
	q.leave("b", other)
	require.NotSame(t, other, q.enter("f", nil), "somebody has the turn")
}

// absentStorage has no group.
type absentStorage struct{ managerStorage }

func (absentStorage) Load(_ context.Context, id ID) (*AlertGroup, error) {
	return nil, &GroupNotFoundError{ID: id}
}
