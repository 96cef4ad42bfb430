package receiver

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
)

// client is a client of live updates.
type client struct {
	t      *testing.T
	body   *bufio.Reader
	close  func()
	status int
	header http.Header
}

func (h *testServer) listen(t *testing.T) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(nil)
	srv.Config = NewHTTPServer(h.Server, h.logger)
	srv.Config.RegisterOnShutdown(h.Drain)
	srv.Start()
	t.Cleanup(func() {
		h.Drain()
		srv.Close()
	})
	return srv
}

func followLive(t *testing.T, url, lastID string) *client {
	t.Helper()
	return follow(t, url+"/api/v1/live", lastID)
}

func follow(t *testing.T, url, lastID string) *client {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	require.NoError(t, err)
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	res, err := http.DefaultClient.Do(r) //nolint:bodyclose // close does it
	require.NoError(t, err)
	c := &client{t: t, body: bufio.NewReader(res.Body), status: res.StatusCode, header: res.Header}
	c.close = func() {
		cancel()
		_ = res.Body.Close()
		http.DefaultClient.CloseIdleConnections()
	}
	t.Cleanup(c.close)
	return c
}

type liveEvent struct{ id, event, data string }

// nextEvent reads one event: always three lines and an empty one.
func (c *client) nextEvent() liveEvent {
	c.t.Helper()
	var e liveEvent
	for i, field := range []*string{&e.id, &e.event, &e.data, nil} {
		line, err := c.body.ReadString('\n')
		require.NoError(c.t, err)
		line = strings.TrimSuffix(line, "\n")
		if field == nil {
			require.Empty(c.t, line)
			continue
		}
		name := []string{"id: ", "event: ", "data: "}[i]
		require.True(c.t, strings.HasPrefix(line, name), line)
		*field = line[len(name):]
	}
	return e
}

func (c *client) nextGroup() (e liveEvent, id string) {
	c.t.Helper()
	e = c.nextEvent()
	require.Equal(c.t, "group", e.event)
	var g struct{ ID string }
	require.NoError(c.t, json.Unmarshal([]byte(e.data), &g))
	return e, g.ID
}

func TestLiveUpdates(t *testing.T) {
	h := newTestServer(t, Options{})
	srv := h.listen(t)
	c := followLive(t, srv.URL, "")
	require.Equal(t, "hb", c.nextEvent().event)
	first := h.postKept(t, body())
	e, id := c.nextGroup()
	require.Equal(t, first, id)
	require.NotContains(t, e.data, `"alerts"`, "clients fetch the alerts separately")

	require.NoError(t, h.manager.RemoveAlertFromGroup(t.Context(), grouping.ID(first), "0011223344556677"))
	gone := c.nextEvent()
	require.Equal(t, "gone", gone.event)
	require.JSONEq(t, `{"id":"`+first+`"}`, gone.data)
	c.close()

	// A client that reconnects gets each changed group once.
	for i := range 3 {
		h.postKept(t, body("Down", fmt.Sprint("Down", i)))
	}
	second := h.postKept(t, body(wireKey, `"groupKey":"second"`))
	c = followLive(t, srv.URL, e.id)
	require.Equal(t, "hb", c.nextEvent().event)
	_, id = c.nextGroup()
	require.Equal(t, first, id)
	_, id = c.nextGroup()
	require.Equal(t, second, id)
}

// A page misses no change between its rendering and its connection.
func TestPageMissesNoUpdate(t *testing.T) {
	h := newTestServer(t, Options{})
	srv := h.listen(t)
	h.postKept(t, body())
	page := h.get("/").Body.String()
	_, rest, ok := strings.Cut(page, `data-live="`)
	require.True(t, ok)
	live, _, ok := strings.Cut(rest, `"`)
	require.True(t, ok)
	h.postKept(t, body())

	c := follow(t, srv.URL+live, "")
	place := c.nextEvent()
	require.Equal(t, "hb", place.event)
	require.True(t, strings.HasSuffix(live, "/api/v1/live?after="+place.id), live)
	told, _ := c.nextGroup()
	c.close()
	c = follow(t, srv.URL+live, told.id)
	require.Equal(t, liveEvent{told.id, "hb", "{}"}, c.nextEvent(), "Last-Event-ID takes precedence over after")
}

func TestUnknownEventIDResyncs(t *testing.T) {
	h := newTestServer(t, Options{})
	srv := h.listen(t)
	h.postKept(t, body())
	for _, id := range []string{
		"another-1", h.live.epoch + "-x", h.live.epoch + "-99999999999999999999", h.live.epoch + "-42", "-",
		strings.Repeat("x", 5000),
	} {
		c := followLive(t, srv.URL, id)
		if e := c.nextEvent(); e.event != "resync" {
			require.Equal(t, "resync", c.nextEvent().event, id)
		}
		c.close()
	}
}

func TestClientThatFallsBehindResyncs(t *testing.T) {
	h := newTestServer(t, Options{})
	srv := h.listen(t)
	c := followLive(t, srv.URL, "")
	start := c.nextEvent()
	c.close()
	for range ringSize + 10 {
		h.Publish(grouping.Update{ID: "00000000000000000001"})
	}
	c = followLive(t, srv.URL, start.id)
	c.nextEvent()
	require.Equal(t, "resync", c.nextEvent().event)
}

func TestHostileLabelsStayOnOneLine(t *testing.T) {
	h := newTestServer(t, Options{})
	srv := h.listen(t)
	c := followLive(t, srv.URL, "")
	c.nextEvent()
	h.postKept(t, body(`"groupLabels":{}`, `"groupLabels":{"a":"x\nid: 1\nevent: gone\ndata: {}\n\n\r\u2028"}`))
	e, _ := c.nextGroup()
	require.Contains(t, e.data, `x\nid: 1`)
	h.postKept(t, body(wireKey, `"groupKey":"next"`))
	c.nextGroup() // no other event came between
}

func TestPublishNeverBlocks(t *testing.T) {
	h := newTestServer(t, Options{})
	srv := h.listen(t)
	c := followLive(t, srv.URL, "")
	c.nextEvent() // stop reading
	g, err := h.manager.AddAlertToGroup(t.Context(), grouping.Key{Source: "s"}, grouping.NotifiedAlert{
		Fingerprint: "0000000000000001", Status: grouping.StatusFiring, Labels: grouping.Labels{"x": strings.Repeat("y", 1<<16)},
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
	h := newTestServer(t, Options{})
	h.live.keepAlive = 10 * time.Millisecond
	srv := h.listen(t)
	c := followLive(t, srv.URL, "")
	for range 3 {
		require.Equal(t, liveEvent{h.live.epoch + "-0", "hb", "{}"}, c.nextEvent())
	}
}

func TestLiveClientsAreLimitedAndDrained(t *testing.T) {
	h := newTestServer(t, Options{MaxLiveClients: 2})
	srv := h.listen(t)
	a, b := followLive(t, srv.URL, ""), followLive(t, srv.URL, "")
	a.nextEvent()
	b.nextEvent()
	require.Equal(t, http.StatusServiceUnavailable, followLive(t, srv.URL, "").status)
	require.Equal(t, 2, h.live.clientCount())

	// An open stream does not delay the shutdown.
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	require.NoError(t, srv.Config.Shutdown(ctx))
	_, err := a.body.ReadString('\n')
	require.Error(t, err)
	require.Equal(t, http.StatusServiceUnavailable, h.get("/api/v1/live").Code)
}
