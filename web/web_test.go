package web

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"muster/internal/limit"
	"muster/internal/person"
	"muster/internal/testtls"
)

// hashOf returns a bcrypt hash of a password with the minimum cost.
func hashOf(t *testing.T, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	require.NoError(t, err)
	return string(hash)
}

func users(t *testing.T, pairs ...string) string {
	t.Helper()
	text := "basic_auth_users:\n"
	for i := 0; i < len(pairs); i += 2 {
		text += "  " + pairs[i] + ": " + hashOf(t, pairs[i+1]) + "\n"
	}
	return text
}

type refusal struct {
	code   int
	reason limit.Reason
	text   string
}

// edge is a running server with a web config file.
type edge struct {
	*Server

	t      *testing.T
	file   string
	url    string
	reg    *prometheus.Registry
	client *http.Client

	mu       sync.Mutex
	refusals []refusal // guarded by mu
}

// start starts a server with the config. Its handler answers every request with
// 200.
func start(t *testing.T, dir, config string) *edge {
	t.Helper()
	e := &edge{t: t, file: filepath.Join(dir, "web.yml"), reg: prometheus.NewRegistry()}
	e.write(config)
	loaded, err := Load(e.file, e.reg, promslog.NewNopLogger())
	require.NoError(t, err)
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(e.serve)}
	e.Server = New(loaded, server, e, promslog.NewNopLogger(), Options{Open: []string{HealthyPath}})
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	e.url = "http://" + listener.Addr().String()
	if loaded.UsesTLS() {
		e.url = "https://" + listener.Addr().String()
	}
	e.client = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
	done := make(chan error, 1)
	go func() { done <- e.Serve(listener) }()
	t.Cleanup(func() {
		require.NoError(t, server.Shutdown(context.Background()))
		require.ErrorIs(t, <-done, http.ErrServerClosed)
	})
	return e
}

// serve answers who sent the request, as a header.
func (e *edge) serve(w http.ResponseWriter, r *http.Request) {
	if who, err := (&person.Policy{}).Writer(r, ""); err == nil {
		w.Header().Set("Who", fmt.Sprintf("%s %t", who.Name, who.Verified))
	}
}

// Reject implements rejecter.
func (e *edge) Reject(_ context.Context, _ string, code int, reason limit.Reason, text string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.refusals = append(e.refusals, refusal{code, reason, text})
}

func (e *edge) write(config string) {
	e.t.Helper()
	require.NoError(e.t, os.WriteFile(e.file, []byte(config), 0o600))
}

func (e *edge) seen() []refusal {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]refusal(nil), e.refusals...)
}

func (e *edge) ask(method, path, user, password string) int {
	e.t.Helper()
	code, _ := e.askWho(method, path, user, password)
	return code
}

// askWho also returns who sent the request.
func (e *edge) askWho(method, path, user, password string) (code int, who string) {
	e.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, e.url+path, nil)
	require.NoError(e.t, err)
	if user != "" {
		r.SetBasicAuth(user, password)
	}
	res, err := e.client.Do(r)
	require.NoError(e.t, err)
	require.NoError(e.t, res.Body.Close())
	return res.StatusCode, res.Header.Get("Who")
}

// look makes the next request check the file again.
func (e *edge) look() { e.config.checked.Store(0) }

// A file that becomes empty, broken or missing while Muster runs does not change who
// has access.
func TestABadFileLeavesTheLastOneInForce(t *testing.T) {
	good := users(t, "reader", "reading")
	for name, tc := range map[string]struct{ config, problem string }{
		"emptied":       {"", "no longer has users"},
		"a comment":     {"# nothing\n", "no longer has users"},
		"no users":      {"basic_auth_users:\n", "no longer has users"},
		"truncated":     {good[:len(good)-20], "too short"},
		"not YAML":      {"basic_auth_users: [", "yaml"},
		"unknown names": {good + "more: 1\n", "more"},
		"TLS now":       {good + "tls_server_config: {cert_file: crt, key_file: key}\n", "it has TLS now; restart Muster"},
		"removed":       {"-", "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			testtls.Write(t, "muster", filepath.Join(dir, "crt"), filepath.Join(dir, "key"))
			e := start(t, dir, good)
			require.Equal(t, http.StatusOK, e.ask(http.MethodGet, "/", "reader", "reading"))
			if tc.config == "-" {
				require.NoError(t, os.Remove(e.file))
			} else {
				e.write(tc.config)
			}
			for range 3 {
				e.look()
				require.Equal(t, http.StatusUnauthorized, e.ask(http.MethodGet, "/", "", ""), "access stays closed")
				require.Equal(t, http.StatusUnauthorized, e.ask(http.MethodPost, "/webhook", "", ""))
				require.Equal(t, http.StatusOK, e.ask(http.MethodGet, "/", "reader", "reading"), "access stays open")
			}
			require.Len(t, e.config.Problems(), 1)
			require.Contains(t, e.config.Problems()[0], tc.problem)
			require.InDelta(t, 1, testutil.ToFloat64(e.config.reloads.WithLabelValues("refused")), 0, "it is counted once")
			require.Zero(t, testutil.ToFloat64(e.config.successful))

			e.write(good)
			e.look()
			require.Empty(t, e.config.Problems())
			require.InDelta(t, 1, testutil.ToFloat64(e.config.successful), 0)
			e.write(users(t, "reader", "changed"))
			e.look()
			require.Equal(t, http.StatusOK, e.ask(http.MethodGet, "/", "reader", "changed"), "a valid file is put in force")
			require.Equal(t, http.StatusUnauthorized, e.ask(http.MethodGet, "/", "reader", "reading"))
		})
	}
}

// TLS is not disabled while Muster runs. If the certificate becomes broken, the last
// valid one stays in force.
func TestTLSStays(t *testing.T) {
	dir := t.TempDir()
	crt, key := filepath.Join(dir, "crt"), filepath.Join(dir, "key")
	testtls.Write(t, "first", crt, key)
	config := "tls_server_config: {cert_file: crt, key_file: key}\n"
	e := start(t, dir, config)
	name := func() string {
		res, err := e.client.Get(e.url + "/")
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		return res.TLS.PeerCertificates[0].Subject.CommonName
	}
	require.Equal(t, "first", name())
	testtls.Write(t, "second", crt, key)
	require.Equal(t, "second", name(), "a new certificate is used at once")
	require.NoError(t, os.WriteFile(crt, []byte("broken"), 0o600))
	require.Equal(t, "second", name())
	require.Len(t, e.config.Problems(), 1)
	testtls.Write(t, "third", crt, key)
	require.Equal(t, "third", name())
	require.Empty(t, e.config.Problems())

	for _, lost := range []string{"", "http_server_config: {http2: false}\n", users(t, "a", "b")} {
		e.write(lost)
		require.Equal(t, "third", name())
		require.Contains(t, e.config.Problems()[0], "no longer has TLS")
	}
	// Weaker rules for client certificates are rejected, too.
	asks := "tls_server_config: {cert_file: crt, key_file: key, client_auth_type: RequestClientCert}\n"
	e.write(asks)
	require.Equal(t, "third", name())
	require.Empty(t, e.config.Problems())
	e.write(config)
	require.Equal(t, "third", name())
	require.Contains(t, e.config.Problems()[0], "client_auth_type is weaker")
}

func TestAStartWithABadFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	for config, want := range map[string]string{
		"":                               "the file has no effect",
		"# later\n":                      "the file has no effect",
		"basic_auth_users:\n":            "the file has no effect",
		"basic_auth_users: {a: plain}\n": "hash",
		"tls_server_config: {cert_file: none, key_file: none}\n": "none",
		"http_server_config: {headers: {X-Whatever: a}}\n":       "X-Whatever",
		"tls_server_config: {client_auth_type: NoClientCert}\n":  "missing one of cert or cert_file",
	} {
		file := filepath.Join(dir, "web.yml")
		require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
		_, err := Load(file, nil, promslog.NewNopLogger())
		require.ErrorContains(t, err, "--web.config.file: "+file+": ", config)
		require.ErrorContains(t, err, want, config)
	}
	_, err := Load(filepath.Join(dir, "gone"), nil, promslog.NewNopLogger())
	require.ErrorContains(t, err, "no such file")
}

// The probes need no password. Paths that only look like theirs do.
func TestTheProbesAreOpen(t *testing.T) {
	e := start(t, t.TempDir(), users(t, "reader", "reading"))
	require.Equal(t, http.StatusOK, e.ask(http.MethodGet, "/-/healthy", "", ""))
	for _, path := range []string{"/-/healthy/", "/-/healthyx", "//-/healthy", "/x/../-/healthy", "/-/%68ealthyx", "/"} {
		require.Equal(t, http.StatusUnauthorized, e.ask(http.MethodGet, path, "", ""), path)
	}
}

// A flood of wrong passwords does not slow down a sender with a known password, and
// the number of waiting requests is limited.
func TestAFloodOfWrongPasswords(t *testing.T) {
	e := start(t, t.TempDir(), users(t, "sender", "sending"))
	require.Equal(t, http.StatusOK, e.ask(http.MethodPost, "/webhook", "sender", "sending"))
	// In the worst case no comparison ends.
	for range cap(e.passwords.comparing) {
		e.passwords.comparing <- struct{}{}
	}
	var flood sync.WaitGroup
	codes := make(chan int, 256)
	for i := range 256 {
		flood.Go(func() {
			codes <- e.ask([]string{http.MethodGet, http.MethodPost}[i%2], "/webhook", "sender", fmt.Sprint("wrong", i))
		})
	}
	for range 100 {
		require.Equal(t, http.StatusOK, e.ask(http.MethodPost, "/webhook", "sender", "sending"))
	}
	e.passwords.mu.Lock()
	require.LessOrEqual(t, e.passwords.totalWaiting, maxWaitingPerAddress)
	e.passwords.mu.Unlock()
	flood.Wait()
	close(codes)
	got := map[int]int{}
	for code := range codes {
		got[code]++
	}
	require.Equal(t, map[int]int{http.StatusServiceUnavailable: 128, http.StatusTooManyRequests: 128}, got)
	for _, r := range e.seen() {
		require.Equal(t, refusal{http.StatusServiceUnavailable, "overloaded", errBusy.Error()}, r)
	}
	require.Len(t, e.seen(), 128, "rejected readers are not reported")
	for range cap(e.passwords.comparing) {
		<-e.passwords.comparing
	}
	e.passwords.mu.Lock()
	defer e.passwords.mu.Unlock()
	require.Zero(t, e.passwords.totalWaiting)
	require.Empty(t, e.passwords.waiting)
}

// Wrong passwords evict other wrong passwords, but never a right one.
func TestWrongPasswordsEvictNoRightOne(t *testing.T) {
	p := newPasswords()
	hash := hashOf(t, "right")
	require.NoError(t, p.verify(t.Context(), "a", "user", hash, "right"))
	for i := range 2 * maxWrong {
		p.remember(sha256.Sum256(fmt.Append(nil, i)), "user", false)
	}
	require.ErrorIs(t, p.verify(t.Context(), "b", "user", hash, "wrong"), errWrongPassword)
	require.Len(t, p.wrong, maxWrong)
	for range cap(p.comparing) {
		p.comparing <- struct{}{}
	}
	require.NoError(t, p.verify(t.Context(), "a", "user", hash, "right"), "known without a comparison")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, p.verify(ctx, "a", "user", hashOf(t, "right"), "right"), errBusy, "another hash is another password")
	require.NoError(t, bcryptCost(unknownUser), "an unknown user takes as long as a known one")
}

func bcryptCost(hash string) error {
	cost, err := bcrypt.Cost([]byte(hash))
	if err == nil && cost != bcrypt.DefaultCost {
		err = fmt.Errorf("cost %d", cost)
	}
	return err
}

// Wrong passwords and failed handshakes of senders are reported.
func TestRefusalsAreTold(t *testing.T) {
	e := start(t, t.TempDir(), users(t, "sender", "sending"))
	require.Equal(t, http.StatusUnauthorized, e.ask(http.MethodPost, "/webhook/prod", "sender", "wrong"))
	require.Equal(t, http.StatusUnauthorized, e.ask(http.MethodGet, "/", "", ""))
	require.Equal(t, []refusal{{http.StatusUnauthorized, "unauthorized", "wrong user or password"}}, e.seen())

	dir := t.TempDir()
	testtls.Write(t, "muster", filepath.Join(dir, "crt"), filepath.Join(dir, "key"))
	secure := start(t, dir, "tls_server_config: {cert_file: crt, key_file: key}\n")
	res, err := secure.client.Get(strings.Replace(secure.url, "https", "http", 1) + "/webhook")
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusBadRequest, res.StatusCode)
	_, err = (&http.Client{Timeout: 10 * time.Second}).Get(secure.url) //nolint:bodyclose // no response
	require.Error(t, err, "the client does not know the CA")
	require.Eventually(t, func() bool { return len(secure.seen()) == 2 }, 10*time.Second, 10*time.Millisecond)
	for _, r := range secure.seen() {
		require.Equal(t, limit.TLS, r.reason)
		require.Contains(t, r.text, "TLS: ")
	}
}

// Every response has the headers of the config.
func TestHeadersAreSet(t *testing.T) {
	e := start(t, t.TempDir(), "http_server_config: {headers: {X-Frame-Options: deny}}\n")
	res, err := e.client.Get(e.url)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, "deny", res.Header.Get("X-Frame-Options"))
}
