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
