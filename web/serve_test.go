package web

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/internal/testtls"
)

const (
	waitLong = 10 * time.Second
	waitStep = 10 * time.Millisecond
)

// A probe is a GET or a HEAD request whose path is written exactly like the path
// of the probe. Other spellings are not open.
func TestOnlyTheProbesAreOpen(t *testing.T) {
	e := start(t, t.TempDir(), users(t, "reader", "reading"))
	for _, path := range []string{"/%2D/healthy", "/-/%68ealthy", "/-%2Fhealthy"} {
		require.Equal(t, http.StatusUnauthorized, e.ask(http.MethodGet, path, "", ""), path)
	}
	require.Equal(t, http.StatusOK, e.ask(http.MethodHead, "/-/healthy", "", ""))
	require.Equal(t, http.StatusOK, e.ask(http.MethodGet, "/-/healthy?a=b", "", ""))
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
		require.Equal(t, http.StatusUnauthorized, e.ask(method, "/-/healthy", "", ""), method)
	}
}

// Every POST may be a notification, also one to a wrong path.
func TestEveryPostIsTold(t *testing.T) {
	e := start(t, t.TempDir(), users(t, "sender", "sending"))
	require.Equal(t, http.StatusUnauthorized, e.ask(http.MethodPost, "/api/v2/alerts", "", ""))
	require.Equal(t, []refusal{{http.StatusUnauthorized, "unauthorized", "wrong user or password"}}, e.seen())
}

// The rate limit rejects notifications with a status that Alertmanager retries.
// It does not apply to probes, so that many probes do not make Muster unhealthy.
func TestTheRateLimit(t *testing.T) {
	e := start(t, t.TempDir(), "rate_limit: {interval: 1h, burst: 1}\n")
	require.Equal(t, http.StatusOK, e.ask(http.MethodGet, "/", "", ""))
	require.Equal(t, http.StatusTooManyRequests, e.ask(http.MethodGet, "/", "", ""))
	require.Empty(t, e.seen())
	require.Equal(t, http.StatusServiceUnavailable, e.ask(http.MethodPost, "/webhook", "", ""))
	require.Equal(t, []refusal{{http.StatusServiceUnavailable, "overloaded", errRateLimit.Error()}}, e.seen())
	require.Equal(t, http.StatusOK, e.ask(http.MethodGet, "/-/healthy", "", ""))
	require.Equal(t, "Rate limit of the web config file reached, try again.\n", e.read("/"))
	require.JSONEq(t, `{"error":"rate limit of the web config file reached, try again"}`, e.read("/api/v1/groups"))

	e.write("http_server_config: {headers: {X-Frame-Options: deny}}\nrate_limit: {interval: 1h, burst: 1}\n")
	e.look()
	require.Equal(t, http.StatusTooManyRequests, e.ask(http.MethodGet, "/", "", ""), "another change does not refill the burst")
	e.write("rate_limit: {interval: 1h, burst: 2}\n")
	e.look()
	require.Equal(t, http.StatusOK, e.ask(http.MethodGet, "/", "", ""), "a changed limit is in force")
	require.Equal(t, http.StatusOK, e.ask(http.MethodGet, "/", "", ""))
	require.Equal(t, http.StatusTooManyRequests, e.ask(http.MethodGet, "/", "", ""))
	e.write("rate_limit: {interval: 1h}\n")
	e.look()
	require.Len(t, e.config.Problems(), 1)
	require.Contains(t, e.config.Problems()[0], "rate_limit: burst must be at least 1")
}

// read returns the answer to a GET without a user.
func (e *edge) read(path string) string {
	e.t.Helper()
	res, err := e.client.Get(e.url + path)
	require.NoError(e.t, err)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	require.NoError(e.t, err)
	return string(text)
}

// protocol returns the protocol of a response to a client that supports HTTP/2.
func (e *edge) protocol() string {
	e.t.Helper()
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Timeout: waitLong, Transport: transport}).Get(e.url)
	require.NoError(e.t, err)
	require.NoError(e.t, res.Body.Close())
	return res.Proto
}

// HTTP/2 can be enabled and disabled while Muster runs. It is offered only if the
// server supports it.
func TestHTTP2IsSwitched(t *testing.T) {
	on, off := withTLS, withTLS+"http_server_config: {http2: false}\n"
	for name, tc := range map[string]struct {
		debug   string
		configs []string
		want    []string
	}{
		"on":      {"", []string{on, off, on}, []string{"HTTP/2.0", "HTTP/1.1", "HTTP/2.0"}},
		"off":     {"", []string{off, on, off}, []string{"HTTP/1.1", "HTTP/2.0", "HTTP/1.1"}},
		"without": {"http2server=0", []string{on, off}, []string{"HTTP/1.1", "HTTP/1.1"}},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.debug != "" {
				t.Setenv("GODEBUG", tc.debug)
			}
			dir := t.TempDir()
			testtls.Write(t, "muster", filepath.Join(dir, "crt"), filepath.Join(dir, "key"))
			e := start(t, dir, tc.configs[0])
			for i, config := range tc.configs {
				e.write(config)
				require.Equal(t, tc.want[i], e.protocol())
			}
		})
	}
}

// A client whose certificate is no longer allowed is also rejected if it resumes a
// TLS session.
func TestASessionIsResumedOnlyByWhoIsAllowed(t *testing.T) {
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			testtls.Write(t, "muster", filepath.Join(dir, "crt"), filepath.Join(dir, "key"))
			certificate := clientOf(t, filepath.Join(dir, "ca"), "sender")
			config := withTLS + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca\n  client_allowed_sans: "
			e := start(t, dir, config+"[sender]\n")
			transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
				InsecureSkipVerify: true, Certificates: []tls.Certificate{certificate}, MinVersion: version, MaxVersion: version,
				ClientSessionCache: tls.NewLRUClientSessionCache(8),
			}}
			client := &http.Client{Timeout: waitLong, Transport: transport}
			ask := func() (resumed bool, err error) {
				res, err := client.Get(e.url)
				if err != nil {
					return false, err
				}
				return res.TLS.DidResume, res.Body.Close()
			}
			_, err := ask()
			require.NoError(t, err)
			resumed, err := ask()
			require.NoError(t, err)
			require.True(t, resumed, "the test needs a resumed session")
			e.write(config + "[another]\n")
			_, err = ask()
			require.Error(t, err, "its name")
			e.write(config + "[sender]\n")
			_, err = ask()
			require.NoError(t, err)
			clientOf(t, filepath.Join(dir, "ca"), "sender")
			_, err = ask()
			require.Error(t, err, "its CA")
		})
	}
}

// clientOf writes the certificate of a new CA and returns a client certificate that
// it signed.
func clientOf(t *testing.T, file, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	now := time.Now()
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "authority"}, NotBefore: now.Add(-time.Hour),
		NotAfter: now.Add(time.Hour), BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
	}
	signed, err := x509.CreateCertificate(rand.Reader, authority, authority, key.Public(), key)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed}), 0o600))
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano() + 1), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour),
		NotAfter: now.Add(time.Hour), DNSNames: []string{name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, leaf, authority, key.Public(), key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{cert}, PrivateKey: key}
}

// A load balancer that only connects and closes is not reported as a failed sender.
func TestAProbeOfTheConnectionIsNotTold(t *testing.T) {
	dir := t.TempDir()
	testtls.Write(t, "muster", filepath.Join(dir, "crt"), filepath.Join(dir, "key"))
	e := start(t, dir, withTLS)
	address := e.url[len("https://"):]
	for _, linger := range []int{0, -1} { // reset, close
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		require.NoError(t, err)
		require.NoError(t, conn.(*net.TCPConn).SetLinger(linger))
		require.NoError(t, conn.Close())
	}
	// Wait for a real failure after the probes. Handshakes may end in another order
	// than they began, so the final check looks at all reports.
	_, err := (&http.Client{Timeout: waitLong}).Get(e.url) //nolint:bodyclose // no response
	require.Error(t, err)
	require.Eventually(t, func() bool { return len(e.seen()) > 0 }, waitLong, waitStep)
	require.Len(t, e.seen(), 1)
	require.Contains(t, e.seen()[0].text, "bad certificate")

	log := &errorLog{server: e.Server}
	for _, text := range []string{"EOF", "read tcp 127.0.0.1:1->127.0.0.1:2: read: connection reset by peer"} {
		_, err := log.Write([]byte("http: TLS handshake error from 127.0.0.1:2: " + text + "\n"))
		require.NoError(t, err)
	}
	require.Len(t, e.seen(), 1)
}
