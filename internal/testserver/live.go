package testserver

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// LivePath is the path of the stream of live updates.
const LivePath = "/api/v1/live"

// Client is a client of live updates.
type Client struct {
	Status int
	Header http.Header
	// Body is the rest of the stream.
	Body *bufio.Reader

	t     testing.TB
	close func()
}

// NewClient returns a client that reads a stream.
func NewClient(t testing.TB, stream io.Reader) *Client {
	return &Client{t: t, Body: bufio.NewReader(stream), close: func() {}}
}

// FollowLive follows the live updates of a server after an event. "" means from now
// on.
func FollowLive(t testing.TB, url, lastID string) *Client {
	t.Helper()
	return Follow(t, url+LivePath, lastID)
}

// Follow is FollowLive with the complete URL.
func Follow(t testing.TB, url, lastID string) *Client {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	require.NoError(t, err)
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	res, err := http.DefaultClient.Do(r) //nolint:bodyclose // close does it
	require.NoError(t, err)
	c := NewClient(t, res.Body)
	c.Status, c.Header = res.StatusCode, res.Header
	c.close = func() {
		cancel()
		_ = res.Body.Close()
		http.DefaultClient.CloseIdleConnections()
	}
	t.Cleanup(c.Close)
	return c
}

// Close ends the stream.
func (c *Client) Close() { c.close() }

// LiveEvent is an event of the stream.
type LiveEvent struct{ ID, Event, Data string }

// NextEvent reads one event: always three lines and an empty one.
func (c *Client) NextEvent() LiveEvent {
	c.t.Helper()
	var e LiveEvent
	for i, field := range []*string{&e.ID, &e.Event, &e.Data, nil} {
		line, err := c.Body.ReadString('\n')
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

// NextGroup reads one event, which must be a changed group.
func (c *Client) NextGroup() (e LiveEvent, id string) {
	c.t.Helper()
	e = c.NextEvent()
	require.Equal(c.t, "group", e.Event)
	var g struct{ ID string }
	require.NoError(c.t, json.Unmarshal([]byte(e.Data), &g))
	return e, g.ID
}
