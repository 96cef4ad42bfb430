package assistant

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newClient returns a client for the Muster at the address.
func newClient(t *testing.T, address string, opts ClientOptions) *Client {
	t.Helper()
	base, err := url.Parse(address)
	require.NoError(t, err)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return NewClient(base, &http.Client{Transport: transport}, opts)
}

// session is a client of the SDK that is connected to a server with all tools.
type session struct{ *mcp.ClientSession }

// connect connects a client of the SDK with tools that ask the Muster at the address.
func connect(t *testing.T, address string) session {
	t.Helper()
	return connectTo(t, newClient(t, address, DefaultClientOptions()))
}

func connectTo(t *testing.T, client *Client) session {
	t.Helper()
	ours, theirs := mcp.NewInMemoryTransports()
	server, err := NewServer(client, "1.2.3", promslog.NewNopLogger()).Connect(t.Context(), ours, nil)
	require.NoError(t, err)
	return open(t, theirs, func() { _ = server.Wait() })
}

// open opens a session over a transport.
func open(t *testing.T, transport mcp.Transport, closed func()) session {
	t.Helper()
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	s, err := client.Connect(t.Context(), transport, nil)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, s.Close())
		closed()
	})
	return session{s}
}

// call calls a tool, and reads the JSON of its answer. It returns the text.
func (s session) call(t *testing.T, tool string, arguments map[string]any, into any) string {
	t.Helper()
	result, err := s.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: arguments})
	require.NoError(t, err)
	require.Len(t, result.Content, 1)
	text := result.Content[0].(*mcp.TextContent).Text
	require.False(t, result.IsError, text)
	structured, err := json.Marshal(result.StructuredContent)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(structured, into))
	require.LessOrEqual(t, len(text), maxAnswerText)
	require.LessOrEqual(t, len(structured), maxAnswerJSON)
	require.Contains(t, text, notice)
	require.Contains(t, string(structured), `"notice"`)
	return text
}

// fail calls a tool and returns the text of its error.
func (s session) fail(t *testing.T, tool string, arguments map[string]any) string {
	t.Helper()
	result, err := s.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: arguments})
	require.NoError(t, err)
	require.True(t, result.IsError)
	require.Len(t, result.Content, 1)
	return result.Content[0].(*mcp.TextContent).Text
}

// stub is a Muster that answers each path with a value.
func stub(t *testing.T, answers map[string]any) string {
	t.Helper()
	texts := map[string][]byte{}
	for path, answer := range answers {
		var err error
		texts[path], err = json.Marshal(answer)
		require.NoError(t, err)
	}
	return serveStub(t, func(w http.ResponseWriter, r *http.Request) {
		text, ok := texts[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(text)
	})
}

func serveStub(t *testing.T, answer http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewServer(answer)
	t.Cleanup(srv.Close)
	return srv.URL
}
