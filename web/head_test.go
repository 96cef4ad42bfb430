package web_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
)

// HEAD gets the same headers as GET, without a body, and does not start a
// stream.
func TestHeadWorksWhereGetDoes(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	id := h.PostKept(t, wiretest.Body())
	server := httptest.NewServer(h)
	defer server.Close()
	methods := map[string]map[string]bool{}
	for _, route := range h.Router.RouteTable() {
		if methods[route.Path] == nil {
			methods[route.Path] = map[string]bool{}
		}
		methods[route.Path][route.Method] = true
	}
	for path, has := range methods {
		require.Equal(t, has[http.MethodGet], has[http.MethodHead], path)
		if strings.HasPrefix(path, "/webhook") || strings.HasPrefix(path, "/events") { // a redirect must not look like a success
			require.False(t, has[http.MethodGet], path)
		}
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	ask := func(method, path string) (*http.Response, string) {
		r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, nil)
		require.NoError(t, err)
		r.Header.Set("Accept-Encoding", "identity")
		resp, err := client.Do(r)
		require.NoError(t, err)
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return resp, string(text)
	}
	for _, path := range []string{
		"/", "/groups/" + id, "/groups/" + id + "/postmortem.md", "/alerts/0011223344556677", "/history", "/report", "/report/list",
		"/status", "/help", "/go?receiver=team", "/metrics", "/-/healthy",
		"/-/ready",
		"/api/v1/groups", "/api/v1/groups/" + id, "/api/v1/groups/" + id + "/events", "/api/v1/alerts/0011223344556677", "/api/v1/events",
		"/api/v1/stats", "/api/v1/status", "/api/v1/silences", "/silences", "/silences/", "/silences/none", "/silences/new",
		"/silences/none/extend", "/silences/none/expire",
		"/groups/00000000000000000000", "/history/",
	} {
		want, _ := ask(http.MethodGet, path)    //nolint:bodyclose // ask closes it
		got, text := ask(http.MethodHead, path) //nolint:bodyclose // ask closes it
		require.Equal(t, want.StatusCode, got.StatusCode, path)
		require.Equal(t, want.Header.Get("Content-Type"), got.Header.Get("Content-Type"), path)
		require.Empty(t, text, path)
	}
	page, text := ask(http.MethodGet, "/") //nolint:bodyclose // ask closes it
	head, _ := ask(http.MethodHead, "/")   //nolint:bodyclose // ask closes it
	require.EqualValues(t, len(text), head.ContentLength, "same length as GET")
	require.Equal(t, page.ContentLength, head.ContentLength)

	stream, _ := ask(http.MethodHead, testserver.LivePath) //nolint:bodyclose // ask closes it
	require.Equal(t, http.StatusOK, stream.StatusCode)
	require.Equal(t, "text/event-stream", stream.Header.Get("Content-Type"))
	require.Zero(t, h.Hub.Clients())
	for _, path := range []string{"/webhook", "/webhook/prod", "/events", "/events/prod"} {
		refused, _ := ask(http.MethodHead, path) //nolint:bodyclose // ask closes it
		require.Equal(t, http.StatusMethodNotAllowed, refused.StatusCode, path)
	}
	require.Positive(t, h.Counter(t, "muster_http_requests_total", "code", "200", "handler", "/history", "method", "HEAD"))
}

// An address with an extra slash redirects to its page. Other addresses do not
// redirect, above all not the webhook.
func TestTrailingSlashRedirects(t *testing.T) {
	for _, tc := range []struct{ external, prefix string }{
		{"", ""}, {"https://ops.example.net/muster/", "/muster"}, {"https://ops.example.net/muster/", ""},
	} {
		h := testserver.New(t, testserver.Options{ExternalURL: tc.external, RoutePrefix: tc.prefix})
		out := ""
		if tc.external != "" {
			out = "/muster"
		}
		for path, want := range map[string]string{
			"/history/": "/history", "/history/?kind=all": "/history?kind=all", "/status/": "/status", "/help/": "/help",
			"/groups/0123/": "/groups/0123", "/groups/a%2Fb/?x=1": "/groups/a%2Fb?x=1", "/alerts/0123/": "/alerts/0123",
			"/go/?receiver=a": "/go?receiver=a",
			"/groups":         "/", "/groups/?state=all": "/?state=all", "/alerts": "/", "/alerts/": "/",
		} {
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				w := h.Do(method, tc.prefix+path, nil)
				require.Equal(t, http.StatusFound, w.Code, path)
				require.Equal(t, out+want, w.Header().Get("Location"), path)
			}
			require.Equal(t, http.StatusMethodNotAllowed, h.Do(http.MethodPost, tc.prefix+path, strings.NewReader(wiretest.Body())).Code, path)
		}
		for _, path := range []string{"/api/v1/groups/", "/metrics/", "//evil.example/", "/nothing/"} {
			require.Equal(t, http.StatusNotFound, h.Get(tc.prefix+path).Code, path)
		}
		for _, path := range []string{"/webhook/", "/webhook/prod/", "/events/", "/events/prod/"} {
			w := h.Get(tc.prefix + path)
			require.Equal(t, http.StatusMethodNotAllowed, w.Code, path)
			require.Empty(t, w.Header().Get("Location"), path)
		}
	}
	h := testserver.New(t, testserver.Options{RoutePrefix: "/muster", ExternalURL: "https://ops.example.net/muster"})
	require.Equal(t, "/muster/?state=all", h.Get("/muster?state=all").Header().Get("Location"))
}

func TestServersAreBuiltAtTheSameTime(t *testing.T) {
	var building sync.WaitGroup
	errs := make(chan error, 4)
	for range cap(errs) {
		building.Go(func() {
			_, err := testserver.Build(testserver.Options{})
			errs <- err
		})
	}
	building.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
}
