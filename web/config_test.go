package web

import (
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"muster/internal/testtls"
)

// loadIn loads a config whose certificate, key and client CA file are in dir. It
// also returns a function that changes the config and returns the problems.
func loadIn(t *testing.T, dir, config string) (*Config, func(config string) []string) {
	t.Helper()
	testtls.Write(t, "muster", filepath.Join(dir, "crt"), filepath.Join(dir, "key"))
	testtls.Write(t, "authority", filepath.Join(dir, "ca"), filepath.Join(dir, "ca.key"))
	file := filepath.Join(dir, "web.yml")
	require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
	c, err := Load(file, prometheus.NewRegistry(), promslog.NewNopLogger())
	require.NoError(t, err)
	return c, func(config string) []string {
		require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
		c.checked.Store(0)
		return c.Problems()
	}
}

const withTLS = "tls_server_config:\n  cert_file: crt\n  key_file: key\n"

// A running server rejects a config with weaker rules for client certificates.
func TestAChangeDoesNotAskLessOfClients(t *testing.T) {
	none, request := withTLS, withTLS+"  client_auth_type: RequestClientCert\n"
	anyone := withTLS + "  client_auth_type: RequireAnyClientCert\n"
	given := withTLS + "  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: ca\n"
	verified := withTLS + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca\n"
	sans := verified + "  client_allowed_sans: [sender]\n"
	for name, tc := range map[string]struct{ from, to, problem string }{
		"requested no more":        {request, none, "client_auth_type is weaker"},
		"required no more":         {anyone, given, "client_auth_type is weaker"},
		"verified no more":         {given, anyone, "client_auth_type is weaker"},
		"verified if given":        {verified, given, "client_auth_type is weaker"},
		"signed by any public one": {verified, withTLS + "  client_auth_type: RequireAndVerifyClientCert\n", "no longer has a client CA"},
		"of any name":              {sans, verified, "no longer has client_allowed_sans"},
		"more":                     {given, verified, ""},
		"names":                    {verified, sans, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, change := loadIn(t, t.TempDir(), tc.from)
			problems := change(tc.to)
			if tc.problem == "" {
				require.Empty(t, problems)
				return
			}
			require.Len(t, problems, 1)
			require.Contains(t, problems[0], tc.problem)
			require.Empty(t, change(tc.from))
		})
	}
}

// A client CA file without a certificate would reject every client.
func TestClientCAsWithoutACertificateAreRefused(t *testing.T) {
	dir := t.TempDir()
	config := withTLS + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca\n"
	c, change := loadIn(t, dir, config)
	before := c.get().tls.ClientCAs
	for _, broken := range []string{"", "broken"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "ca"), []byte(broken), 0o600))
		problems := change(config)
		require.Len(t, problems, 1)
		require.Contains(t, problems[0], "client CA file contains no certificate")
		require.Same(t, before, c.get().tls.ClientCAs)
	}
	_, err := Load(c.path, nil, promslog.NewNopLogger())
	require.ErrorContains(t, err, "client CA file contains no certificate")
	testtls.Write(t, "next", filepath.Join(dir, "ca"), filepath.Join(dir, "ca.key"))
	require.Empty(t, change(config))
	require.NotSame(t, before, c.get().tls.ClientCAs)
}

// YAML ends a document at "---". The toolkit would ignore the rest, also its users.
func TestASecondDocumentIsRefused(t *testing.T) {
	_, change := loadIn(t, t.TempDir(), "---\n"+withTLS)
	for _, config := range []string{withTLS + "---\n" + users(t, "a", "b"), withTLS + "---\nbasic_auth_users: ["} {
		problems := change(config)
		require.Len(t, problems, 1)
		require.Contains(t, problems[0], "more than one YAML document")
	}
	require.Empty(t, change(withTLS+"---\n"), "an empty document is ignored")
	require.Empty(t, change(withTLS+"...\n"))
}

// If the disk hangs while the file is read, only one request is blocked.
func TestAFileThatHangsHoldsOneRequestOnly(t *testing.T) {
	e := start(t, t.TempDir(), users(t, "reader", "reading"))
	require.Equal(t, http.StatusOK, e.ask(http.MethodGet, "/", "reader", "reading"))
	require.NoError(t, os.Remove(e.file))
	require.NoError(t, syscall.Mkfifo(e.file, 0o600)) // reading it waits for a writer
	e.look()
	held := make(chan int, 1)
	go func() { held <- e.ask(http.MethodGet, "/", "reader", "reading") }()
	require.Eventually(t, func() bool { return e.config.checked.Load() != 0 }, waitLong, waitStep)
	for range 3 {
		e.look()
		require.Equal(t, http.StatusOK, e.ask(http.MethodGet, "/", "reader", "reading"))
		require.Empty(t, e.config.Problems())
	}
	// Open the pipe for writing until the blocked request is answered: each reader
	// of the pipe waits for a writer.
	for len(held) == 0 {
		if f, err := os.OpenFile(e.file, os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
			require.NoError(t, f.Close())
		}
	}
	require.Equal(t, http.StatusOK, <-held)
}

// The checksums belong to the loaded content, so a changed certificate is always
// noticed.
func TestTheSumIsOfWhatWasLoaded(t *testing.T) {
	dir := t.TempDir()
	config := withTLS + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca\n"
	c, change := loadIn(t, dir, config)
	loaded := c.get()
	require.Empty(t, loaded.TLSConfig.TLSCertPath+loaded.TLSConfig.TLSKeyPath+loaded.TLSConfig.ClientCAs, "no file is read twice")
	for _, name := range []string{"ca", "crt"} {
		before := testutil.ToFloat64(c.reloads.WithLabelValues("success"))
		testtls.Write(t, "next", filepath.Join(dir, name), filepath.Join(dir, map[string]string{"ca": "ca.key", "crt": "key"}[name]))
		require.Empty(t, change(config))
		require.InDelta(t, before+1, testutil.ToFloat64(c.reloads.WithLabelValues("success")), 0)
		require.Empty(t, change(config))
		require.InDelta(t, before+1, testutil.ToFloat64(c.reloads.WithLabelValues("success")), 0, "once")
	}
}

// While the file is rewritten many times, also with half of its content, requests
// without a password are rejected and requests with a password are accepted.
func TestNoChangeOpensAnything(t *testing.T) {
	good := users(t, "reader", "reading")
	e := start(t, t.TempDir(), good)
	require.Equal(t, http.StatusOK, e.ask(http.MethodGet, "/", "reader", "reading"))
	written := make(chan struct{})
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			for {
				select {
				case <-written:
					return
				default:
				}
				e.look()
				if got := e.ask(http.MethodGet, "/", "", ""); got != http.StatusUnauthorized {
					t.Errorf("without a password: %d", got)
				}
				if got := e.ask(http.MethodGet, "/", "reader", "reading"); got != http.StatusOK {
					t.Errorf("with a password: %d", got)
				}
			}
		})
	}
	for i := range 300 {
		e.write([]string{good, "", good + "# changed\n", "basic_auth_users:\n", good[:len(good)/2]}[i%5])
	}
	close(written)
	asking.Wait()
	e.write(good)
	e.look()
	require.Empty(t, e.config.Problems())
}
