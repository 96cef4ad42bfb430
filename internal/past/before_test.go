package past_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/past"
)

// countedEvents counts the pages of events that a manager reads.
type countedEvents struct {
	*grouping.Manager

	queries []grouping.EventQuery
	copied  time.Time // CopySince of all pages
}

func (c *countedEvents) Events(ctx context.Context, q grouping.EventQuery) (grouping.EventPage, error) {
	c.queries = append(c.queries, q)
	page, err := c.Manager.Events(ctx, q)
	page.CopySince = c.copied
	return page, err
}

// fireFor makes the group fire for a time.
func fireFor(t *testing.T, m *grouping.Manager, d time.Duration) *grouping.AlertGroup {
	t.Helper()
	fires := notification(grouping.StatusFiring)
	fires.Alerts[0].StartsAt = time.Now()
	out, err := m.Ingest(t.Context(), fires)
	require.NoError(t, err)
	if d == 0 {
		return out.Group
	}
	time.Sleep(d)
	resolved := notification(grouping.StatusResolved)
	resolved.Alerts[0].StartsAt = fires.Alerts[0].StartsAt
	out, err = m.Ingest(t.Context(), resolved)
	require.NoError(t, err)
	return out.Group
}

const day = 24 * time.Hour

func TestBeforeCountsWhatIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t)
		counted := &countedEvents{Manager: m}
		r := past.New(counted)
		begin := time.Now()
		g := fireFor(t, m, 10*time.Minute)
		b, err := r.GroupBefore(t.Context(), g, nil, time.Now())
		require.NoError(t, err)
		require.Equal(t, 1, b.Firings)
		require.Zero(t, b.Last)
		require.Equal(t, 10*time.Minute, b.Median)
		require.WithinDuration(t, begin, b.KnownSince, time.Second)

		time.Sleep(10 * day)
		n, err := m.CleanupExpiredGroups(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, n, "the retention removes the group")
		second := time.Now()
		fireFor(t, m, 30*time.Minute)
		time.Sleep(5 * day)
		fireFor(t, m, 20*time.Minute)
		time.Sleep(day)
		g = fireFor(t, m, 0)
		time.Sleep(time.Hour)

		fp := g.Alerts[0].Fingerprint
		for range 2 {
			b, err = r.GroupBefore(t.Context(), g, nil, time.Now())
			require.NoError(t, err)
			alert, err := r.AlertBefore(t.Context(), fp, []*grouping.AlertGroup{g}, nil, time.Now())
			require.NoError(t, err)
			require.Equal(t, b, alert)
			require.Equal(t, []int{4, 3, 3}, []int{b.Firings, b.RecentFirings, b.Resolved})
			require.Equal(t, []time.Duration{20 * time.Minute, 30 * time.Minute}, []time.Duration{b.Median, b.Longest.Round(time.Second)})
			require.Equal(t, 20*time.Minute, b.Last.EndsAt.Sub(b.Last.StartsAt))
			require.Zero(t, b.Newest.EndsAt)
		}
		b, err = r.GroupBefore(t.Context(), g, nil, second.Add(time.Minute))
		require.NoError(t, err)
		require.Equal(t, []int{2, 1}, []int{b.Firings, b.RecentFirings}, "at a time of the past")
		require.Equal(t, second, b.Newest.StartsAt)
		require.Zero(t, b.Newest.EndsAt)
	})
}

func TestBeforeReadsLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t)
		counted := &countedEvents{Manager: m}
		r := past.New(counted)
		ask := func(g *grouping.AlertGroup) (firings int) {
			b, err := r.GroupBefore(t.Context(), g, nil, time.Now())
			require.NoError(t, err)
			alert, err := r.AlertBefore(t.Context(), g.Alerts[0].Fingerprint, []*grouping.AlertGroup{g}, nil, time.Now())
			require.NoError(t, err)
			require.Equal(t, b.Firings, alert.Firings)
			return b.Firings
		}
		g := fireFor(t, m, time.Minute)
		require.Equal(t, 1, ask(g))
		require.Len(t, counted.queries, 2, "one for the group and one for the alert")
		for _, q := range counted.queries {
			require.Equal(t, g.ID, q.Group)
			require.NotZero(t, q.MaxRead)
		}
		require.Equal(t, 1, ask(g))
		require.Len(t, counted.queries, 2, "nothing has changed")

		for n := 2; n < 40; n++ {
			time.Sleep(10 * time.Second)
			g = fireFor(t, m, time.Second)
			counted.queries = nil
			require.Equal(t, n, ask(g))
			require.LessOrEqual(t, len(counted.queries), 2)
			for _, q := range counted.queries {
				require.Less(t, time.Since(q.Since), 6*time.Minute, "only what is new is read")
			}
		}
		time.Sleep(11 * time.Minute)
		counted.queries = nil
		require.Equal(t, 39, ask(g))
		require.Len(t, counted.queries, 2, "events may have come late")
	})
}

func TestBeforeSaysWhatACopyKnows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t)
		g := fireFor(t, m, time.Minute)
		time.Sleep(day)
		counted := &countedEvents{Manager: m, copied: time.Now()}
		r := past.New(counted)
		for range 2 {
			b, err := r.GroupBefore(t.Context(), g, nil, time.Now())
			require.NoError(t, err)
			require.Equal(t, counted.copied, b.KnownSince)
			require.Zero(t, b.Firings)
		}
		require.Len(t, counted.queries, 2, "the answer is not kept")
		counted.copied = time.Time{}
		b, err := r.GroupBefore(t.Context(), g, nil, time.Now())
		require.NoError(t, err)
		require.Equal(t, 1, b.Firings)
	})
}

func TestBeforeTakesWhatIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t)
		counted := &countedEvents{Manager: m}
		r := past.New(counted)
		for n := 1; n < 30; n++ {
			time.Sleep(10 * time.Second)
			g := fireFor(t, m, time.Second)
			fp := g.Alerts[0].Fingerprint
			page, err := m.Events(t.Context(), grouping.EventQuery{Group: g.ID, Limit: 60})
			require.NoError(t, err)
			counted.queries = nil
			b, err := r.GroupBefore(t.Context(), g, &page, time.Now())
			require.NoError(t, err)
			require.Equal(t, n, b.Firings)
			require.Empty(t, counted.queries, "all or all that is new is on the page")
			if n > 10 {
				continue
			}
			page, err = m.Events(t.Context(), grouping.EventQuery{Group: g.ID, Fingerprint: fp})
			require.NoError(t, err)
			b, err = r.AlertBefore(t.Context(), fp, []*grouping.AlertGroup{g}, &page, time.Now())
			require.NoError(t, err)
			require.Equal(t, n, b.Firings)
			require.Empty(t, counted.queries)
		}
		time.Sleep(11 * time.Minute)
		g := fireFor(t, m, time.Second)
		page, err := m.Events(t.Context(), grouping.EventQuery{Group: g.ID, Limit: 60})
		require.NoError(t, err)
		b, err := r.GroupBefore(t.Context(), g, &page, time.Now())
		require.NoError(t, err)
		require.Equal(t, 30, b.Firings)
		require.Len(t, counted.queries, 1, "the page has too little to read all again")
	})
}
