package receiver

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
)

// sendHalfClosed sends a raw request over a new connection, closes the sending
// side and returns the answer.
func sendHalfClosed(t *testing.T, srv *httptest.Server, text string) (code int, answer string) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", srv.Listener.Addr().String())
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = io.WriteString(conn, text)
	require.NoError(t, err)
	tcp, ok := conn.(*net.TCPConn)
	require.True(t, ok)
	require.NoError(t, tcp.CloseWrite())
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, res.Body.Close()) }()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(b)
}

func rawRequest(length int, body string) string {
	return fmt.Sprintf("POST /webhook HTTP/1.1\r\nHost: muster\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		length, body)
}

// waiting answers Ingest when the client has disconnected, like a storage whose
// context is cancelled.
type waiting struct{ stub }

func (waiting) Ingest(ctx context.Context, _ grouping.Notification) (grouping.Outcome, error) {
	<-ctx.Done()
	return grouping.Outcome{}, context.Cause(ctx)
}

func (waiting) GetStats(ctx context.Context) (grouping.Stats, error) {
	<-ctx.Done()
	return grouping.Stats{}, &grouping.StorageError{Backend: "redis", Op: "load", Err: ctx.Err()}
}

// A client that closes its sending side cancels the request, but still reads
// the answer. It must not read 200 if the notification was not stored.
func TestCancelledNotificationIsNotAcknowledged(t *testing.T) {
	h, _ := newStub(t, Options{}, nil)
	h.groups = waiting{}
	srv := h.listen(t)
	code, _ := sendHalfClosed(t, srv, rawRequest(len(body()), body()))
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.InDelta(t, 1, h.counter(t, "muster_notifications_rejected_total", "reason", "cancelled"), 0)
	require.Zero(t, h.counter(t, "muster_notifications_rejected_total", "reason", "storage"), "the storage is healthy")
	for _, path := range []string{"/api/v1/stats", "/status"} {
		code, _ = sendHalfClosed(t, srv, "GET "+path+" HTTP/1.1\r\nHost: muster\r\n\r\n")
		require.Equal(t, http.StatusServiceUnavailable, code, path)
	}
}

// An incomplete body gets 503, so that Alertmanager retries at once.
func TestIncompleteBodyIsRetried(t *testing.T) {
	h := newTestServer(t, Options{})
	h.postKept(t, body(wireKey, `"groupKey":"held"`))
	before := h.stored(t)
	srv := h.listen(t)
	for _, text := range []string{
		rawRequest(len(body())+1, body()), // valid JSON, but incomplete
		rawRequest(len(body()), body()[:100]),
		rawRequest(10, ""),
		strings.Replace(rawRequest(0, "5\r\n{\"a\":\r\n"), "Content-Length: 0", "Transfer-Encoding: chunked", 1),
	} {
		code, answer := sendHalfClosed(t, srv, text)
		require.Equal(t, http.StatusServiceUnavailable, code)
		require.JSONEq(t, `{"error":"the body is incomplete"}`, answer)
	}
	require.Equal(t, before, h.stored(t))
	require.InDelta(t, 4, h.counter(t, "muster_notifications_rejected_total", "reason", "incomplete"), 0)
}

// A panic of a page does not count as a rejected notification.
func TestOnlyNotificationsAreCountedAsRejected(t *testing.T) {
	h, _ := newStub(t, Options{}, nil) // its queries panic
	require.Equal(t, http.StatusServiceUnavailable, h.get("/api/v1/stats").Code)
	require.Zero(t, h.counter(t, "muster_notifications_rejected_total", "reason", "panic"))
}

// HTTP/2 resets a stream when a deadline passes, even if nothing is written.
func TestIdleHTTP2StreamStaysOpen(t *testing.T) {
	h := newTestServer(t, Options{})
	h.writeTimeout = 50 * time.Millisecond
	h.live.keepAlive = 8 * h.writeTimeout
	srv := httptest.NewUnstartedServer(nil)
	srv.Config = NewHTTPServer(h.Server, h.logger)
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
	c := &client{t: t, body: bufio.NewReader(res.Body)}
	for range 3 { // each after the previous deadline
		require.Equal(t, "hb", c.nextEvent().event)
	}
	h.postKept(t, body())
	c.nextGroup()
	h.Drain()
	_, err = c.body.ReadString('\n')
	require.ErrorIs(t, err, io.EOF, "the stream must end without a reset")
}

// A client that does not read is disconnected.
func TestLiveClientThatDoesNotReadIsDisconnected(t *testing.T) {
	h := newTestServer(t, Options{MaxLiveClients: 1})
	h.writeTimeout = 50 * time.Millisecond
	srv := h.listen(t)
	c := followLive(t, srv.URL, "")
	c.nextEvent() // stop reading
	g := &grouping.AlertGroup{}
	g.GroupLabels = grouping.Labels{"x": strings.Repeat("y", 1<<20)}
	n := 0
	require.Eventually(t, func() bool {
		n++
		h.Publish(grouping.Update{ID: grouping.ID(fmt.Sprint(n)), Group: g})
		return h.live.clientCount() == 0
	}, 20*time.Second, 5*time.Millisecond)
}

// Event IDs count up. The status page counts the clients above the limit.
func TestEventIDsAndLimitOfClients(t *testing.T) {
	h := newTestServer(t, Options{MaxLiveClients: 1})
	srv := h.listen(t)
	c := followLive(t, srv.URL, "")
	require.Equal(t, liveEvent{h.live.epoch + "-0", "hb", "{}"}, c.nextEvent())
	for i := 1; i <= 3; i++ {
		h.postKept(t, body(wireKey, fmt.Sprintf(`"groupKey":"k%d"`, i)))
		e, _ := c.nextGroup()
		require.Equal(t, fmt.Sprint(h.live.epoch, "-", i), e.id)
		require.True(t, json.Valid([]byte(e.data)))
	}
	const full = "limit of 1 live clients reached, try again"
	h.requireRejected(t, "full", h.get("/api/v1/live"), 503, full)
	require.Equal(t, 1, h.rejections.timesReached("live_clients"))
	h.Drain()
	h.requireRejected(t, "draining", h.get("/api/v1/live"), 503, "shutting down, reconnect")
	require.Equal(t, 1, h.rejections.timesReached("live_clients"))
}
