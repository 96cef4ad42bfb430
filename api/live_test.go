package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/api"
	"muster/grouping"
	"muster/internal/limit"
	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
	"muster/web"
)

func TestLiveUpdates(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	srv := h.Listen(t)
	c := testserver.FollowLive(t, srv.URL, "")
	require.Equal(t, "hb", c.NextEvent().Event)
	first := h.PostKept(t, wiretest.Body())
	e, id := c.NextGroup()
	require.Equal(t, first, id)
	require.NotContains(t, e.Data, `"alerts"`, "clients fetch the alerts separately")

	require.NoError(t, h.Manager.RemoveAlertFromGroup(t.Context(), grouping.ID(first), "0011223344556677"))
	gone := c.NextEvent()
	require.Equal(t, "gone", gone.Event)
	require.JSONEq(t, `{"id":"`+first+`"}`, gone.Data)
	c.Close()

	// A client that reconnects gets each changed group once.
	for i := range 3 {
		h.PostKept(t, wiretest.Body("Down", fmt.Sprint("Down", i)))
	}
	second := h.PostKept(t, wiretest.Body(wiretest.Key, `"groupKey":"second"`))
	c = testserver.FollowLive(t, srv.URL, e.ID)
	require.Equal(t, "hb", c.NextEvent().Event)
	_, id = c.NextGroup()
	require.Equal(t, first, id)
	_, id = c.NextGroup()
	require.Equal(t, second, id)
}

// A page misses no change between its rendering and its connection.
func TestPageMissesNoUpdate(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	srv := h.Listen(t)
	h.PostKept(t, wiretest.Body())
	page := h.Get("/").Body.String()
	_, rest, ok := strings.Cut(page, `data-live="`)
	require.True(t, ok)
	live, _, ok := strings.Cut(rest, `"`)
	require.True(t, ok)
	h.PostKept(t, wiretest.Body())

	c := testserver.Follow(t, srv.URL+live, "")
	place := c.NextEvent()
	require.Equal(t, "hb", place.Event)
	require.True(t, strings.HasSuffix(live, "/api/v1/live?after="+place.ID), live)
	told, _ := c.NextGroup()
	c.Close()
	c = testserver.Follow(t, srv.URL+live, told.ID)
	require.Equal(t, testserver.LiveEvent{ID: told.ID, Event: "hb", Data: "{}"}, c.NextEvent(), "Last-Event-ID takes precedence over after")
}

func TestUnknownEventIDResyncs(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	srv := h.Listen(t)
	h.PostKept(t, wiretest.Body())
	for _, id := range []string{
		"another-1", h.Hub.Epoch() + "-x", h.Hub.Epoch() + "-99999999999999999999", h.Hub.Epoch() + "-42", "-",
		strings.Repeat("x", 5000),
	} {
		c := testserver.FollowLive(t, srv.URL, id)
		if e := c.NextEvent(); e.Event != "resync" {
			require.Equal(t, "resync", c.NextEvent().Event, id)
		}
		c.Close()
	}
}

func TestClientThatFallsBehindResyncs(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	srv := h.Listen(t)
	c := testserver.FollowLive(t, srv.URL, "")
	start := c.NextEvent()
	c.Close()
	for range api.RingSize + 10 {
		h.Publish(grouping.Update{ID: "00000000000000000001"})
	}
	c = testserver.FollowLive(t, srv.URL, start.ID)
	c.NextEvent()
	require.Equal(t, "resync", c.NextEvent().Event)
}

// The hub keeps no update before anybody knows a sequence. A client that asks for one of these
// updates nevertheless must load everything.
func TestUpdatesBeforeTheFirstClient(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	srv := h.Listen(t)
	h.PostKept(t, wiretest.Body())
	first := h.Hub.LastEventID()
	h.PostKept(t, wiretest.Body(wiretest.Key, `"groupKey":"next"`))

	c := testserver.FollowLive(t, srv.URL, first)
	c.NextEvent()
	e, _ := c.NextGroup()
	require.Contains(t, e.Data, `"groupKey":"next"`)
	c.Close()
	c = testserver.FollowLive(t, srv.URL, h.Hub.Epoch()+"-0")
	c.NextEvent()
	require.Equal(t, "resync", c.NextEvent().Event)
}

// A gap is on every page, so a client loads everything again. What a source knows is on few
// pages.
func TestAGapIsForEveryClient(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	srv := h.Listen(t)
	c := testserver.FollowLive(t, srv.URL, "")
	c.NextEvent()
	before := h.Hub.LastEventID()
	h.Publish(grouping.Update{ID: grouping.SourceID("prod"), Source: grouping.NewSourceDocument("prod")})
	h.PostKept(t, wiretest.Body())
	c.NextGroup() // no other event came between
	h.Publish(grouping.Update{ID: grouping.SourceID(""), Source: grouping.NewSourceDocument("")})
	e := c.NextEvent()
	require.Equal(t, []string{"resync", h.Hub.LastEventID()}, []string{e.Event, e.ID})

	late := testserver.FollowLive(t, srv.URL, before)
	require.Equal(t, "hb", late.NextEvent().Event)
	require.Equal(t, "resync", late.NextEvent().Event)
	h.PostKept(t, wiretest.Body(wiretest.Key, `"groupKey":"next"`))
	c.NextGroup()
	late.NextGroup()
}

func TestHostileLabelsStayOnOneLine(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	srv := h.Listen(t)
	c := testserver.FollowLive(t, srv.URL, "")
	c.NextEvent()
	h.PostKept(t, wiretest.Body(`"groupLabels":{}`, `"groupLabels":{"a":"x\nid: 1\nevent: gone\ndata: {}\n\n\r\u2028"}`))
	e, _ := c.NextGroup()
	require.Contains(t, e.Data, `x\nid: 1`)
	h.PostKept(t, wiretest.Body(wiretest.Key, `"groupKey":"next"`))
	c.NextGroup() // no other event came between
}

func TestPublishNeverBlocks(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	srv := h.Listen(t)
	c := testserver.FollowLive(t, srv.URL, "")
	c.NextEvent() // stop reading
	g, err := h.Manager.AddAlertToGroup(t.Context(), grouping.Key{Source: "s"}, grouping.NotifiedAlert{
		Fingerprint: "0000000000000001", Status: grouping.StatusFiring,
		Labels:   grouping.NewLabels(map[string]string{"x": strings.Repeat("y", 1<<16)}),
		StartsAt: time.Now(),
	})
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 20_000 {
			h.Publish(grouping.Update{ID: g.ID, Group: g})
		}
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("a client that does not read blocks the writers")
	}
}

func TestHeartbeats(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	h.Hub.SetKeepAlive(10 * time.Millisecond)
	srv := h.Listen(t)
	c := testserver.FollowLive(t, srv.URL, "")
	for range 3 {
		require.Equal(t, testserver.LiveEvent{ID: h.Hub.Epoch() + "-0", Event: "hb", Data: "{}"}, c.NextEvent())
	}
}

func TestLiveClientsAreLimitedAndDrained(t *testing.T) {
	h := testserver.New(t, testserver.Options{MaxLiveClients: 2})
	srv := h.Listen(t)
	a, b := testserver.FollowLive(t, srv.URL, ""), testserver.FollowLive(t, srv.URL, "")
	a.NextEvent()
	b.NextEvent()
	require.Equal(t, http.StatusServiceUnavailable, testserver.FollowLive(t, srv.URL, "").Status)
	require.Equal(t, 2, h.Hub.Clients())

	// An open stream does not delay the shutdown.
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	require.NoError(t, srv.Config.Shutdown(ctx))
	_, err := a.Body.ReadString('\n')
	require.Error(t, err)
	require.Equal(t, http.StatusServiceUnavailable, h.Get("/api/v1/live").Code)
}

// HTTP/2 resets a stream when a deadline passes, even if nothing is written.
func TestIdleHTTP2StreamStaysOpen(t *testing.T) {
	h := testserver.New(t, testserver.Options{WriteTimeout: 50 * time.Millisecond})
	h.Hub.SetKeepAlive(400 * time.Millisecond) // eight times the timeout
	srv := httptest.NewUnstartedServer(nil)
	srv.Config = web.NewHTTPServer(h, h.Logger)
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(func() {
		h.Drain()
		srv.Close()
	})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/api/v1/live", nil)
	require.NoError(t, err)
	res, err := srv.Client().Do(r)
	require.NoError(t, err)
	defer func() { require.NoError(t, res.Body.Close()) }()
	require.Equal(t, 2, res.ProtoMajor)
	c := testserver.NewClient(t, res.Body)
	for range 3 { // each after the previous deadline
		require.Equal(t, "hb", c.NextEvent().Event)
	}
	h.PostKept(t, wiretest.Body())
	c.NextGroup()
	h.Drain()
	_, err = c.Body.ReadString('\n')
	require.ErrorIs(t, err, io.EOF, "the stream must end without a reset")
}

// A client that does not read is disconnected.
func TestLiveClientThatDoesNotReadIsDisconnected(t *testing.T) {
	h := testserver.New(t, testserver.Options{MaxLiveClients: 1, WriteTimeout: 50 * time.Millisecond})
	srv := h.Listen(t)
	c := testserver.FollowLive(t, srv.URL, "")
	c.NextEvent() // stop reading
	g := &grouping.AlertGroup{}
	g.GroupLabels = grouping.NewLabels(map[string]string{"x": strings.Repeat("y", 1<<20)})
	n := 0
	require.Eventually(t, func() bool {
		n++
		h.Publish(grouping.Update{ID: grouping.ID(fmt.Sprint(n)), Group: g})
		return h.Hub.Clients() == 0
	}, 20*time.Second, 5*time.Millisecond)
}

// Event IDs count up. The status page counts the clients above the limit.
func TestEventIDsAndLimitOfClients(t *testing.T) {
	h := testserver.New(t, testserver.Options{MaxLiveClients: 1})
	srv := h.Listen(t)
	c := testserver.FollowLive(t, srv.URL, "")
	require.Equal(t, testserver.LiveEvent{ID: h.Hub.Epoch() + "-0", Event: "hb", Data: "{}"}, c.NextEvent())
	for i := 1; i <= 3; i++ {
		h.PostKept(t, wiretest.Body(wiretest.Key, fmt.Sprintf(`"groupKey":"k%d"`, i)))
		e, _ := c.NextGroup()
		require.Equal(t, fmt.Sprint(h.Hub.Epoch(), "-", i), e.ID)
		require.True(t, json.Valid([]byte(e.Data)))
	}
	const full = "limit of 1 live clients reached, try again"
	h.RequireRejected(t, "full", h.Get("/api/v1/live"), 503, full)
	require.Equal(t, 1, h.Limits.TimesReached(limit.LiveClients))
	h.Drain()
	h.RequireRejected(t, "draining", h.Get("/api/v1/live"), 503, "shutting down, reconnect")
	require.Equal(t, 1, h.Limits.TimesReached(limit.LiveClients))
}

// A panic in the middle of an answer closes the connection, so that an
// incomplete answer does not look complete.
func TestPanicInTheMiddleClosesTheConnection(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	h.Use(failing{})
	h.Hub.SetKeepAlive(-1) // time.NewTicker panics after the first event
	srv := h.Listen(t)
	res, err := http.Get(srv.URL + testserver.LivePath)
	require.NoError(t, err)
	defer func() { require.NoError(t, res.Body.Close()) }()
	text, err := io.ReadAll(res.Body)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.NotContains(t, string(text), "error")
	http.DefaultClient.CloseIdleConnections()
}
