package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The intervals of Alertmanager's route in these tests. They are short, but long enough
// to separate two flushes on a busy machine.
const (
	groupWait     = time.Second
	groupInterval = 2 * time.Second
)

// waitTimeout is the maximum time to wait for a change that takes one or two flushes.
const waitTimeout = 30 * time.Second

// alertmanager is a real Alertmanager. It keeps its port when it is restarted.
type alertmanager struct {
	*process

	url  string
	file string // the configuration
	data string
}

// webhookConfig returns a configuration with one webhook. The lines are added to its
// webhook_config.
func webhookConfig(webhookURL string, lines ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `route:
  receiver: team
  group_by: [alertname]
  group_wait: %s
  group_interval: %s
  repeat_interval: 1h
receivers:
  - name: team
    webhook_configs:
      - url: %s
        send_resolved: true
`, groupWait, groupInterval, webhookURL)
	for _, line := range lines {
		fmt.Fprintf(&b, "        %s\n", line)
	}
	return b.String()
}

func newAlertmanager(t *testing.T, config string, args ...string) *alertmanager {
	t.Helper()
	return newAlertmanagerOf(t, alertmanagerVersion, config, args...)
}

// newAlertmanagerOf is newAlertmanager for one version.
func newAlertmanagerOf(t *testing.T, version, config string, args ...string) *alertmanager {
	t.Helper()
	path := alertmanagerPath(t, version)
	data := t.TempDir()
	file := filepath.Join(t.TempDir(), "alertmanager.yml")
	require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
	addr := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	url := "http://" + addr
	args = append([]string{
		"--config.file=" + file, "--storage.path=" + data, "--web.listen-address=" + addr, "--web.external-url=" + url,
	}, args...)
	return &alertmanager{process: newProcess(t, "alertmanager", path, args...), url: url, file: file, data: data}
}

// noCluster is the flag that disables clustering.
const noCluster = "--cluster.listen-address="

func startAlertmanager(t *testing.T, config string) *alertmanager {
	t.Helper()
	a := newAlertmanager(t, config, noCluster)
	a.start()
	return a
}

// start starts Alertmanager and waits until it is ready.
func (a *alertmanager) start() {
	a.t.Helper()
	a.process.start()
	waitFor(a.t, waitTimeout, "alertmanager is ready", func() error {
		_, err := do(http.MethodGet, a.url+"/-/ready", nil, nil)
		return err
	})
}

// deleteData deletes all files of Alertmanager, which must not be running.
func (a *alertmanager) deleteData() {
	a.t.Helper()
	require.False(a.t, a.running())
	require.NoError(a.t, os.RemoveAll(a.data))
}

// posted is an alert that a source posts to Alertmanager. If the source does not post it
// again, Alertmanager resolves it at EndsAt.
type posted struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL,omitempty"`
}

// firing returns an alert of an instance that fires from now on.
func firing(instance string) posted {
	now := time.Now().UTC().Truncate(time.Millisecond)
	return posted{
		Labels:       map[string]string{"alertname": "HostDown", "instance": instance, "severity": "critical"},
		Annotations:  map[string]string{"summary": instance + " is down"},
		StartsAt:     now,
		EndsAt:       now.Add(time.Hour),
		GeneratorURL: "http://prometheus.example/graph?g0.expr=up",
	}
}

// resolved returns the alert with an end of now.
func (p posted) resolved() posted {
	p.EndsAt = time.Now().UTC().Truncate(time.Millisecond)
	return p
}

func (a *alertmanager) post(alerts ...posted) {
	a.t.Helper()
	body, err := json.Marshal(alerts)
	require.NoError(a.t, err)
	_, err = do(http.MethodPost, a.url+"/api/v2/alerts", body, nil)
	require.NoError(a.t, err)
}

// silence silences an instance for an hour and returns the ID of the silence.
func (a *alertmanager) silence(instance string) string {
	a.t.Helper()
	return a.silenceFor(instance, time.Hour)
}

// silenceFor is silence for a duration.
func (a *alertmanager) silenceFor(instance string, d time.Duration) string {
	a.t.Helper()
	now := time.Now().UTC()
	body, err := json.Marshal(map[string]any{
		"matchers":  []map[string]any{{"name": "instance", "value": instance, "isRegex": false, "isEqual": true}},
		"startsAt":  now,
		"endsAt":    now.Add(d),
		"createdBy": "e2e",
		"comment":   "maintenance",
	})
	require.NoError(a.t, err)
	var answer struct {
		SilenceID string `json:"silenceID"`
	}
	_, err = do(http.MethodPost, a.url+"/api/v2/silences", body, &answer)
	require.NoError(a.t, err)
	return answer.SilenceID
}

// expire expires a silence.
func (a *alertmanager) expire(silence string) {
	a.t.Helper()
	_, err := do(http.MethodDelete, a.url+"/api/v2/silence/"+silence, nil, nil)
	require.NoError(a.t, err)
}
