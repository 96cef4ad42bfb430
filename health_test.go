package main

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"muster/internal/limit"
	"muster/internal/testtls"
	"muster/web"
)

// serveProbe serves the health probe with a web config file. It returns the file, and
// the flags of a Muster that uses it.
func serveProbe(t *testing.T, config string) (file string, args []string) {
	t.Helper()
	dir := t.TempDir()
	file = filepath.Join(dir, "web.yml")
	testtls.Write(t, "muster", filepath.Join(dir, "crt"), filepath.Join(dir, "key"))
	require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
	loaded, err := web.Load(file, nil, promslog.NewNopLogger())
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /a/-/healthy", func(http.ResponseWriter, *http.Request) {})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	limits, err := limit.NewRegistry(prometheus.NewRegistry(), promslog.NewNopLogger())
	require.NoError(t, err)
	edge := web.New(loaded, server, limits, promslog.NewNopLogger(), web.Options{Open: []string{"/a/-/healthy"}})
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- edge.Serve(listener) }()
	t.Cleanup(func() {
		require.NoError(t, server.Shutdown(context.Background()))
		require.ErrorIs(t, <-done, http.ErrServerClosed)
	})
	return file, []string{"--web.config.file=" + file, "--web.listen-address=" + listener.Addr().String(), "--web.route-prefix=/a"}
}

// The health check works with every kind of web config. It also works when the file is
// broken, since the running Muster keeps the last valid version.
func TestTheHealthCheckAsksBehindTheWebConfig(t *testing.T) {
	withTLS := "tls_server_config:\n  cert_file: crt\n  key_file: key\n"
	for name, config := range map[string]string{
		"users":           "basic_auth_users: {a: $2a$04$u4W0NgyJbpmsSSHHo/KHDO1iHYd6gB5mD8Ai1LjcnRQWXMKFGpdg2}\n",
		"TLS":             withTLS,
		"TLS 1.2":         withTLS + "  max_version: TLS12\n",
		"clients":         withTLS + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: crt\n",
		"clients 1.2":     withTLS + "  max_version: TLS12\n  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: crt\n",
		"names":           withTLS + "  client_auth_type: RequestClientCert\n  client_allowed_sans: [sender]\n",
		"clients if they": withTLS + "  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: crt\n",
	} {
		t.Run(name, func(t *testing.T) {
			file, args := serveProbe(t, config)
			require.NoError(t, healthcheck(args))
			for _, broken := range []string{"", "basic_auth_users: ["} {
				require.NoError(t, os.WriteFile(file, []byte(broken), 0o600))
				require.NoError(t, healthcheck(args))
			}
			require.NoError(t, os.Remove(file))
			require.NoError(t, healthcheck(args))
		})
	}
	_, args := serveProbe(t, withTLS)
	require.ErrorContains(t, healthcheck([]string{args[0], args[1], "--web.route-prefix=/b"}), "404")
	noSecrets := append(args, "--redis.password-file=/none", "--redis.sentinel-password-file=/none")
	require.NoError(t, healthcheck(noSecrets), "the check needs no secret")
	require.ErrorContains(t, healthcheck(append(args, "--url=https://127.0.0.1:1")), "refused", "--url overrides the other flags")
}
