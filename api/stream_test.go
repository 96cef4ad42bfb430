package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/api"
	"muster/grouping"
	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
	"muster/web"
)

// The types of the streamed answers.
type (
	groupsView struct {
		Groups []api.GroupView `json:"groups"`
		Total  int             `json:"total"`
		Next   string          `json:"next,omitempty"`
	}
	eventsView struct {
		Events []api.EventView `json:"events"`
		Next   string          `json:"next,omitempty"`
	}
)

// viewGroupWithAlerts converts a group with its alerts.
func viewGroupWithAlerts(g *grouping.AlertGroup) api.GroupView {
	v := api.ViewGroup(g)
	for _, a := range g.Alerts {
		v.Alerts = append(v.Alerts, api.ViewAlert(g, a))
	}
	return v
}

// A streamed answer has exactly the bytes of the JSON of the whole value.
// withoutBefore returns a JSON text without what it says about earlier episodes.
func withoutBefore(text string) string {
	return regexp.MustCompile(`,"before":\{([^{}]|\{[^{}]*\})*\}`).ReplaceAllString(text, "")
}

func TestStreamedJSONIsComplete(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	get := func(path string) string {
		w := h.Get(path)
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
	h.PostKept(t, wiretest.Body(wiretest.Key, `"groupKey":"<&> \u2028"`))
	many := h.PostResult(t, wiretest.Many(300)).Group
	page, err := h.Manager.List(t.Context(), grouping.ListQuery{Sort: grouping.SortName, Limit: 1})
	require.NoError(t, err)
	require.NotEmpty(t, page.Next)
	require.Equal(t, whole(groupsView{[]api.GroupView{viewGroupWithAlerts(page.Groups[0])}, page.Total, page.Next}),
		get("/api/v1/groups?alerts=true&limit=1&sort=name"))
	require.Equal(
		t,
		whole(groupsView{[]api.GroupView{api.ViewGroup(page.Groups[0])}, page.Total, page.Next}),
		get("/api/v1/groups?limit=1&sort=name"),
	)
	g, err := h.Manager.Get(t.Context(), many)
	require.NoError(t, err)
	require.Equal(t, whole(viewGroupWithAlerts(g)), withoutBefore(get("/api/v1/groups/"+string(many))))
	one := api.ViewGroup(g)
	one.Alerts = []api.AlertView{api.ViewAlert(g, g.Alert("0000000000000007"))}
	require.Equal(t, whole(map[string]any{"groups": []api.GroupView{one}}), withoutBefore(get("/api/v1/alerts/0000000000000007")))
	events, err := h.Manager.Events(t.Context(), grouping.EventQuery{Limit: 250})
	require.NoError(t, err)
	want := eventsView{Next: events.Next}
	for i := range events.Events {
		want.Events = append(want.Events, api.ViewEvent(&events.Events[i]))
	}
	require.Equal(t, whole(want), get("/api/v1/events?limit=250&kind=all"))
	require.Zero(t, h.Limits.Limit("responses").Used())
}

// unwritable returns groups that cannot be encoded as JSON.
type unwritable struct {
	testserver.Stub

	groups []*grouping.AlertGroup
}

func (u unwritable) List(context.Context, grouping.ListQuery) (grouping.GroupPage, error) {
	return grouping.GroupPage{Groups: u.groups}, nil
}

// An error before the first byte gets its status code; a later error closes the
// connection. Both release all memory and slots.
func TestFailingStream(t *testing.T) {
	h := testserver.NewStub(t, testserver.Options{}, nil)
	srv := h.Listen(t)
	bad := &grouping.AlertGroup{}
	bad.UpdatedAt = time.Date(math.MaxInt32, 1, 1, 0, 0, 0, 0, time.UTC)
	large := &grouping.AlertGroup{}
	large.GroupLabels = grouping.NewLabels(map[string]string{"x": strings.Repeat("y", 2*api.FlushSize)})
	h.Use(unwritable{groups: []*grouping.AlertGroup{bad}})
	h.RequireRejected(t, "first", h.Get("/api/v1/groups"), http.StatusServiceUnavailable, "internal error")
	h.Use(unwritable{groups: []*grouping.AlertGroup{large, bad}})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/api/v1/groups", nil)
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	_, err = io.ReadAll(res.Body)
	require.NoError(t, res.Body.Close())
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Zero(t, h.Limits.Limit("responses").Used())
	require.Zero(t, h.Limits.Limit("readers").Used())
}

// Clients that do not read hold a limited number of bytes and no reader's slot.
// Other clients are served meanwhile.
func TestReadersThatDoNotReadDoNotBlockOthers(t *testing.T) {
	const most, stalled = 4, 40
	h := testserver.New(t, testserver.Options{MaxReaders: most, WriteTimeout: time.Minute})
	kept := h.PostResult(t, wiretest.Many(5000)) // more than the buffers of a connection hold
	srv := h.Listen(t)
	var conns []net.Conn
	for range stalled {
		conns = append(conns, testserver.OpenStalled(t, srv, "/api/v1/groups/"+string(kept.Group), 4096))
	}
	// Some requests may get 503 while all reader slots are in use.
	require.Eventually(t, func() bool {
		return h.Limits.Limit("responses").Used() == int64(stalled-h.Limits.Limit("readers").Rejected())*api.StreamSize &&
			h.Limits.Limit("readers").Used() == 0
	}, 30*time.Second, time.Millisecond)
	for _, path := range []string{"/", "/api/v1/groups", "/status", "/-/ready", "/metrics"} {
		require.Equal(t, http.StatusOK, h.Get(path).Code, path)
	}
	h.PostResult(t, wiretest.Body())
	for _, conn := range conns {
		require.NoError(t, conn.Close())
	}
	require.Eventually(t, func() bool { return h.Limits.Limit("responses").Used() == 0 }, 30*time.Second, time.Millisecond)
}

// A client that reads nothing is disconnected.
func TestReaderThatDoesNotReadIsDisconnected(t *testing.T) {
	h := testserver.New(t, testserver.Options{WriteTimeout: 500 * time.Millisecond})
	kept := h.PostResult(t, wiretest.Many(5000))
	srv := h.Listen(t)
	conn := testserver.OpenStalled(t, srv, "/api/v1/groups/"+string(kept.Group), 4096)
	require.Eventually(t, func() bool {
		return h.Counter(t, "muster_http_requests_total", "code", "200", "handler", "/api/v1/groups/:id", "method", "GET") == 1
	}, 30*time.Second, time.Millisecond)
	require.Zero(t, h.Limits.Limit("responses").Used())
	text, _ := io.ReadAll(conn) // the connection may be reset
	require.False(t, strings.HasSuffix(string(text), "\r\n0\r\n\r\n"), "an incomplete answer must not look complete")
}

// At the limit on response bytes readers get 503, and notifications are still
// stored.
func TestResponseMemoryLimit(t *testing.T) {
	const fit, stalled = 3, 9
	h := testserver.New(t, testserver.Options{MaxResponseMemory: fit*api.StreamSize + api.StreamSize/2})
	kept := h.PostResult(t, wiretest.Many(5000))
	srv := h.Listen(t)
	for range stalled {
		testserver.OpenStalled(t, srv, "/api/v1/groups/"+string(kept.Group), 4096)
	}
	require.Eventually(t, func() bool { return h.Limits.Limit("responses").Rejected() == stalled-fit }, 20*time.Second, time.Millisecond)
	const full = "response memory is in use by slow clients, try again"
	h.RequireRejected(t, "API", h.Get("/api/v1/groups"), http.StatusServiceUnavailable, full)
	requireSentence(t, h.Get("/groups/"+string(kept.Group)), "Response memory is in use by slow clients, try again.\n")
	h.PostResult(t, wiretest.Body())
	require.Equal(t, http.StatusOK, h.Get("/metrics").Code)
	require.Equal(t, http.StatusOK, h.Get("/-/ready").Code)
	require.Contains(t, h.Get("/status").Body.String(), "Memory of responses")
	require.InDelta(t, float64(h.Limits.Limit("responses").Rejected()), h.Counter(t, "muster_limit_rejections_total", "limit", "responses"), 0)
}

// A reader without a slot gets 503.
func TestTooManyReaders(t *testing.T) {
	h := testserver.New(t, testserver.Options{MaxReaders: 1})
	place, ok := h.Limits.Limit("readers").Take(1)
	require.True(t, ok)
	for _, path := range []string{"/", "/go?receiver=x"} {
		requireSentence(t, h.Get(path), "Too many concurrent requests, try again.\n")
	}
	h.RequireRejected(t, "API", h.Get("/api/v1/groups"), http.StatusServiceUnavailable, "too many concurrent requests, try again")
	h.PostResult(t, wiretest.Body())
	place.Release()
	require.Contains(t, h.Get("/status").Body.String(),
		`<td>Concurrent readers</td><td data-h="value">1</td><td data-h="reached"><b>3 times</b>`)
}

// requireSentence requires the answer that a reader of a page gets if Muster has no room for it.
func requireSentence(t *testing.T, w *httptest.ResponseRecorder, want string) {
	t.Helper()
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Equal(t, "text/plain; charset=utf-8", w.Header().Get("Content-Type"))
	require.Equal(t, want, w.Body.String())
}

// A slow client gets the whole answer, even if it takes long.
func TestSlowReaderGetsTheWholeAnswer(t *testing.T) {
	h := testserver.New(t, testserver.Options{WriteTimeout: 2 * time.Second})
	kept := h.PostResult(t, wiretest.Many(3000))
	path := "/api/v1/groups/" + string(kept.Group)
	srv := h.Listen(t)
	started := time.Now()
	conn := testserver.OpenStalled(t, srv, path, 64<<10)
	res, err := http.ReadResponse(bufio.NewReaderSize(&slowReader{conn, time.NewTicker(25 * time.Millisecond)}, 16<<10), nil)
	require.NoError(t, err)
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.JSONEq(t, h.Get(path).Body.String(), string(text))
	require.Greater(t, time.Since(started), 2*time.Second, "the test must last longer than the timeout")
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
	h := testserver.New(t, testserver.Options{WriteTimeout: time.Second})
	kept := h.PostResult(t, wiretest.Many(10_000)) // more than the client's window of 4 MiB
	srv := httptest.NewUnstartedServer(nil)
	srv.Config = web.NewHTTPServer(h, h.Logger)
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
	require.Eventually(t, func() bool { return h.Limits.Limit("responses").Used() == 0 }, 30*time.Second, time.Millisecond)
	_, err := io.ReadAll(stalled.Body)
	require.Error(t, err, "an incomplete answer must not look complete")
	require.NoError(t, stalled.Body.Close())
	res := get("/api/v1/groups")
	_, err = io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
}
