package api_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"muster/api"
	"muster/grouping"
	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
)

// filtered is the address of the live updates of firing groups with the alert Down.
func filtered(server string) string {
	return server + testserver.LivePath + "?" + url.Values{"filter": {`alertname="Down"`}, "state": {"firing"}}.Encode()
}

// resolved replaces parts of a notification so that its alert is resolved.
func resolved(replace ...string) string {
	const started, open = `"startsAt":"2026-11-23T03:00:00Z",`, `"endsAt":"0001-01-01T00:00:00Z"`
	return wiretest.Body(append(replace, wiretest.Status, `[{"status":"resolved"`, started+open, started+`"endsAt":"2026-11-23T04:00:00Z"`)...)
}

// A client with a filter gets only the groups that it selects, and learns that a group is
// no longer one of them.
func TestLiveUpdatesOfAFilter(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	srv := h.Listen(t)
	c := testserver.Follow(t, filtered(srv.URL), "")
	require.Equal(t, "hb", c.NextEvent().Event)
	other := []string{"Down", "Up", wiretest.Key, `"groupKey":"other"`}
	h.PostKept(t, wiretest.Body(other...)) // not told
	id := h.PostKept(t, wiretest.Body())
	_, told := c.NextGroup()
	require.Equal(t, id, told)

	h.PostKept(t, resolved())
	e := c.NextEvent()
	require.Equal(t, "gone", e.Event)
	require.JSONEq(t, `{"id":"`+id+`"}`, e.Data)
	h.PostKept(t, resolved()) // not told again
	h.PostKept(t, resolved(other...))
	h.PostKept(t, wiretest.Body("2026-11-23T03", "2026-11-23T05"))
	_, told = c.NextGroup()
	require.Equal(t, id, told)

	require.NoError(t, h.Manager.RemoveAlertFromGroup(t.Context(), grouping.ID(id), "0011223344556677"))
	require.Equal(t, "gone", c.NextEvent().Event)
}

// A client with a filter that was away gets one event of each group that it had or must
// have now.
func TestLiveUpdatesOfAFilterAfterAReconnect(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	srv := h.Listen(t)
	c := testserver.Follow(t, filtered(srv.URL), "")
	require.Equal(t, "hb", c.NextEvent().Event)
	id := h.PostKept(t, wiretest.Body())
	last, _ := c.NextGroup()
	c.Close()

	h.PostKept(t, resolved())
	brief := []string{wiretest.Key, `"groupKey":"brief"`} // it fires only meanwhile
	h.PostKept(t, wiretest.Body(brief...))
	h.PostKept(t, resolved(brief...))
	h.PostKept(t, resolved("03:00", "03:01"))
	stays := h.PostKept(t, wiretest.Body(wiretest.Key, `"groupKey":"stays"`))

	c = testserver.Follow(t, filtered(srv.URL), last.ID)
	require.Equal(t, "hb", c.NextEvent().Event)
	e := c.NextEvent()
	require.Equal(t, "gone", e.Event)
	require.JSONEq(t, `{"id":"`+id+`"}`, e.Data)
	_, told := c.NextGroup()
	require.Equal(t, stays, told)
}

// The updates of a group that the ring no longer has do not matter to a client.
func TestLiveUpdatesOfAFilterBeyondTheRing(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	srv := h.Listen(t)
	states := [2]*grouping.AlertGroup{}
	for i, name := range []string{"Down", "Up"} {
		states[i] = grouping.NewAlertGroup(grouping.AlertGroup{ID: "00000000000000000001", Alerts: []*grouping.Alert{{
			Status: grouping.StatusFiring, Labels: grouping.NewLabels(map[string]string{"alertname": name}),
		}}})
	}
	// publish publishes the change to the next of the two states.
	n := 0
	publish := func() {
		u := grouping.Update{ID: states[0].ID, Group: states[n%2]}
		if n > 0 {
			u.Before = states[1-n%2]
		}
		h.Publish(u)
		n++
	}
	for range 2*api.RingSize + 1 {
		publish()
	}
	selected := h.Hub.LastEventID() // the last state has the alert Down
	publish()
	left := h.Hub.LastEventID()
	for _, tc := range []struct {
		after string
		more  int
		want  []string
	}{
		{selected, 0, []string{"gone"}},
		{left, 0, nil},
		{selected, 1, []string{"group"}},
		{left, 0, []string{"group"}},
		{selected, 1, []string{"gone"}},
		{left, 0, nil},
	} {
		for range tc.more {
			publish()
		}
		c := testserver.Follow(t, filtered(srv.URL), tc.after)
		require.Equal(t, "hb", c.NextEvent().Event)
		for _, want := range tc.want {
			require.Equal(t, want, c.NextEvent().Event, fmt.Sprint(tc))
		}
		// The next event shows that there was no other one.
		h.Publish(grouping.Update{ID: "00000000000000000002", Group: states[0]})
		require.Equal(t, "group", c.NextEvent().Event)
		c.Close()
		h.Publish(grouping.Update{ID: "00000000000000000002", Before: states[0]})
	}
}

func TestLiveUpdatesRejectUnknownFilters(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	for _, query := range []string{"filter=%7B", "state=burning", "sort=name", "cursor=x"} {
		require.Equal(t, http.StatusBadRequest, h.Get(testserver.LivePath+"?"+query).Code, query)
	}
}
