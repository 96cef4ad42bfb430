package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func settingsOf(t *testing.T, args ...string) map[string]string {
	t.Helper()
	c, err := parseFlags(args)
	require.NoError(t, err)
	values := map[string]string{}
	for _, setting := range c.pages.Settings {
		require.NotContains(t, values, setting.Name)
		values[setting.Name] = setting.Value
	}
	return values
}

// The status page shows the flags as they were given, and the defaults of the others.
func TestSettings(t *testing.T) {
	t.Setenv("MUSTER_GROUP_WAIT", "1m")
	values := settingsOf(t, "--web.max-body-size=1KiB", "--retention.groups=30d", "--web.listen-address=127.0.0.1:1",
		"--web.listen-address=127.0.0.1:2", "--web.external-url=https://host/muster", "--web.enable-pprof",
		`--ui.heartbeat-matcher=alertname="A"`, `--ui.heartbeat-matcher=alertname="B"`, "--ui.severities=critical=bad,worse")
	for name, want := range map[string]string{
		"--web.max-body-size": "1KiB", "--retention.groups": "30d", "--group.wait": "1m", "--group.interval": "5m0s",
		"--web.external-url": "https://host/muster", "--web.enable-pprof": "true", "--storage.outage": "degrade", "--log.level": "info",
		"--storage.path": "data/muster.db", "--ui.heartbeat-matcher": `alertname="A" or alertname="B"`,
	} {
		require.Equal(t, want, values[name], name)
	}
	require.Contains(t, values["--web.listen-address"], "127.0.0.1:1")
	require.Contains(t, values["--web.listen-address"], "127.0.0.1:2")
	require.Contains(t, values["--ui.severities"], "critical=bad,worse")
	for _, name := range []string{"--redis.url", "--webhook.token-file", "--help", "--version", "--completion-bash"} {
		require.NotContains(t, values, name)
	}
}

// No password, token or user of a URL is shown, whichever flag has it.
func TestSettingsHaveNoSecrets(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, []byte("s3cret\n"), 0o600))
	for _, url := range []string{
		"redis://user:s3cret@host:6379/1", "rediss://:s3cret@host/1", "redis://s3cret@host", "unix://user:s3cret@/path?db=1",
		"redis://host:26379/0?master_name=m&sentinel_password=s3cret&addr=b:1", "redis://host/0?password=s3cret#s3cret",
		"redis://user:s3%63ret@host", "redis://us%65r:s3cret@host/%zz", "redis://user:s3cret@ho st", "redis:///x?s3cret",
	} {
		values := settingsOf(t, "--redis.url="+url, "--redis.password-file="+file, "--redis.sentinel-password-file="+file,
			"--webhook.token-file="+file, "--redis.tls-key-file="+file)
		require.NotEmpty(t, values["--redis.url"])
		require.Equal(t, file, values["--redis.password-file"])
		for name, value := range values {
			require.NotContains(t, value, "s3cret", name)
			require.NotContains(t, value, "s3%63ret", name)
			require.NotContains(t, value, "user", name)
		}
	}
	values := settingsOf(t, "--alertmanager.url=prod=http://user:s3cret@one:9093/a", "--alertmanager.url=http://s3cret@two",
		"--alertmanager.receiver=prod=a", "--alertmanager.receiver=b")
	require.Equal(t, "prod=http://one:9093/a, http://two", values["--alertmanager.url"])
	require.Equal(t, "prod=a, b", values["--alertmanager.receiver"])
	require.Equal(t, "redis://host:6379/1", settingsOf(t, "--redis.url=redis://user:s3cret@host:6379/1")["--redis.url"])
}
