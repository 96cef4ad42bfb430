package storage

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/storage/storagetest"
)

// While Redis is down, a person writes through one replica, and the other one gets webhooks. Both
// are kept when Redis is back, also by a Muster that starts then.
func TestAnAcknowledgementAndWebhooksInAnOutage(t *testing.T) {
	t.Parallel()
	server := storagetest.StartRedis(t)
	var links []*storagetest.Link
	var replicas []replica
	for range 2 {
		link := storagetest.StartLink(t, server.Socket, 64<<20)
		links, replicas = append(links, link), append(replicas, startOn(t, "redis://"+link.Addr))
	}
	person, webhooks := replicas[0], replicas[1]
	mira := grouping.Person{Name: "mira", Verified: true}
	n := notification("group", 2)
	n.Reason = "first notification"
	opened, err := person.Ingest(t.Context(), n)
	require.NoError(t, err)
	id := n.ID()
	require.Eventually(t, func() bool {
		_, err := webhooks.Get(t.Context(), id)
		return err == nil
	}, 10*time.Second, time.Millisecond)

	for _, link := range links {
		link.Cut(true)
	}
	later := notification("group", 3)
	later.Reason = "new alerts"
	heard, err := webhooks.Ingest(t.Context(), later)
	require.NoError(t, err)
	g, err := person.Acknowledge(t.Context(), id, grouping.AckRequest{By: mira, Note: "on it", Episode: opened.Group.Opened})
	require.NoError(t, err)
	_, err = person.AddNote(t.Context(), id, grouping.NoteRequest{By: mira, ID: "n", Text: "text"})
	require.NoError(t, err)
	require.Equal(t, 1, person.storage.Status().DirtyGroups)
	require.Equal(t, 1, webhooks.storage.Status().DirtyGroups)
	for _, link := range links {
		link.Cut(false)
	}

	joined := func(r replica) bool {
		g, err := r.Get(t.Context(), id)
		status := r.storage.Status()
		return err == nil && status.Healthy && status.DirtyGroups == 0 && len(g.Acks) == 1 && len(g.Notes) == 1 && len(g.Alerts) == 3
	}
	replicas = append(replicas, replica{})
	for i := range replicas {
		if i == 2 { // it starts now
			replicas[i] = startOn(t, "unix://"+server.Socket)
			_, err := replicas[i].RestoreGroups(t.Context())
			require.NoError(t, err)
		}
		r := replicas[i]
		require.Eventually(t, func() bool { return joined(r) }, time.Minute, 5*time.Millisecond, "replica %d", i)
		is, err := r.Get(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, g.Ack(time.Now()).ID, is.Ack(time.Now()).ID)
		require.Equal(t, "new alerts", is.LastReason, "the acknowledgement does not replace the notification")
		require.True(t, heard.Group.LastNotifiedAt.Equal(is.LastNotifiedAt))
	}
	kinds := []grouping.EventKind{grouping.EventAcknowledged, grouping.EventNoted}
	page, err := replicas[2].Events(t.Context(), grouping.EventQuery{Kinds: kinds})
	require.NoError(t, err)
	require.Len(t, page.Events, 2)
}
