package past_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/history"
	"muster/internal/past"
	"muster/storage"
)

// counted is a history that counts what is read of it.
type counted struct {
	*grouping.Manager

	streams atomic.Int64
	events  atomic.Int64
	fail    atomic.Bool
	block   chan struct{} // if set, a stream waits for it
}

func (c *counted) StreamEvents(ctx context.Context, from time.Time) iter.Seq2[grouping.Event, error] {
	return func(yield func(grouping.Event, error) bool) {
		c.streams.Add(1)
		if c.block != nil {
			select {
			case <-c.block:
			case <-ctx.Done():
				yield(grouping.Event{}, ctx.Err())
				return
			}
		}
		for e, err := range c.Manager.StreamEvents(ctx, from) {
			c.events.Add(1)
			if c.fail.Load() {
				err = errors.New("lost")
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// week tells the manager of an alert that fires for ten minutes each hour of the time. Two
// receivers are notified, one of them by two replicas.
func week(t *testing.T, m *grouping.Manager, hours int) {
	t.Helper()
	startsAt := time.Now()
	for range hours {
		startsAt = startsAt.Add(time.Hour)
		for i, status := range []grouping.Status{grouping.StatusFiring, grouping.StatusResolved} {
			time.Sleep(time.Until(startsAt.Add(time.Duration(10*i) * time.Minute)))
			for _, from := range []string{"http://am-0", "http://am-1"} {
				for _, receiver := range []string{"team", "other"} {
					if receiver == "other" && from == "http://am-1" {
						continue
					}
					n := notification(status)
					n.Receiver, n.ExternalURL, n.Reason = receiver, from, "first notification"
					n.Alerts[0].StartsAt = startsAt
					if status == grouping.StatusResolved {
						n.Alerts[0].EndsAt, n.Reason = startsAt.Add(10*time.Minute), "all alerts resolved"
					}
					_, err := m.Ingest(t.Context(), n)
					require.NoError(t, err)
				}
				time.Sleep(15 * time.Second)
			}
		}
	}
}

func lastDays(n int) history.ReportQuery {
	now := time.Now()
	return history.ReportQuery{Since: now.AddDate(0, 0, -n), Until: now, By: "alertname"}
}

func TestReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t)
		c := &counted{Manager: m}
		r := past.New(c)
		empty, err := r.Report(t.Context(), lastDays(1))
		require.NoError(t, err)
		require.Zero(t, empty.Totals)

		week(t, m, 72)
		begin := time.Now()
		time.Sleep(past.MaxDigestAge + time.Second)
		day, err := r.Report(t.Context(), lastDays(1))
		require.NoError(t, err)
		require.Equal(t, 24, day.Totals.Firings, "an alert in two groups counts once")
		require.Equal(t, 24, day.TotalsBefore.Firings)
		require.Equal(t, 24*10*time.Minute, day.Totals.Firing)
		require.Equal(t, 10*time.Minute, day.Totals.Median)
		require.Equal(t, 24, day.Totals.Flaps, "50 minutes after the last end")
		require.Equal(t, 96, day.Totals.Notifications, "the copies of a replica count once")
		require.Equal(t, []history.ReceiverCount{
			{Receiver: "other", Notifications: 48, ByReason: map[string]int{"first notification": 24, "all alerts resolved": 24}},
			{Receiver: "team", Notifications: 48, ByReason: map[string]int{"first notification": 24, "all alerts resolved": 24}},
		}, day.Receivers)

		// A warm report reads the end of the history only.
		c.streams.Store(0)
		time.Sleep(time.Second)
		_, err = r.Report(t.Context(), lastDays(1))
		require.NoError(t, err)
		require.EqualValues(t, 1, c.streams.Load())

		// An earlier window is read from its beginning. It is the same as if nothing was kept.
		long, err := r.Report(t.Context(), lastDays(7))
		require.NoError(t, err)
		require.Nil(t, long.Before, "the history is shorter")
		require.Equal(t, 72, long.Totals.Firings)
		require.WithinDuration(t, begin.Add(-72*time.Hour), long.KnownSince, 2*time.Hour)

		c.events.Store(0)
		again, err := r.Report(t.Context(), history.ReportQuery{Since: day.Since, Until: day.Until, By: "alertname"})
		require.NoError(t, err)
		require.Equal(t, day, again, "also from a digest that begins earlier")
		require.LessOrEqual(t, c.events.Load(), int64(20))

		// New events are seen, and after a while all are read again.
		week(t, m, 1)
		after, err := r.Report(t.Context(), lastDays(7))
		require.NoError(t, err)
		require.Equal(t, 73, after.Totals.Firings)
		require.Greater(t, c.events.Load(), int64(500))
	})
}

// An event of another replica can be stored after later ones were read. A kept report has it soon.
func TestReportHasLateEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := storage.NewMemory(storage.DefaultMemoryOptions())
		replica := func(behind time.Duration) *grouping.Manager {
			clock := grouping.NewClockOf(func() time.Time { return time.Now().Add(-behind) }, func() time.Duration { return 0 })
			m, err := grouping.NewManager(s, clock, nil, prometheus.NewRegistry(), promslog.NewNopLogger(), grouping.DefaultOptions)
			require.NoError(t, err)
			return m
		}
		m, late := replica(0), replica(30*time.Second)
		add := func(m *grouping.Manager, name string) {
			n := notification(grouping.StatusFiring)
			n.GroupKey = name
			n.Alerts[0].Labels = grouping.NewLabels(map[string]string{"alertname": name})
			n.Alerts[0].Fingerprint = n.Alerts[0].Labels.Fingerprint()
			_, err := m.Ingest(t.Context(), n)
			require.NoError(t, err)
		}
		c := &counted{Manager: m}
		r := past.New(c)
		firings := func() int {
			report, err := r.Report(t.Context(), lastDays(1))
			require.NoError(t, err)
			return report.Totals.Firings
		}
		week(t, m, 200)
		time.Sleep(23 * time.Hour)
		add(m, "first")
		time.Sleep(time.Second)
		require.Equal(t, 2, firings())
		add(late, "second")
		add(m, "third")
		time.Sleep(past.MinDigestAge)
		require.Equal(t, 4, firings())
		c.streams.Store(0)
		c.events.Store(0)
		time.Sleep(past.MinDigestAge)
		require.Equal(t, 4, firings())
		require.LessOrEqual(t, c.events.Load(), int64(past.MaxRecent))
		require.EqualValues(t, 1, c.streams.Load(), "nothing is late, so the digest is kept")
		const reports = 20
		for range reports { // all the time something is late
			add(late, fmt.Sprint("late ", time.Now()))
			firings()
			time.Sleep(past.MinDigestAge / 10)
		}
		require.Less(t, c.streams.Load(), int64(2*reports), "it is not made again for each of them")
	})
}

// An alert that fires since before a window, and still does, counts with its time.
func TestReportOfAnAlertThatHasNoEventInTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t)
		r := past.New(m)
		_, err := m.Ingest(t.Context(), notification(grouping.StatusFiring))
		require.NoError(t, err)
		time.Sleep(5 * 24 * time.Hour)
		report, err := r.Report(t.Context(), lastDays(1))
		require.NoError(t, err)
		require.Equal(t, 24*time.Hour, report.Totals.Firing)
		require.Equal(t, 24*time.Hour, report.TotalsBefore.Firing)
		require.Zero(t, report.Totals.Firings)
		require.Len(t, report.Rows, 1)
		counted, err := r.Counted(t.Context(), history.CountedQuery{ReportQuery: lastDays(1), Number: history.NumberFiring, Limit: 10})
		require.NoError(t, err)
		require.Equal(t, 24*time.Hour, counted.Firing)
		require.Len(t, counted.Firings, 1)
	})
}

// A fault ends the report. The next one begins again.
func TestReportAfterAFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t)
		week(t, m, 5)
		c := &counted{Manager: m}
		r := past.New(c)
		c.fail.Store(true)
		_, err := r.Report(t.Context(), lastDays(1))
		require.EqualError(t, err, "lost")
		c.fail.Store(false)
		report, err := r.Report(t.Context(), lastDays(1))
		require.NoError(t, err)
		require.Equal(t, 5, report.Totals.Firings)
	})
}

// Reports wait for each other up to a limit, and leave if their client leaves.
func TestTooManyReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t)
		week(t, m, 2)
		c := &counted{Manager: m, block: make(chan struct{})}
		r := past.New(c)
		ctx, cancel := context.WithCancel(t.Context())
		results := make(chan error, past.MaxReports)
		for i := range past.MaxReports {
			use := t.Context()
			if i%2 == 1 {
				use = ctx
			}
			go func() {
				_, err := r.Report(use, lastDays(1+i%3))
				results <- err
			}()
		}
		synctest.Wait()
		_, err := r.Report(t.Context(), lastDays(1))
		require.ErrorIs(t, err, grouping.ErrBusy)
		cancel()
		synctest.Wait()
		require.Len(t, results, past.MaxReports/2)
		close(c.block)
		synctest.Wait()
		failed := 0
		for range past.MaxReports {
			if err := <-results; err != nil {
				require.ErrorIs(t, err, context.Canceled)
				failed++
			}
		}
		require.Equal(t, past.MaxReports/2, failed)
		_, err = r.Report(t.Context(), lastDays(1))
		require.NoError(t, err)
	})
}

// Reports of many windows at once are those that one alone gets.
func TestReportsAtOnce(t *testing.T) {
	m := newManager(t)
	synctest.Test(t, func(t *testing.T) { week(t, m, 30) })
	at := time.Date(2000, 1, 2, 0, 0, 0, 0, time.UTC) // a bubble begins on January 1
	query := func(i int) history.ReportQuery {
		return history.ReportQuery{Since: at.Add(-time.Duration(i) * time.Hour), Until: at, By: history.ByReceiver}
	}
	shared := past.New(m)
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			alone, err := past.New(m).Report(t.Context(), query(i%4+1))
			if err != nil {
				t.Error(err)
				return
			}
			for range 3 {
				got, err := shared.Report(t.Context(), query(i%4+1))
				if err != nil || fmt.Sprint(got.Totals, got.Rows) != fmt.Sprint(alone.Totals, alone.Rows) {
					t.Errorf("%v\n%+v %+v\n%+v %+v", err, got.Totals, got.Rows, alone.Totals, alone.Rows)
				}
			}
		})
	}
	wg.Wait()
	require.LessOrEqual(t, shared.Digests(), past.MaxDigests)
}
