package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
)

// TestMain runs the program itself if a test started this binary. So the tests need no second
// binary, which would take time to compile.
func TestMain(m *testing.M) {
	if os.Getenv("MUSTER_MCP_TEST_MAIN") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// program returns the program with arguments.
func program(t *testing.T, arguments ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], arguments...)
	cmd.Env = append(os.Environ(), "MUSTER_MCP_TEST_MAIN=1")
	return cmd
}

// file writes a file and returns its path.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// guarded returns the URL of a Muster with a group, the ID of the group, and a file with the
// credentials of a reader.
func guarded(t *testing.T) (address, id, credentials string) {
	t.Helper()
	m := testserver.New(t, testserver.Options{})
	id = m.PostKept(t, wiretest.Body())
	return m.ListenGuarded(t), id, file(t, "http.yml", "basic_auth:\n  username: reader\n  password: "+testserver.ReaderPassword+"\n")
}

// open opens a session of the SDK's client.
func open(t *testing.T, transport mcp.Transport) *mcp.ClientSession {
	t.Helper()
	s, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), transport, nil)
	require.NoError(t, err)
	return s
}

// call calls a tool and returns the text and the JSON of its answer.
func call(t *testing.T, s *mcp.ClientSession, tool string, arguments map[string]any) (text, structured string, failed bool) {
	t.Helper()
	result, err := s.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: arguments})
	require.NoError(t, err)
	value, err := json.Marshal(result.StructuredContent)
	require.NoError(t, err)
	return result.Content[0].(*mcp.TextContent).Text, string(value), result.IsError
}

// requireTools calls every tool.
func requireTools(t *testing.T, s *mcp.ClientSession, id string) {
	t.Helper()
	for tool, arguments := range map[string]map[string]any{
		"list_groups": nil, "show_group": {"id": id}, "list_events": nil, "report": nil, "list_silences": nil,
		"state_at": {"at": "2020-01-01"},
	} {
		text, structured, failed := call(t, s, tool, arguments)
		require.Equal(t, tool == "state_at", failed, text)
		if !failed {
			require.Contains(t, structured, `"notice"`)
		}
		if tool == "list_groups" || tool == "show_group" {
			require.Contains(t, text, id)
			require.Contains(t, structured, id)
		}
	}
}

func TestStandardInput(t *testing.T) {
	address, id, credentials := guarded(t)
	s := open(t, &mcp.CommandTransport{Command: program(t, "--url="+address, "--http.config.file="+credentials)})
	requireTools(t, s, id)
	require.NoError(t, s.Close(), "it stops if the client closes its input")

	s = open(t, &mcp.CommandTransport{Command: program(t, "--url="+address)})
	text, _, failed := call(t, s, "list_groups", nil)
	require.True(t, failed)
	require.Contains(t, text, "401 Unauthorized. The operator should set credentials with --http.config.file")
	require.NoError(t, s.Close())
}

func TestStandardInputWithoutMuster(t *testing.T) {
	s := open(t, &mcp.CommandTransport{Command: program(t, "--url=http://127.0.0.1:1")})
	text, _, failed := call(t, s, "list_groups", nil)
	require.True(t, failed)
	require.Contains(t, text, "the Muster at http://127.0.0.1:1 cannot be reached")
	require.NoError(t, s.Close())
}

// withPassword adds the password of the test server to requests.
type withPassword struct{ http.RoundTripper }

func (w withPassword) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.SetBasicAuth("reader", testserver.ReaderPassword)
	return w.RoundTripper.RoundTrip(r)
}

func TestHTTP(t *testing.T) {
	address, id, credentials := guarded(t)
	users := file(t, "web.yml", "basic_auth_users:\n  reader: $2a$04$9mK3Z533dmg19ybAmjgpy.QTuPuE6jn545vTyoba4Qd2faqd3OUTG\n")
	cmd := program(t, "--url="+address, "--http.config.file="+credentials, "--web.listen-address=127.0.0.1:0", "--web.config.file="+users)
	log, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	stopped := false
	t.Cleanup(func() {
		if !stopped {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	lines := bufio.NewScanner(log)
	base := ""
	for base == "" && lines.Scan() {
		if m := regexp.MustCompile(`msg=Listening address=(\S+)`).FindStringSubmatch(lines.Text()); m != nil {
			base = "http://" + m[1]
		}
	}
	require.NotEmpty(t, base)
	rest := make(chan string)
	go func() {
		text, _ := io.ReadAll(log)
		rest <- string(text)
	}()

	get := func(path string, client *http.Client) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+path, nil)
		require.NoError(t, err)
		res, err := client.Do(r)
		require.NoError(t, err)
		defer func() { _ = res.Body.Close() }()
		text, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return res.StatusCode, string(text)
	}
	code, _ := get("/-/healthy", http.DefaultClient)
	require.Equal(t, http.StatusOK, code)
	code, _ = get("/mcp", http.DefaultClient)
	require.Equal(t, http.StatusUnauthorized, code)
	code, _ = get("/metrics", http.DefaultClient)
	require.Equal(t, http.StatusUnauthorized, code)

	client := &http.Client{Transport: withPassword{http.DefaultTransport}}
	s := open(t, &mcp.StreamableClientTransport{Endpoint: base + "/mcp", HTTPClient: client})
	requireTools(t, s, id)
	require.NoError(t, s.Close())
	code, metrics := get("/metrics", client)
	require.Equal(t, http.StatusOK, code)
	require.Contains(t, metrics, `muster_limit_max_requests{limit="mcp"} 8`)
	require.Contains(t, metrics, "muster_mcp_build_info{")

	http.DefaultClient.CloseIdleConnections()
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.Contains(t, <-rest, "msg=Stopped")
	stopped = true
	require.NoError(t, cmd.Wait())
}

func TestWrongFlags(t *testing.T) {
	bad := file(t, "bad.yml", "basic_auth: 1\n")
	for arguments, says := range map[string]string{
		"": "url", "--url=ftp://x": "--url must have the form", "--url=http://u:secret@x": "--url must have the form",
		"--url=http://x --web.max-requests=0": "--web.max-requests", "--url=http://x --web.allowed-host=a:1": "--web.allowed-host",
		"--url=http://x --web.max-requests=many":   "--web.max-requests: strconv",
		"--url=http://x --log.level=loud":          "--log.level: unrecognized log level loud",
		"--url=http://x --log.format=xml":          "--log.format: unrecognized log format xml",
		"--url=http://x --web.config.file=" + bad:  "--web.config.file has no effect without --web.listen-address",
		"--url=http://x --web.allowed-host=muster": "--web.allowed-host has no effect without --web.listen-address",
		"--url=http://x --http.config.file=absent": "--http.config.file", "--url=http://x --http.config.file=" + bad: "--http.config.file",
	} {
		out, err := program(t, strings.Fields(arguments)...).CombinedOutput()
		require.Error(t, err, arguments)
		require.Contains(t, string(out), says)
		require.NotContains(t, string(out), "secret")
	}
}

// The table in docs/MCP.md has every flag with its default.
func TestDocumentHasAllFlags(t *testing.T) {
	help, err := program(t, "--help").Output()
	require.NoError(t, err)
	document, err := os.ReadFile("../../docs/MCP.md")
	require.NoError(t, err)
	want := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^(?:  -h, |      )--(?:\[no-\])?([a-z.-]+)(?:=(\S+))?`).FindAllStringSubmatch(string(help), -1) {
		want[m[1]] = m[2]
		if m[2] == strings.ToUpper(m[2]) && !strings.ContainsAny(m[2], "0123456789") {
			want[m[1]] = "" // a placeholder
		}
	}
	got := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `--([a-z.-]+)` \\| ([^|]*?) ?\\|").FindAllStringSubmatch(string(document), -1) {
		got[m[1]] = strings.Trim(m[2], "`")
	}
	require.Equal(t, want, got)
}
