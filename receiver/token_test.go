package receiver

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"
)

func TestAWebhookWithAToken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(path, []byte("first secret\n"), 0o600))
	h := newHouse(t, Options{WebhookTokenFile: path})
	for _, header := range []string{"", "Bearer", "Bearer ", "Bearer wrong", "bearer first secret", "Basic first secret", "first secret"} {
		w := h.post(body(), "Authorization", header)
		require.Equal(t, http.StatusUnauthorized, w.Code, header)
		require.NotContains(t, w.Body.String(), "secret")
	}
	require.Equal(t, http.StatusOK, h.post(body(), "Authorization", "Bearer first secret").Code)
	require.Equal(t, http.StatusOK, h.get("/api/v1/groups").Code, "reading asks for none")

	// Rotated by writing the file; a file that is gone lets nobody in who was out.
	require.NoError(t, os.WriteFile(path, []byte("second secret"), 0o600))
	require.NoError(t, os.Chtimes(path, time.Time{}, time.Now().Add(time.Minute)))
	require.Eventually(t, func() bool {
		return h.post(body(), "Authorization", "Bearer second secret").Code == http.StatusOK
	}, 5*time.Second, 10*time.Millisecond)
	require.Equal(t, http.StatusUnauthorized, h.post(body(), "Authorization", "Bearer first secret").Code)
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.NoError(t, os.Chtimes(path, time.Time{}, time.Now().Add(time.Hour)))
	require.Never(t, func() bool {
		return h.post(body(), "Authorization", "Bearer ").Code == http.StatusOK
	}, 2*tokenAge, 50*time.Millisecond)
	require.Equal(t, http.StatusOK, h.post(body(), "Authorization", "Bearer second secret").Code)
}

func TestATokenFileMustBeThere(t *testing.T) {
	reg := prometheus.NewRegistry()
	_, err := New(stub{}, nil, reg, reg, promslog.NewNopLogger(), Options{WebhookTokenFile: filepath.Join(t.TempDir(), "none")})
	require.ErrorContains(t, err, "webhook token")
	empty := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(empty, []byte(" \n"), 0o600))
	_, err = New(stub{}, nil, reg, reg, promslog.NewNopLogger(), Options{WebhookTokenFile: empty})
	require.ErrorContains(t, err, "is empty")
}

func TestProfilesAreClosedByDefault(t *testing.T) {
	require.Equal(t, http.StatusNotFound, newHouse(t, Options{}).get("/debug/pprof/").Code)
	require.Equal(t, http.StatusOK, newHouse(t, Options{EnablePprof: true}).get("/debug/pprof/").Code)
}
