package alertmanager_test

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/config"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"muster/alertmanager"
)

// If the file changes, the next poll uses it. If it breaks, the last valid one stays in
// force and the status page says so.
func TestConfigFileIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "http.yml")
	write := func(text string) { require.NoError(t, os.WriteFile(file, []byte(text), 0o600)) }
	write("basic_auth: {username: first}\n")
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var users []string // guarded by mu
		known := func() []string {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(users)
		}
		var refuse atomic.Bool
		opts, domain, reg := optionsFor(target(t, "prod", amURL)), newFakeObserver(), prometheus.NewRegistry()
		opts.ConfigFiles = []alertmanager.ConfigFile{{Source: "prod", Path: file}}
		connect := func(_ *url.URL, cfg config.HTTPClientConfig) (alertmanager.API, error) {
			if refuse.Load() {
				return nil, errors.New("no such certificate")
			}
			mu.Lock()
			defer mu.Unlock()
			users = append(users, cfg.BasicAuth.Username)
			return newFakeAlertmanager(t), nil
		}
		poller, err := alertmanager.NewWithAPI(reg, promslog.NewNopLogger(), opts, connect)
		require.NoError(t, err)
		p := start(t, domain, poller, reg)
		pass(5 * interval)
		require.Equal(t, []string{"first"}, known(), "a file that does not change makes no new client")
		require.Empty(t, p.Problems())

		write("basic_auth: {username: second}\n")
		pass(2 * interval)
		require.Equal(t, []string{"first", "second"}, known())

		for _, bad := range []string{
			"basic_auth: s3cret\n", "unknown: s3cret\n", "proxy_url: 'http://s3cret:s3/cret@proxy'\n", strings.Repeat("#", 2<<20),
		} {
			write(bad)
			pass(2 * interval)
			require.Len(t, p.Problems(), 1, bad)
			require.Contains(t, p.Problems()[0],
				"Reading the HTTP config file for the Alertmanagers of prod failed, so the last valid one stays in force: "+file)
			require.NotContains(t, p.Problems()[0], "s3")
			require.Equal(t, []string{"first", "second"}, known())
			require.Empty(t, domain.lastReport(t, "prod", amURL).Err)
		}
		require.NoError(t, os.Remove(file))
		pass(2 * interval)
		require.Contains(t, p.Problems()[0], "no such file")

		write("basic_auth: {username: third}\n")
		refuse.Store(true)
		pass(2 * interval)
		require.Empty(t, p.Problems())
		require.Contains(t, domain.lastReport(t, "prod", amURL).Err,
			"the settings of --alertmanager.http-config-file cannot be used: no such certificate")
		require.NotEmpty(t, domain.of("prod", amURL).polls, "the old client stays")
		refuse.Store(false)
		pass(2 * interval)
		require.Equal(t, []string{"first", "second", "third"}, known())
		require.Empty(t, domain.lastReport(t, "prod", amURL).Err)
		p.stop()
	})
}

// A disk that hangs, such as that of a network file system, stops neither the polls nor the status
// page. The page says so.
func TestAConfigFileThatHangsStopsNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "http.yml")
	replace := func(user string) {
		t.Helper()
		require.NoError(t, os.WriteFile(file+".new", []byte("basic_auth: {username: "+user+"}\n"), 0o600))
		require.NoError(t, os.Rename(file+".new", file))
	}
	replace("first")
	opts, domain, reg := optionsFor(target(t, "prod", amURL)), newFakeObserver(), prometheus.NewRegistry()
	opts.Interval = time.Second
	opts.ConfigFiles = []alertmanager.ConfigFile{{Source: "prod", Path: file}}
	user := atomic.Pointer[string]{}
	poller, err := alertmanager.NewWithAPI(reg, promslog.NewNopLogger(), opts,
		func(_ *url.URL, cfg config.HTTPClientConfig) (alertmanager.API, error) {
			if cfg.BasicAuth != nil {
				user.Store(&cfg.BasicAuth.Username)
			}
			return newFakeAlertmanager(t), nil
		})
	require.NoError(t, err)
	require.NoError(t, os.Remove(file))
	require.NoError(t, syscall.Mkfifo(file, 0o600)) // a read waits until somebody writes
	p := start(t, domain, poller, reg)
	var writer *os.File
	require.Eventually(t, func() bool {
		writer, err = os.OpenFile(file, os.O_WRONLY|syscall.O_NONBLOCK, 0)
		return err == nil // a poll opened the file
	}, 5*time.Second, time.Millisecond)
	t.Cleanup(func() { _ = writer.Close() })
	polls := func() int { return len(domain.of("prod", amURL).polls) }
	before := polls()
	require.Eventually(t, func() bool { return polls() >= before+2 }, 10*time.Second, 10*time.Millisecond, "the polls go on")
	require.Equal(t, "first", *user.Load())
	require.Len(t, p.Problems(), 1)
	require.Contains(t, p.Problems()[0], "takes longer than 1s, so the last valid one stays in force: "+file)

	replace("second")
	require.NoError(t, writer.Close())
	require.Eventually(t, func() bool { return *user.Load() == "second" && len(p.Problems()) == 0 }, 10*time.Second, 10*time.Millisecond)
	p.stop()
}

func TestBadOptions(t *testing.T) {
	dir := t.TempDir()
	bad, missing := filepath.Join(dir, "bad.yml"), filepath.Join(dir, "missing.yml")
	noCA := filepath.Join(dir, "ca.yml")
	require.NoError(t, os.WriteFile(bad, []byte("basic_auth: {username: a}\nbearer_token: s3cret\n"), 0o600))
	require.NoError(t, os.WriteFile(noCA, []byte("tls_config: {ca_file: none.pem}\n"), 0o600))
	with := func(change func(o *alertmanager.Options)) alertmanager.Options {
		o := optionsFor(target(t, "prod", amURL), target(t, "dev", amURL))
		change(&o)
		return o
	}
	for want, opts := range map[string]alertmanager.Options{
		"--alertmanager.interval: 10ms is less than 1s": with(func(o *alertmanager.Options) { o.Interval = 10_000_000 }),
		"--alertmanager.url: http://am:9093 occurs twice for the source prod": with(func(o *alertmanager.Options) {
			o.Targets = append(o.Targets, target(t, "prod", "http://other:s3cret@am:9093"))
		}),
		"--alertmanager.http-config-file: no --alertmanager.url has the source test": with(func(o *alertmanager.Options) {
			o.ConfigFiles = []alertmanager.ConfigFile{{Source: "test", Path: bad}}
		}),
		"--alertmanager.http-config-file: the source dev has more than one file": with(func(o *alertmanager.Options) {
			o.ConfigFiles = []alertmanager.ConfigFile{{Source: "dev", Path: bad}, {Source: "dev", Path: bad}}
		}),
		"--alertmanager.http-config-file: " + bad + ": at most one of basic_auth": with(func(o *alertmanager.Options) {
			o.ConfigFiles = []alertmanager.ConfigFile{{Source: "dev", Path: bad}}
		}),
		"--alertmanager.http-config-file: open " + missing: with(func(o *alertmanager.Options) {
			o.ConfigFiles = []alertmanager.ConfigFile{{Source: "dev", Path: missing}}
		}),
		"--alertmanager.http-config-file: " + noCA + ": unable to read CA cert": with(func(o *alertmanager.Options) {
			o.ConfigFiles = []alertmanager.ConfigFile{{Source: "dev", Path: noCA}}
		}),
		"is not positive": with(func(o *alertmanager.Options) { o.MaxLabels = 0 }),
	} {
		_, err := alertmanager.New(nil, promslog.NewNopLogger(), opts)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "s3cret")
	}
	_, err := alertmanager.New(nil, promslog.NewNopLogger(), with(func(*alertmanager.Options) {}))
	require.NoError(t, err, "two sources may have the same Alertmanager")
}

func TestAnswersGetAQuarterOfTheMemory(t *testing.T) {
	require.EqualValues(t, 64<<20, alertmanager.DefaultOptions(256<<20).Client.MaxBytes)
	require.Less(t, alertmanager.DefaultOptions(1<<62).Client.MaxBytes, int64(200<<20))
}
