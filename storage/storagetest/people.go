package storagetest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"muster/grouping"
)

var (
	mira = grouping.Person{Name: "mira", Verified: true}
	jo   = grouping.Person{Name: "jo"}
)

// manager returns a manager of the groups in the storage.
func (w *Writer) manager(t *testing.T) *grouping.Manager {
	t.Helper()
	m, err := grouping.NewManager(w.GroupStorage, w.Clock, nil, prometheus.NewRegistry(), promslog.NewNopLogger(), grouping.DefaultOptions)
	require.NoError(t, err)
	return m
}

// contractPeople checks that what people wrote is stored, keeps what others wrote, and is
// deleted with its group.
func contractPeople(t *testing.T, w *Writer) {
	m, ctx, key := w.manager(t), t.Context(), Key("people")
	first, err := m.AddAlertToGroup(ctx, key, NotifiedAlert("a"))
	require.NoError(t, err)
	_, err = m.Acknowledge(ctx, key.ID(), grouping.AckRequest{By: mira, Note: "on it", Until: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	g, err := m.Acknowledge(ctx, key.ID(), grouping.AckRequest{By: jo})
	require.NoError(t, err)
	_, err = m.Unacknowledge(ctx, key.ID(), grouping.UnackRequest{By: mira, Ack: g.Acks[1].ID})
	require.NoError(t, err)
	g, err = m.AddNote(ctx, key.ID(), grouping.NoteRequest{By: jo, ID: "n", Text: strings.Repeat("ü", 2048)})
	require.NoError(t, err)
	stored := w.MustLoad(t, key)
	require.True(t, stored.Equal(g), "%+v\n%+v", stored, g)
	require.Equal(t, mira, stored.Ack(time.Now()).Person, "the one before the undone one")
	require.Equal(t, first.Opened, stored.Ack(time.Now()).Episode)

	// The writer of a notification did not know of them, and a conflict would be in vain.
	c := w.Change(first, key, a("b", "1"))
	joined := w.MustStore(t, c)
	require.Equal(t, c.Group.Meta.Stamp, joined.Meta.Stamp)
	stored = w.MustLoad(t, key)
	require.Len(t, stored.Acks, 2)
	require.Len(t, stored.Notes, 1)
	require.Len(t, stored.Alerts, 2)

	// The oldest acknowledgement goes when there are too many.
	for i := range 16 {
		_, err = m.Acknowledge(ctx, key.ID(), grouping.AckRequest{By: jo, Note: fmt.Sprint(i)})
		require.NoError(t, err)
	}
	stored = w.MustLoad(t, key)
	require.Len(t, stored.Acks, 16)
	require.Equal(t, "0", stored.Acks[0].Note)

	closed, err := m.Close(ctx, key.ID(), grouping.CloseRequest{By: jo})
	require.NoError(t, err)
	require.Equal(t, jo, closed.ClosedBy.Person)
	stored = w.MustLoad(t, key)
	require.Equal(t, grouping.StateUnreported, stored.State)
	require.True(t, stored.Equal(closed))

	require.NoError(t, w.Delete(ctx, grouping.Change{Base: stored, Stamp: w.Stamp()}))
	_, err = w.Load(ctx, key.ID())
	require.ErrorIs(t, err, grouping.ErrGroupNotFound)
	g, err = m.AddAlertToGroup(ctx, key, NotifiedAlert("a"))
	require.NoError(t, err)
	require.Empty(t, g.Acks)
	require.Empty(t, w.MustLoad(t, key).Notes)
}

// contractPeopleAtOnce checks that two replicas lose nothing if people and notifications write
// to one group at once.
func contractPeopleAtOnce(t *testing.T, w *Writer) {
	key, ctx := Key("people"), t.Context()
	replicas := []*grouping.Manager{w.manager(t), w.manager(t)}
	_, err := replicas[0].AddAlertToGroup(ctx, key, NotifiedAlert("a"))
	require.NoError(t, err)
	const each = 6
	var wg sync.WaitGroup
	run := func(write func(m *grouping.Manager, i int) error) {
		for r, m := range replicas {
			wg.Go(func() {
				for i := range each {
					if err := write(m, r*each+i); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	run(func(m *grouping.Manager, i int) error {
		_, err := m.AddNote(ctx, key.ID(), grouping.NoteRequest{By: jo, ID: fmt.Sprint("n", i), Text: "text"})
		return err
	})
	run(func(m *grouping.Manager, i int) error {
		_, err := m.Acknowledge(ctx, key.ID(), grouping.AckRequest{By: mira, Note: fmt.Sprint(i)})
		return err
	})
	run(func(m *grouping.Manager, i int) error {
		_, err := m.AddAlertToGroup(ctx, key, NotifiedAlert(fmt.Sprint("i", i)))
		return err
	})
	wg.Wait()
	g := w.MustLoad(t, key)
	require.Len(t, g.Notes, 2*each)
	require.Len(t, g.Acks, 2*each)
	require.Len(t, g.Alerts, 2*each+1)
	require.Equal(t, 2*each+1, g.Counts.Firing)
}
