package grouping_test

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/storage"
)

var (
	mira = grouping.Person{Name: "mira", Verified: true}
	jo   = grouping.Person{Name: "jo"}
)

// Each write of a person is in the log and in the history with the name, and clients hear of
// it like of any other change.
func TestWritesOfPeopleAreToldEverywhere(t *testing.T) {
	var log bytes.Buffer
	var updates []grouping.Update
	watch := func(u grouping.Update) { updates = append(updates, u) }
	s := storage.NewMemory(storage.DefaultMemoryOptions())
	m, err := grouping.NewManager(s, grouping.NewClock(), watch, prometheus.NewRegistry(), slog.New(slog.NewTextHandler(&log, nil)), timing)
	require.NoError(t, err)
	ctx := t.Context()
	outcome, err := m.Ingest(ctx, grouping.Notification{Key: key, Alerts: []grouping.NotifiedAlert{alert("a")}})
	require.NoError(t, err)
	id := outcome.Group.ID

	g, err := m.Acknowledge(ctx, id, grouping.AckRequest{By: mira, Note: "on it", Episode: outcome.Group.Opened})
	require.NoError(t, err)
	require.Equal(t, mira, g.Ack(time.Now()).Person)
	_, err = m.AddNote(ctx, id, grouping.NoteRequest{By: jo, ID: "n-1", Text: "first\r\nsecond"})
	require.NoError(t, err)
	g, err = m.Unacknowledge(ctx, id, grouping.UnackRequest{By: jo, Ack: g.Acks[0].ID})
	require.NoError(t, err)
	require.Equal(t, "first\nsecond", g.Notes[0].Text)
	g, err = m.Close(ctx, id, grouping.CloseRequest{By: jo})
	require.NoError(t, err)
	require.Equal(t, jo, g.ClosedBy.Person)

	other := grouping.Key{Source: key.Source, Receiver: key.Receiver, GroupKey: "other"}
	_, err = m.Ingest(ctx, grouping.Notification{Key: other, Alerts: []grouping.NotifiedAlert{alert("b")}})
	require.NoError(t, err)
	all, err := m.List(ctx, grouping.ListQuery{})
	require.NoError(t, err)
	require.Equal(t, 2, all.Total)
	closed, err := m.List(ctx, grouping.ListQuery{Closed: true, Limit: 1})
	require.NoError(t, err)
	require.Equal(t, 1, closed.Total)
	require.Equal(t, []*grouping.AlertGroup{g}, closed.Groups)

	n := len(updates)
	again, err := m.Close(ctx, id, grouping.CloseRequest{By: mira})
	require.NoError(t, err)
	require.Equal(t, jo, again.ClosedBy.Person)
	require.Len(t, updates, n, "a repetition tells nobody")
	require.Equal(t, 6, n)

	page, err := m.Events(ctx, grouping.EventQuery{Kinds: []grouping.EventKind{
		grouping.EventAcknowledged, grouping.EventUnacknowledged, grouping.EventNoted, grouping.EventClosed,
	}})
	require.NoError(t, err)
	var told []string
	for _, e := range page.Events {
		told = append(told, string(e.Kind)+" by "+e.People.Name)
	}
	require.Equal(t, []string{"closed by jo", "unacknowledged by jo", "noted by jo", "acknowledged by mira"}, told)
	for _, want := range []string{
		"operation=acknowledge group=" + string(id) + " by=mira verified=true", "operation=add_note",
		"operation=unacknowledge", "operation=close",
	} {
		require.Contains(t, log.String(), want)
	}

	_, err = m.Acknowledge(ctx, id, grouping.AckRequest{By: mira})
	require.ErrorIs(t, err, grouping.ErrEpisodeOver)
	_, err = m.AddNote(ctx, "0123456789abcdef0123", grouping.NoteRequest{By: mira, Text: "x"})
	require.ErrorIs(t, err, grouping.ErrGroupNotFound)
	_, err = m.AddNote(ctx, id, grouping.NoteRequest{Text: "x"})
	require.ErrorIs(t, err, grouping.ErrInvalid)
}

// At its end an acknowledgement stops to count, without a write: the list changes, and clients
// hear of it.
func TestAnAcknowledgementEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var updates []grouping.Update
		watch := func(u grouping.Update) {
			mu.Lock()
			defer mu.Unlock()
			updates = append(updates, u)
		}
		s := storage.NewMemory(storage.DefaultMemoryOptions())
		m, err := grouping.NewManager(s, grouping.NewClock(), watch, prometheus.NewRegistry(), promslog.NewNopLogger(), timing)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- m.Run(ctx) }()
		outcome, err := m.Ingest(ctx, grouping.Notification{Key: key, Alerts: []grouping.NotifiedAlert{alert("a")}})
		require.NoError(t, err)
		time.Sleep(time.Minute) // the group has settled
		_, err = m.Acknowledge(ctx, outcome.Group.ID, grouping.AckRequest{By: mira, Until: time.Now().Add(7 * time.Minute)})
		require.NoError(t, err)
		acknowledged := func() int {
			totals, err := m.Totals(ctx)
			require.NoError(t, err)
			return totals.Acknowledged
		}
		require.Equal(t, 1, acknowledged())
		mu.Lock()
		n := len(updates)
		mu.Unlock()
		time.Sleep(7*time.Minute + time.Millisecond)
		synctest.Wait()
		require.Zero(t, acknowledged())
		mu.Lock()
		require.Len(t, updates, n+1)
		require.Empty(t, updates[n].Events)
		mu.Unlock()
		page, err := m.List(ctx, grouping.ListQuery{Ack: grouping.AckNo})
		require.NoError(t, err)
		require.Len(t, page.Groups, 1)
		cancel()
		require.NoError(t, <-done)
	})
}
