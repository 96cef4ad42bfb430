package e2e

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// startWithoutRace starts Muster with the memory limit of a container of 230 MiB. It is
// built without the race detector, which needs several times the memory.
func startWithoutRace(t *testing.T, args ...string) *muster {
	t.Helper()
	needsMuster(t)
	binary := filepath.Join(t.TempDir(), "muster")
	build := exec.CommandContext(t.Context(), "go", "build", "-tags", "nomsgpack", "-o", binary, "muster")
	text, err := build.CombinedOutput()
	require.NoError(t, err, string(text))
	t.Setenv("GOMEMLIMIT", fmt.Sprint(int64(containerMemory*9/10))) // --auto-gomemlimit.ratio
	m := newMuster(t, args...)
	m.path = binary
	m.start()
	return m
}

const containerMemory = 230 << 20

// peak returns the maximum resident memory so far, in bytes.
func (m *muster) peak() (bytes int64) {
	m.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.cmd.Process.Pid))
	require.NoError(m.t, err)
	_, rest, ok := strings.Cut(string(text), "VmHWM:")
	require.True(m.t, ok)
	_, err = fmt.Sscan(rest, &bytes)
	require.NoError(m.t, err)
	return bytes << 10
}

// largeMessage returns a notification with n typical alerts about a new group.
func largeMessage(group string, n int) message {
	msg := newMessage(group)
	for i := range n {
		a := newAlert("Down", fmt.Sprintf("10.42.%d.%d:8080", i/250, i%250), time.Now())
		a.Annotations = map[string]string{"description": "Pod payments/ledger-api is in waiting state: " + strings.Repeat("x", 200)}
		msg.Alerts = append(msg.Alerts, a)
	}
	return msg
}

// 128 clients request everything and do not read. Muster keeps their buffers, but not
// their responses, which are 6 MB each. The limit counts 64 KiB for each client. With
// its connection, a client needs less than 200 KiB. The garbage collector lets the
// heap grow to twice the live memory.
func TestMemoryOfReadersThatDoNotRead(t *testing.T) {
	const clients, each = 128, 2 * 200 << 10
	m := startWithoutRace(t, "--storage.path=")
	for i := range 6 {
		_, err := deliver(m, largeMessage(fmt.Sprint("g", i), 2000))
		require.NoError(t, err)
	}
	for range 2 { // allocate the memory for one response before the measurement
		_, err := m.fetch("/api/v1/groups?alerts=true&limit=500", nil)
		require.NoError(t, err)
	}
	before := m.peak()
	for range clients {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(m.url, "http://"))
		require.NoError(t, err)
		defer func() { _ = conn.Close() }()
		tcp, ok := conn.(*net.TCPConn)
		require.True(t, ok)
		require.NoError(t, tcp.SetReadBuffer(4096))
		_, err = fmt.Fprint(conn, "GET /api/v1/groups?alerts=true&limit=500 HTTP/1.1\r\nHost: muster\r\n\r\n")
		require.NoError(t, err)
	}
	waitFor(t, 20*time.Second, "all clients have a response", func() error {
		text, err := m.fetch("/metrics", nil)
		if err == nil && !strings.Contains(string(text), `muster_limit_used_requests{limit="readers"} 0`) {
			err = errors.New("some responses are not built yet")
		}
		return err
	})
	_, err := deliver(m, largeMessage("another", 10))
	require.NoError(t, err)
	_, err = m.fetch("/", nil)
	require.NoError(t, err)
	after := m.peak()
	t.Logf("%d clients that do not read: %d MiB before, %d MiB with them", clients, before>>20, after>>20)
	require.Less(t, after-before, int64(clients*each))
	require.Less(t, after, int64(containerMemory))
	waitFor(t, 30*time.Second, "all slow clients are disconnected", func() error {
		text, err := m.fetch("/metrics", nil)
		if err == nil && !strings.Contains(string(text), `muster_limit_used_bytes{limit="responses"} 0`) {
			err = errors.New("some are still connected")
		}
		return err
	})
}

// Eight senders post bodies of 60,000 small alerts at the same time. Decoded bodies are
// several times larger. All are accepted within the memory of the container, because
// rejected bodies are retried, as Alertmanager does.
func TestMemoryOfLargeNotifications(t *testing.T) {
	const senders, alerts = 8, 60_000
	m := startWithoutRace(t, "--storage.path=")
	text := `{"status":"firing","labels":{"a":"%d"},"annotations":{},"startsAt":"2026-11-23T03:00:00Z","endsAt":"0001-01-01T00:00:00Z"}`
	var list []string
	for i := range alerts {
		list = append(list, fmt.Sprintf(text, i))
	}
	body := `{"version":"4","groupKey":"{}:{}","receiver":"team","status":"firing",` +
		`"groupLabels":{},"commonLabels":{},"commonAnnotations":{},"alerts":[` +
		strings.Join(list, ",") + "]}"
	var sending sync.WaitGroup
	failed := make(chan error, senders)
	for range senders {
		sending.Go(func() {
			for tries := 0; ; tries++ {
				res, err := client.Post(m.url+"/webhook", "application/json", strings.NewReader(body))
				if err == nil {
					err = res.Body.Close()
				}
				switch {
				case err != nil || res.StatusCode != http.StatusOK && res.StatusCode != http.StatusServiceUnavailable || tries > 500:
					failed <- fmt.Errorf("%v %w", res, err)
					return
				case res.StatusCode == http.StatusOK:
					return
				}
				<-time.After(100 * time.Millisecond)
			}
		})
	}
	sending.Wait()
	close(failed)
	require.NoError(t, <-failed)
	t.Logf("%d bodies of %d alerts, %d MiB each: %d MiB at most", senders, alerts, len(body)>>20, m.peak()>>20)
	require.Less(t, m.peak(), int64(containerMemory))
	metrics, err := m.fetch("/metrics", nil)
	require.NoError(t, err)
	require.Contains(t, string(metrics), `muster_limit_used_bytes{limit="notification_memory"} 0`)
}
