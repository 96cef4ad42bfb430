package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The passwords of the users in the web config file, and their bcrypt hashes.
const (
	readerPassword = "reading"
	readerHash     = "$2a$04$9mK3Z533dmg19ybAmjgpy.QTuPuE6jn545vTyoba4Qd2faqd3OUTG"
	writerPassword = "writing"
	writerHash     = "$2a$04$tPb6yD9yhT7rZJjFrOOt1eMdnHwN8yEfMdnHNBIf2dxGAxFb2vtDS"
	passwords      = "basic_auth_users:\n  reader: " + readerHash + "\n  writer: " + writerHash + "\n"
)

// writeFile writes a file into a new folder and returns its path.
func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// startGuarded starts a Muster with a web config file, and waits until it answers. If
// Muster requires a client certificate, the client with must have one.
func startGuarded(t *testing.T, m *muster, with *http.Client, url string) {
	t.Helper()
	m.process.start()
	waitFor(t, 60*time.Second, "Muster answers", func() error {
		if !m.running() {
			require.FailNow(t, "Muster has exited", m.tail())
		}
		res, err := with.Get(url + "/-/healthy")
		if err != nil {
			return err
		}
		return res.Body.Close()
	})
}

// everyPath returns the paths of docs/openapi.yaml, the paths of the pages, and some
// unknown paths. Another test compares docs/openapi.yaml with the router.
func everyPath(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../docs/openapi.yaml")
	require.NoError(t, err)
	var paths []string
	for _, match := range regexp.MustCompile(`(?m)^  (/\S*):$`).FindAllStringSubmatch(string(text), -1) {
		parameters := strings.NewReplacer("{source}", "prod", "{id}", strings.Repeat("0", 20), "{fingerprint}", strings.Repeat("0", 16))
		paths = append(paths, parameters.Replace(match[1]))
	}
	require.Greater(t, len(paths), 10)
	return append(paths, "/", "/groups/"+strings.Repeat("0", 20), "/alerts/"+strings.Repeat("0", 16),
		"/history", "/report", "/report/list", "/status", "/help", "/go", "/static/app.css",
		"/debug/pprof/", "/debug/pprof/heap", "/debug/vars", "/-/reload", "/nothing", "//", "/webhook/", "//webhook", "/favicon.ico")
}

// With basic authentication every request needs a password, except probes. With a token
// file, readers cannot send notifications.
func TestPasswords(t *testing.T) {
	t.Parallel()
	needsMuster(t)
	m := newMuster(t, "--storage.path=", "--web.enable-pprof", "--web.config.file="+writeFile(t, "web.yml", passwords),
		"--webhook.token-file="+writeFile(t, "token", writerPassword+"\n"))
	startGuarded(t, m, client, m.url)
	ask := func(method, path, user, password string) int {
		text, err := json.Marshal(newMessage("Down", newAlert("Down", "a", time.Now())))
		require.NoError(t, err)
		r, err := http.NewRequestWithContext(t.Context(), method, m.url+path, bytes.NewReader(text))
		require.NoError(t, err)
		if user != "" {
			r.SetBasicAuth(user, password)
		}
		res, err := client.Transport.RoundTrip(r)
		require.NoError(t, err)
		_, _ = io.Copy(io.Discard, res.Body)
		require.NoError(t, res.Body.Close())
		return res.StatusCode
	}
	for _, path := range everyPath(t) {
		if strings.HasPrefix(path, "/-/") && path != "/-/reload" {
			require.Equal(t, http.StatusOK, ask(http.MethodGet, path, "", ""), "a probe needs no password")
			continue
		}
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodOptions} {
			require.Equal(t, http.StatusUnauthorized, ask(method, path, "", ""), "%s %s", method, path)
		}
		require.Equal(t, http.StatusUnauthorized, ask(http.MethodGet, path, "reader", "wrong"), path)
	}
	require.Equal(t, http.StatusOK, ask(http.MethodGet, "/api/v1/groups", "reader", readerPassword))
	require.Equal(t, http.StatusUnauthorized, ask(http.MethodPost, "/webhook", "reader", readerPassword), "a reader cannot send notifications")
	require.Equal(t, http.StatusOK, ask(http.MethodPost, "/webhook", "writer", writerPassword))
	require.Equal(t, http.StatusUnauthorized, ask(http.MethodPost, "/events", "reader", readerPassword), "a reader cannot send events")
	require.Equal(t, http.StatusBadRequest, ask(http.MethodPost, "/events", "writer", writerPassword), "it is a notification")
}

// With client certificates, a client without a valid certificate cannot send a request. A
// new server certificate is used without a restart.
func TestCertificates(t *testing.T) {
	t.Parallel()
	needsMuster(t)
	ours, theirs := newAuthority(t, "ours"), newAuthority(t, "theirs")
	soon := time.Now().Add(time.Hour)
	dir := t.TempDir()
	write := func(name string, text []byte) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	cert, key := ours.sign("first", loopback, soon)
	write("server.crt", cert)
	write("server.key", key)
	write("ca.crt", ours.pem)
	config := "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n  client_auth_type: RequireAndVerifyClientCert\n" +
		"  client_ca_file: ca.crt\n  client_allowed_sans: [alertmanager]\n"
	write("web.yml", []byte(config))
	m := newMuster(t, "--storage.path=", "--web.config.file="+filepath.Join(dir, "web.yml"))
	secure := "https://" + strings.TrimPrefix(m.url, "http://")
	as := func(config *tls.Config) *http.Client {
		config.RootCAs = ours.pool
		return &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	}
	valid := as(&tls.Config{Certificates: []tls.Certificate{ours.pair("alertmanager", soon)}, MinVersion: tls.VersionTLS12})
	startGuarded(t, m, valid, secure)

	serverName := func() string {
		res, err := valid.Get(secure + "/webhook")
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusMethodNotAllowed, res.StatusCode)
		require.GreaterOrEqual(t, res.TLS.Version, uint16(tls.VersionTLS12))
		return res.TLS.PeerCertificates[0].Subject.CommonName
	}
	require.Equal(t, "first", serverName())
	for name, config := range map[string]*tls.Config{
		"none":         {},
		"another CA":   {Certificates: []tls.Certificate{theirs.pair("alertmanager", soon)}},
		"expired":      {Certificates: []tls.Certificate{ours.pair("alertmanager", time.Now().Add(-time.Hour))}},
		"another name": {Certificates: []tls.Certificate{ours.pair("reader", soon)}},
		"old TLS":      {Certificates: []tls.Certificate{ours.pair("alertmanager", soon)}, MaxVersion: tls.VersionTLS11},
	} {
		_, err := as(config).Get(secure + "/-/healthy") //nolint:bodyclose // no response
		require.Error(t, err, name)
	}
	res, err := client.Get(m.url + "/-/healthy")
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusBadRequest, res.StatusCode, "plain HTTP")

	cert, key = ours.sign("second", loopback, soon)
	write("server.crt", cert)
	write("server.key", key)
	require.Equal(t, "second", serverName())
}

// No page, response, metric, profile or log line contains a secret of Muster.
func TestSecretsAreKept(t *testing.T) {
	t.Parallel()
	path := needsRedis(t)
	const redisPassword, token = "redis-Secret_1", "token-Secret_2"
	port := freePort(t)
	redis := newProcess(t, "redis-server", path,
		"--bind", "127.0.0.1", "--port", fmt.Sprint(port), "--save", "", "--requirepass", redisPassword)
	redis.start()
	at := func(password string) string { return fmt.Sprintf("redis://:%s@127.0.0.1:%d/0", password, port) }
	const wrong = "wrong-Secret_3"
	secrets := []string{redisPassword, token, wrong, readerHash, writerHash}
	keeps := func(t *testing.T, what, text string) {
		t.Helper()
		for _, secret := range secrets {
			require.NotContains(t, text, secret, what)
		}
	}
	for name, args := range map[string][]string{
		"URL": {"--redis.url=" + at(redisPassword)},
		"file": {
			fmt.Sprintf("--redis.url=redis://127.0.0.1:%d/0", port),
			"--redis.password-file=" + writeFile(t, "password", redisPassword),
		},
		"wrong password": {"--redis.url=" + at(wrong)},
		"unreachable":    {fmt.Sprintf("--redis.url=redis://:%s@127.0.0.1:%d/0", wrong, freePort(t))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMuster(t, append(args, "--log.level=debug", "--web.enable-pprof", "--webhook.token-file="+writeFile(t, "token", token),
				"--web.config.file="+writeFile(t, "web.yml", passwords))...)
			startGuarded(t, m, client, m.url)
			ask := func(method, path, authorization string) string {
				r, err := http.NewRequestWithContext(t.Context(), method, m.url+path, strings.NewReader("{}"))
				require.NoError(t, err)
				r.SetBasicAuth("reader", readerPassword)
				if authorization != "" {
					r.Header.Set("Authorization", authorization)
				}
				res, err := client.Do(r)
				require.NoError(t, err)
				defer func() { _ = res.Body.Close() }()
				if strings.HasSuffix(path, "/live") {
					return fmt.Sprint(res.Header)
				}
				text, err := io.ReadAll(res.Body)
				require.NoError(t, err)
				return fmt.Sprint(res.Status, res.Header, string(text))
			}
			want := `"healthy":true,"dirtyGroups":0,"partial":false`
			if name == "wrong password" || name == "unreachable" {
				want = `"healthy":false`
			}
			waitFor(t, 30*time.Second, "Muster has noticed whether Redis works", func() error {
				if text := ask(http.MethodGet, "/api/v1/status", ""); !strings.Contains(text, want) {
					return errors.New(text)
				}
				return nil
			})
			for _, path := range append(everyPath(t),
				"/debug/pprof/goroutine?debug=2", "/debug/pprof/cmdline", "/debug/pprof/allocs?debug=1", "/-/ready") {
				keeps(t, path, ask(http.MethodGet, path, ""))
			}
			keeps(t, "rejection", ask(http.MethodPost, "/webhook", ""))
			keeps(t, "rejection", ask(http.MethodPost, "/webhook", "Bearer "+wrong))
			m.stop()
			text, err := os.ReadFile(m.log)
			require.NoError(t, err)
			require.Contains(t, string(text), "Starting Muster")
			keeps(t, "log", string(text))
		})
	}
	for name, args := range map[string][]string{
		"no port":        {"--redis.url=redis://user:" + wrong + "@127.0.0.1:port/0"},
		"another scheme": {"--redis.url=http://user:" + wrong + "@127.0.0.1"},
		"a bad escape":   {"--redis.url=redis://user:" + wrong + "%zz@127.0.0.1"},
		"a bad database": {"--redis.url=redis://user:" + wrong + "@127.0.0.1/x"},
		"a bad option":   {"--redis.url=redis://user:" + wrong + "@127.0.0.1/0?pool_size=" + "many"},
		"with a file, too": {
			"--redis.url=redis://user:" + wrong + "@127.0.0.1:port",
			"--redis.password-file=" + writeFile(t, "password", redisPassword),
		},
		"a bad flag": {"--redis.url=" + at(wrong), "--group.wait=x"},
	} {
		m := newMuster(t, args...)
		m.process.start()
		select {
		case <-m.done:
		case <-time.After(30 * time.Second):
			require.Fail(t, "muster started", name)
		}
		require.Error(t, m.err, name)
		require.NotEmpty(t, m.tail(), name)
		keeps(t, name, m.tail())
	}
}

// Profiles of the process are served only with --web.enable-pprof.
func TestProfilesAreClosed(t *testing.T) {
	t.Parallel()
	needsMuster(t)
	m := startMuster(t, "--storage.path=")
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline", "/debug/pprof/profile", "/debug/vars"} {
		_, err := m.fetch(path, nil)
		require.ErrorContains(t, err, "404", path)
	}
}

// A client that sends a header byte by byte is disconnected. Others are served meanwhile.
func TestSlowHeadersAreCutOff(t *testing.T) {
	t.Parallel()
	needsMuster(t)
	m := startMuster(t, "--storage.path=")
	const clients = 200
	started := time.Now()
	var open sync.WaitGroup
	ends := make(chan error, clients)
	for i := range clients {
		open.Go(func() {
			ends <- trickle(strings.TrimPrefix(m.url, "http://"), fmt.Sprintf("POST /webhook/%d HTTP/1.1\r\nHost: muster\r\nX: ", i))
		})
	}
	disconnected := make(chan struct{})
	go func() {
		open.Wait()
		close(disconnected)
	}()
	served := 0
	for busy := true; busy; served++ {
		select {
		case <-disconnected:
			busy = false
		case <-time.After(50 * time.Millisecond):
			_, err := deliver(m, newMessage("Down", newAlert("Down", "a", started)))
			require.NoError(t, err)
			_, err = m.fetch("/", nil)
			require.NoError(t, err)
		}
	}
	close(ends)
	for err := range ends {
		require.NoError(t, err)
	}
	require.Greater(t, served, 5)
	require.Less(t, time.Since(started), 25*time.Second)
	t.Logf("%d slow clients were disconnected after %s, %d rounds were served meanwhile",
		clients, time.Since(started).Round(time.Millisecond), served)
}

// trickle sends a text, and then a byte at regular intervals until it is disconnected.
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
		_ = conn.SetReadDeadline(time.Now().Add(25 * time.Second))
		_, err := io.Copy(io.Discard, conn)
		closed <- err
	}()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-closed:
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return fmt.Errorf("not disconnected: %w", err)
			}
			return nil
		case <-tick.C:
			_, _ = conn.Write([]byte("a"))
		}
	}
}

// 10,000 idle connections cost memory, but do not slow down other requests.
func TestIdleConnections(t *testing.T) {
	t.Parallel()
	needsMuster(t)
	const clients = 10_000
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	// Go raises the soft limit automatically, here and in Muster.
	require.GreaterOrEqual(t, limit.Max, uint64(clients+1000), "ulimit -Hn allows too few files")
	m := startMuster(t, "--storage.path=")
	before := m.resident()
	address := strings.TrimPrefix(m.url, "http://")
	conns := make([]net.Conn, clients)
	defer func() {
		for _, c := range conns {
			if c != nil {
				_ = c.Close()
			}
		}
	}()
	const workers = 16
	var open sync.WaitGroup
	failed := make(chan error, workers)
	started := time.Now()
	for w := range workers {
		open.Go(func() {
			for i := w; i < clients; i += workers {
				c, err := idle(address)
				if err != nil {
					failed <- err
					return
				}
				conns[i] = c
			}
		})
	}
	open.Wait()
	close(failed)
	require.NoError(t, <-failed)
	took := time.Since(started)
	var slowest time.Duration
	for range 20 {
		at := time.Now()
		_, err := deliver(m, newMessage("Down", newAlert("Down", "a", at)))
		require.NoError(t, err)
		_, err = m.fetch("/", nil)
		require.NoError(t, err)
		slowest = max(slowest, time.Since(at))
	}
	after := m.resident()
	t.Logf("%d idle connections, opened in %s: resident %d MiB before, %d MiB with them; a notification and a page took %s at most",
		clients, took.Round(time.Millisecond), before>>20, after>>20, slowest.Round(time.Millisecond))
	require.Less(t, slowest, time.Second)
	require.Less(t, after-before, int64(clients*maxIdleBytes))
	// The connections still work: check the first and the last.
	for _, c := range []net.Conn{conns[0], conns[clients-1]} {
		require.NoError(t, healthy(c))
	}
}

// maxIdleBytes is the maximum memory of an idle connection with the race detector. The
// measured values were 100 kB with the race detector, and 20 kB without it.
const maxIdleBytes = 250_000

// idle opens a connection and sends one request.
func idle(address string) (net.Conn, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	if err := healthy(c); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// healthy sends a health probe over a connection.
func healthy(c net.Conn) error {
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	if _, err := io.WriteString(c, "GET /-/healthy HTTP/1.1\r\nHost: muster\r\n\r\n"); err != nil {
		return err
	}
	res, err := http.ReadResponse(bufio.NewReaderSize(c, 1024), nil)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, res.Body)
	return res.Body.Close()
}

// resident returns the resident memory of Muster in bytes, from its metrics.
func (m *muster) resident() int64 {
	m.t.Helper()
	text, err := m.fetch("/metrics", nil)
	require.NoError(m.t, err)
	match := regexp.MustCompile(`(?m)^process_resident_memory_bytes (\S+)$`).FindSubmatch(text)
	require.NotNil(m.t, match)
	var n float64
	_, err = fmt.Sscan(string(match[1]), &n)
	require.NoError(m.t, err)
	return int64(n)
}

// Each log entry is one line of printable text, whatever the input contains.
func TestTheLogIsOneLineEach(t *testing.T) {
	t.Parallel()
	needsMuster(t)
	const evil = "x\n\r\x1b[2Jtime=2026-01-01T00:00:00Z level=ERROR msg=fake\u0085\u2028\a"
	for format, start := range map[string]string{"logfmt": "time=", "json": `{"time":`} {
		m := startMuster(t, "--storage.path=", "--log.level=debug", "--log.format="+format)
		msg := newMessage(evil, newAlert(evil, evil, time.Now()))
		msg.Receiver, msg.GroupKey = evil, evil
		_, err := deliver(m, msg)
		require.NoError(t, err)
		msg.Version = evil
		_, err = deliver(m, msg)
		require.ErrorContains(t, err, "400")
		for _, text := range []string{
			"POST /webhook/%0a%1b[2J HTTP/1.1\r\nHost: muster\r\nContent-Length: 0\r\n\r\n",
			"\x1b[2J\x85\r\n\r\n", "GET /\x1b[2J HTTP/1.1\r\nHost: a\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: \x1b[2J\r\nX: \x1b\r\n\r\n", "GET /go?receiver=%0d%0aX:%20y HTTP/1.0\r\n\r\n",
		} {
			conn, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", strings.TrimPrefix(m.url, "http://"))
			require.NoError(t, err)
			require.NoError(t, conn.SetDeadline(time.Now().Add(15*time.Second)))
			_, err = io.WriteString(conn, text)
			require.NoError(t, err)
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			require.Empty(t, res.Header.Get("X"))
			require.NoError(t, conn.Close())
		}
		m.stop()
		text, err := os.ReadFile(m.log)
		require.NoError(t, err)
		require.GreaterOrEqual(t, strings.Count(string(text), "Notification rejected"), 2)
		for line := range strings.Lines(string(text)) {
			require.True(t, strings.HasPrefix(line, start), "%q", line)
			require.NotRegexp(t, "[\x00-\x09\x0b-\x1f\x7f\u0085\u2028]", line)
		}
	}
}
