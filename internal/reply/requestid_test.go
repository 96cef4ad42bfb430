package reply

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func identify(id string) (*http.Request, http.Header) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set(RequestIDHeader, id)
	w := httptest.NewRecorder()
	return Identify(w, r), w.Header()
}

func TestAValidRequestIDIsKept(t *testing.T) {
	for _, id := range []string{
		"1", "7f3c1d9e-0d6b-4c2a-9b7e-5a1f6a3c2b10", "Root=1-67891233-abcdef012345678912345678", "a:b+c/d_e.f", strings.Repeat("x", 64),
	} {
		r, header := identify(id)
		require.Equal(t, id, RequestID(r.Context()))
		require.Equal(t, id, header.Get(RequestIDHeader))
	}
}

func TestAnotherRequestIDIsReplaced(t *testing.T) {
	seen := map[string]bool{}
	for _, id := range []string{"", " ", "a b", "<script>", "a\nb", "é", `"`, "a;b", strings.Repeat("x", 65)} {
		r, header := identify(id)
		require.Regexp(t, "^[a-z2-7]{16}$", RequestID(r.Context()), "instead of %q", id)
		require.Equal(t, RequestID(r.Context()), header.Get(RequestIDHeader))
		seen[RequestID(r.Context())] = true
	}
	require.Len(t, seen, 9, "each request has its own ID")
}

// The server around the router and the router itself both identify a request.
func TestARequestIsIdentifiedOnce(t *testing.T) {
	r, _ := identify("")
	w := httptest.NewRecorder()
	require.Same(t, r, Identify(w, r))
	require.Empty(t, w.Header())
}

func TestLogLinesHaveTheRequestID(t *testing.T) {
	var out bytes.Buffer
	logger := slog.New(LogRequestIDs(slog.NewTextHandler(&out, nil)))
	r, _ := identify("abc")
	logger.InfoContext(r.Context(), "one", "a", 1)
	logger.With("b", 2).InfoContext(r.Context(), "two")
	logger.WithGroup("g").InfoContext(r.Context(), "three")
	logger.InfoContext(t.Context(), "four")
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 4)
	require.Contains(t, lines[0], "msg=one a=1 requestId=abc")
	require.Contains(t, lines[1], "msg=two b=2 requestId=abc")
	require.Contains(t, lines[2], "requestId=abc")
	require.NotContains(t, lines[3], "requestId", "this line is about no request")
}
