package receiver

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/exporter-toolkit/web"
	"github.com/stretchr/testify/require"
)

// A user "reader" with the password "reading".
const basicAuth = "basic_auth_users:\n  reader: $2a$04$9mK3Z533dmg19ybAmjgpy.QTuPuE6jn545vTyoba4Qd2faqd3OUTG\n"

// listenGuarded serves as the program does, with a web config file that asks for
// a password, and returns the URL.
func (h *house) listenGuarded(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "web.yml")
	require.NoError(t, os.WriteFile(file, []byte(basicAuth), 0o600))
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	srv := NewHTTPServer(h.Server, h.logger)
	srv.RegisterOnShutdown(h.Drain)
	done := make(chan error, 1)
	go func() { done <- web.Serve(listener, srv, &web.FlagConfig{WebConfigFile: &file}, h.logger) }()
	t.Cleanup(func() {
		require.NoError(t, srv.Shutdown(context.Background()))
		require.ErrorIs(t, <-done, http.ErrServerClosed)
	})
	return "http://" + listener.Addr().String()
}
