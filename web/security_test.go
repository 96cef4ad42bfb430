package web_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
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
	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
	"muster/web"
)

// allRoutes calls f for every route with a path that matches it.
func allRoutes(t *testing.T, h *testserver.Server, f func(method, path string)) {
	t.Helper()
	table := h.Router.RouteTable()
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
	h := testserver.New(t, testserver.Options{EnablePprof: true})
	url := h.ListenGuarded(t)
	asks := func(method, path string) {
		if strings.HasPrefix(path, "/-/") && path != "/-/reload" {
			r, err := http.NewRequestWithContext(t.Context(), method, url+path, nil)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, testserver.Answer(t, r).Code, "the kubelet has no password for %s", path)
			return
		}
		for _, credentials := range []string{"", "reader:wrong", "nobody:" + testserver.ReaderPassword, ":"} {
			r, err := http.NewRequestWithContext(t.Context(), method, url+path, strings.NewReader(wiretest.Body()))
			require.NoError(t, err)
			if user, password, ok := strings.Cut(credentials, ":"); ok {
				r.SetBasicAuth(user, password)
			}
			a := testserver.Answer(t, r)
			require.Equal(t, http.StatusUnauthorized, a.Code, "%s %s %s", method, path, credentials)
			require.Equal(t, "Basic", a.Header.Get("WWW-Authenticate"), path)
			require.Equal(t, "nosniff", a.Header.Get("X-Content-Type-Options"), path)
			require.Contains(t, []string{
				"", "The user or the password is missing or wrong.\n", `{"error":"the user or the password is missing or wrong"}`,
			}, a.Text, path)
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
	require.JSONEq(t, `{"groups":[],"total":0}`, h.Get("/api/v1/groups").Body.String())

	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/", nil)
	require.NoError(t, err)
	r.SetBasicAuth("reader", testserver.ReaderPassword)
	require.Equal(t, http.StatusOK, testserver.Answer(t, r).Code)
}

// requireSecurityHeaders asserts the headers that every answer must have.
func requireSecurityHeaders(t *testing.T, name string, h http.Header) {
	t.Helper()
	require.Equal(t, web.ContentSecurityPolicy, h.Get("Content-Security-Policy"), name)
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
	h := testserver.New(t, testserver.Options{RoutePrefix: "/muster"})
	open, token := testserver.New(t, testserver.Options{MaxBodySize: 1000}), testserver.New(t, testserver.Options{WebhookTokenFile: file})
	broken := testserver.NewStub(t, testserver.Options{}, func() (grouping.Outcome, error) { panic("ingest") })
	post := func(h *testserver.Server, text string, headers ...string) *httptest.ResponseRecorder {
		return h.Post(text, headers...)
	}
	html := []string{"Accept", "text/html"}
	again := func() *httptest.ResponseRecorder {
		w := open.Get("/", "If-None-Match", open.Get("/").Header().Get("ETag"))
		if w.Code == http.StatusOK { // an ETag is valid for some seconds, and this one expired
			w = open.Get("/", "If-None-Match", w.Header().Get("ETag"))
		}
		return w
	}
	style := regexp.MustCompile(`/static/app[^"]+css`).FindString(open.Get("/").Body.String())
	for name, tc := range map[string]struct {
		code int
		w    *httptest.ResponseRecorder
	}{
		"kept":            {200, post(open, wiretest.Body())},
		"refused":         {400, post(open, "")},
		"no token":        {401, post(token, wiretest.Body())},
		"cross-site":      {403, post(open, wiretest.Body(), "Origin", "http://evil.example")},
		"too large":       {413, post(open, strings.Repeat(" ", 1001))},
		"text":            {415, post(open, wiretest.Body(), "Content-Type", "text/plain")},
		"panic":           {503, post(broken, wiretest.Body())},
		"a query's panic": {503, broken.Get("/api/v1/groups")},
		"a page's panic":  {503, broken.Get("/history")},
		"page":            {200, open.Get("/")},
		"help":            {200, open.Get("/help")},
		"a page again":    {304, again()},
		"static":          {200, open.Get(style)},
		"no such file":    {404, open.Get("/static/nothing.css")},
		"no such group":   {404, open.Get("/groups/nope")},
		"nothing":         {404, open.Get("/nothing")},
		"no such page":    {404, open.Get("/nothing", html...)},
		"not allowed":     {405, open.Do(http.MethodDelete, "/", nil)},
		"preflight": {405, open.Do(http.MethodOptions, "/webhook", nil, "Origin", "http://evil.example", "Access-Control-Request-Method",
			"POST")},
		"trace":     {405, open.Do(http.MethodTrace, "/", nil)},
		"bad query": {400, open.Get("/api/v1/groups?limit=x")},
		"go":        {302, open.Get("/go?receiver=team")},
		"prefix":    {302, h.Get("/")},
		"metrics":   {200, open.Get("/metrics")},
		"ready":     {200, open.Get("/-/ready")},
	} {
		require.Equal(t, tc.code, tc.w.Code, "%s: %s", name, tc.w.Body)
		requireSecurityHeaders(t, name, tc.w.Header())
	}
	allRoutes(t, open, func(method, path string) {
		if strings.HasSuffix(path, testserver.LivePath) || strings.HasPrefix(path, "/debug/") {
			return // one stream never ends, the others are closed
		}
		requireSecurityHeaders(t, path, open.Do(method, path, strings.NewReader(wiretest.Body())).Header())
	})
}

// A redirect would lose a notification: Alertmanager follows with an empty GET
// and takes the answer for a successful delivery.
func TestNoPathRedirectsAWebhook(t *testing.T) {
	for _, opts := range []testserver.Options{{}, {RoutePrefix: "/muster", ExternalURL: "https://muster.example/muster"}} {
		srv := testserver.New(t, opts).Listen(t)
		for _, method := range []string{http.MethodPost, http.MethodPut} {
			for _, path := range []string{
				"/", "", "/webhook", "/webhook/", "//webhook", "/webhook//", "/webhook//prod", "/./webhook", "/a/../webhook", "/%77ebhook",
				"/webhook%2F",
				"/Webhook", "/WEBHOOK/", "/webhook/prod/", "/webhook/a/b", "/webhook/..", "/muster", "/muster/", "/muster/webhook", "/muster/webhook/",
				"/muster//webhook", "//muster/webhook", "/MUSTER/webhook", "/webhook/%2e%2e", "/webhook?a=b", "/webhook;a", "/go", "/muster/go",
				"/webhook/\\",
			} {
				text := fmt.Sprintf(
					"%s %s HTTP/1.1\r\nHost: muster\r\nContent-Length: %d\r\n\r\n%s",
					method,
					path,
					len(wiretest.Body()),
					wiretest.Body(),
				)
				code, answer := testserver.SendRaw(t, srv, text)
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
	h := testserver.New(t, testserver.Options{})
	h.PostKept(t, wiretest.Body())
	before := h.Stored(t)
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
				w := h.Do(method, path, strings.NewReader(wiretest.Body(wiretest.Key, `"groupKey":"evil"`)), append(from, "Content-Type", media)...)
				require.Equal(t, http.StatusForbidden, w.Code, "%s %s %v %s", method, path, from, media)
			}
		}
	})
	require.Positive(t, changing)
	require.Equal(t, before, h.Stored(t))
	for _, query := range []string{"/?_method=POST", "/webhook?method=POST", "/go?receiver=team"} {
		h.Get(query, "X-HTTP-Method-Override", "POST", "Sec-Fetch-Site", "cross-site")
	}
	require.Equal(t, before, h.Stored(t), "reading must change nothing")
}

// Names in paths and parameters are only looked up or rejected. They never
// reach a header, a file or another host.
func TestNamesInPathsAreOnlyNames(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	h.PostKept(t, wiretest.Body(wiretest.Key, `"groupKey":"{}:{evil=\"1\"}"`))
	srv := h.Listen(t)
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
				code, answer := testserver.SendRaw(t, srv, "GET "+path+name+suffix+" HTTP/1.1\r\nHost: muster\r\n\r\n")
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
			w := h.Get("/go?" + strings.NewReplacer("<", "%3C", ">", "%3E", "{", "%7B", "}", "%7D", `\`, "%5C").Replace(query))
			require.Equal(t, http.StatusFound, w.Code, query)
			target := w.Header().Get("Location")
			require.Regexp(t, `^/(groups/[0-9a-f]{20})?(\?[!-~]*)?$`, target, query)
			at, err := url.Parse(target)
			require.NoError(t, err)
			require.Empty(t, at.Host, query)
		}
		if !strings.ContainsAny(name, "<>{}\\é") {
			require.Less(t, h.Get("/?filter="+name+"&receiver="+name+"&cursor="+name).Code, 500)
			require.Less(t, h.Get("/history?filter="+name+"&since="+name+"&cursor="+name).Code, 500)
			require.Contains(t, []int{200, 400}, h.Get("/api/v1/events?filter="+name+"&since="+name).Code)
		}
	}
}

// Whatever a client sends, a log entry is one line and cannot control an
// operator's terminal.
func TestLogEntriesAreOneLine(t *testing.T) {
	const evil = `\n\r\u001b[2Jtime=2026-01-01T00:00:00Z level=ERROR msg=fake\u0085\u2028\u202e\u0007`
	raw := strings.NewReplacer(`\n`, "%0a", `\r`, "%0d", `\u001b`, "%1b", `\u0085`, "%c2%85", `\u2028`, "%e2%80%a8", `\u202e`, "%e2%80%ae",
		`\u0007`, "%07", " ", "%20").Replace(evil)
	for _, format := range promslog.FormatFlagOptions {
		h := testserver.NewStub(t, testserver.Options{}, func() (grouping.Outcome, error) { panic(raw + "\n\x1b[2J") })
		log := h.Log(t, format)
		srv := h.Listen(t)
		for _, text := range []string{
			wiretest.Body(wiretest.Version, `"version":"`+evil+`"`), wiretest.Body(wiretest.Status, `[{"status":"`+evil+`"`),
			wiretest.Body(wiretest.Labels, `{"`+evil+`":1}`),
			wiretest.Body(wiretest.Labels, `{"`+evil+`":"1","`+evil+`":"2"}`), wiretest.Body(wiretest.Start, `"startsAt":"`+evil+`"`),
			wiretest.Body("team", evil, wiretest.Key, `"groupKey":"`+evil+`"`),
		} {
			code, _ := testserver.SendRaw(t, srv, testserver.RawRequest(len(text), text))
			require.Contains(t, []int{400, 503}, code)
		}
		for _, text := range []string{
			"POST /webhook/" + raw + " HTTP/1.1\r\nHost: muster\r\n\r\n", "GET /api/v1/groups/" + raw + " HTTP/1.1\r\nHost: muster\r\n\r\n",
			"GET /groups/" + raw + "?x=" + raw + " HTTP/1.1\r\nHost: muster\r\nUser-Agent: \x1b[2J\r\nReferer: \x1b[2J\r\n\r\n",
			"GET /history?filter=" + raw + " HTTP/1.1\r\nHost: muster\r\n\r\n", "\x1b[2J / HTTP/1.1\r\nHost: muster\r\n\r\n",
			"GET /\x1b[2J HTTP/1.1\r\n\r\n",
		} {
			testserver.SendRaw(t, srv, text)
		}
		text := log.Text()
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
	srv := web.NewHTTPServer(testserver.New(t, testserver.Options{}), slog.Default())
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
	h := testserver.New(t, testserver.Options{MaxRequests: 64})
	srv := httptest.NewUnstartedServer(nil)
	srv.Config = web.NewHTTPServer(h, h.Logger)
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
			text = testserver.RawRequest(1000, "{")
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
				require.Equal(t, http.StatusOK, testserver.Answer(t, r).Code, path)
			}
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+"/webhook", strings.NewReader(wiretest.Body()))
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, testserver.Answer(t, r).Code, "a slow body uses the slot")
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

func TestEveryAnswerIsGuarded(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	for _, path := range []string{"/", "/api/v1/groups", "/metrics", "/-/healthy", "/nothing", "/status", "/api/v1/groups?limit=x"} {
		header := h.Get(path).Header()
		require.Equal(t, web.ContentSecurityPolicy, header.Get("Content-Security-Policy"), path)
		require.Equal(t, "nosniff", header.Get("X-Content-Type-Options"), path)
		require.Equal(t, "no-referrer", header.Get("Referrer-Policy"), path)
		require.Equal(t, "same-origin", header.Get("Cross-Origin-Opener-Policy"), path)
		require.Empty(t, header.Get("Access-Control-Allow-Origin"), path)
	}
}

func TestTheWebhookNeverRedirects(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	for _, method := range []string{http.MethodPost, http.MethodPut} {
		for _, path := range []string{"/webhook", "/webhook/", "/webhook/prod", "/webhook/prod/"} {
			require.Equal(t, http.StatusOK, h.Do(method, path, strings.NewReader(wiretest.Body())).Code, "%s %s", method, path)
		}
	}
	for _, path := range []string{"/WEBHOOK", "//webhook", "/webhook//", "/webhook/a/b"} {
		code := h.Do(http.MethodPost, path, strings.NewReader(wiretest.Body())).Code
		require.NotEqual(t, 3, code/100, path)
	}
}

func TestCrossSitePostsAreRejected(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	for _, headers := range [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "null"}, {"Origin", "https://evil.example"},
	} {
		w := h.Post(wiretest.Body(), headers...)
		require.Equal(t, http.StatusForbidden, w.Code, headers)
		require.Equal(t, web.ContentSecurityPolicy, w.Header().Get("Content-Security-Policy"))
	}
	require.Equal(t, http.StatusOK, h.Post(wiretest.Body()).Code, "Alertmanager sends neither")
}

// People post forms from the external URL, also if a proxy changes the Host header.
func TestTheExternalOriginIsNoOtherSite(t *testing.T) {
	h := testserver.New(t, testserver.Options{ExternalOrigin: "https://muster.example.net"})
	for want, all := range map[int][][]string{
		http.StatusOK: {
			{"Origin", "https://muster.example.net"},
			{"Origin", "https://muster.example.net", "Sec-Fetch-Site", "cross-site"},
			{"Origin", "http://example.com"}, // the Host of the request
		},
		http.StatusForbidden: {
			{"Origin", "http://muster.example.net"},
			{"Origin", "https://muster.example.net:8443"},
			{"Origin", "https://muster.example.net.evil.example"},
			{"Origin", "https://evil.example"},
			{"Sec-Fetch-Site", "cross-site"},
		},
	} {
		for _, headers := range all {
			require.Equal(t, want, h.Post(wiretest.Body(), headers...).Code, headers)
		}
	}
	_, err := testserver.Build(testserver.Options{ExternalOrigin: "https://muster.example.net/path"})
	require.ErrorContains(t, err, "invalid origin")
}

func TestProbes(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		require.Equal(t, http.StatusOK, h.Do(method, "/-/healthy", nil).Code)
		require.Equal(t, http.StatusOK, h.Do(method, "/-/ready", nil).Code)
	}
	h.Drain()
	require.Equal(t, http.StatusServiceUnavailable, h.Get("/-/ready").Code)
	require.Equal(t, http.StatusOK, h.Get("/-/healthy").Code)
	w := h.Post(wiretest.Body())
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Equal(t, "close", w.Header().Get("Connection"))
}

func TestEveryKindOfAnswerIsGuarded(t *testing.T) {
	h := testserver.New(t, testserver.Options{MaxBodySize: 1000, MaxLiveClients: 1})
	srv := h.Listen(t)
	live := testserver.FollowLive(t, srv.URL, "")
	live.NextEvent()
	send := func(method, path, text string, headers ...string) func() (int, http.Header) {
		return func() (int, http.Header) {
			w := h.Do(method, path, strings.NewReader(text), headers...)
			return w.Code, w.Header()
		}
	}
	for want, answer := range map[int]func() (int, http.Header){
		200: send(http.MethodPost, "/webhook", wiretest.Body()),
		302: send(http.MethodGet, "/go?receiver=x", ""),
		400: send(http.MethodPost, "/webhook", "{"),
		403: send(http.MethodPost, "/webhook", wiretest.Body(), "Origin", "https://evil.example"),
		404: send(http.MethodPost, "/nothing", ""),
		405: send(http.MethodDelete, "/api/v1/groups", ""),
		413: send(http.MethodPost, "/webhook", strings.Repeat(" ", 2000)),
		415: send(http.MethodPost, "/webhook", wiretest.Body(), "Content-Encoding", "gzip"),
		503: send(http.MethodGet, "/api/v1/live", ""),
	} {
		code, header := answer()
		require.Equal(t, want, code)
		for name, value := range map[string]string{
			"Content-Security-Policy": web.ContentSecurityPolicy, "X-Content-Type-Options": "nosniff",
			"Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin", "Access-Control-Allow-Origin": "",
			"Cache-Control": "no-store",
		} {
			require.Equal(t, value, header.Get(name), "%d %s", want, name)
		}
	}
}

func TestProfilesAreDisabledByDefault(t *testing.T) {
	require.Equal(t, http.StatusNotFound, testserver.New(t, testserver.Options{}).Get("/debug/pprof/").Code)
	open := testserver.New(t, testserver.Options{EnablePprof: true})
	require.Equal(t, http.StatusOK, open.Get("/debug/pprof/").Code)
	require.Equal(t, http.StatusNotFound, open.Get("/debug/pprof/cmdline").Code, "the command line can contain a password")
}
