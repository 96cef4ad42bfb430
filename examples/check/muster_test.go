package check

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
)

const (
	examples = ".."
	root     = "../.."
)

// startTimeout is how long a start may take on a busy machine.
const startTimeout = 30 * time.Second

// musterBinary is the path of the program, which TestMain builds from this tree.
var musterBinary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "muster-examples-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	musterBinary = filepath.Join(dir, "muster")
	build := exec.CommandContext(context.Background(), "go", "build", "-C", root, "-tags", "nomsgpack", "-o", musterBinary, ".")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "cannot build muster:", err)
		return 1
	}
	return m.Run()
}

// startMuster starts Muster with a Redis and an Alertmanager that do not exist, and returns
// the URL of Muster.
func startMuster(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())

	var said strings.Builder
	process := exec.CommandContext(t.Context(), musterBinary,
		"--web.listen-address="+address, "--redis.url=redis://127.0.0.1:1", "--alertmanager.url=http://127.0.0.1:1")
	process.Stdout, process.Stderr = &said, &said
	require.NoError(t, process.Start())
	t.Cleanup(func() {
		_ = process.Process.Kill()
		_ = process.Wait()
		if t.Failed() {
			t.Log(said.String())
		}
	})
	url := "http://" + address
	require.Eventually(t, func() bool {
		res, err := http.Get(url + "/-/ready")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	}, startTimeout, 50*time.Millisecond, "Muster is ready")
	return url
}

// notification is a notification with one firing alert.
const notification = `{"version":"4","groupKey":"{}:{alertname=\"DiskFull\"}","status":"firing","receiver":"muster",
"groupLabels":{"alertname":"DiskFull"},"commonLabels":{"alertname":"DiskFull"},"commonAnnotations":{},
"externalURL":"http://alertmanager:9093","truncatedAlerts":0,"alerts":[{"status":"firing","labels":{"alertname":"DiskFull"},
"annotations":{},"startsAt":"2026-11-22T09:00:00Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"","fingerprint":"0000000000000001"}]}`

// event is an event of the event recorder.
const event = `{"@timestamp":"2026-11-22T09:00:00Z","instance":"alertmanager-0","data":{"alertmanagerStartupEvent":{"version":"0.35.0"}}}`

// scrape returns the metrics of a Muster that accepted one notification and one event,
// rejected another notification and cannot write. Then all of its metrics have a value.
func scrape(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	url := startMuster(t)
	for _, post := range []struct {
		path, body string
		status     int
	}{{"/webhook", notification, http.StatusOK}, {"/webhook", "{", http.StatusBadRequest}, {"/events", event, http.StatusOK}} {
		res, err := http.Post(url+post.path, "application/json", strings.NewReader(post.body))
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, post.status, res.StatusCode)
	}
	res, err := http.Get(url + "/metrics")
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(res.Body)
	require.NoError(t, err)
	return families
}

// read returns the text of a file. The name is relative to the root of the repository.
func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	require.NoError(t, err)
	return text
}
