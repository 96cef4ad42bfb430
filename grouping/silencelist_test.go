package grouping_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
)

func TestASilenceEndsByTime(t *testing.T) {
	observing(t, grouping.DefaultOptions, func(o observatory) {
		a := alert("a")
		o.notify(a)
		s := silence("s-1", time.Hour)
		o.observe(grouping.Observation{Silence: &s})
		got := o.silence("s-1")
		require.Equal(o.t, grouping.SilenceActive, got.State)
		require.Empty(t, got.Muted, "nobody saw it mute")
		require.Len(t, got.Expected, 1)

		time.Sleep(time.Minute)
		o.observe(muted(a, s))
		got = o.silence("s-1")
		require.Empty(t, got.Expected)
		require.Len(t, got.Muted, 1)
		require.Equal(o.t, time.Now().UTC(), got.Muted[0].LastSeen.UTC())

		time.Sleep(time.Hour)
		require.Equal(o.t, grouping.StatusFiring, o.alert(a).ShownStatus())
		got = o.silence("s-1")
		require.Equal(o.t, []any{grouping.SilenceExpired, grouping.EndTime}, []any{got.State, got.End})
		require.Equal(o.t, s.EndsAt, got.Muted[0].Mute.Ended)
		require.Equal(o.t, []grouping.EventKind{
			grouping.EventFired, grouping.EventSilenceCreated, grouping.EventSuppressed, grouping.EventSilenceExpired, grouping.EventUnsuppressed,
		}, o.kinds())
	})
}

// An extended silence is one write. The alerts stay suppressed past its first end.
func TestAnExtendedSilence(t *testing.T) {
	observing(t, grouping.DefaultOptions, func(o observatory) {
		a := alert("a")
		o.notify(a)
		s := silence("s-1", time.Hour)
		o.observe(grouping.Observation{Silence: &s}, muted(a, s))
		time.Sleep(time.Minute)
		longer := s
		longer.EndsAt, longer.UpdatedAt, longer.Comment = s.EndsAt.Add(time.Hour), time.Now().UTC(), "it takes longer"
		o.observe(grouping.Observation{Silence: &longer})
		o.observe(grouping.Observation{Silence: &s}) // late
		require.Equal(o.t, "it takes longer", o.SilenceOf(key.Source, "s-1").Comment)
		time.Sleep(70 * time.Minute)
		require.Equal(o.t, grouping.StatusSuppressed, o.alert(a).ShownStatus())
		time.Sleep(time.Hour)
		require.Equal(o.t, grouping.StatusFiring, o.alert(a).ShownStatus())
		require.Contains(t, o.kinds(), grouping.EventSilenceChanged)
	})
}

func TestASilenceThatSomebodyEnds(t *testing.T) {
	observing(t, grouping.DefaultOptions, func(o observatory) {
		a := alert("a")
		o.notify(a)
		s := silence("s-1", time.Hour)
		read := func(all ...grouping.Silence) {
			t.Helper()
			require.NoError(o.t, o.ObserveSilences(o.t.Context(), key.Source, "http://am-0", time.Now(), all))
		}
		read(s)
		o.poll("http://am-0", listed(a, grouping.Mute{Kind: grouping.MuteSilence, ID: "s-1"}))
		require.Equal(o.t, grouping.StatusSuppressed, o.alert(a).ShownStatus())
		time.Sleep(time.Minute)
		s.EndsAt = time.Now().UTC()
		s.UpdatedAt = s.EndsAt
		other := silence("s-2", time.Hour)
		time.Sleep(time.Second)
		read(s, other)
		require.Equal(o.t, grouping.StatusFiring, o.alert(a).ShownStatus(), "at once, before the next poll of alerts")
		require.Equal(o.t, grouping.EndEarly, o.silence("s-1").End)
		require.Equal(o.t, []grouping.EventKind{
			grouping.EventFired, grouping.EventSuppressed, grouping.EventSilenceExpired, grouping.EventSilenceCreated, grouping.EventUnsuppressed,
		}, o.kinds(), "a silence that exists at the first poll is not new")
	})
}

func TestSilencesAreListed(t *testing.T) {
	observing(t, grouping.DefaultOptions, func(o observatory) {
		var all []grouping.Silence
		for i, end := range []time.Duration{3 * time.Hour, time.Hour, 2 * time.Hour} {
			all = append(all, silence(string(rune('a'+i)), end))
		}
		pending := silence("later", 5*time.Hour)
		pending.StartsAt = pending.StartsAt.Add(4 * time.Hour)
		expired := silence("over", -time.Hour)
		expired.StartsAt = expired.StartsAt.Add(-2 * time.Hour)
		all = append(all, pending, expired)
		require.NoError(o.t, o.ObserveSilences(o.t.Context(), "prod", "http://am-0", time.Now(), all))

		var ids []string
		q := grouping.SilenceQuery{Limit: 2}
		for {
			page, err := o.Silences(o.t.Context(), q)
			require.NoError(o.t, err)
			require.Equal(o.t, 5, page.Total)
			require.Equal(o.t, map[grouping.SilenceState]int{"active": 3, "pending": 1, "expired": 1}, page.States)
			for _, s := range page.Silences {
				ids = append(ids, s.ID)
			}
			if q.Cursor = page.Next; q.Cursor == "" {
				break
			}
		}
		require.Equal(o.t, []string{"b", "c", "a", "later", "over"}, ids)

		count := func(q grouping.SilenceQuery) int {
			page, err := o.Silences(o.t.Context(), q)
			require.NoError(o.t, err)
			return page.Total
		}
		require.Equal(o.t, 5, count(grouping.SilenceQuery{Words: []string{"DANA", "db"}}))
		require.Zero(t, count(grouping.SilenceQuery{Words: []string{"kim"}}))
		require.Zero(t, count(grouping.SilenceQuery{Source: "edge"}))
		require.Equal(o.t, 1, count(grouping.SilenceQuery{States: []grouping.SilenceState{grouping.SilencePending}}))
		_, err := o.Silences(o.t.Context(), grouping.SilenceQuery{Cursor: "x"})
		require.ErrorIs(t, err, grouping.ErrBadQuery)
		_, err = o.Silence(o.t.Context(), "edge", "a")
		require.ErrorIs(t, err, grouping.ErrSilenceNotFound)
	})
}

// Expired silences go first, the oldest before others.
func TestSilencesAreBounded(t *testing.T) {
	observing(t, grouping.DefaultOptions, func(o observatory) {
		all := make([]grouping.Silence, 0, 10_005)
		for i := range 10_002 {
			s := silence(time.Duration(i).String(), -time.Duration(i+1)*time.Second)
			s.StartsAt = s.EndsAt.Add(-time.Hour)
			all = append(all, s)
		}
		all = append(all, silence("active", time.Hour))
		require.NoError(o.t, o.ObserveSilences(o.t.Context(), "prod", "http://am-0", time.Now(), all))
		page, err := o.Silences(o.t.Context(), grouping.SilenceQuery{})
		require.NoError(o.t, err)
		require.Equal(o.t, 10_000, page.Total)
		require.NotNil(t, o.SilenceOf("prod", "active"))
		require.Nil(t, o.SilenceOf("prod", "10.001µs"))

		old := silence("old", -40*24*time.Hour)
		old.StartsAt = old.EndsAt.Add(-time.Hour)
		require.NoError(o.t, o.ObserveSilences(o.t.Context(), "edge", "http://am-0", time.Now(), []grouping.Silence{old}))
		require.Nil(t, o.SilenceOf("edge", "old"), "it exceeds its retention")
	})
}

// Silences and mutes survive a restart.
func TestSilencesAreRestored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory()
		m := newManager(t, s, grouping.DefaultOptions)
		a := alert("a")
		_, err := m.Ingest(t.Context(), notification(a))
		require.NoError(t, err)
		one := silence("s-1", time.Hour)
		all := []grouping.Observation{{Origin: grouping.OriginEvent, At: time.Now(), Silence: &one}, muted(a, one)}
		all[1].At, all[1].Origin = time.Now().Add(time.Second), grouping.OriginEvent
		require.NoError(t, m.Observe(t.Context(), key.Source, all))

		next := newManager(t, s, grouping.DefaultOptions)
		_, err = next.RestoreGroups(t.Context())
		require.NoError(t, err)
		o := observatory{Manager: next, t: t, memory: s}
		require.Equal(t, grouping.StatusSuppressed, o.alert(a).ShownStatus())
		require.Equal(t, "deploying db", o.silence("s-1").Comment)

		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go func() { _ = next.Run(ctx) }()
		time.Sleep(2 * time.Hour)
		require.Equal(t, grouping.StatusFiring, o.alert(a).ShownStatus(), "its end is not forgotten")
	})
}
