package testserver

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/web"
)

// The passwords of the users of ListenGuarded.
const (
	ReaderPassword = "reading"
	WriterPassword = "writing"
)

const basicAuth = "basic_auth_users:\n" +
	"  reader: $2a$04$9mK3Z533dmg19ybAmjgpy.QTuPuE6jn545vTyoba4Qd2faqd3OUTG\n" +
	"  writer: $2a$04$tPb6yD9yhT7rZJjFrOOt1eMdnHwN8yEfMdnHNBIf2dxGAxFb2vtDS\n"

// Listen serves on a port of the loopback address until the test ends.
func (s *Server) Listen(t testing.TB) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(nil)
	srv.Config = web.NewHTTPServer(s, s.Logger)
	srv.Config.RegisterOnShutdown(s.Drain)
	srv.Start()
	t.Cleanup(func() {
		s.Drain()
		srv.Close()
	})
	return srv
}

// ListenGuarded serves like the program with a web config file that requires a
// password. It returns the URL.
func (s *Server) ListenGuarded(t testing.TB) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "web.yml")
	require.NoError(t, os.WriteFile(file, []byte(basicAuth), 0o600))
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	srv := web.NewHTTPServer(s, s.Logger)
	srv.RegisterOnShutdown(s.Drain)
	config, err := web.Load(file, nil, s.Logger)
	require.NoError(t, err)
	s.opts.People.HasUsers = config.HasUsers
	edge := web.New(config, srv, s.Limits, s.Logger, web.Options{Open: []string{web.HealthyPath, web.ReadyPath}})
	done := make(chan error, 1)
	go func() { done <- edge.Serve(listener) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		require.NoError(t, srv.Shutdown(context.Background()))
		require.ErrorIs(t, <-done, http.ErrServerClosed)
	})
	return "http://" + listener.Addr().String()
}

// Answered is an answer whose body was read.
type Answered struct {
	Code   int
	Header http.Header
	Text   string
}

// Answer sends a request without following redirects.
func Answer(t testing.TB, r *http.Request) Answered {
	t.Helper()
	res, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(t, err)
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return Answered{res.StatusCode, res.Header, string(text)}
}

// RawRequest returns a request to the webhook that announces a length for its body.
func RawRequest(length int, body string) string {
	return fmt.Sprintf("POST /webhook HTTP/1.1\r\nHost: muster\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		length, body)
}

// SendRaw sends a raw request over a new connection and returns the answer.
func SendRaw(t testing.TB, srv *httptest.Server, text string) (code int, answer string) {
	t.Helper()
	return send(t, srv, text, func(net.Conn) {})
}

// SendHalfClosed sends a raw request over a new connection, closes the sending side
// and returns the answer.
func SendHalfClosed(t testing.TB, srv *httptest.Server, text string) (code int, answer string) {
	t.Helper()
	return send(t, srv, text, func(conn net.Conn) {
		tcp, ok := conn.(*net.TCPConn)
		require.True(t, ok)
		require.NoError(t, tcp.CloseWrite())
	})
}

func send(t testing.TB, srv *httptest.Server, text string, sent func(net.Conn)) (code int, answer string) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", srv.Listener.Addr().String())
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = io.WriteString(conn, text)
	require.NoError(t, err)
	sent(conn)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, res.Body.Close()) }()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(b)
}

// OpenStalled sends a GET over a new connection and does not read the answer. The
// connection's receive buffer has the given size.
func OpenStalled(t testing.TB, srv *httptest.Server, path string, buffer int) net.Conn {
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
