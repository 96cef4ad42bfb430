package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// If the web config file becomes empty, broken or missing, access does not change. The
// page, the API and the metrics report the problem. The counter increases once.
func TestAnEmptiedWebConfigOpensNothing(t *testing.T) {
	t.Parallel()
	needsMuster(t)
	file := writeFile(t, "web.yml", passwords)
	m := newMuster(t, "--storage.path=", "--web.config.file="+file)
	startGuarded(t, m, client, m.url)
	ask := func(method, path, password string) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), method, m.url+path, strings.NewReader("{}"))
		require.NoError(t, err)
		if password != "" {
			r.SetBasicAuth("reader", password)
		}
		res, err := client.Do(r)
		require.NoError(t, err)
		text, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		return res.StatusCode, string(text)
	}
	says := func(path, want string) {
		t.Helper()
		waitFor(t, 30*time.Second, path+" contains "+want, func() error {
			// Requests without a password also make Muster check the file.
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				code, _ := ask(method, "/webhook", "")
				require.Equal(t, http.StatusUnauthorized, code, "access stays closed")
			}
			code, _ := ask(http.MethodGet, "/-/ready", "")
			require.Equal(t, http.StatusOK, code)
			code, text := ask(http.MethodGet, path, readerPassword)
			require.Equal(t, http.StatusOK, code, "access stays open")
			if !strings.Contains(text, want) {
				return fmt.Errorf("%.2000s", text)
			}
			return nil
		})
	}
	const successful, failed = "muster_web_config_last_reload_successful 1\n", "muster_web_config_last_reload_successful 0\n"
	for i, broken := range []string{"", "# later\n", "basic_auth_users:\n", "basic_auth_users: [", "-"} {
		if broken == "-" {
			require.NoError(t, os.Remove(file))
		} else {
			require.NoError(t, os.WriteFile(file, []byte(broken), 0o600))
		}
		says("/metrics", failed)
		says("/status", "the last valid one stays in force")
		says("/api/v1/status", "the last valid one stays in force")
		require.NoError(t, os.WriteFile(file, []byte(passwords), 0o600))
		says("/metrics", successful)
		_, text := ask(http.MethodGet, "/status", readerPassword)
		require.NotContains(t, text, "the last valid one stays in force")
		_, text = ask(http.MethodGet, "/metrics", readerPassword)
		require.Contains(t, text, fmt.Sprintf("muster_web_config_reloads_total{result=\"refused\"} %d\n", i+1))
	}
	m.stop()

	require.NoError(t, os.WriteFile(file, nil, 0o600))
	m.process.start()
	waitFor(t, 30*time.Second, "Muster refuses to start", func() error {
		if m.running() {
			return fmt.Errorf("still running: %s", m.tail())
		}
		return nil
	})
	require.Contains(t, m.tail(), "--web.config.file: "+file+": the file has no effect")
}
