package grouping_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
)

// The first notification of a group arrives while the answer of a poll, which has no group
// keys, is stored. One group remains, with the real key.
func TestAPollAndTheFirstNotificationAtOnce(t *testing.T) {
	opts := grouping.DefaultOptions
	opts.Receivers = []grouping.SourceReceiver{{Source: key.Source, Receiver: key.Receiver}}
	s := &spy{GroupStorage: memory()}
	m := newManager(t, s, opts)
	a, b := alert("a"), alert("b")
	s.beforeStore(1, func() {
		_, err := m.Ingest(t.Context(), notification(a))
		require.NoError(t, err)
	})
	require.NoError(t, m.ObservePoll(t.Context(), key.Source, "http://am-0", grouping.Poll{
		At: time.Now(), Alerts: []grouping.ObservedAlert{listed(a), listed(b)}, Complete: true,
	}))
	all, err := m.All(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Equal(t, key, all[0].Key)
	require.False(t, all[0].Alert(a.Fingerprint).Unnotified)
	require.True(t, all[0].Alert(b.Fingerprint).Unnotified)
}

// Another Muster stores the first notification while this one stores what only the API told of.
// The next poll joins the groups, though it says nothing new.
func TestAPollJoinsAGroupOfTheAPI(t *testing.T) {
	opts := grouping.DefaultOptions
	opts.Receivers = []grouping.SourceReceiver{{Source: key.Source, Receiver: key.Receiver}}
	s := &followed{GroupStorage: memory()}
	m, other := newManager(t, s, opts), newManager(t, s.GroupStorage, opts)
	a, b := alert("a"), alert("b")
	poll := func() {
		t.Helper()
		require.NoError(t, m.ObservePoll(t.Context(), key.Source, "http://am-0", grouping.Poll{
			At: time.Now(), Alerts: []grouping.ObservedAlert{listed(a), listed(b)}, Complete: true,
		}))
	}
	poll()
	out, err := other.Ingest(t.Context(), notification(a, b))
	require.NoError(t, err)
	s.notify(key.ID(), nil, out.Group)
	groups, err := m.All(t.Context())
	require.NoError(t, err)
	require.Len(t, groups, 2)

	poll()
	groups, err = m.All(t.Context())
	require.NoError(t, err)
	require.Len(t, groups, 1)
	require.Equal(t, key, groups[0].Key)
	require.Len(t, groups[0].Alerts, 2)
}

// A person writes to a group that only the API told of, while its notes move to the real key.
func TestANoteThatIsWrittenWhileItsGroupMoves(t *testing.T) {
	opts := grouping.DefaultOptions
	opts.Receivers = []grouping.SourceReceiver{{Source: key.Source, Receiver: key.Receiver}}
	s := &spy{GroupStorage: memory()}
	m := newManager(t, s, opts)
	a, ctx := alert("a"), t.Context()
	require.NoError(t, m.ObservePoll(ctx, key.Source, "http://am-0", grouping.Poll{
		At: time.Now(), Alerts: []grouping.ObservedAlert{listed(a)}, Complete: true,
	}))
	groups, err := m.ByFingerprint(ctx, a.Fingerprint)
	require.NoError(t, err)
	old := groups[0].ID
	_, err = m.AddNote(ctx, old, grouping.NoteRequest{By: jo, ID: "n1", Text: "text"})
	require.NoError(t, err)

	late := false
	s.beforeStore(10, func() {
		if g := s.lastChange().Group; !late && g.ID == key.ID() && len(g.Notes) > 0 {
			late = true
			_, err := m.AddNote(ctx, old, grouping.NoteRequest{By: jo, ID: "n2", Text: "text"})
			require.NoError(t, err)
		}
	})
	for range 2 {
		_, err = m.Ingest(ctx, notification(a))
		require.NoError(t, err)
	}
	require.True(t, late)
	all, err := m.All(ctx)
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Len(t, all[0].Notes, 2)
}
