package assistant

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"muster/internal/testserver"
)

// An error says what is wrong, and where.
func TestErrorsOfMuster(t *testing.T) {
	refuse := func(code int, body string, headers ...string) string {
		return serveStub(t, func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i+1 < len(headers); i += 2 {
				w.Header().Set(headers[i], headers[i+1])
			}
			w.WriteHeader(code)
			_, _ = w.Write([]byte(body))
		})
	}
	down := httptest.NewServer(http.NotFoundHandler())
	down.Close()
	for _, c := range []struct{ address, says string }{
		{down.URL, "the Muster at " + down.URL + " cannot be reached: «dial tcp "},
		{refuse(401, "Unauthorized"), "answers 401 Unauthorized. The operator should set credentials with --http.config.file"},
		{refuse(302, "", "Location", "http://127.0.0.1:1/"), "answers with a redirect (302 Found), which is not followed"},
		{refuse(404, "<html>EVIL"), "answers 404 Not Found. The operator should check --url"},
		{refuse(503, `{"error":"too many «readers» at once"}`), "stops (503 Service Unavailable: «too many ‹readers› at once»). Try again"},
		{refuse(500, `{"error":"`+strings.Repeat("x", 2*maxError)+`"}`), "answers 500 Internal Server Error"},
		{refuse(200, "<html>EVIL"), "is not complete, or not that of a Muster"},
		{refuse(200, `{"groups":[{"id":1}]}`), "is not complete, or not that of a Muster"},
		{refuse(200, `{"groups":[`), "is not complete, or not that of a Muster"},
	} {
		said := connect(t, c.address).fail(t, "list_groups", nil)
		require.Contains(t, said, c.says)
		require.NotContains(t, said, "EVIL")
	}
}

func TestClientNeedsThePassword(t *testing.T) {
	address := testserver.New(t, testserver.Options{}).ListenGuarded(t)
	require.Contains(t, connect(t, address).fail(t, "list_groups", nil), "--http.config.file")
}

func TestClientLimitsTheAnswer(t *testing.T) {
	opts := DefaultClientOptions()
	opts.MaxBytes = 1000
	address := serveStub(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"groups":[],"next":"` + strings.Repeat("x", 2000) + `"}`))
	})
	said := connectTo(t, newClient(t, address, opts)).fail(t, "list_groups", nil)
	require.Contains(t, said, "has more than 1000 bytes. Ask for less")
}

func TestClientLimitsTheTime(t *testing.T) {
	opts := DefaultClientOptions()
	opts.Timeout = 50 * time.Millisecond
	address := serveStub(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	said := connectTo(t, newClient(t, address, opts)).fail(t, "list_groups", nil)
	require.Contains(t, said, "did not answer within 50ms")
}

// At most so many questions reach Muster at once. The others wait.
func TestClientLimitsTheRequests(t *testing.T) {
	opts := DefaultClientOptions()
	opts.MaxRequests = 2
	arrived, release := make(chan struct{}), make(chan struct{})
	address := serveStub(t, func(w http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		<-release
		_, _ = w.Write([]byte(`{"groups":[]}`))
	})
	client := newClient(t, address, opts)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			var got Groups
			if err := client.get(t.Context(), &got, nil, "groups"); err != nil {
				t.Error(err)
			}
		})
	}
	<-arrived
	<-arrived
	require.Len(t, client.slots, 2, "the third one waits")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, client.get(ctx, nil, nil, "groups"), context.Canceled)
	close(release)
	<-arrived
	wg.Wait()
}

// A question that the assistant cancels ends the question to Muster.
func TestCancel(t *testing.T) {
	arrived, ended := make(chan struct{}), make(chan struct{})
	address := serveStub(t, func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
		close(ended)
	})
	s := connect(t, address)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	_, err := s.CallTool(ctx, &mcp.CallToolParams{Name: "list_groups"})
	require.ErrorIs(t, err, context.Canceled)
	<-ended
}
