package web_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/reply"
	"muster/internal/testserver"
)

// The ID of a request connects its answer with its lines in the log.
func TestRequestIDs(t *testing.T) {
	h := testserver.NewStub(t, testserver.Options{}, func() (grouping.Outcome, error) { panic("a bug") })
	h.Use(broken{})
	log := h.Log(t, "logfmt")
	page := h.Get("/", "Accept", testserver.HTML, reply.RequestIDHeader, "from-the-proxy")
	require.Equal(t, http.StatusServiceUnavailable, page.Code)
	require.Equal(t, "from-the-proxy", page.Header().Get(reply.RequestIDHeader))
	require.Contains(t, page.Body.String(), "Request ID <code>from-the-proxy</code>")
	require.Regexp(t, `msg="Building a page failed".* requestId=from-the-proxy`, log.Text())

	rejected := h.Post("{")
	id := rejected.Header().Get(reply.RequestIDHeader)
	require.NotEmpty(t, id)
	require.Regexp(t, `msg="Notification rejected".* requestId=`+id, log.Text())

	seen := map[string]bool{}
	for range 3 {
		for _, path := range []string{"/-/healthy", "/metrics", "/api/v1/groups", "/nothing", "/status", "/static/none"} {
			id := h.Get(path).Header().Get(reply.RequestIDHeader)
			require.NotEmpty(t, id, path)
			seen[id] = true
		}
	}
	require.Len(t, seen, 18)
	evil := h.Get("/", "Accept", testserver.HTML, reply.RequestIDHeader, "<script>"+strings.Repeat("x", 100))
	require.NotContains(t, evil.Body.String(), "<script>x")
	require.Len(t, evil.Header().Get(reply.RequestIDHeader), 16)
	for length, kept := range map[int]bool{64: true, 65: false} {
		id := strings.Repeat("x", length)
		require.Equal(t, kept, h.Get("/-/healthy", reply.RequestIDHeader, id).Header().Get(reply.RequestIDHeader) == id, length)
	}
}

// Also a request that the server rejects before the router has an ID.
func TestRequestIDsOfRejectedRequests(t *testing.T) {
	url := testserver.New(t, testserver.Options{}).ListenGuarded(t)
	for id, want := range map[string]string{"mine": "mine", "not valid": ""} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/", nil)
		require.NoError(t, err)
		r.Header.Set(reply.RequestIDHeader, id)
		a := testserver.Answer(t, r)
		require.Equal(t, http.StatusUnauthorized, a.Code)
		if got := a.Header.Get(reply.RequestIDHeader); want != "" {
			require.Equal(t, want, got)
		} else {
			require.Len(t, got, 16)
		}
		require.Len(t, a.Header.Values(reply.RequestIDHeader), 1)
	}
}
