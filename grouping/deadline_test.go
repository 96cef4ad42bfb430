package grouping

import (
	"testing"
	"time"

	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"
)

// newLocalManager returns a manager whose storage has no groups.
func newLocalManager(t *testing.T) *Manager {
	t.Helper()
	s := &sourceStorage{document: NewSourceDocument("prod")}
	m, err := NewManager(s, NewClock(), nil, nil, promslog.NewNopLogger(), DefaultOptions)
	require.NoError(t, err)
	return m
}

// Two goroutines can compute the next deadline of a group at once, and only one of them knows
// what is due first. The one that does not know it may be the last to set the deadline.
func TestTheEarlierDeadlineCounts(t *testing.T) {
	d := newDeadlines()
	d.set("a", base.Add(time.Minute))
	d.set("b", base.Add(2*time.Minute))
	d.set("b", base.Add(30*time.Second))
	d.set("b", base.Add(5*time.Minute))
	id, wait := d.next(base)
	require.Equal(t, []any{ID(""), 30 * time.Second}, []any{id, wait})
	id, _ = d.next(base.Add(30 * time.Second))
	require.Equal(t, ID("b"), id)
	d.set("b", base.Add(5*time.Minute))
	id, _ = d.next(base.Add(time.Minute))
	require.Equal(t, ID("a"), id)
	_, wait = d.next(base.Add(time.Minute))
	require.Equal(t, 4*time.Minute, wait)
}

// A stored group without the time of its first flush does not keep the timers busy.
func TestAGroupWithoutAFlushIsDueLater(t *testing.T) {
	m := newLocalManager(t)
	for _, flushAt := range []time.Time{{}, time.Date(1700, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(0, 0)} {
		now := m.clock.Now()
		next := m.nextFlush(NewAlertGroup(AlertGroup{ID: testKey.ID(), Meta: Meta{Key: testKey, FlushAt: flushAt}}))
		require.True(t, next.After(now), "%s", next)
		require.False(t, next.After(now.Add(m.opts.Interval+time.Second)), "%s", next)
	}
}
