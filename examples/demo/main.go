// Demo starts a real Alertmanager and Muster, and plays a story of alerts into
// Alertmanager's API. `make demo` runs it.
package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

type config struct {
	alertmanager, muster             string // paths of the programs
	alertmanagerListen, musterListen string
	musterArgs                       []string
}

func main() {
	var c config
	flag.StringVar(&c.alertmanager, "alertmanager", "alertmanager", "Path of the `program` Alertmanager.")
	flag.StringVar(&c.muster, "muster", "./muster", "Path of the `program` Muster.")
	flag.StringVar(&c.alertmanagerListen, "alertmanager.listen", "127.0.0.1:9093", "Listen `address` of Alertmanager.")
	flag.StringVar(&c.musterListen, "muster.listen", "127.0.0.1:9095", "Listen `address` of Muster.")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: demo [flags] [-- flags of Muster]")
		flag.PrintDefaults()
	}
	flag.Parse()
	c.musterArgs = flag.Args()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, c); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// alertmanagerConfig has short intervals, so that something happens every few seconds.
// Real systems use minutes.
const alertmanagerConfig = `
route:
  receiver: everyone
  group_by: [alertname, namespace]
  group_wait: 2s
  group_interval: 4s
  repeat_interval: 1m
  routes:
    - matchers: [severity="critical"]
      receiver: pager
      continue: true
    - matchers: [alertname="KubeJobFailed"]
      receiver: data
      mute_time_intervals: [maintenance]
    - matchers: [team="platform"]
      receiver: platform
    - matchers: [team="shop"]
      receiver: shop
    - matchers: [team="data"]
      receiver: data
inhibit_rules:
  - name: node down
    source_matchers: [alertname="KubeNodeNotReady"]
    target_matchers: [alertname="TargetDown"]
    equal: [node]
time_intervals:
  - name: maintenance # always, so that the demo shows it at any time of the day
    time_intervals:
      - times: [{start_time: "00:00", end_time: "24:00"}]
event_recorder:
  webhook_outputs:
    - name: muster
      url: http://%[1]s/events/demo
      batch: true
      batch_max_events: 5000
      batch_max_bytes: 16777216
      workers: 1
      max_retries: 10
receivers:
  - name: pager
    webhook_configs:
      - url: %[2]s
`

func writeConfig(file, musterListen, pagerURL string) error {
	var b strings.Builder
	fmt.Fprintf(&b, alertmanagerConfig, musterListen, pagerURL)
	for _, name := range []string{"everyone", "platform", "shop", "data"} {
		fmt.Fprintf(&b, "  - name: %s\n    webhook_configs:\n      - url: http://%s/webhook/demo\n        send_resolved: true\n",
			name, musterListen)
	}
	return os.WriteFile(file, []byte(b.String()), 0o600)
}

func run(ctx context.Context, c config) (err error) {
	for _, addr := range []string{c.alertmanagerListen, c.musterListen} {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
		if err != nil {
			return fmt.Errorf("%w: stop the other program, or set -alertmanager.listen or -muster.listen", err)
		}
		if err := l.Close(); err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp("", "muster-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	pager, err := startPager(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pager.server.Close()) }()
	file := filepath.Join(dir, "alertmanager.yml")
	if err := writeConfig(file, c.musterListen, pager.url); err != nil {
		return err
	}

	// If a child exits by itself, the demo stops.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	muster, err := start(ctx, dir, "muster", c.muster, cancel, append([]string{
		"--web.listen-address=" + c.musterListen, "--group.wait=2s", "--group.interval=4s", "--group.stale-after=5m",
		"--alertmanager.url=demo=http://" + c.alertmanagerListen, "--alertmanager.interval=5s",
		// Everybody who reaches this Muster is on this machine.
		"--alertmanager.allow-silences", "--web.allow-unverified-silences",
	}, c.musterArgs...)...)
	if err != nil {
		return err
	}
	defer muster.stop()
	alertmanager, err := start(ctx, dir, "alertmanager", c.alertmanager, cancel,
		"--config.file="+file, "--storage.path="+filepath.Join(dir, "alertmanager-data"),
		"--web.listen-address="+c.alertmanagerListen, "--cluster.listen-address=", "--enable-feature=event-recorder")
	if err != nil {
		return err
	}
	defer alertmanager.stop()

	for _, addr := range []string{c.musterListen, c.alertmanagerListen} {
		if err := ready(ctx, "http://"+addr+"/-/ready"); err != nil {
			return stopCause(ctx, err)
		}
	}
	fmt.Printf(`
  Muster         http://%[1]s/
  its JSON API   http://%[1]s/api/v1/groups
  Alertmanager   http://%[2]s/

Press Ctrl-C to stop all of them.

`, c.musterListen, c.alertmanagerListen)
	err = stopCause(ctx, play(ctx, &source{url: "http://" + c.alertmanagerListen}, pager, "http://"+c.musterListen))
	if err == nil {
		fmt.Println("\nstopping Alertmanager and Muster")
	}
	return err
}

// stopCause returns the error that stopped the demo, or nil after a signal. If a child
// exited, that is the cause of all other errors.
func stopCause(ctx context.Context, err error) error {
	switch cause := context.Cause(ctx); {
	case cause == nil:
		return err
	case errors.Is(cause, errExited):
		return cause
	default:
		return nil
	}
}

var errExited = errors.New("has exited")

// ready waits until a server is ready.
func ready(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			code := resp.StatusCode
			if err := resp.Body.Close(); err == nil && code == http.StatusOK {
				return nil
			}
		}
		if !pause(ctx, 100*time.Millisecond) {
			return fmt.Errorf("%s is not ready: %w", url, context.Cause(ctx))
		}
	}
}

// pause waits for a duration. It returns false if the context ends earlier.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// child is a program that the demo starts and stops.
type child struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the program has exited
}

// start starts a program in the folder and writes its output to a file there. When
// the program exits, start calls exited with the reason.
func start(ctx context.Context, dir, name, path string, exited context.CancelCauseFunc, args ...string) (*child, error) {
	path, err := exec.LookPath(path)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return nil, err
	}
	logFile := filepath.Join(dir, name+".log")
	log, err := os.Create(logFile) //nolint:gosec // G304: in our own temporary folder
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	// The context must not kill the program: stop sends SIGTERM first.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), path, args...) //nolint:gosec // G204: what to run is the user's choice
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = dir, log, log, childAttributes()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{cmd: cmd, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		state := cmp.Or(cmd.Wait(), errors.New("exit status 0"))
		text, _ := os.ReadFile(logFile) //nolint:gosec // G304: in our own temporary folder
		exited(fmt.Errorf("%s %w (%w):\n%s", name, errExited, state, bytes.TrimSpace(text[max(0, len(text)-2000):])))
	}()
	return c, nil
}

// stop sends SIGTERM and waits until the program has exited.
func (c *child) stop() {
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.done:
	case <-time.After(15 * time.Second):
		_ = c.cmd.Process.Kill()
		<-c.done
	}
}
