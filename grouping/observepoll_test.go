package grouping_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
)

func TestAnAlertThatTheAPINoLongerLists(t *testing.T) {
	observing(t, grouping.DefaultOptions, func(o observatory) {
		a, b := alert("a"), alert("b")
		o.notify(a, b)
		night := grouping.Mute{Kind: grouping.MuteInterval, ID: "nights"}
		for range 3 {
			time.Sleep(time.Minute)
			o.poll("http://am-0", listed(a, night), listed(b))
			o.poll("http://am-1", listed(a), listed(b))
		}
		require.Equal(o.t, grouping.StatusSuppressed, o.alert(a).ShownStatus(), "one of them knows the mute")
		last := time.Now()
		time.Sleep(time.Minute)
		o.poll("http://am-0", listed(b))
		require.Equal(o.t, grouping.StatusSuppressed, o.alert(a).ShownStatus(), "the other one lists it")
		o.poll("http://am-1", listed(b))
		require.Equal(o.t, grouping.StatusUnreported, o.alert(a).ShownStatus())
		require.True(t, o.alert(a).GoneFrom.Equal(last), "%s", o.alert(a).GoneFrom)
		require.True(t, o.alert(a).GoneBy.Equal(time.Now()), "%s", o.alert(a).GoneBy)
		require.Equal(o.t, grouping.StatusFiring, o.alert(b).ShownStatus())
		require.NotContains(t, o.kinds(), grouping.EventResolved)
	})
}

// Nothing follows from absence shortly after a start, from a cut answer or while a replica fails.
func TestAbsenceThatProvesNothing(t *testing.T) {
	for name, last := range map[string]func(o observatory, p grouping.Poll) error{
		"started": func(o observatory, p grouping.Poll) error {
			p.StartedAt = time.Now().Add(-time.Minute)
			return o.ObservePoll(o.t.Context(), key.Source, "http://am-0", p)
		},
		"cut": func(o observatory, p grouping.Poll) error {
			p.Complete = false
			return o.ObservePoll(o.t.Context(), key.Source, "http://am-0", p)
		},
		"a replica fails": func(o observatory, p grouping.Poll) error {
			o.RecordPoll(key.Source, "http://am-1", grouping.PollReport{URL: "http://am-1", Err: "connection refused", FailingSince: time.Now()})
			return o.ObservePoll(o.t.Context(), key.Source, "http://am-0", p)
		},
	} {
		t.Run(name, func(t *testing.T) {
			observing(t, grouping.DefaultOptions, func(o observatory) {
				a, b := alert("a"), alert("b")
				o.notify(a, b)
				night := grouping.Mute{Kind: grouping.MuteInterval, ID: "nights"}
				for range 2 {
					time.Sleep(time.Minute)
					o.poll("http://am-0", listed(a, night), listed(b))
				}
				time.Sleep(time.Minute)
				for range 2 {
					require.NoError(o.t, last(o, grouping.Poll{
						At: time.Now(), StartedAt: time.Now().Add(-time.Hour), Alerts: []grouping.ObservedAlert{listed(b)}, Complete: true,
					}))
				}
				require.True(t, o.alert(a).GoneFrom.IsZero())
				require.Equal(o.t, grouping.StatusSuppressed, o.alert(a).ShownStatus())
			})
		})
	}
}

// A group that only the API told of moves to its real key.
func TestAGroupOfTheAPIGetsItsKey(t *testing.T) {
	opts := grouping.DefaultOptions
	opts.Receivers = []grouping.SourceReceiver{{Source: key.Source, Receiver: key.Receiver}}
	observing(t, opts, func(o observatory) {
		a, b := alert("a"), alert("b")
		s := silence("s-1", time.Hour)
		require.NoError(o.t, o.ObserveSilences(o.t.Context(), key.Source, "http://am-0", time.Now(), []grouping.Silence{s}))
		o.poll("http://am-0", listed(a, grouping.Mute{Kind: grouping.MuteSilence, ID: "s-1"}), listed(b))
		groups, err := o.ByFingerprint(o.t.Context(), a.Fingerprint)
		require.NoError(o.t, err)
		require.Equal(o.t, `api:{alertname="Down"}`, groups[0].GroupKey)
		old := groups[0].ID

		time.Sleep(time.Minute)
		o.notify(b)
		g, err := o.Get(o.t.Context(), old)
		require.NoError(o.t, err, "the old ID leads to the group")
		require.Equal(o.t, key.ID(), g.ID)
		require.Equal(o.t, grouping.StatusSuppressed, o.alert(a).ShownStatus())
		all, err := o.All(o.t.Context())
		require.NoError(o.t, err)
		require.Len(t, all, 1)
		_, err = o.Get(o.t.Context(), grouping.Key{Source: key.Source, Receiver: "other", GroupKey: "api:{}"}.ID())
		require.ErrorIs(t, err, grouping.ErrGroupNotFound)
	})
}

// What people wrote moves with the group, and its alerts are not new because of that.
func TestWhatPeopleWroteMovesToTheRealKey(t *testing.T) {
	opts := grouping.DefaultOptions
	opts.Receivers = []grouping.SourceReceiver{{Source: key.Source, Receiver: key.Receiver}}
	observing(t, opts, func(o observatory) {
		a, b, ctx := alert("a"), alert("b"), o.t.Context()
		o.poll("http://am-0", listed(a), listed(b))
		groups, err := o.ByFingerprint(ctx, a.Fingerprint)
		require.NoError(o.t, err)
		old := groups[0].ID
		g, err := o.Acknowledge(ctx, old, grouping.AckRequest{By: jo, Note: "undone"})
		require.NoError(o.t, err)
		_, err = o.Unacknowledge(ctx, old, grouping.UnackRequest{By: jo, Ack: g.Acks[0].ID})
		require.NoError(o.t, err)
		g, err = o.Acknowledge(ctx, old, grouping.AckRequest{By: mira, Note: "on it"})
		require.NoError(o.t, err)
		_, err = o.AddNote(ctx, old, grouping.NoteRequest{By: jo, ID: "n", Text: "text"})
		require.NoError(o.t, err)
		taken := g.Ack(time.Now())

		time.Sleep(time.Minute)
		o.notify(a, b, alert("c"))
		g, err = o.Get(ctx, key.ID())
		require.NoError(o.t, err)
		moved := g.Ack(time.Now())
		require.NotNil(o.t, moved)
		require.Equal(o.t, []any{taken.ID, mira, "on it"}, []any{moved.ID, moved.Person, moved.Note})
		require.True(o.t, taken.At.Equal(moved.At))
		require.Equal(o.t, 1, g.NewSince(moved), "only c is new")
		require.Len(o.t, g.Notes, 1)
		// A person who still has the old page writes to the group too.
		g, err = o.AddNote(ctx, old, grouping.NoteRequest{By: jo, ID: "n2", Text: "text"})
		require.NoError(o.t, err)
		require.Equal(o.t, key.ID(), g.ID)
		require.Len(o.t, g.Notes, 2)
	})
}

// Two groups of one receiver can have equal labels.
func TestTheAPICannotTellTwoGroupsApart(t *testing.T) {
	observing(t, grouping.DefaultOptions, func(o observatory) {
		a, b := alert("a"), alert("b")
		o.notify(a)
		second := notification(b)
		second.GroupKey = `{}/{team="db"}:{alertname="Down"}`
		_, err := o.Ingest(o.t.Context(), second)
		require.NoError(o.t, err)
		night := grouping.Mute{Kind: grouping.MuteInterval, ID: "nights"}
		o.poll("http://am-0", listed(a, night), listed(b))
		require.Equal(o.t, grouping.StatusSuppressed, o.alert(a).ShownStatus())
		require.Equal(o.t, grouping.StatusFiring, o.alert(b).ShownStatus())
	})
}

func TestOneMusterPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory()
		one, two := newManager(t, s, grouping.DefaultOptions), newManager(t, s, grouping.DefaultOptions)
		polls := func(m *grouping.Manager) bool {
			t.Helper()
			acquired, err := m.AcquirePolling(t.Context(), "prod", time.Minute)
			require.NoError(t, err)
			return acquired
		}
		for range 5 {
			require.True(t, polls(one))
			require.False(t, polls(two))
			time.Sleep(time.Minute)
		}
		require.False(t, polls(two))
		time.Sleep(time.Minute)
		require.True(t, polls(two), "the first one is gone for two intervals")
		require.False(t, polls(one))

		require.NoError(t, one.ReleasePolling(t.Context(), "prod"))
		require.False(t, polls(one), "it released nothing")
		require.NoError(t, two.ReleasePolling(t.Context(), "prod"))
		require.True(t, polls(one), "the other one stopped")
		require.False(t, polls(two))

		opts := grouping.DefaultOptions
		opts.OnlyMuster = true
		require.True(t, polls(newManager(t, s, opts)), "after a restart, nobody else can poll")
	})
}

// A Muster says that another one polls a source, also after that one was killed, until it may
// poll itself.
func TestAnotherMusterPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory()
		one, two := newManager(t, s, grouping.DefaultOptions), newManager(t, s, grouping.DefaultOptions)
		_, err := one.Ingest(t.Context(), notification(alert("a")))
		require.NoError(t, err)
		elsewhere := func(m *grouping.Manager) time.Time {
			t.Helper()
			_, err := m.AcquirePolling(t.Context(), key.Source, time.Minute)
			require.NoError(t, err)
			_, err = m.Ingest(t.Context(), notification(alert("a")))
			require.NoError(t, err)
			reports, err := m.SourceReports(t.Context())
			require.NoError(t, err)
			require.Len(t, reports, 1)
			return reports[0].PolledElsewhereAt
		}
		began := time.Now()
		require.Zero(t, elsewhere(one))
		require.True(t, began.Equal(elsewhere(two)))
		require.Zero(t, elsewhere(one))
		time.Sleep(2 * time.Minute)
		require.Zero(t, elsewhere(two))
		require.NoError(t, two.ReleasePolling(t.Context(), key.Source))
		require.Zero(t, elsewhere(one))
	})
}
