package receiver

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/web"
)

// The users of listenGuarded.
const (
	readerPassword = "reading"
	writerPassword = "writing"
	basicAuth      = "basic_auth_users:\n" +
		"  reader: $2a$04$9mK3Z533dmg19ybAmjgpy.QTuPuE6jn545vTyoba4Qd2faqd3OUTG\n" +
		"  writer: $2a$04$tPb6yD9yhT7rZJjFrOOt1eMdnHwN8yEfMdnHNBIf2dxGAxFb2vtDS\n"
)

// listenGuarded serves like the program with a web config file that requires a
// password. It returns the URL.
func (h *testServer) listenGuarded(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "web.yml")
	require.NoError(t, os.WriteFile(file, []byte(basicAuth), 0o600))
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	srv := NewHTTPServer(h.Server, h.logger)
	srv.RegisterOnShutdown(h.Drain)
	config, err := web.Load(file, nil, h.logger)
	require.NoError(t, err)
	edge := web.New(config, srv, h.logger, web.Options{Open: []string{"/-/healthy", "/-/ready"}, Refused: h.RecordRejection})
	done := make(chan error, 1)
	go func() { done <- edge.Serve(listener) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		require.NoError(t, srv.Shutdown(context.Background()))
		require.ErrorIs(t, <-done, http.ErrServerClosed)
	})
	return "http://" + listener.Addr().String()
}

type answered struct {
	code   int
	header http.Header
	text   string
}

// answer sends a request without following redirects.
func answer(t *testing.T, r *http.Request) answered {
	t.Helper()
	res, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(t, err)
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return answered{res.StatusCode, res.Header, string(text)}
}

// sendRaw sends a raw request over a new connection and returns the answer.
func sendRaw(t *testing.T, srv *httptest.Server, text string) (code int, answer string) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", srv.Listener.Addr().String())
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = io.WriteString(conn, text)
	require.NoError(t, err)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return res.StatusCode, string(b)
}

// allRoutes calls f for every route with a path that matches it.
func allRoutes(t *testing.T, h *testServer, f func(method, path string)) {
	t.Helper()
	table := routeTable(t, h)
	require.GreaterOrEqual(t, len(table), 40)
	for _, route := range table {
		f(route.Method, strings.NewReplacer(
			":source", "prod", ":id", strings.Repeat("0", 20), ":fingerprint", strings.Repeat("0", 16), ":name", "app.css",
		).Replace(route.Path))
	}
}

// With a web config file that requires a password, only the probes answer
// without it. Even unknown paths require it.
func TestEveryRouteRequiresThePassword(t *testing.T) {
	h := newTestServer(t, Options{EnablePprof: true})
	url := h.listenGuarded(t)
	asks := func(method, path string) {
		if strings.HasPrefix(path, "/-/") && path != "/-/reload" {
			r, err := http.NewRequestWithContext(t.Context(), method, url+path, nil)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, answer(t, r).code, "the kubelet has no password for %s", path)
			return
		}
		for _, credentials := range []string{"", "reader:wrong", "nobody:" + readerPassword, ":"} {
			r, err := http.NewRequestWithContext(t.Context(), method, url+path, strings.NewReader(body()))
			require.NoError(t, err)
			if user, password, ok := strings.Cut(credentials, ":"); ok {
				r.SetBasicAuth(user, password)
			}
			a := answer(t, r)
			require.Equal(t, http.StatusUnauthorized, a.code, "%s %s %s", method, path, credentials)
			require.Equal(t, "Basic", a.header.Get("WWW-Authenticate"), path)
			require.Equal(t, "nosniff", a.header.Get("X-Content-Type-Options"), path)
			require.Contains(t, []string{"", "Unauthorized\n"}, a.text, path)
		}
	}
	allRoutes(t, h, asks)
	for _, path := range []string{
		"/nothing", "//webhook", "/-/reload", "/debug/vars", "/debug/pprof", "/static/", "/favicon.ico",
		"/%2e%2e/metrics",
	} {
		asks(http.MethodGet, path)
	}
	for _, method := range []string{http.MethodOptions, http.MethodTrace, http.MethodPatch, http.MethodDelete, "BREW"} {
		asks(method, "/")
	}
	require.JSONEq(t, `{"groups":[],"total":0}`, h.get("/api/v1/groups").Body.String())

	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/", nil)
	require.NoError(t, err)
	r.SetBasicAuth("reader", readerPassword)
	require.Equal(t, http.StatusOK, answer(t, r).code)
}

// requireSecurityHeaders asserts the headers that every answer must have.
func requireSecurityHeaders(t *testing.T, name string, h http.Header) {
	t.Helper()
	require.Equal(t, contentSecurityPolicy, h.Get("Content-Security-Policy"), name)
	require.Equal(t, "nosniff", h.Get("X-Content-Type-Options"), name)
	require.Equal(t, "no-referrer", h.Get("Referrer-Policy"), name)
	require.Equal(t, "same-origin", h.Get("Cross-Origin-Opener-Policy"), name)
	require.NotEmpty(t, h.Get("Cache-Control"), name)
	for field := range h {
		require.False(t, strings.HasPrefix(field, "Access-Control-"), "%s: %s", name, field)
	}
}

func TestEveryAnswerCarriesTheSecurityHeaders(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte("right"), 0o600))
	h := newTestServer(t, Options{RoutePrefix: "/muster"})
	open, token := newTestServer(t, Options{MaxBodySize: 1000}), newTestServer(t, Options{WebhookTokenFile: file})
	broken, _ := newStub(t, Options{}, func() (grouping.Outcome, error) { panic("ingest") })
	post := func(h *testServer, text string, headers ...string) *httptest.ResponseRecorder {
		return h.post(text, headers...)
	}
	html := []string{"Accept", "text/html"}
	again := func() *httptest.ResponseRecorder {
		w := open.get("/", "If-None-Match", open.get("/").Header().Get("ETag"))
		if w.Code == http.StatusOK { // an ETag is valid for some seconds, and this one expired
			w = open.get("/", "If-None-Match", w.Header().Get("ETag"))
		}
		return w
	}
	style := regexp.MustCompile(`/static/app[^"]+css`).FindString(open.get("/").Body.String())
	for name, tc := range map[string]struct {
		code int
		w    *httptest.ResponseRecorder
	}{
		"kept":            {200, post(open, body())},
		"refused":         {400, post(open, "")},
		"no token":        {401, post(token, body())},
		"cross-site":      {403, post(open, body(), "Origin", "http://evil.example")},
		"too large":       {413, post(open, strings.Repeat(" ", 1001))},
		"text":            {415, post(open, body(), "Content-Type", "text/plain")},
		"panic":           {503, post(broken, body())},
		"a query's panic": {503, broken.get("/api/v1/groups")},
		"a page's panic":  {503, broken.get("/history")},
		"page":            {200, open.get("/")},
		"help":            {200, open.get("/help")},
		"a page again":    {304, again()},
		"static":          {200, open.get(style)},
		"no such file":    {404, open.get("/static/nothing.css")},
		"no such group":   {404, open.get("/groups/nope")},
		"nothing":         {404, open.get("/nothing")},
		"no such page":    {404, open.get("/nothing", html...)},
		"not allowed":     {405, open.do(http.MethodDelete, "/", nil)},
		"preflight": {405, open.do(http.MethodOptions, "/webhook", nil, "Origin", "http://evil.example", "Access-Control-Request-Method",
			"POST")},
		"trace":     {405, open.do(http.MethodTrace, "/", nil)},
		"bad query": {400, open.get("/api/v1/groups?limit=x")},
		"go":        {302, open.get("/go?receiver=team")},
		"prefix":    {302, h.get("/")},
		"metrics":   {200, open.get("/metrics")},
		"ready":     {200, open.get("/-/ready")},
	} {
		require.Equal(t, tc.code, tc.w.Code, "%s: %s", name, tc.w.Body)
		requireSecurityHeaders(t, name, tc.w.Header())
	}
	allRoutes(t, open, func(method, path string) {
		if strings.HasSuffix(path, livePath) || strings.HasPrefix(path, "/debug/") {
			return // one stream never ends, the others are closed
		}
		requireSecurityHeaders(t, path, open.do(method, path, strings.NewReader(body())).Header())
	})
}

// A panic in the middle of an answer closes the connection, so that an
// incomplete answer does not look complete.
func TestPanicInTheMiddleClosesTheConnection(t *testing.T) {
	h := newTestServer(t, Options{})
	h.groups = failing{}
	h.live.keepAlive = -1 // time.NewTicker panics after the first event
	srv := h.listen(t)
	res, err := http.Get(srv.URL + livePath)
	require.NoError(t, err)
	defer func() { require.NoError(t, res.Body.Close()) }()
	text, err := io.ReadAll(res.Body)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.NotContains(t, string(text), "error")
	http.DefaultClient.CloseIdleConnections()
}

// A redirect would lose a notification: Alertmanager follows with an empty GET
// and takes the answer for a successful delivery.
func TestNoPathRedirectsAWebhook(t *testing.T) {
	for _, opts := range []Options{{}, {RoutePrefix: "/muster", ExternalURL: "https://muster.example/muster"}} {
		srv := newTestServer(t, opts).listen(t)
		for _, method := range []string{http.MethodPost, http.MethodPut} {
			for _, path := range []string{
				"/", "", "/webhook", "/webhook/", "//webhook", "/webhook//", "/webhook//prod", "/./webhook", "/a/../webhook", "/%77ebhook",
				"/webhook%2F",
				"/Webhook", "/WEBHOOK/", "/webhook/prod/", "/webhook/a/b", "/webhook/..", "/muster", "/muster/", "/muster/webhook", "/muster/webhook/",
				"/muster//webhook", "//muster/webhook", "/MUSTER/webhook", "/webhook/%2e%2e", "/webhook?a=b", "/webhook;a", "/go", "/muster/go",
				"/webhook/\\",
			} {
				text := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: muster\r\nContent-Length: %d\r\n\r\n%s", method, path, len(body()), body())
				code, answer := sendRaw(t, srv, text)
				require.NotEqual(t, 3, code/100, "%s %s: %s", method, path, answer)
				if code == http.StatusOK {
					require.Contains(t, answer, `"kept"`, path)
				}
			}
		}
	}
}

// A browser on another site cannot change anything, however it sends the
// request.
func TestOtherSitesCannotChangeAnything(t *testing.T) {
	h := newTestServer(t, Options{})
	h.postKept(t, body())
	before := h.stored(t)
	changing := 0
	allRoutes(t, h, func(method, path string) {
		if method == http.MethodGet || method == http.MethodHead {
			return
		}
		changing++
		for _, from := range [][]string{
			{"Sec-Fetch-Site", "cross-site"},
			{"Sec-Fetch-Site", "same-site"},
			{"Origin", "null"},
			{"Origin", "https://evil.example"},
			{"Origin", "http://example.com.evil.example"},
			{"Sec-Fetch-Site", "cross-site", "Origin", "http://example.com"},
			{"Origin", "https://"},
		} {
			for _, media := range []string{
				"application/json", "text/plain", "application/x-www-form-urlencoded",
				"multipart/form-data; boundary=x", "",
			} {
				w := h.do(method, path, strings.NewReader(body(wireKey, `"groupKey":"evil"`)), append(from, "Content-Type", media)...)
				require.Equal(t, http.StatusForbidden, w.Code, "%s %s %v %s", method, path, from, media)
			}
		}
	})
	require.Positive(t, changing)
	require.Equal(t, before, h.stored(t))
	for _, query := range []string{"/?_method=POST", "/webhook?method=POST", "/go?receiver=team"} {
		h.get(query, "X-HTTP-Method-Override", "POST", "Sec-Fetch-Site", "cross-site")
	}
	require.Equal(t, before, h.stored(t), "reading must change nothing")
}

// Names in paths and parameters are only looked up or rejected. They never
// reach a header, a file or another host.
func TestNamesInPathsAreOnlyNames(t *testing.T) {
	h := newTestServer(t, Options{})
	h.postKept(t, body(wireKey, `"groupKey":"{}:{evil=\"1\"}"`))
	srv := h.listen(t)
	names := []string{
		"..", "../..", "..%2f..%2fetc%2fpasswd", "%2e%2e", "%2e%2e%2f%2e%2e%2fgo.mod", "%00", "a%00b", "%0d%0aX-Evil:%201", "%ff%fe",
		"%c0%ae%c0%ae",
		"%e2%80%ae%e2%80%a8", "é", strings.Repeat("a", 20000), strings.Repeat("%2e%2e%2f", 2000), "%252e%252e", "..\\..\\x", "<script>",
		"{{.}}", "%25s%25n",
		"0000000000000000000%30",
	}
	for _, name := range names {
		for _, path := range []string{"/groups/", "/alerts/", "/static/", "/api/v1/groups/", "/api/v1/alerts/"} {
			for _, suffix := range []string{"", "/events"} {
				code, answer := sendRaw(t, srv, "GET "+path+name+suffix+" HTTP/1.1\r\nHost: muster\r\n\r\n")
				// 200: a valid ID of an unknown group has no events.
				require.Contains(t, []int{200, 400, 404}, code, "%s%s%s: %s", path, name, suffix, answer)
				require.NotContains(t, answer, "root:")
				require.NotContains(t, answer, "module muster")
				require.NotContains(t, answer, "<script>")
				if !strings.Contains(answer, "<html") {
					require.LessOrEqual(t, len(answer), 200, path)
				}
			}
		}
		for _, query := range []string{
			"receiver=" + name, "receiver=team&l=" + name, "receiver=team&l=" + name + "%3D" + name,
			"l=%3D//evil.example", "receiver=//evil.example",
		} {
			w := h.get("/go?" + strings.NewReplacer("<", "%3C", ">", "%3E", "{", "%7B", "}", "%7D", `\`, "%5C").Replace(query))
			require.Equal(t, http.StatusFound, w.Code, query)
			target := w.Header().Get("Location")
			require.Regexp(t, `^/(groups/[0-9a-f]{20})?(\?[!-~]*)?$`, target, query)
			at, err := url.Parse(target)
			require.NoError(t, err)
			require.Empty(t, at.Host, query)
		}
		if !strings.ContainsAny(name, "<>{}\\é") {
			require.Less(t, h.get("/?filter="+name+"&receiver="+name+"&cursor="+name).Code, 500)
			require.Less(t, h.get("/history?filter="+name+"&since="+name+"&cursor="+name).Code, 500)
			require.Contains(t, []int{200, 400}, h.get("/api/v1/events?filter="+name+"&since="+name).Code)
		}
	}
}

// syncBuffer is a log buffer that is safe for concurrent use.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (l *syncBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *syncBuffer) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// log redirects all logs of the server to the returned buffer.
func (h *testServer) log(t *testing.T, format string) *syncBuffer {
	t.Helper()
	out, level, style := &syncBuffer{}, promslog.NewLevel(), promslog.NewFormat()
	require.NoError(t, level.Set("debug"))
	require.NoError(t, style.Set(format))
	h.logger = promslog.New(&promslog.Config{Writer: out, Level: level, Format: style})
	return out
}

// Whatever a client sends, a log entry is one line and cannot control an
// operator's terminal.
func TestLogEntriesAreOneLine(t *testing.T) {
	const evil = `\n\r\u001b[2Jtime=2026-01-01T00:00:00Z level=ERROR msg=fake\u0085\u2028\u202e\u0007`
	raw := strings.NewReplacer(`\n`, "%0a", `\r`, "%0d", `\u001b`, "%1b", `\u0085`, "%c2%85", `\u2028`, "%e2%80%a8", `\u202e`, "%e2%80%ae",
		`\u0007`, "%07", " ", "%20").Replace(evil)
	for _, format := range promslog.FormatFlagOptions {
		h, _ := newStub(t, Options{}, func() (grouping.Outcome, error) { panic(raw + "\n\x1b[2J") })
		log := h.log(t, format)
		srv := h.listen(t)
		for _, text := range []string{
			body(wireVersion, `"version":"`+evil+`"`), body(wireStatus, `[{"status":"`+evil+`"`), body(wireLabels, `{"`+evil+`":1}`),
			body(wireLabels, `{"`+evil+`":"1","`+evil+`":"2"}`), body(wireStart, `"startsAt":"`+evil+`"`),
			body("team", evil, wireKey, `"groupKey":"`+evil+`"`),
		} {
			code, _ := sendRaw(t, srv, rawRequest(len(text), text))
			require.Contains(t, []int{400, 503}, code)
		}
		for _, text := range []string{
			"POST /webhook/" + raw + " HTTP/1.1\r\nHost: muster\r\n\r\n", "GET /api/v1/groups/" + raw + " HTTP/1.1\r\nHost: muster\r\n\r\n",
			"GET /groups/" + raw + "?x=" + raw + " HTTP/1.1\r\nHost: muster\r\nUser-Agent: \x1b[2J\r\nReferer: \x1b[2J\r\n\r\n",
			"GET /history?filter=" + raw + " HTTP/1.1\r\nHost: muster\r\n\r\n", "\x1b[2J / HTTP/1.1\r\nHost: muster\r\n\r\n",
			"GET /\x1b[2J HTTP/1.1\r\n\r\n",
		} {
			sendRaw(t, srv, text)
		}
		text := log.text()
		require.GreaterOrEqual(t, strings.Count(text, "Notification rejected"), 5, format)
		require.Contains(t, text, "Handler panicked", format)
		for line := range strings.Lines(text) {
			start := map[string]string{"logfmt": "time=", "json": `{"time":`}[format]
			require.True(t, strings.HasPrefix(line, start), "%s: %q", format, line)
			require.NotContains(t, line, "\x1b", format)
			require.NotContains(t, line, "\u0085", format)
			require.NotContains(t, line, "\u2028", format)
			require.NotContains(t, strings.TrimSuffix(line, "\n"), "\r", format)
		}
	}
}

// All timeouts of the server are set.
func TestEveryTimeoutIsSet(t *testing.T) {
	srv := NewHTTPServer(newTestServer(t, Options{}).Server, slog.Default())
	for name, d := range map[string]time.Duration{
		"header": srv.ReadHeaderTimeout, "body": srv.ReadTimeout, "answer": srv.WriteTimeout, "idle": srv.IdleTimeout,
	} {
		require.Positive(t, d, name)
		require.LessOrEqual(t, d, 2*time.Minute, name)
	}
	require.Positive(t, srv.MaxHeaderBytes)
}

// A client that sends single bytes slowly is disconnected in time. Others are
// served meanwhile.
func TestSlowClientsAreDisconnected(t *testing.T) {
	h := newTestServer(t, Options{MaxRequests: 64})
	srv := httptest.NewUnstartedServer(nil)
	srv.Config = NewHTTPServer(h.Server, h.logger)
	srv.Config.ReadHeaderTimeout, srv.Config.ReadTimeout = 500*time.Millisecond, time.Second
	srv.Start()
	t.Cleanup(func() {
		h.Drain()
		srv.Close()
	})
	const each = 100
	var slow sync.WaitGroup
	ends := make(chan error, 2*each)
	for i := range 2 * each {
		text := "POST /webhook HTTP/1.1\r\nHost: muster\r\nX-Slow: "
		if i%2 == 0 {
			text = rawRequest(1000, "{")
		}
		slow.Go(func() { ends <- trickle(srv.Listener.Addr().String(), text) })
	}
	cut := make(chan struct{})
	go func() {
		slow.Wait()
		close(cut)
	}()
	served := 0
	for open := true; open; served++ {
		select {
		case <-cut:
			open = false
		default:
			started := time.Now()
			for _, path := range []string{"/", "/api/v1/groups", "/-/ready"} {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+path, nil)
				require.NoError(t, err)
				require.Equal(t, http.StatusOK, answer(t, r).code, path)
			}
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+"/webhook", strings.NewReader(body()))
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, answer(t, r).code, "a slow body uses the slot")
			require.Less(t, time.Since(started), 5*time.Second)
		}
	}
	require.Greater(t, served, 5)
	close(ends)
	for err := range ends {
		require.NoError(t, err)
	}
	http.DefaultClient.CloseIdleConnections()
}

// trickle sends a text and then single bytes until it is disconnected.
func trickle(address, text string) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, text); err != nil {
		return err
	}
	closed := make(chan error, 1)
	go func() {
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		_, err := io.Copy(io.Discard, bufio.NewReader(conn))
		closed <- err
	}()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-closed:
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return fmt.Errorf("not cut off: %w", err)
			}
			return nil
		case <-tick.C:
			_, _ = conn.Write([]byte("a"))
		}
	}
}

// The limit counts the bytes of bodies that are received, and releases them.
func TestReceivedBodiesAreLimited(t *testing.T) {
	allocated() // empty the pool: the size of a pooled buffer changes the reserved size
	h := newTestServer(t, Options{MaxBodySize: 1000, MaxNotificationMemory: 4000})
	srv := h.listen(t)
	var conns []net.Conn
	for range 4 {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", srv.Listener.Addr().String())
		require.NoError(t, err)
		conns = append(conns, conn)
		_, err = io.WriteString(conn, rawRequest(1000, strings.Repeat(" ", 900)))
		require.NoError(t, err)
	}
	held := func(want int64) {
		t.Helper()
		require.Eventually(t, func() bool { return h.limits.bodyBytes.Used() == want }, 10*time.Second, time.Millisecond)
	}
	held(4 * 900)
	h.requireRejected(t, "one too many", h.post(strings.Repeat(" ", 401)), 503, "too many concurrent requests, try again")
	require.InDelta(t, 1, h.counter(t, "muster_notifications_rejected_total", "reason", "overloaded"), 0)
	require.InDelta(t, 1, h.counter(t, "muster_limit_rejections_total", "limit", "notification_bodies"), 0)
	h.requireRejected(t, "room for a small one", h.post("{}"), 400, "the body is not a notification")
	for _, conn := range conns {
		require.NoError(t, conn.Close())
	}
	held(0)
	require.Equal(t, http.StatusOK, newTestServer(t, Options{MaxBodySize: math.MaxInt64}).post(body()).Code,
		"the maximum body size must not overflow")
	h.requireRejected(t, "too large", h.post(strings.Repeat(" ", 1001)), 413, "")
	h.requireRejected(t, "refused", h.post(strings.Repeat(" ", 999)), 400, "")
	held(0)
}
