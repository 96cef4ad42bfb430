package receiver

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"muster/grouping"
)

// The types of the streamed answers.
type (
	groupsView struct {
		Groups []groupView `json:"groups"`
		Total  int         `json:"total"`
		Next   string      `json:"next,omitempty"`
	}
	eventsView struct {
		Events []eventView `json:"events"`
		Next   string      `json:"next,omitempty"`
	}
)

// viewGroupWithAlerts converts a group with its alerts.
func viewGroupWithAlerts(g *grouping.AlertGroup) groupView {
	v := viewGroup(g)
	for _, a := range g.Alerts {
		v.Alerts = append(v.Alerts, viewAlert(g, a))
	}
	return v
}

// openStalled sends a GET over a new connection and does not read the answer.
// The connection's receive buffer has the given size.
func openStalled(t *testing.T, srv *httptest.Server, path string, buffer int) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", srv.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	tcp, ok := conn.(*net.TCPConn)
	require.True(t, ok)
	require.NoError(t, tcp.SetReadBuffer(buffer))
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: muster\r\n\r\n", path)
	require.NoError(t, err)
	return conn
}

// A streamed answer has exactly the bytes of the JSON of the whole value.
func TestStreamedJSONIsComplete(t *testing.T) {
	h := newTestServer(t, Options{})
	get := func(path string) string {
		w := h.get(path)
		require.Equal(t, http.StatusOK, w.Code, path)
		require.Equal(t, "application/json; charset=utf-8", w.Header().Get("Content-Type"), path)
		return w.Body.String()
	}
	whole := func(v any) string {
		text, err := json.Marshal(v)
		require.NoError(t, err)
		return string(text)
	}
	require.JSONEq(t, `{"groups":[],"total":0}`, get("/api/v1/groups?alerts=true"))
	require.JSONEq(t, `{"events":[]}`, get("/api/v1/events"))
	h.postKept(t, body(wireKey, `"groupKey":"<&> \u2028"`))
	many := h.postResult(t, manyAlerts(300)).Group
	page, err := h.manager.ListGroups(t.Context(), grouping.ListQuery{Sort: grouping.SortName, Limit: 1})
	require.NoError(t, err)
	require.NotEmpty(t, page.Next)
	require.Equal(t, whole(groupsView{[]groupView{viewGroupWithAlerts(page.Groups[0])}, page.Total, page.Next}),
		get("/api/v1/groups?alerts=true&limit=1&sort=name"))
	require.Equal(t, whole(groupsView{[]groupView{viewGroup(page.Groups[0])}, page.Total, page.Next}), get("/api/v1/groups?limit=1&sort=name"))
	g, err := h.manager.GetGroup(t.Context(), many)
	require.NoError(t, err)
	require.Equal(t, whole(viewGroupWithAlerts(g)), get("/api/v1/groups/"+string(many)))
	one := viewGroup(g)
	one.Alerts = []alertView{viewAlert(g, g.Alert("0000000000000007"))}
	require.Equal(t, whole(map[string]any{"groups": []groupView{one}}), get("/api/v1/alerts/0000000000000007"))
	events, err := h.manager.Events(t.Context(), grouping.EventQuery{Limit: 250})
	require.NoError(t, err)
	want := eventsView{Next: events.Next}
	for i := range events.Events {
		want.Events = append(want.Events, viewEvent(&events.Events[i]))
	}
	require.Equal(t, whole(want), get("/api/v1/events?limit=250&kind=all"))
	require.Zero(t, h.limits.responseBytes.Used())
}

// unwritable returns groups that cannot be encoded as JSON.
type unwritable struct {
	stub

	groups []*grouping.AlertGroup
}

func (u unwritable) ListGroups(context.Context, grouping.ListQuery) (grouping.GroupPage, error) {
	return grouping.GroupPage{Groups: u.groups}, nil
}

// An error before the first byte gets its status code; a later error closes the
// connection. Both release all memory and slots.
func TestFailingStream(t *testing.T) {
	h, _ := newStub(t, Options{}, nil)
	srv := h.listen(t)
	bad := &grouping.AlertGroup{}
	bad.UpdatedAt = time.Date(math.MaxInt32, 1, 1, 0, 0, 0, 0, time.UTC)
	large := &grouping.AlertGroup{}
	large.GroupLabels = grouping.Labels{"x": strings.Repeat("y", 2*flushSize)}
	h.groups = unwritable{groups: []*grouping.AlertGroup{bad}}
	h.requireRejected(t, "first", h.get("/api/v1/groups"), http.StatusServiceUnavailable, "internal error")
	h.groups = unwritable{groups: []*grouping.AlertGroup{large, bad}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/api/v1/groups", nil)
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	_, err = io.ReadAll(res.Body)
	require.NoError(t, res.Body.Close())
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Zero(t, h.limits.responseBytes.Used())
	require.Zero(t, h.limits.readers.Used())
}

// Clients that do not read hold a limited number of bytes and no reader's slot.
// Other clients are served meanwhile.
func TestReadersThatDoNotReadDoNotBlockOthers(t *testing.T) {
	const most, stalled = 4, 40
	h := newTestServer(t, Options{MaxReaders: most})
	h.writeTimeout = time.Minute
	kept := h.postResult(t, manyAlerts(5000)) // more than the buffers of a connection hold
	srv := h.listen(t)
	var conns []net.Conn
	for range stalled {
		conns = append(conns, openStalled(t, srv, "/api/v1/groups/"+string(kept.Group), 4096))
	}
	// Some requests may get 503 while all reader slots are in use.
	require.Eventually(t, func() bool {
		return h.limits.responseBytes.Used() == int64(stalled-h.limits.readers.Rejected())*streamSize && h.limits.readers.Used() == 0
	}, 30*time.Second, time.Millisecond)
	for _, path := range []string{"/", "/api/v1/groups", "/status", "/-/ready", "/metrics"} {
		require.Equal(t, http.StatusOK, h.get(path).Code, path)
	}
	h.postResult(t, body())
	for _, conn := range conns {
		require.NoError(t, conn.Close())
	}
	require.Eventually(t, func() bool { return h.limits.responseBytes.Used() == 0 }, 30*time.Second, time.Millisecond)
}

// A client that reads nothing is disconnected.
func TestReaderThatDoesNotReadIsDisconnected(t *testing.T) {
	h := newTestServer(t, Options{})
	h.writeTimeout = 500 * time.Millisecond
	kept := h.postResult(t, manyAlerts(5000))
	srv := h.listen(t)
	conn := openStalled(t, srv, "/api/v1/groups/"+string(kept.Group), 4096)
	require.Eventually(t, func() bool {
		return h.counter(t, "muster_http_requests_total", "code", "200", "handler", "/api/v1/groups/:id", "method", "GET") == 1
	}, 30*time.Second, time.Millisecond)
	require.Zero(t, h.limits.responseBytes.Used())
	text, _ := io.ReadAll(conn) // the connection may be reset
	require.False(t, strings.HasSuffix(string(text), "\r\n0\r\n\r\n"), "an incomplete answer must not look complete")
}

// At the limit on response bytes readers get 503, and notifications are still
// stored.
func TestResponseMemoryLimit(t *testing.T) {
	const fit, stalled = 3, 9
	h := newTestServer(t, Options{MaxResponseMemory: fit*streamSize + streamSize/2})
	kept := h.postResult(t, manyAlerts(5000))
	srv := h.listen(t)
	for range stalled {
		openStalled(t, srv, "/api/v1/groups/"+string(kept.Group), 4096)
	}
	require.Eventually(t, func() bool { return h.limits.responseBytes.Rejected() == stalled-fit }, 20*time.Second, time.Millisecond)
	const full = "response memory is in use by slow clients, try again"
	h.requireRejected(t, "API", h.get("/api/v1/groups"), http.StatusServiceUnavailable, full)
	h.requireRejected(t, "page", h.get("/groups/"+string(kept.Group)), http.StatusServiceUnavailable, full)
	h.postResult(t, body())
	require.Equal(t, http.StatusOK, h.get("/metrics").Code)
	require.Equal(t, http.StatusOK, h.get("/-/ready").Code)
	require.Contains(t, h.get("/status").Body.String(), "Memory of responses")
	require.InDelta(t, float64(h.limits.responseBytes.Rejected()), h.counter(t, "muster_limit_rejections_total", "limit", "responses"), 0)
}

// A reader without a slot gets 503.
func TestTooManyReaders(t *testing.T) {
	h := newTestServer(t, Options{MaxReaders: 1})
	place, ok := h.limits.readers.Take(1)
	require.True(t, ok)
	for _, path := range []string{"/", "/api/v1/groups", "/go?receiver=x"} {
		h.requireRejected(t, path, h.get(path), http.StatusServiceUnavailable, "too many concurrent requests, try again")
	}
	h.postResult(t, body())
	place.Release()
	require.Contains(t, h.get("/status").Body.String(),
		`<td>Concurrent readers</td><td data-h="value">1</td><td data-h="reached"><b>3 times</b>`)
}

// A slow client gets the whole answer, even if it takes long.
func TestSlowReaderGetsTheWholeAnswer(t *testing.T) {
	h := newTestServer(t, Options{})
	h.writeTimeout = 2 * time.Second
	kept := h.postResult(t, manyAlerts(3000))
	path := "/api/v1/groups/" + string(kept.Group)
	srv := h.listen(t)
	started := time.Now()
	conn := openStalled(t, srv, path, 64<<10)
	res, err := http.ReadResponse(bufio.NewReaderSize(&slowReader{conn, time.NewTicker(25 * time.Millisecond)}, 16<<10), nil)
	require.NoError(t, err)
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.JSONEq(t, h.get(path).Body.String(), string(text))
	require.Greater(t, time.Since(started), h.writeTimeout, "the test must last longer than the timeout")
}

// slowReader reads once per tick.
type slowReader struct {
	conn net.Conn
	tick *time.Ticker
}

func (r *slowReader) Read(p []byte) (int, error) {
	<-r.tick.C
	return r.conn.Read(p[:min(len(p), 16<<10)])
}

// An HTTP/2 stream that is not read is reset, and its connection stays open.
func TestStalledHTTP2StreamIsReset(t *testing.T) {
	h := newTestServer(t, Options{})
	h.writeTimeout = time.Second
	kept := h.postResult(t, manyAlerts(10_000)) // more than the client's window of 4 MiB
	srv := httptest.NewUnstartedServer(nil)
	srv.Config = NewHTTPServer(h.Server, h.logger)
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	get := func(path string) *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+path, nil)
		require.NoError(t, err)
		res, err := srv.Client().Do(r)
		require.NoError(t, err)
		require.Equal(t, 2, res.ProtoMajor)
		return res
	}
	stalled := get("/api/v1/groups/" + string(kept.Group))
	require.Eventually(t, func() bool { return h.limits.responseBytes.Used() == 0 }, 30*time.Second, time.Millisecond)
	_, err := io.ReadAll(stalled.Body)
	require.Error(t, err, "an incomplete answer must not look complete")
	require.NoError(t, stalled.Body.Close())
	res := get("/api/v1/groups")
	_, err = io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
}

// Scrapers that do not read do not block others.
func TestScrapersThatDoNotReadDoNotBlockOthers(t *testing.T) {
	h := newTestServer(t, Options{})
	long := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "long", Help: "Long labels."}, []string{"x"})
	for i := range 600 {
		long.WithLabelValues(fmt.Sprint(i, strings.Repeat("y", 1000))).Set(1)
	}
	h.reg.MustRegister(long) // more than the buffers of a connection hold
	srv := h.listen(t)
	for range maxScrapes {
		openStalled(t, srv, "/metrics", 4096)
	}
	size := int64(h.get("/metrics").Body.Len())
	require.Eventually(t, func() bool { return h.limits.scrapeBytes.Used() >= maxScrapes*size*9/10 }, 20*time.Second, time.Millisecond)
	require.Eventually(t, func() bool { return h.limits.scrapes.Used() == 0 }, 20*time.Second, time.Millisecond)
	require.Equal(t, http.StatusOK, h.get("/metrics").Code)
	require.Equal(t, http.StatusOK, h.get("/metrics", "Accept-Encoding", "gzip").Code)
	var held int
	for h.limits.scrapes.Used() < maxScrapes {
		_, ok := h.limits.scrapes.Take(1)
		require.True(t, ok)
		held++
	}
	require.Equal(t, maxScrapes, held)
	require.Equal(t, http.StatusServiceUnavailable, h.get("/metrics").Code)
}

func TestScrapesAreLimited(t *testing.T) {
	h := newTestServer(t, Options{})
	long := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "long", Help: "Long labels."}, []string{"x"})
	for i := range 5 {
		long.WithLabelValues(fmt.Sprint(i, strings.Repeat("y", maxScrapeSize/4))).Set(1)
	}
	h.reg.MustRegister(long)
	w := h.get("/metrics")
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Equal(t, "The metrics are larger than the limit of 4 MiB.\n", w.Body.String())
	require.Zero(t, h.limits.scrapes.Used())
}

// keeping stores a notification when the test allows it.
type keeping struct {
	stub

	come, leave chan struct{}
}

func (k keeping) Ingest(context.Context, grouping.Notification) (grouping.Outcome, error) {
	k.come <- struct{}{}
	<-k.leave
	return grouping.Outcome{Group: &grouping.AlertGroup{}}, nil
}

// The limit counts the decoded size of notifications: tiny alerts need eight
// times their bytes. A notification above the limit is accepted if it is the
// only one.
func TestDecodedMemoryLimit(t *testing.T) {
	tiny := func(n int) string {
		alerts := strings.TrimSuffix(strings.Repeat(`{"status":"firing","labels":{"a":"b"},"startsAt":"2026-11-23T03:00:00Z"},`, n), ",")
		whole := body()
		return whole[:strings.Index(whole, "[{")+1] + alerts + whole[strings.Index(whole, "}]")+1:]
	}
	h, _ := newStub(t, Options{MaxNotificationMemory: 1 << 20}, nil)
	groups := keeping{come: make(chan struct{}), leave: make(chan struct{})}
	h.groups = groups
	answers := make(chan int, 2)
	post := func(text string) {
		go func() { answers <- h.post(text).Code }()
		<-groups.come
	}
	large := tiny(2000)
	require.Less(t, len(large), 1<<20/4)
	post(large)
	require.Greater(t, h.limits.decodedBytes.Used(), int64(1<<20), "a single notification may exceed the limit")
	h.requireRejected(t, "a second one", h.post(large), http.StatusServiceUnavailable, "too many concurrent large notifications, try again")
	require.InDelta(t, 1, h.counter(t, "muster_notifications_rejected_total", "reason", "overloaded"), 0)
	r := httptest.NewRequest(http.MethodPost, "/webhook", iotest.ErrReader(errors.New("it was read")))
	r.ContentLength = largeBody + 1
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	h.requireRejected(t, "a larger one, before it is read", w, http.StatusServiceUnavailable,
		"too many concurrent large notifications, try again")
	post(body()) // a small notification still fits
	close(groups.leave)
	require.Equal(t, http.StatusOK, <-answers)
	require.Equal(t, http.StatusOK, <-answers)
	require.Zero(t, h.limits.decodedBytes.Used())
	require.Zero(t, h.limits.bodyBytes.Used())
	require.Zero(t, h.limits.notifications.Used())
}

// The estimate is at least the memory that decoding needs, and not much more.
func TestDecodedSize(t *testing.T) {
	labels := func(n int) string {
		var pairs []string
		for i := range n {
			pairs = append(pairs, fmt.Sprintf(`"l%d":"x"`, i))
		}
		return "{" + strings.Join(pairs, ",") + "}"
	}
	many := func(n int, labels string) string {
		var alerts []string
		for range n {
			alerts = append(alerts, `{"status":"firing","labels":`+labels+`,"startsAt":"2026-11-23T03:00:00Z"}`)
		}
		whole := body()
		return whole[:strings.Index(whole, "[{")+1] + strings.Join(alerts, ",") + whole[strings.Index(whole, "}]")+1:]
	}
	for name, text := range map[string]string{
		"tiny": many(20_000, `{"a":"b"}`), "usual": manyAlerts(10_000), "nine labels": many(10_000, labels(9)),
		"many labels": many(1000, labels(256)),
		"long":        many(1000, `{"a":"`+strings.Repeat("x", 10_000)+`"}`),
	} {
		before := allocated()
		m, _, err := testDecoder.decode([]byte(text))
		require.NoError(t, err)
		left := rejectedAlerts{}
		n := testDecoder.notification(m, "x", &left)
		took := allocated() - before
		estimate := decodedSize([]byte(text))
		require.Greater(t, float64(estimate), 0.9*float64(took), "%s: %d bytes became %d", name, len(text), took)
		require.Less(t, float64(estimate), 3*float64(took), "%s: %d bytes became %d", name, len(text), took)
		require.NotEmpty(t, n.Alerts)
		require.NotEmpty(t, m.Alerts)
	}
}

// The cache limits the bytes of pages with huge labels.
func TestCachedBytesAreLimited(t *testing.T) {
	var m pageCache
	for i := range 40 {
		m.put("etag", fmt.Sprint(i), renderedPage{body: make([]byte, 1<<20)})
		require.LessOrEqual(t, m.size, maxCachedBytes)
		require.LessOrEqual(t, len(m.pages), maxCachedBytes>>20)
	}
	m.put("etag", "39", renderedPage{body: make([]byte, 100)})
	before := m.size
	m.put("etag", "39", renderedPage{body: make([]byte, 100)})
	require.Equal(t, before, m.size)
	m.put("etag", "huge", renderedPage{body: make([]byte, maxCachedBytes)})
	_, ok := m.get("etag", "huge")
	require.False(t, ok)
}
