package grouping

import (
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// setClock returns a clock, and the time that it shows.
func setClock(writer string) (*Clock, *time.Time) {
	now := base
	c := NewClockOf(func() time.Time { return now }, func() time.Duration { return now.Sub(base) })
	c.writer = writer
	return c, &now
}

// The stamps of a process increase, and their text order is the time order. This holds
// for any steps of the clock and any stamps of other processes.
func TestStampsStrictlyIncrease(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, now := setClock(testWriter)
		other, _ := setClock("00000000000000bb")
		var last Stamp
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"stamp", "time", "observe", "offset"}).Draw(t, "step") {
			case "time":
				*now = now.Add(rapid.SampledFrom([]time.Duration{-time.Hour, -1, 0, 1, time.Millisecond, time.Minute}).Draw(t, "passes"))
			case "offset":
				c.adjust(0, now.Add(rapid.SampledFrom([]time.Duration{-time.Hour, 0, time.Second}).Draw(t, "offset")))
			case "observe":
				s := other.Stamp()
				if c.Observe(s) {
					require.Greater(t, c.Stamp(), s, "the next stamp must be greater than an observed one")
				} else {
					require.True(t, s.Time().After(c.Now()))
				}
			}
			s := c.Stamp()
			require.True(t, s.Valid())
			require.Greater(t, s, last)
			require.False(t, s.Time().Before(last.Time()))
			require.Equal(t, testWriter, s.Writer())
			last = s
		}
	})
}

func TestStampTextOrderIsTimeOrder(t *testing.T) {
	draw := rapid.Custom(func(t *rapid.T) Stamp {
		ms := rapid.Int64Range(0, 1<<48-1).Draw(t, "ms")
		writer := rapid.SampledFrom([]string{testWriter, "ffffffffffffffff"})
		return NewStamp(time.UnixMilli(ms), rapid.Uint16().Draw(t, "counter"), writer.Draw(t, "writer"))
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := draw.Draw(t, "a"), draw.Draw(t, "b")
		require.Len(t, a, StampLen)
		require.Greater(t, a, Stamp(""))
		if a.Time().Before(b.Time()) {
			require.Less(t, a, b)
		}
		if a <= b {
			require.False(t, a.Time().After(b.Time()))
		}

		next := a.supersedes(b)
		require.Equal(t, a, a.supersedes(""))
		if b.reading() < math.MaxUint64 {
			require.Greater(t, next, b)
			require.Equal(t, a.Writer(), next.Writer())
			require.True(t, next == a || next.reading() == b.reading()+1, "not further ahead than necessary")
		}
		if a > b {
			require.Equal(t, a, next)
			require.False(t, a.precedes(b))
		}
	})
}

func TestStampPrecedes(t *testing.T) {
	old := NewStamp(base, 5, testWriter)
	for _, tc := range []struct {
		at       time.Duration
		counter  uint16
		precedes bool
	}{
		{0, 6, false},
		{0, 5, true}, // the same write again
		{0, 4, true},
		{time.Millisecond, 0, false},
		{-time.Second, 9, true},
		{-maxSkew, 0, true},
		{-maxSkew - time.Millisecond, 0, false}, // the stored stamp is from a broken clock
		{-87600 * time.Hour, 0, false},
	} {
		require.Equal(t, tc.precedes, NewStamp(base.Add(tc.at), tc.counter, testWriter).precedes(old), "%+v", tc)
	}
	require.False(t, old.precedes(""))
}

func TestClockObserve(t *testing.T) {
	c, _ := setClock(testWriter)
	near := NewStamp(base.Add(maxSkew), 0, "00000000000000bb")
	require.True(t, c.Observe(near))
	require.Equal(t, near.reading()+1, c.Stamp().reading())

	far := NewStamp(base.Add(maxSkew+time.Millisecond), 0, "00000000000000bb")
	require.False(t, c.Observe(far), "a broken clock must be ignored")
	require.Less(t, c.Stamp(), far)
	c.adjust(0, base.Add(time.Second))
	require.True(t, c.Observe(far), "the corrected clock is within maxSkew")
	require.Equal(t, base.Add(time.Second), c.Now())
	require.True(t, c.Observe("no stamp at all"))
}

// The shared clock had the reading at some time during the round trip. If a cluster
// fails over, a round trip takes seconds.
func TestClockAdjust(t *testing.T) {
	const roundTrip = 2 * time.Second
	for _, tc := range []struct {
		reading, want time.Duration
	}{
		{0, 0},
		{time.Second, 0},
		{roundTrip, 0},
		{roundTrip + time.Millisecond, time.Millisecond},
		{time.Hour, time.Hour - roundTrip},
		{-time.Millisecond, -time.Millisecond},
		{-time.Hour, -time.Hour},
	} {
		c, now := setClock(testWriter)
		sent := *now
		*now = now.Add(roundTrip)
		c.adjust(roundTrip, sent.Add(tc.reading))
		require.Equal(t, now.Add(tc.want), c.Now(), tc.reading)
		c.adjust(roundTrip, sent.Add(tc.reading))
		require.Equal(t, now.Add(tc.want), c.Now(), "the same reading must not change the clock again")
	}
}

func TestClockIsSafeForConcurrentUse(t *testing.T) {
	c := NewClock()
	require.True(t, NewStamp(base, 0, c.Writer()).Valid())
	require.NotEqual(t, c.Writer(), NewClock().Writer())
	var wg sync.WaitGroup
	all := make([][]Stamp, 4)
	for i := range all {
		wg.Go(func() {
			for range 500 {
				s := c.Stamp()
				c.Observe(s)
				all[i] = append(all[i], s)
			}
		})
	}
	wg.Wait()
	stamps := slices.Concat(all...)
	slices.Sort(stamps)
	require.Len(t, slices.Compact(stamps), 2000, "stamps must be unique")
}

func TestInvalidStamps(t *testing.T) {
	for _, s := range []Stamp{
		"", "x", "0123456789abcdef0123456789abcde", "0123456789abcdef0123456789abcdeF", "0123456789abcdef0123456789abcdefa",
	} {
		require.False(t, s.Valid(), "%q", s)
		require.Empty(t, s.Writer())
		require.Zero(t, s.reading())
		require.True(t, NewStamp(base, 0, testWriter).supersedes(s).Valid())
	}
	require.True(t, Stamp("").Time().IsZero())
}

func TestADeletionIsNewerThanAllDeletedRecords(t *testing.T) {
	ahead := NewStamp(base.Add(time.Hour), 0, testWriter)
	g, _ := appliedAlert(nil, testKey, fires("a", 0), ahead, testRules)
	s := deletionStamp(g, NewStamp(base, 0, testWriter))
	require.Greater(t, s, ahead)
	require.True(t, Merge(g, Tombstone(g.ID, s)).IsTombstone())

	// This also holds if the group's own fields are older than its alerts.
	odd := NewAlertGroup(AlertGroup{Alerts: []*Alert{{Stamp: ahead}}})
	require.Greater(t, deletionStamp(odd, NewStamp(base, 0, testWriter)), ahead)
}

// Times far in the past or future must neither overflow nor panic.
func TestExtremeTimes(t *testing.T) {
	years := []int{-1, 0, 1, 1677, 1969, 2262, 2263, 9999, 10000, 20000, 292277026596}
	for _, y := range years {
		at := time.Date(y, 6, 1, 0, 0, 0, 0, time.UTC)
		s := NewStamp(at, 7, testWriter)
		require.True(t, s.Valid(), y)
		switch {
		case y < 1970:
			require.Equal(t, time.Unix(0, 0).UTC(), s.Time())
		case y < 10889: // 48 bits of milliseconds end in this year
			require.Equal(t, at, s.Time())
		case y < 292277026596: // the milliseconds of time.Time end in this year
			require.Equal(t, 10889, s.Time().Year())
		}
		require.Greater(t, s.supersedes(s), s, y)
		c, now := setClock(testWriter)
		*now = at
		before := c.Stamp()
		require.Less(t, before, c.Stamp(), y)
		c.Observe(NewStamp(base, 0, testWriter))
	}
	for _, start := range years {
		for _, end := range years {
			for _, arrival := range []int{1970, 2026, 9999} {
				checkExtremeTimes(t, time.Date(start, 6, 1, 0, 0, 0, 0, time.UTC), time.Date(end, 6, 1, 0, 0, 0, 0, time.UTC), arrival)
			}
		}
	}
}

func checkExtremeTimes(t *testing.T, start, end time.Time, arrival int) {
	t.Helper()
	a, b := fires("a", 0), ended("b", 0, 0)
	a.StartsAt, b.StartsAt, b.EndsAt = start, start, end
	resolved := b
	resolved.Fingerprint = a.Fingerprint
	var g *AlertGroup
	for i, alerts := range [][]NotifiedAlert{{a}, {a, b}, {resolved}, {b}, {a}, {fires("a", 0)}, {resolved, b}, nil} {
		n := step{0, am0, alerts, 0, ""}.notification(i)
		n.Stamp = NewStamp(time.Date(arrival, 1, 1, 0, 0, i, 0, time.UTC), 0, testWriter)
		next, events := applied(g, n, rules{settle: math.MaxInt64, groupWait: math.MaxInt64})
		checkGroup(t, next)
		checkEvents(t, next, n.Stamp, events)
		for _, s := range Sorts() {
			_, err := parseCursor(s.positionOf(next, false).cursor(s), s)
			require.NoError(t, err)
		}
		next.ResolvedAt()
		Merge(g, next)
		g = next
	}
}

// Zero values must not panic.
func TestZeroValues(t *testing.T) {
	var missing *AlertGroup
	require.Nil(t, missing.Alert(fp("a")))
	require.True(t, missing.Equal(nil))
	require.False(t, missing.Equal(&AlertGroup{}))
	g, events := applied(nil, Notification{}, rules{})
	require.Equal(t, []string{"N"}, abbreviate(events))
	require.Equal(t, StateResolved, g.State)
	require.Empty(t, g.Name)
	require.Empty(t, g.Episodes())
	require.True(t, g.ResolvedAt().IsZero())
	g, _ = appliedAlert(nil, Key{}, NotifiedAlert{}, "", rules{})
	require.Equal(t, StatusResolved, g.Alerts[0].Status)
	require.Equal(t, SeverityOther, g.Severity)
	g, _ = removeAlerts(g, nil, "")
	require.Len(t, g.Alerts, 1)
	require.Empty(t, Labels{}.Names())
	require.Equal(t, Fingerprint("cbf29ce484222325"), Labels{}.Fingerprint())
}

// If a clock was ahead, another replica wrote stamps that supersede its stamps. The clock
// must follow them.
func TestClockFollowsStampsThatSupersededIt(t *testing.T) {
	c, now := setClock(testWriter)
	*now = base.Add(time.Hour)
	ahead := c.Stamp()
	*now = base
	other := NewStamp(base, 0, "ffffffffffffffff").supersedes(ahead)
	require.True(t, c.Observe(other))
	require.Greater(t, c.Stamp(), other)
	require.False(t, c.Observe(NewStamp(base.Add(2*time.Hour), 0, "00000000000000bb")))
}

// The clock shows the host's time until its first Sync. After that, a change of the host's
// clock has no effect.
func TestASynchronizedClockDoesNotStep(t *testing.T) {
	host, up := base, time.Duration(0)
	c := NewClockOf(func() time.Time { return host }, func() time.Duration { return up })
	host = base.Add(-time.Hour)
	require.Equal(t, host, c.Now())
	require.NoError(t, c.Sync(func() (time.Time, error) { return time.Time{}, nil }))
	host = base
	require.Equal(t, host, c.Now(), "without a shared clock, the host's time counts")

	require.ErrorIs(t, c.Sync(func() (time.Time, error) { return base, ErrStorage }), ErrStorage)
	require.NoError(t, c.Sync(func() (time.Time, error) { return base.Add(time.Second), nil }))
	host, up = base.Add(-time.Hour), time.Minute
	require.Equal(t, base.Add(time.Minute+time.Second), c.Now())
	require.NoError(t, c.Sync(func() (time.Time, error) { return base, nil }))
	require.Equal(t, base, c.Now(), "the shared clock wins")
}
