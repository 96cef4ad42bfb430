package assistant

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"muster/internal/limit"
	"muster/internal/testserver"
	"muster/web"
)

// listen serves the tools over HTTP, for the Muster at the address. It returns the URL of the
// endpoint, and the metrics.
func listen(t *testing.T, address string, opts HandlerOptions) (string, *prometheus.Registry) {
	t.Helper()
	require.NoError(t, opts.Validate())
	reg := prometheus.NewRegistry()
	limits, err := limit.NewRegistry(reg, promslog.NewNopLogger())
	require.NoError(t, err)
	tools := NewServer(newClient(t, address, DefaultClientOptions()), "1.2.3", promslog.NewNopLogger())
	mux := http.NewServeMux()
	mux.Handle(Path, NewHandler(tools, limits, promslog.NewNopLogger(), opts))
	srv := httptest.NewUnstartedServer(nil)
	srv.Config = web.NewHTTPServer(mux, promslog.NewNopLogger())
	srv.Start()
	t.Cleanup(srv.Close)
	return srv.URL + Path, reg
}

// connectHTTP connects a client of the SDK by streamable HTTP.
func connectHTTP(t *testing.T, endpoint string) session {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return open(t, &mcp.StreamableClientTransport{Endpoint: endpoint, HTTPClient: &http.Client{Transport: transport}}, func() {})
}

func TestToolsOverHTTP(t *testing.T) {
	address, id := muster(t)
	endpoint, _ := listen(t, address, DefaultHandlerOptions())
	s := connectHTTP(t, endpoint)
	require.Empty(t, s.ID(), "there is no session to keep")
	var names []string
	for tool, err := range s.Tools(t.Context(), nil) {
		require.NoError(t, err)
		names = append(names, tool.Name)
	}
	require.Equal(t, toolNames, sorted(names))
	for tool, arguments := range map[string]map[string]any{
		"list_groups": {"state": []string{"suppressed"}}, "show_group": {"id": id}, "list_events": nil, "report": nil, "list_silences": nil,
		"state_at": {"at": "2099-01-01"},
	} {
		if tool == "state_at" {
			require.Contains(t, s.fail(t, tool, arguments), "at: ")
			continue
		}
		var got map[string]any
		s.call(t, tool, arguments, &got)
	}
}

const listTools = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`

// post posts a message to the endpoint; headers are pairs of name and value.
func post(t *testing.T, endpoint, body string, headers ...string) testserver.Answered {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		} else {
			r.Header.Add(headers[i], headers[i+1])
		}
	}
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return testserver.Answer(t, r)
}

// A page on the web reaches nothing, neither by a host name of its own nor from another site.
func TestHostAndOrigin(t *testing.T) {
	opts := DefaultHandlerOptions()
	opts.AllowedHosts = []string{"mcp.example"}
	endpoint, _ := listen(t, "http://127.0.0.1:1", opts)
	host := strings.TrimSuffix(strings.TrimPrefix(endpoint, "http://"), Path)
	for _, c := range []struct {
		headers []string
		code    int
	}{
		{nil, 200},
		{[]string{"Host", "localhost"}, 200},
		{[]string{"Host", "LOCALHOST.:80"}, 200},
		{[]string{"Host", "[::1]:9096"}, 200},
		{[]string{"Host", "10.1.2.3"}, 200},
		{[]string{"Host", "mcp.example"}, 200},
		{[]string{"Host", "MCP.Example:443"}, 200},
		{[]string{"Host", "evil.example"}, 403},
		{[]string{"Host", "mcp.example.evil.example"}, 403},
		{[]string{"Host", "x.mcp.example"}, 403},
		{[]string{"Host", "localhost.evil.example"}, 403},
		{[]string{"Host", "10.1.2.3.evil.example"}, 403},
		{[]string{"Origin", "http://" + host}, 200},
		{[]string{"Host", "mcp.example", "Origin", "https://mcp.example"}, 200},
		{[]string{"Origin", "https://evil.example"}, 403},
		{[]string{"Origin", "http://localhost:6274"}, 403},
		{[]string{"Origin", "null"}, 403},
		{[]string{"Origin", ""}, 403},
		{[]string{"Origin", "http://" + host, "Origin", "https://evil.example"}, 403},
		{[]string{"Host", "evil.example", "Origin", "http://evil.example"}, 403},
		{[]string{"Sec-Fetch-Site", "cross-site"}, 403},
		{[]string{"Sec-Fetch-Site", "same-site"}, 403},
		{[]string{"Sec-Fetch-Site", "same-origin", "Origin", "http://" + host}, 200},
	} {
		a := post(t, endpoint, listTools, c.headers...)
		require.Equal(t, c.code, a.Code, "%q: %s", c.headers, a.Text)
		require.Equal(t, "nosniff", a.Header.Get("X-Content-Type-Options"))
		require.Contains(t, []string{"no-store", "no-cache, no-transform"}, a.Header.Get("Cache-Control"))
		require.Equal(t, c.code == 200, strings.Contains(a.Text, "list_groups"))
		for name := range a.Header {
			require.False(t, strings.HasPrefix(name, "Access-Control-"), name)
		}
	}
}

func TestHandlerOptions(t *testing.T) {
	opts := DefaultHandlerOptions()
	opts.MaxRequests = 0
	require.ErrorContains(t, opts.Validate(), "--web.max-requests: 0 is less than 1")
	for _, host := range []string{"", "*", "http://a", "a:80", "a/b", "*.example"} {
		opts := DefaultHandlerOptions()
		opts.AllowedHosts = []string{host}
		require.ErrorContains(t, opts.Validate(), "--web.allowed-host: ", host)
	}
}

func TestMethodsAndBodies(t *testing.T) {
	endpoint, _ := listen(t, "http://127.0.0.1:1", DefaultHandlerOptions())
	for _, method := range []string{http.MethodGet, http.MethodDelete, http.MethodPut, http.MethodOptions} {
		r, err := http.NewRequestWithContext(t.Context(), method, endpoint, nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusMethodNotAllowed, testserver.Answer(t, r).Code, method)
	}
	large := `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"x":"` + strings.Repeat("x", 64<<10) + `"}}`
	a := post(t, endpoint, large)
	require.Equal(t, http.StatusRequestEntityTooLarge, a.Code)
	require.Contains(t, a.Text, "has more than 65536 bytes")
	require.Equal(t, http.StatusBadRequest, post(t, endpoint, "{").Code)
	require.Equal(t, http.StatusOK, post(t, endpoint, listTools).Code)
}

// What is wrong with a message never ends the process.
func TestHostileMessages(t *testing.T) {
	address, _ := muster(t)
	endpoint, _ := listen(t, address, DefaultHandlerOptions())
	for _, params := range []string{
		`{"name":"list_groups","arguments":null}`, `{"name":"list_groups","arguments":[]}`, `{"name":"list_groups","arguments":"x"}`,
		`{"name":"list_groups"}`, `{"name":""}`, `null`, `{"name":"list_groups","arguments":{"state":null}}`,
		`{"name":"list_groups","arguments":{"limit":1e99}}`, `{"name":"show_group","arguments":{"id":null}}`,
		`{"name":"state_at","arguments":null}`,
	} {
		post(t, endpoint, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":`+params+`}`)
	}
	for _, body := range []string{
		`null`, `[]`, `1`, `{"jsonrpc":"2.0","id":null,"method":"tools/list"}`, `{"jsonrpc":"2.0","id":1,"result":{}}`,
	} {
		post(t, endpoint, body)
	}
	require.Equal(t, http.StatusOK, post(t, endpoint, listTools).Code)
}

func TestPanics(t *testing.T) {
	s := &server{logger: promslog.NewNopLogger()}
	_, err := s.recoverPanic(func(context.Context, string, mcp.Request) (mcp.Result, error) { panic("x") })(t.Context(), "tools/call", nil)
	require.ErrorIs(t, err, errInternal)
}

// send posts a message in a goroutine of a test, and returns the answer.
func send(t *testing.T, endpoint, body string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint, strings.NewReader(body))
	if err != nil {
		return err.Error()
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Slow clients take no slot, and what is too much gets 503.
func TestTooManyRequests(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	address := serveStub(t, func(w http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		<-release
		_, _ = io.WriteString(w, `{"groups":[]}`)
	})
	opts := DefaultHandlerOptions()
	opts.MaxRequests = 1
	endpoint, reg := listen(t, address, opts)
	ask := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_groups","arguments":{}}}`

	// A request whose body does not arrive.
	reader, writer := io.Pipe()
	slow, err := http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint, reader)
	require.NoError(t, err)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if res, err := http.DefaultClient.Do(slow); err == nil {
			_ = res.Body.Close()
		}
	}()
	_, err = writer.Write([]byte("{"))
	require.NoError(t, err)

	first := make(chan string)
	go func() { first <- send(t, endpoint, ask) }()
	<-arrived
	a := post(t, endpoint, listTools)
	require.Equal(t, http.StatusServiceUnavailable, a.Code)
	require.Equal(t, "1", a.Header.Get("Retry-After"))
	require.Contains(t, a.Text, "too many concurrent requests, try again")
	close(release)
	require.Contains(t, <-first, "structuredContent")
	require.NoError(t, writer.Close())
	<-ended
	require.Equal(t, http.StatusOK, post(t, endpoint, listTools).Code)
	require.NoError(t, testutil.GatherAndCompare(reg, bytes.NewBufferString(`
# HELP muster_limit_max_requests Maximum number of concurrent requests.
# TYPE muster_limit_max_requests gauge
muster_limit_max_requests{limit="mcp"} 1
# HELP muster_limit_rejections_total Total number of requests that were rejected because the limit was reached.
# TYPE muster_limit_rejections_total counter
muster_limit_rejections_total{limit="mcp"} 1
`), "muster_limit_max_requests", "muster_limit_rejections_total"))
}

// If the client leaves, the question to Muster ends.
func TestClientLeaves(t *testing.T) {
	arrived, ended := make(chan struct{}), make(chan struct{})
	address := serveStub(t, func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
		close(ended)
	})
	endpoint, _ := listen(t, address, DefaultHandlerOptions())
	ctx, cancel := context.WithCancel(t.Context())
	s := connectHTTP(t, endpoint)
	go func() {
		<-arrived
		cancel()
	}()
	_, err := s.CallTool(ctx, &mcp.CallToolParams{Name: "list_groups"})
	require.ErrorIs(t, err, context.Canceled)
	<-ended
}
