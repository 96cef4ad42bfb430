package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"muster/alertmanager"
	"muster/grouping"
)

func TestAlertmanagers(t *testing.T) {
	t.Setenv("MUSTER_ALERTMANAGER_RECEIVER", "muster\nprod=team=a\n=team=b\nteam b=c")
	c, err := parseFlags([]string{
		"--alertmanager.url=http://one:9093", "--alertmanager.url=prod=https://me:s3cret@two/path/", "--alertmanager.url=prod=http://three",
		"--alertmanager.http-config-file=prod=a=b.yml", "--alertmanager.http-config-file=./c=d.yml", "--alertmanager.interval=2m",
		"--webhook.max-labels=7",
	})
	require.NoError(t, err)
	var targets []string
	for _, target := range c.poller.Targets {
		targets = append(targets, target.Source+" "+target.URL.String())
	}
	require.Equal(t, []string{"default http://one:9093", "prod https://me:s3cret@two/path/", "prod http://three"}, targets)
	require.Equal(t, []alertmanager.ConfigFile{
		{Source: "prod", Path: "a=b.yml"}, {Source: "default", Path: "./c=d.yml"},
	}, c.poller.ConfigFiles)
	require.Equal(t, []grouping.SourceReceiver{
		{Source: "default", Receiver: "muster"},
		{Source: "prod", Receiver: "team=a"},
		{Source: "default", Receiver: "team=b"},
		{Source: "default", Receiver: "team b=c"},
	}, c.group.Receivers)
	require.Equal(t, 2*time.Minute, c.poller.Interval)
	require.Equal(t, 7, c.poller.MaxLabels)
	c.applyMemoryLimit(256 << 20)
	require.EqualValues(t, 64<<20, c.poller.Client.MaxBytes)

	_, err = parseFlags([]string{"--alertmanager.url=http://one", "--alertmanager.url=default=http://me:secret@one"})
	require.EqualError(t, err, "--alertmanager.url: http://one occurs twice for the source default")
}

// built returns the parts of a program with the flags, which keeps everything in memory.
func built(t *testing.T, args ...string) (*muster, error) {
	t.Helper()
	c, err := parseFlags(append(args, "--storage.path="))
	require.NoError(t, err)
	c.applyMemoryLimit(1 << 30)
	m, err := build(c, promslog.NewNopLogger())
	if err == nil {
		t.Cleanup(func() { require.NoError(t, m.storage.Close()) })
	}
	return m, err
}

// What an Alertmanager lists becomes groups, and an alert that became unreported makes Muster
// ask it before its time.
func TestTheProgramPollsAlertmanagers(t *testing.T) {
	answers := map[string]string{
		"/api/v2/status": `{"versionInfo": {"version": "0.35.0"}, "uptime": "2026-11-26T00:00:00Z"}`, "/api/v2/silences": `[]`,
		"/api/v2/alerts/groups": `[{"labels": {"alertname": "A"}, "receiver": {"name": "muster"}, "alerts": [{
			"fingerprint": "00000000000000aa", "labels": {"alertname": "A"}, "startsAt": "2026-11-27T00:00:00Z",
			"status": {"state": "suppressed", "inhibitedBy": ["00000000000000bb"]}}]}]`,
	}
	var polls atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v2/alerts/groups" {
			polls.Add(1)
		}
		_, _ = io.WriteString(w, answers[r.URL.Path])
	}))
	t.Cleanup(server.Close)
	m, err := built(t, "--alertmanager.url=prod="+server.URL, "--alertmanager.receiver=prod=muster", "--alertmanager.interval=1h")
	require.NoError(t, err)
	ended := make(chan error, 1)
	restored := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	poll := after(restored, func(ctx context.Context) error { return m.poller.Run(ctx, m.manager) })
	go func() { ended <- poll(ctx) }()
	close(restored)
	require.Eventually(t, func() bool {
		totals, err := m.manager.Totals(t.Context())
		return err == nil && len(totals.Groups) > 0 && totals.Alerts[grouping.StatusSuppressed] > 0
	}, 10*time.Second, 10*time.Millisecond)
	require.EqualValues(t, 1, polls.Load())

	unreported := &grouping.AlertGroup{Meta: grouping.Meta{Key: grouping.Key{Source: "prod"}}, Counts: grouping.Counts{Unreported: 1}}
	m.groupChanged(grouping.Update{Group: unreported, Before: unreported})
	m.groupChanged(grouping.Update{Group: unreported})
	m.groupChanged(grouping.Update{Before: unreported})
	require.EqualValues(t, 1, polls.Load())
	m.groupChanged(grouping.Update{Group: unreported, Before: &grouping.AlertGroup{}})
	require.Eventually(t, func() bool { return polls.Load() == 2 }, 10*time.Second, 10*time.Millisecond)
	cancel()
	require.NoError(t, <-ended)
}

func TestTheProgramRefusesABadConfigFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "http.yml")
	require.NoError(t, os.WriteFile(file, []byte("basic_auth: s3cret\n"), 0o600))
	_, err := built(t, "--alertmanager.url=http://127.0.0.1:1", "--alertmanager.http-config-file="+file)
	require.ErrorContains(t, err, "--alertmanager.http-config-file: "+file)
	require.NotContains(t, err.Error(), "s3cret")
}
