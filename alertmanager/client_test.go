package alertmanager_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/config"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"muster/alertmanager"
	"muster/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newClient returns a client of a server that answers with the handler.
func newClient(t *testing.T, opts alertmanager.ClientOptions, handler http.HandlerFunc) *alertmanager.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return clientOf(t, server.URL, opts)
}

func clientOf(t *testing.T, text string, opts alertmanager.ClientOptions) *alertmanager.Client {
	t.Helper()
	base, err := url.Parse(text)
	require.NoError(t, err)
	c, err := alertmanager.NewClient(base, config.DefaultHTTPClientConfig, opts)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func recordedAnswer(t *testing.T, name string) []byte {
	t.Helper()
	answer, err := os.ReadFile(filepath.Join("../testdata/events", name))
	require.NoError(t, err)
	return answer
}

func TestClientReadsEverything(t *testing.T) {
	answers := map[string][]byte{
		"/am/api/v2/alerts/groups": recordedAnswer(t, "e2-silence-am035/011-api-groups.json"),
		"/am/api/v2/silences":      recordedAnswer(t, "e2-silence-am035/011-api-silences.json"),
		"/am/api/v2/status":        recordedAnswer(t, "e1-lifecycle-am035/003-api-status.json"),
		"/am/metrics": []byte("# TYPE alertmanager_notifications_failed_total counter\n" +
			`alertmanager_notifications_failed_total{integration="webhook",reason="serverError"} 3` + "\n" +
			`alertmanager_notifications_failed_total{integration="webhook",reason="other"} 1` + "\n" +
			`alertmanager_notifications_failed_total{integration="email",reason="other"} 0` + "\n"),
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, ok := answers[r.URL.Path]
		if !ok || r.Method != http.MethodGet {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = w.Write(answer)
	}))
	t.Cleanup(server.Close)
	c := clientOf(t, server.URL+"/am/", alertmanager.DefaultOptions(math.MaxInt64).Client)
	groups, silences := 0, 0
	require.NoError(t, c.Groups(t.Context(), func(g *wire.APIGroup) {
		require.NotEmpty(t, g.Alerts)
		groups++
	}))
	require.Positive(t, groups)
	require.NoError(t, c.Silences(t.Context(), func(s *wire.APISilence) {
		require.NotEmpty(t, s.ID)
		silences++
	}))
	require.Positive(t, silences)
	status, err := c.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, "0.35.0", status.VersionInfo.Version)
	failed, err := c.FailedNotifications(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[string]uint64{"webhook": 4, "email": 0}, failed)
}

// drip answers with blanks that never end, one by one.
func drip(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		_, _ = io.WriteString(w, " ")
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// Whatever the answer is, it becomes a fault with a sentence, and costs no more than its
// limits.
func TestBadAnswers(t *testing.T) {
	opts := alertmanager.ClientOptions{Timeout: 10 * time.Second, MaxBytes: 1 << 20}
	short := opts
	short.Timeout = 200 * time.Millisecond
	group := recordedAnswer(t, "e2-silence-am035/011-api-groups.json")
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	for name, test := range map[string]struct {
		opts    alertmanager.ClientOptions
		handler http.HandlerFunc
		reason  alertmanager.Reason
		text    string
	}{
		"500": {opts, status(500), alertmanager.ReasonStatus, "500 Internal Server Error"},
		"401": {opts, status(401), alertmanager.ReasonStatus, "--alertmanager.http-config-file"},
		"403": {opts, status(403), alertmanager.ReasonStatus, "--alertmanager.http-config-file"},
		"404": {opts, status(404), alertmanager.ReasonStatus, "404 Not Found"},
		"204": {opts, status(204), alertmanager.ReasonStatus, "204 No Content"},
		"a redirect": {opts, func(w http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.URL.Path, "/api/v2/") {
				t.Error("the redirect was followed")
			}
			http.Redirect(w, r, "/login", http.StatusFound)
		}, alertmanager.ReasonRedirect, "not followed"},
		"cut short": {opts, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(group)))
			_, _ = w.Write(group[:len(group)/2])
		}, alertmanager.ReasonIncomplete, "ended too early"},
		"half a list": {
			opts, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(group[:len(group)/2]) },
			alertmanager.ReasonIncomplete, "ended too early",
		},
		"nothing": {opts, status(200), alertmanager.ReasonIncomplete, "after 0 bytes"},
		"HTML": {opts, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = io.WriteString(w, "<!DOCTYPE html><title>Sign in</title>")
		}, alertmanager.ReasonMalformed, "a page"},
		"an object": {
			opts, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"status":"success"}`) },
			alertmanager.ReasonMalformed, "not a list",
		},
		"200 MiB": {opts, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "[")
			part := slices.Concat(bytes.Trim(group, "[]\n"), []byte{','})
			for range 200 << 20 / len(part) {
				if _, err := w.Write(part); err != nil {
					return
				}
			}
		}, alertmanager.ReasonTooLarge, "1048576 bytes"},
		"one long text": {opts, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `[{"receiver":{"name":"`)
			for range 200 << 10 {
				if _, err := io.WriteString(w, strings.Repeat("x", 1024)); err != nil {
					return
				}
			}
		}, alertmanager.ReasonTooLarge, "1048576 bytes"},
		"a slow drip": {short, drip, alertmanager.ReasonTimeout, "did not end within 200ms"},
		"no answer": {
			short, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
			alertmanager.ReasonTimeout, "no answer within 200ms",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, test.opts, test.handler)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := c.Groups(t.Context(), func(*wire.APIGroup) {})
			runtime.ReadMemStats(&after)
			var fault *alertmanager.RequestError
			require.ErrorAs(t, err, &fault)
			require.Equal(t, test.reason, fault.Reason, fault.Error())
			require.Contains(t, fault.Error(), test.text)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(32<<20), "the server writes in this process too")
		})
	}
}

func TestNobodyListens(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := listener.Addr().String()
	require.NoError(t, listener.Close())
	c := clientOf(t, "http://someone:secret@"+addr, alertmanager.DefaultOptions(math.MaxInt64).Client)
	_, err = c.Status(t.Context())
	var fault *alertmanager.RequestError
	require.ErrorAs(t, err, &fault)
	require.Equal(t, alertmanager.ReasonUnreachable, fault.Reason)
	require.Contains(t, fault.Error(), "connection refused")
	require.NotContains(t, fault.Error(), "secret")
}

// A caller that stops is no fault of the Alertmanager.
func TestCancelledRequest(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := newClient(t, alertmanager.DefaultOptions(math.MaxInt64).Client, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	_, err := c.Status(ctx)
	require.ErrorIs(t, err, context.Canceled)
	var fault *alertmanager.RequestError
	require.NotErrorAs(t, err, &fault)
}

// An answer that has exactly the maximum size is not too large.
func TestAnswerOfTheMaximumSize(t *testing.T) {
	answer := recordedAnswer(t, "e2-silence-am035/011-api-groups.json")
	for _, maximum := range []int{len(answer), len(answer) - 1} {
		opts := alertmanager.ClientOptions{Timeout: 10 * time.Second, MaxBytes: int64(maximum)}
		c := newClient(t, opts, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(answer) })
		err := c.Groups(t.Context(), func(*wire.APIGroup) {})
		if maximum == len(answer) {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, fmt.Sprint(maximum))
		}
	}
}
