package past_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/past"
)

// readCounter is a history that counts how often it is asked for events of a group.
type readCounter struct {
	*grouping.Manager

	reads atomic.Int64
	fail  atomic.Bool
}

func (c *readCounter) Events(ctx context.Context, q grouping.EventQuery) (grouping.EventPage, error) {
	c.reads.Add(1)
	if c.fail.Load() {
		return grouping.EventPage{}, errors.New("lost")
	}
	return c.Manager.Events(ctx, q)
}

// A row says how often its group fired without a read of its own. The history is read in the
// background, once for each episode that the reader does not know.
func TestListedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t)
		c := &readCounter{Manager: m}
		r := past.New(c)
		tell := func(status grouping.Status) {
			_, err := m.Ingest(t.Context(), notification(status))
			require.NoError(t, err)
		}
		for range 3 {
			tell(grouping.StatusFiring)
			time.Sleep(10 * time.Minute)
			tell(grouping.StatusResolved)
			time.Sleep(5 * time.Hour)
		}
		tell(grouping.StatusFiring)
		group := func() *grouping.AlertGroup {
			all, err := m.All(t.Context())
			require.NoError(t, err)
			return all[0]
		}
		_, known := r.ListedBefore(t.Context(), group(), time.Now())
		require.False(t, known, "nothing is read yet")
		require.Zero(t, c.reads.Load())

		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Run(ctx) }()
		time.Sleep(time.Second)
		require.EqualValues(t, 1, c.reads.Load())
		for range 100 {
			b, known := r.ListedBefore(t.Context(), group(), time.Now())
			require.True(t, known)
			require.Equal(t, 4, b.RecentFirings)
			require.Equal(t, 3, b.Resolved)
		}
		// The group changes, but no episode begins.
		time.Sleep(5 * time.Minute)
		tell(grouping.StatusFiring)
		b, known := r.ListedBefore(t.Context(), group(), time.Now())
		require.True(t, known)
		require.Equal(t, 4, b.RecentFirings)
		require.True(t, b.Newest.EndsAt.IsZero())
		time.Sleep(time.Second)
		require.EqualValues(t, 1, c.reads.Load(), "no page read anything")
		require.False(t, b.LongerThanUsual(time.Now().Add(time.Hour)), "three resolved ones are too few")

		// The next episode counts at once, from the state. Then the history is read again.
		tell(grouping.StatusResolved)
		time.Sleep(time.Hour)
		tell(grouping.StatusFiring)
		b, _ = r.ListedBefore(t.Context(), group(), time.Now())
		require.Equal(t, 5, b.RecentFirings)
		time.Sleep(time.Second)
		b, _ = r.ListedBefore(t.Context(), group(), time.Now())
		require.Equal(t, 5, b.RecentFirings)
		require.Equal(t, 4, b.Resolved)
		require.EqualValues(t, 2, c.reads.Load())

		// In an outage the old answer stays, and the storage is not asked all the time.
		time.Sleep(2 * time.Hour)
		c.fail.Store(true)
		for range 100 {
			b, known = r.ListedBefore(t.Context(), group(), time.Now())
			require.True(t, known)
			time.Sleep(20 * time.Millisecond)
		}
		require.LessOrEqual(t, c.reads.Load(), int64(6))
		c.fail.Store(false)
		_, _ = r.ListedBefore(t.Context(), group(), time.Now())
		time.Sleep(2 * time.Second)
		b, _ = r.ListedBefore(t.Context(), group(), time.Now())
		require.True(t, b.LongerThanUsual(time.Now()) || b.Resolved < 5)
		cancel()
		require.NoError(t, <-done)
	})
}

// A page with more groups than may wait still gets answers for all of them, page by page.
func TestListedBeforeOfManyGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t)
		r := past.New(m)
		const many = 2 * past.MaxWanted
		for i := range many {
			n := notification(grouping.StatusFiring)
			n.Key.GroupKey += string(rune('a' + i))
			_, err := m.Ingest(t.Context(), n)
			require.NoError(t, err)
		}
		groups, err := m.All(t.Context())
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Run(ctx) }()
		for range 3 {
			known := 0
			for _, g := range groups {
				if _, ok := r.ListedBefore(t.Context(), g, time.Now()); ok {
					known++
				}
			}
			if known == many {
				break
			}
			time.Sleep(time.Minute)
		}
		for _, g := range groups {
			b, ok := r.ListedBefore(t.Context(), g, time.Now())
			require.True(t, ok)
			require.Equal(t, 1, b.Firings)
		}
		cancel()
		require.NoError(t, <-done)
	})
}

// A row whose answer is kept, and one whose group changes each time.
func BenchmarkListedBefore(b *testing.B) {
	m := newManager(b)
	for i := range 200 {
		n := notification([]grouping.Status{grouping.StatusFiring, grouping.StatusResolved}[i%2])
		n.Alerts[0].StartsAt = time.Now().Add(time.Duration(i/2-200) * time.Hour)
		if i%2 == 1 {
			n.Alerts[0].EndsAt = n.Alerts[0].StartsAt.Add(time.Minute)
		}
		_, err := m.Ingest(b.Context(), n)
		require.NoError(b, err)
	}
	r := past.New(m)
	groups, err := m.All(b.Context())
	require.NoError(b, err)
	g := groups[0]
	_, err = r.GroupBefore(b.Context(), g, nil, time.Now())
	require.NoError(b, err)
	b.Run("kept", func(b *testing.B) {
		for b.Loop() {
			_, _ = r.ListedBefore(b.Context(), g, time.Now())
		}
	})
	b.Run("changed", func(b *testing.B) {
		now := time.Now()
		for b.Loop() {
			now = now.Add(time.Minute)
			_, _ = r.ListedBefore(b.Context(), g, now)
		}
	})
}
