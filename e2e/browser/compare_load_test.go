//go:build compare

package browser

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// child is a program that the comparison starts.
type child struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the program has exited
}

// run starts a program that listens on the address, and waits until it is ready.
func run(t *testing.T, address, path string, args ...string) *child {
	t.Helper()
	log := &bytes.Buffer{}
	// The context of the test ends before the cleanup, which must stop the program.
	c := &child{cmd: exec.CommandContext(context.Background(), path, args...), done: make(chan struct{})}
	c.cmd.Dir, c.cmd.Stdout, c.cmd.Stderr = t.TempDir(), log, log
	require.NoError(t, c.cmd.Start())
	go func() {
		defer close(c.done)
		_ = c.cmd.Wait()
	}()
	t.Cleanup(func() {
		c.kill()
		if t.Failed() {
			t.Logf("%s: %.4000s", path, log)
		}
	})
	require.Eventually(t, func() bool {
		_, err := ask(http.MethodGet, "http://"+address+"/-/ready", nil)
		return err == nil
	}, 30*time.Second, 50*time.Millisecond, path)
	return c
}

// kill sends SIGKILL and waits.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	<-c.done
}

// side is one of the two compared programs.
type side struct {
	name string
	url  string
	*child

	// title and group are the CSS selectors of the name of a group, and of its box in
	// the list.
	title, group string
}

// pair starts an Alertmanager and its Muster, and waits until Muster has all alerts. If a
// group has fired for longer than group_wait, Alertmanager flushes it at its first alert,
// and sends the other alerts after the interval.
func pair(t *testing.T, alerts []posted, groups int, interval string) (alertmanager, muster side) {
	t.Helper()
	amAddress, musterAddress := freeAddress(t), freeAddress(t)
	config := filepath.Join(t.TempDir(), "alertmanager.yml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `route:
  receiver: muster
  group_by: [alertname, cluster, namespace]
  group_wait: 15s
  group_interval: %s
  repeat_interval: 12h
receivers:
  - name: muster
    webhook_configs:
      - url: http://%s/webhook
`, interval, musterAddress), 0o600))
	muster = side{
		name: "Muster", url: "http://" + musterAddress + "/", title: "#rows article h2 a", group: "#rows article",
		child: run(t, musterAddress, program(t, "MUSTER"), "--web.listen-address="+musterAddress, "--storage.path=",
			"--group.wait=1s", "--group.interval=1s"),
	}
	alertmanager = side{
		name: "Alertmanager", url: "http://" + amAddress + "/#/alerts",
		title: ".btn-group > span.text-muted", group: "div.mb-3:has(> .btn-group)",
		child: run(t, amAddress, program(t, "ALERTMANAGER"), "--config.file="+config, "--storage.path="+t.TempDir(),
			"--web.listen-address="+amAddress, "--web.external-url=http://"+amAddress, "--cluster.listen-address="),
	}
	sent := len(alerts)
	for len(alerts) > 0 {
		n := min(len(alerts), 1000)
		body, err := json.Marshal(alerts[:n])
		require.NoError(t, err)
		_, err = ask(http.MethodPost, "http://"+amAddress+"/api/v2/alerts", body)
		require.NoError(t, err)
		alerts = alerts[n:]
	}
	want := totals{groups: groups, firing: sent}
	var got totals
	require.Eventually(t, func() bool { got = listed(t, musterAddress); return got == want },
		2*time.Minute, 500*time.Millisecond, "Muster has %+v of %+v", &got, want)
	return alertmanager, muster
}

// totals has the number of groups and of firing alerts, and the number of settling groups.
type totals struct{ groups, firing, settling int }

// listed returns the totals of the groups that Muster's API lists.
func listed(t *testing.T, address string) (sum totals) {
	t.Helper()
	for cursor := ""; ; {
		body, err := ask(http.MethodGet, "http://"+address+"/api/v1/groups?limit=1000&cursor="+url.QueryEscape(cursor), nil)
		require.NoError(t, err)
		var page struct {
			Groups []struct {
				Settling bool
				Counts   struct{ Firing int }
			}
			Next string
		}
		require.NoError(t, json.Unmarshal(body, &page))
		for _, g := range page.Groups {
			sum.groups++
			sum.firing += g.Counts.Firing
			if g.Settling {
				sum.settling++
			}
		}
		if cursor = page.Next; cursor == "" {
			return sum
		}
	}
}

// program returns the path of a compared program, which `make compare` sets.
func program(t *testing.T, variable string) string {
	t.Helper()
	path := os.Getenv(variable)
	require.NotEmpty(t, path, "run `make compare`, which sets %s", variable)
	return path
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	return l.Addr().String()
}

// ask sends one request. A response that is not 2xx is an error.
func ask(method, url string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	var answer bytes.Buffer
	if _, err := answer.ReadFrom(resp.Body); err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		return nil, errors.New(resp.Status)
	}
	return answer.Bytes(), nil
}

// posted is an alert as Prometheus posts it to Alertmanager.
type posted struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL"`
}

// story is the small load: 38 alerts in 16 groups, with names from kube-prometheus.
var story = []struct {
	name, severity, namespace, summary string
	alerts                             int
}{
	{"KubePodCrashLooping", "critical", "payments", "Pod is crash looping.", 6},
	{"HTTPErrorBudgetBurn", "critical", "payments", "The error budget burns too fast.", 5},
	{"etcdNoLeader", "critical", "kube-system", "etcd cluster has no leader.", 1},
	{"KubeNodeNotReady", "critical", "kube-system", "Node is not ready.", 2},
	{"NodeFilesystemAlmostOutOfSpace", "critical", "monitoring", "Filesystem has less than 3% space left.", 2},
	{"KubeDeploymentReplicasMismatch", "warning", "payments", "Deployment has not matched the expected number of replicas.", 4},
	{"KubePersistentVolumeFillingUp", "warning", "databases", "PersistentVolume is filling up.", 3},
	{"KubePodNotReady", "warning", "search", "Pod has been in a non-ready state for more than 15 minutes.", 3},
	{"TargetDown", "warning", "monitoring", "One or more targets are unreachable.", 2},
	{"KubeHpaMaxedOut", "warning", "shop", "HPA is running at max replicas.", 2},
	{"KubeJobFailed", "warning", "batch", "Job failed to complete.", 1},
	{"NodeClockNotSynchronising", "warning", "monitoring", "Clock not synchronising.", 1},
	{"CertificateExpiresSoon", "warning", "ingress", "The certificate expires within a week.", 1},
	{"PrometheusOperatorRejectedResources", "warning", "monitoring", "Resources rejected by Prometheus operator.", 1},
	{"CPUThrottlingHigh", "info", "batch", "Processes experience elevated CPU throttling.", 3},
	{"Watchdog", "none", "monitoring", "An alert that should always be firing.", 1},
}

const smallGroups = 16

// small returns the load of a bad night.
func small() (alerts []posted) {
	for i, s := range story {
		for n := range s.alerts {
			alerts = append(alerts, firingPod(i, s.namespace, n))
		}
	}
	return alerts
}

// The large load is an outage of a whole cluster.
const (
	largeGroups = smallGroups + 1426
	largeAlerts = 6038
)

func large() []posted {
	alerts := small()
	missing := largeAlerts - len(alerts)
	const more = largeGroups - smallGroups
	for i := range missing {
		// Do not repeat the Watchdog, which is the last alert of the story.
		alerts = append(alerts, firingPod(i%more%(len(story)-1), fmt.Sprintf("team-%04d", i%more), i/more))
	}
	// New alerts wait for group_wait, so that one notification contains them all.
	for i := range alerts {
		alerts[i].StartsAt = time.Now().UTC()
	}
	return alerts
}

// firingPod returns the nth alert of a group of the story.
func firingPod(which int, namespace string, n int) posted {
	s := story[which]
	pod := fmt.Sprintf("%s-6d5f9c7b8-x%dk2l", namespace, n)
	now := time.Now().UTC().Truncate(time.Millisecond)
	return posted{
		Labels: map[string]string{
			"alertname": s.name, "severity": s.severity, "cluster": "prod-eu1", "namespace": namespace, "pod": pod,
			"container": "main", "job": "kube-state-metrics", "prometheus": "monitoring/k8s",
		},
		Annotations: map[string]string{
			"summary":     s.summary,
			"description": "Pod " + namespace + "/" + pod + " in prod-eu1: " + s.summary,
			"runbook_url": "https://runbooks.example.net/" + s.name,
		},
		StartsAt:     now.Add(-time.Duration(1+which*7+n*3) * time.Minute),
		EndsAt:       now.Add(6 * time.Hour),
		GeneratorURL: "https://prometheus.example.net/graph?g0.expr=up&g0.tab=1",
	}
}
