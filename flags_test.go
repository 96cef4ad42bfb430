package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"muster/storage"
)

func TestBadValuesNameTheirFlag(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(empty, []byte(" \n"), 0o600))
	secret := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(secret, []byte("s3cret"), 0o600))
	for _, tc := range []struct{ arg, want string }{
		{"--web.max-body-size=0", `--web.max-body-size: "0" is not a size such as 64MiB`},
		{"--web.max-body-size=-1MiB", `--web.max-body-size: "-1MiB" is not a size`},
		{"--web.max-body-size=much", `--web.max-body-size: "much" is not a size`},
		{"--web.max-requests=0", "--web.max-requests: 0 is less than 1"},
		{"--web.max-readers=0", "--web.max-readers: 0 is less than 1"},
		{"--web.max-live-clients=0", "--web.max-live-clients: 0 is less than 1"},
		{"--web.user-header=X User", `--web.user-header: "X User" is not the name of a header`},
		{"--web.user-header=cookie", "--web.user-header: a browser sets Cookie itself"},
		{"--web.user-header-from=proxy", `--web.user-header-from: "proxy" is neither an address nor a network such as 10.0.0.0/8`},
		{"--web.writers= ", "--web.writers: a name is required"},
		{"--web.max-exports=0", "--web.max-exports: 0 is less than 1"},
		{"--web.max-tails=0", "--web.max-tails: 0 is less than 1"},
		{"--history.log=/no/such/folder/log", "--history.log: stat /no/such/folder: no such file or directory"},
		{"--web.max-requests=many", `--web.max-requests: "many" is not a whole number`},
		{"--web.max-requests=1.5", `--web.max-requests: "1.5" is not a whole number`},
		{"--webhook.max-alerts=0", "--webhook.max-alerts: 0 is less than 1"},
		{"--webhook.max-labels=0", "--webhook.max-labels: 0 is less than 1"},
		{"--webhook.max-sources=0", "--webhook.max-sources: 0 is less than 1"},
		{"--web.external-url=muster", "--web.external-url: the URL must have the form https://example.com/path"},
		{"--web.external-url=ftp://host", "--web.external-url: the URL must have the form"},
		{"--web.external-url=http://", "--web.external-url: the URL must have the form"},
		{"--web.external-url=http://[::1", "--web.external-url: the URL must have the form"},
		{"--web.external-url=http://me:secret@host/", "--web.external-url: the URL must have the form"},
		{"--web.external-url=http://host/?a=b", "--web.external-url: the URL must have the form"},
		{"--web.external-url=http://host//a", "--web.external-url: the URL must have the form"},
		{"--web.external-url=http://host/a b", `--web.external-url: the path "/a b" may contain only letters`},
		{"--web.route-prefix=/:id", `--web.route-prefix: the path "/:id" may contain only letters`},
		{"--web.route-prefix=/*all", `--web.route-prefix: the path "/*all" may contain only letters`},
		{"--web.route-prefix=/a/../b", `--web.route-prefix: the path "/a/../b" may contain only letters`},
		{"--web.route-prefix=/a//b", `--web.route-prefix: the path "/a//b" may contain only letters`},
		{"--alertmanager.allow-silences", "--alertmanager.allow-silences needs --alertmanager.url"},
		{"--web.allow-unverified-silences", "--web.allow-unverified-silences has no effect without --alertmanager.allow-silences"},
		{"--alertmanager.url=prod=", "--alertmanager.url: the value is empty"},
		{"--alertmanager.url=alertmanager:9093", "--alertmanager.url: the URL must have the form [source=]http://alertmanager:9093"},
		{"--alertmanager.url=prod=ftp://me:secret@host", "--alertmanager.url: the URL must have the form"},
		{"--alertmanager.url=pr/od=http://me:secret@host", "--alertmanager.url: the URL must have the form"},
		{"--alertmanager.url=http://:9093", "--alertmanager.url: the URL must have the form"},
		{"--alertmanager.url=http://host/?token=secret", "--alertmanager.url: the URL must have the form"},
		{"--alertmanager.url=http://me:sec/secret@host", "--alertmanager.url: the URL must have the form"},
		{"--alertmanager.interval=100ms", "--alertmanager.interval: 100ms is less than 1s"},
		{"--alertmanager.interval=often", "--alertmanager.interval: not a valid duration string"},
		{"--alertmanager.http-config-file=prod=/none", "--alertmanager.http-config-file: no --alertmanager.url has the source prod"},
		{"--alertmanager.http-config-file==", "--alertmanager.http-config-file: the value is empty"},
		{"--alertmanager.receiver=prod=", "--alertmanager.receiver: the value is empty"},
		{"--history.log=/", "--history.log: / is a folder"},
		{"--redis.password-file=/none", "--redis.password-file: open /none: no such file"},
		{"--redis.password-file=" + secret, "--redis.password-file has no effect without --redis.url"},
		{"--redis.sentinel-password-file=" + secret, "--redis.sentinel-password-file has no effect without --redis.url"},
		{"--redis.tls-ca-file=/none", "--redis.tls-ca-file has no effect without --redis.url"},
		{"--redis.tls-cert-file=/none", "--redis.tls-cert-file has no effect without --redis.url"},
		{"--redis.tls-key-file=/none", "--redis.tls-key-file has no effect without --redis.url"},
		{"--redis.tls-server-name=redis", "--redis.tls-server-name has no effect without --redis.url"},
		{"--redis.sentinel-password-file=" + empty, "--redis.sentinel-password-file: " + empty + " is empty"},
		{"--redis.shards=some", `--redis.shards: "some" is not a whole number`},
		{"--redis.shards=-1", "--redis.shards: -1 is less than 0"},
		{"--storage.outage=ignore", `--storage.outage: "ignore" is not one of [degrade strict]`},
		{"--group.wait=30", `--group.wait: not a valid duration string: "30"`},
		{"--group.wait=-1s", "--group.wait: not a valid duration string"},
		{"--group.interval=0s", "--group.interval: 0s is less than 1ms"},
		{"--group.settle=soon", "--group.settle: not a valid duration string"},
		{"--group.stale-after=0", "--group.stale-after: 0 is less than 1ms"},
		{"--group.max-alerts=-1", "--group.max-alerts: -1 is less than 0"},
		{"--retention.groups=0s", "--retention.groups: 0s is less than 1ms"},
		{"--retention.history=0s", "--retention.history: 0s is less than 1ms"},
		{"--retention.max-groups=-1", "--retention.max-groups: -1 is less than 0"},
		{"--auto-gomemlimit.ratio=1.1", `--auto-gomemlimit.ratio: "1.1" is not a number between 0 and 1`},
		{"--auto-gomemlimit.ratio=NaN", `--auto-gomemlimit.ratio: "NaN" is not a number between 0 and 1`},
		{"--log.level=loud", "--log.level: unrecognized log level loud"},
		{"--log.format=xml", "--log.format: unrecognized log format xml"},
		{"--no-such", "unknown long flag '--no-such'"},
		{"more", "unexpected more"},
	} {
		_, err := parseFlags([]string{tc.arg})
		require.ErrorContains(t, err, tc.want)
		require.NotContains(t, err.Error(), "secret")
		name, value, isFlag := strings.Cut(strings.TrimPrefix(tc.arg, "--"), "=")
		if !isFlag {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Setenv(variable(name), value)
			_, err := parseFlags(nil)
			require.ErrorContains(t, err, tc.want, "by environment")
		})
	}
}

// Images and platforms set variables with names like ours. Variables that are not
// settings are ignored. The error for an invalid value names its variable.
func TestVariablesThatAreNoSettings(t *testing.T) {
	for _, name := range []string{
		"VERSION", "HELP", "HELP_LONG", "HELP_MAN", "COMPLETION_BASH", "COMPLETION_SCRIPT_ZSH", "PORT", "SERVICE_HOST",
	} {
		t.Setenv("MUSTER_"+name, "v1.2.3")
	}
	_, err := parseFlags(nil)
	require.NoError(t, err)
	for _, flag := range []string{"web.enable-pprof", "demo", "web.systemd-socket"} {
		t.Run(flag, func(t *testing.T) {
			t.Setenv(variable(flag), "yes")
			_, err := parseFlags(nil)
			require.EqualError(t, err, variable(flag)+": --"+flag+`: "yes" is neither true nor false`)
		})
	}
	t.Setenv("MUSTER_WEB_ENABLE_PPROF", "true")
	c, err := parseFlags(nil)
	require.NoError(t, err)
	require.True(t, c.router.EnablePprof)
}

// The health check derives the URL from the flags and variables of Muster.
func TestTheHealthCheckFindsItsMuster(t *testing.T) {
	for want, args := range map[string][]string{
		"http://127.0.0.1:9095/-/healthy":      nil,
		"http://127.0.0.1:80/-/healthy":        {"--web.listen-address=0.0.0.0:80"},
		"http://127.0.0.1:443/-/healthy":       {"--web.listen-address=:https"},
		"http://[::1]:80/-/healthy":            {"--web.listen-address=[::]:80"},
		"http://[fe80::1%25eth0]:80/-/healthy": {"--web.listen-address=[fe80::1%eth0]:80"},
		"http://10.0.0.1:80/-/healthy": {
			"--web.listen-address=vsock://:9", "--web.listen-address=:0", "--web.listen-address=10.0.0.1:80",
		},
		"http://127.0.0.1:9095/muster/-/healthy": {"--web.external-url=http://x/muster/"},
		"http://127.0.0.1:9095/a/-/healthy":      {"--web.external-url=http://x/muster", "--web.route-prefix=/a"},
		"http://127.0.0.1:9095/-/healthy?":       {"--web.external-url=http://x/muster", "--web.route-prefix=/"},
		"https://127.0.0.1:9095/-/healthy http":  {"--web.config.file=/none"},
	} {
		c, err := parseFlags(args)
		require.NoError(t, err)
		got, err := c.healthURLs(t.Context())
		require.NoError(t, err)
		if both, ok := strings.CutSuffix(want, " http"); ok {
			require.Equal(t, []string{both, strings.Replace(both, "https", "http", 1)}, got, "the server may use TLS or not")
			continue
		}
		require.Equal(t, []string{strings.TrimSuffix(want, "?")}, got, args)
	}
	for want, args := range map[string][]string{
		"systemd chooses the address: set --url":                  {"--web.systemd-socket"},
		"no --web.listen-address is reachable by HTTP: set --url": {"--web.listen-address=vsock://:9"},
	} {
		c, err := parseFlags(args)
		require.NoError(t, err)
		_, err = c.healthURLs(t.Context())
		require.ErrorContains(t, err, want)
	}
}

// variable returns the environment variable of a flag.
func variable(flag string) string {
	return "MUSTER_" + strings.NewReplacer(".", "_", "-", "_").Replace(strings.ToUpper(flag))
}

func TestEveryFlagHasAVariable(t *testing.T) {
	var c config
	app := newFlags(&c)
	_, err := app.Parse(nil)
	require.NoError(t, err)
	n := 0
	for _, f := range app.Model().Flags {
		if f.Name == "version" || strings.HasPrefix(f.Name, "help") || strings.HasPrefix(f.Name, "completion") {
			continue
		}
		require.Equal(t, variable(f.Name), f.Envar)
		n++
	}
	require.Greater(t, n, 30)
}

func TestValues(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, []byte("s3cret\n"), 0o600))
	t.Setenv("MUSTER_GROUP_WAIT", "1m")
	t.Setenv("MUSTER_GROUP_INTERVAL", "1m")
	t.Setenv("MUSTER_WEB_LISTEN_ADDRESS", "127.0.0.1:3")
	c, err := parseFlags([]string{
		"--web.listen-address=127.0.0.1:1", "--web.listen-address=127.0.0.1:2", "--web.external-url=https://host/muster/",
		"--web.max-body-size=1KiB", "--web.max-requests=7", "--retention.groups=30d", "--group.interval=1m30s",
		"--group.wait=0s", "--redis.url=redis://host", "--redis.password-file=" + secret, "--storage.outage=strict", "--auto-gomemlimit.ratio=0",
	})
	require.NoError(t, err)
	require.Equal(t, []string{"127.0.0.1:1", "127.0.0.1:2"}, *c.web.WebListenAddresses, "the flag is repeatable")
	require.Equal(t, "/muster/", c.router.RoutePrefix)
	require.EqualValues(t, 1024, c.receiver.MaxBodySize)
	require.Equal(t, 7, c.receiver.MaxRequests)
	require.Equal(t, []time.Duration{30 * 24 * time.Hour, 90 * time.Second, 0},
		[]time.Duration{c.group.Retention, c.group.Interval, c.group.Wait}, "a flag overrides a variable")
	require.Equal(t, c.group, c.pages.Groups)
	require.Equal(t, []string{secret, ""}, []string{c.storage.Redis.PasswordFile, c.storage.Redis.SentinelPasswordFile})
	require.Equal(t, storage.OutageStrict, c.storage.Tiered.Outage)
	require.Zero(t, c.memoryRatio)
}

func TestRoutePrefix(t *testing.T) {
	for _, tc := range []struct{ external, prefix, want string }{
		{"", "", ""},
		{"http://host", "", ""},
		{"http://host/a/b", "", "/a/b"},
		{"http://host/a", "/", "/"},
		{"http://host/a", "b/", "/b"},
		{"", "/b.c/d_~-", "/b.c/d_~-"},
	} {
		c, err := parseFlags([]string{"--web.external-url=" + tc.external, "--web.route-prefix=" + tc.prefix})
		require.NoError(t, err)
		require.Equal(t, tc.want, c.router.RoutePrefix, tc)
	}
}

// The origin is written as a browser writes it.
func TestExternalOrigin(t *testing.T) {
	for external, want := range map[string]string{
		"":                           "",
		"http://host":                "http://host",
		"https://Muster.Example/a/b": "https://muster.example",
		"https://host:443/":          "https://host",
		"http://host:80":             "http://host",
		"http://host:443":            "http://host:443",
		"https://host:8443":          "https://host:8443",
		"http://[::1]:9095/":         "http://[::1]:9095",
	} {
		c, err := parseFlags([]string{"--web.external-url=" + external})
		require.NoError(t, err)
		require.Equal(t, want, c.router.ExternalOrigin)
	}
}

// Muster does not start if everyone could write as another person, or if nobody could.
func TestWhoMayWriteMustMakeSense(t *testing.T) {
	users := filepath.Join(t.TempDir(), "web.yml")
	const config = "basic_auth_users: {mira: $2a$04$9mK3Z533dmg19ybAmjgpy.QTuPuE6jn545vTyoba4Qd2faqd3OUTG}\n"
	require.NoError(t, os.WriteFile(users, []byte(config), 0o600))
	for want, args := range map[string][]string{
		"--web.user-header needs --web.user-header-from": {"--web.user-header=X-User"},
		"--web.user-header-from has no effect":           {"--web.user-header-from=10.0.0.1"},
		"--web.writers needs verified names":             {"--web.writers=mira"},
	} {
		c, err := parseFlags(append(args, "--storage.path="))
		require.NoError(t, err)
		_, err = build(c, promslog.NewNopLogger())
		require.ErrorContains(t, err, want)
	}
	for _, args := range [][]string{
		{
			"--web.user-header=x-user", "--web.user-header-from=10.0.0.0/8", "--web.user-header-from=::1",
			"--web.writers=mira", "--web.writers=rob",
		},
		{"--web.config.file=" + users, "--web.writers=mira"},
		{"--web.read-only"},
		{"--web.user-header="},
	} {
		c, err := parseFlags(append(args, "--storage.path="))
		require.NoError(t, err)
		c.applyMemoryLimit(math.MaxInt64)
		m, err := build(c, promslog.NewNopLogger())
		require.NoError(t, err, args)
		require.NoError(t, m.storage.Close())
	}
	c, err := parseFlags([]string{"--web.user-header=x-user", "--web.user-header-from=10.1.2.3/8", "--web.writers=mira", "--web.writers=rob"})
	require.NoError(t, err)
	require.Equal(t, "X-User", c.people.Header)
	require.Equal(t, "[10.0.0.0/8]", fmt.Sprint(c.people.HeaderFrom))
	require.Equal(t, []string{"mira", "rob"}, c.people.Writers)
}

func TestDemoKeepsToItself(t *testing.T) {
	c, err := parseFlags([]string{"--demo", "--redis.url=redis://host"})
	require.NoError(t, err)
	require.Empty(t, c.storage.Redis.URL+c.storage.File.Path)
	require.Equal(t, []string{"127.0.0.1:9095"}, *c.web.WebListenAddresses)
	c, err = parseFlags([]string{"--demo", "--web.listen-address=:1"})
	require.NoError(t, err)
	require.Equal(t, []string{":1"}, *c.web.WebListenAddresses)
}

// Neither the help nor an error of kingpin shows a secret.
func TestAFlagTellsNoValue(t *testing.T) {
	var c config
	app := newFlags(&c)
	secret := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(secret, []byte("s3cret"), 0o600))
	_, err := app.Parse([]string{"--redis.password-file=" + secret})
	require.NoError(t, err)
	var help strings.Builder
	app.UsageWriter(&help).Terminate(nil)
	app.Usage(nil)
	require.Contains(t, help.String(), "--redis.password-file=FILE")
	require.NotContains(t, help.String(), "s3cret")
	require.Implements(t, (*kingpin.Value)(nil), &flagValue[string]{})
}
