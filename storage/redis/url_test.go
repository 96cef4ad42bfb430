package redis

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/stretchr/testify/require"
)

func TestRedisOptions(t *testing.T) {
	junk := filepath.Join(t.TempDir(), "junk.pem")
	require.NoError(t, os.WriteFile(junk, []byte("junk"), 0o600))
	for _, test := range []struct {
		want    string
		options Options
	}{
		{"--redis.url: is not a URL", Options{URL: "redis://user:secret@host:port/"}},
		{"--redis.url: is not a URL", Options{URL: "redis://user:%secret@host"}},
		{"--redis.url: is not a URL", Options{URL: "redis://:secret#@host"}},
		{"--redis.url: is not a URL", Options{URL: "redis://:1#secret@host"}},
		{"--redis.url: must begin with redis://, rediss:// or unix://", Options{URL: "http://user:secret@host"}},
		{"--redis.url: must begin with", Options{URL: "secret:secret@host"}},
		{"--redis.url: must begin with", Options{URL: "host"}},
		{"--redis.url: must begin with", Options{}},
		{"--redis.url: a port, a path or an option is not valid", Options{URL: "redis://:1/secret@host"}},
		{"--redis.url: a port, a path or an option is not valid", Options{URL: "redis://:1?secret@host"}},
		{"--redis.url: a port, a path or an option is not valid", Options{URL: "redis://host?master_name=m&password=x&secret"}},
		{"--redis.url: unexpected option: max_retrys", Options{URL: "redis://host?max_retrys=1"}},
		{"--redis.url: invalid database number", Options{URL: "redis://host/x"}},
		{"--redis.url: empty unix socket path", Options{URL: "unix://"}},
		{"--redis.url: invalid URL scheme: unix", Options{URL: "unix:///socket?master_name=m"}},
		{"--redis.url: master_name is empty", Options{URL: "redis://host?master_name=&addr=other:1"}},
		{"--redis.url: unable to parse addr param", Options{URL: "redis://host?addr=other"}},
		{"--redis.url: \"host:65536\" has no valid port", Options{URL: "redis://host:65536"}},
		{"--redis.url: \"other:99999\" has no valid port", Options{URL: "redis://host:1?addr=other:99999"}},
		{"--redis.url: a port, a path or an option is not valid", Options{URL: "redis://:345678901?secret@host"}},
		{"--redis.url: a cluster has only the database 0", Options{URL: "redis://host/1?addr=other:1"}},
		{"--redis.url: read_only is not supported", Options{URL: "redis://host?addr=other:1&read_only=true"}},
		{"--redis.url: route_by_latency is not supported", Options{URL: "redis://host?master_name=m&route_by_latency=true"}},
		{"--redis.url: replica_only is not supported", Options{URL: "redis://host?master_name=m&replica_only=true"}},
		{"--redis.sentinel-password-file: the URL names no Sentinels", Options{URL: "redis://host", SentinelPasswordFile: "secret"}},
		{"--redis.tls-ca-file: needs a --redis.url that begins with rediss://", Options{URL: "redis://host", TLS: TLS{CAFile: "ca"}}},
		{"--redis.tls-cert-file: needs a --redis.url that begins with rediss://", Options{URL: "unix:///s", TLS: TLS{CertFile: "c"}}},
		{
			"--redis.tls-key-file: needs a --redis.url that begins with rediss://",
			Options{URL: "redis://h?master_name=m", TLS: TLS{KeyFile: "k"}},
		},
		{
			"--redis.tls-server-name: needs a --redis.url that begins with rediss://",
			Options{URL: "redis://h?addr=h:1", TLS: TLS{ServerName: "k"}},
		},
		{"--redis.tls-ca-file: open /none", Options{URL: "rediss://host", TLS: TLS{CAFile: "/none"}}},
		{"--redis.tls-ca-file: " + junk + " has no certificate", Options{URL: "rediss://host", TLS: TLS{CAFile: junk}}},
		{"--redis.tls-cert-file: needs --redis.tls-key-file", Options{URL: "rediss://host", TLS: TLS{CertFile: junk}}},
		{"--redis.tls-key-file: needs --redis.tls-cert-file", Options{URL: "rediss://host", TLS: TLS{KeyFile: junk}}},
		{"--redis.tls-cert-file: tls: failed to find any PEM", Options{URL: "rediss://host", TLS: TLS{CertFile: junk, KeyFile: junk}}},
		{"--redis.key-prefix: \"m{1}\" contains a brace", Options{URL: "redis://host", KeyPrefix: "m{1}"}},
		{"--redis.shards: 65 is not between 1 and 64", Options{URL: "redis://host", Shards: 65}},
		{"--redis.shards: -1 is not between", Options{URL: "redis://host", Shards: -1}},
		{"redis: only positive values are allowed: retention -1ns", Options{URL: "redis://host", Retention: -1}},
	} {
		_, err := New(withDefaults(test.options))
		require.ErrorContains(t, err, test.want, test.options.URL)
		require.NotContains(t, err.Error(), "secret", test.options.URL)
	}
}

// Muster overrides the time limits and retries in the URL, because the time limit
// of a webhook depends on them.
func TestRedisClients(t *testing.T) {
	const overridden = "max_retries=9&read_timeout=1m&write_timeout=1m&pool_size=1&pool_timeout=1m&dial_timeout=1m"
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte("from a file\n"), 0o600))
	for name, test := range map[string]struct {
		url         string
		addr, user  string
		db, streams int
		tls         bool
	}{
		"one server":  {"redis://u:p%40%2F@127.0.0.1:1/3?" + overridden, "127.0.0.1:1", "u", 3, 4, false},
		"with TLS":    {"rediss://u@127.0.0.1:1/3?" + overridden, "127.0.0.1:1", "u", 3, 4, true},
		"unix socket": {"unix://u:p@/tmp/s?db=3&" + overridden, "/tmp/s", "u", 3, 4, false},
		"Sentinels": {
			"redis://s:sp@127.0.0.1:1/3?master_name=m&addr=127.0.0.1:2&username=u&password=q&" + overridden,
			"FailoverClient", "u", 3, 4, false,
		},
		"Sentinel TLS": {"rediss://127.0.0.1:1/3?master_name=m&username=u&" + overridden, "FailoverClient", "u", 3, 4, true},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := New(withDefaults(Options{URL: test.url, Shards: 4, PasswordFile: file}))
			require.NoError(t, err, "it does not connect yet")
			defer func() { require.NoError(t, r.Close()) }()
			client, ok := r.client.(*redis.Client)
			require.True(t, ok)
			o := client.Options()
			require.True(t, o.ContextTimeoutEnabled)
			require.Equal(t, []time.Duration{maxCommandTime, maxCommandTime, time.Second, time.Second},
				[]time.Duration{o.ReadTimeout, o.WriteTimeout, o.DialTimeout, o.PoolTimeout})
			require.Equal(t, []int{0, 16, 1, test.db}, []int{o.MaxRetries, o.PoolSize, o.DialerRetries, o.DB},
				"the client never sends a script twice")
			require.True(t, o.DisableIdentity)
			require.Equal(t, maintnotifications.ModeDisabled, o.MaintNotificationsConfig.Mode)
			user, password, err := o.CredentialsProviderContext(t.Context())
			require.NoError(t, err)
			require.Equal(t, []string{test.addr, test.user, "from a file"}, []string{o.Addr, user, password})
			require.Equal(t, test.tls, o.TLSConfig != nil)
			stream, ok := r.stream.(*redis.Client)
			require.True(t, ok)
			require.Equal(t, test.streams, stream.Options().PoolSize)
		})
	}

	r, err := New(withDefaults(Options{URL: "redis://u:p@127.0.0.1:1?addr=127.0.0.1:2", PasswordFile: file}))
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	withFile, ok := r.client.(*redis.ClusterClient)
	require.True(t, ok)
	user, password, err := withFile.Options().CredentialsProviderContext(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"u", "from a file"}, []string{user, password})

	r, err = New(withDefaults(Options{URL: "rediss://u:p@127.0.0.1:1?addr=127.0.0.1:2&addr=127.0.0.1:3&" + overridden}))
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	client, ok := r.client.(*redis.ClusterClient)
	require.True(t, ok)
	o := client.Options()
	require.Equal(t, []string{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"}, o.Addrs)
	require.Equal(t, []time.Duration{maxCommandTime, maxCommandTime, time.Second, time.Second, time.Second},
		[]time.Duration{o.ReadTimeout, o.WriteTimeout, o.DialTimeout, o.PoolTimeout, o.ClusterStateReloadInterval})
	require.Equal(t, []int{16, 1, 3}, []int{o.PoolSize, o.DialerRetries, o.MaxRedirects})
	require.True(t, o.ContextTimeoutEnabled && o.DisableIdentity && o.DisableRoutingPolicies)
	require.Equal(t, []string{"u", "p", ""}, []string{o.Username, o.Password, o.TLSConfig.ServerName}, "each node has its own name")
	require.Equal(t, 16, r.opts.Shards)
	stream, ok := r.stream.(*redis.ClusterClient)
	require.True(t, ok)
	require.NotSame(t, &o.Addrs[0], &stream.Options().Addrs[0], "each client appends to its own list")
	require.Equal(t, []string{"p"}, r.secrets.values)
}

func TestRedisRedactsSecrets(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r := &Storage{secrets: &secrets{}}
	r.secrets.add("secret")
	r.secrets.add("secret other")
	redisLogger{logger, r.secrets}.Printf(t.Context(), "with args beginning with: '%s' '%s'", "secret other", "secret")
	cause := errors.New("ERR unknown command 'AUTH', with args beginning with: 'secret'")
	err := r.fault(t.Context(), "store", cause)
	require.ErrorIs(t, err, cause)
	require.ErrorContains(t, err, "beginning with: '<hidden>'")
	require.NotContains(t, log.String()+err.Error(), "'secret'")
	require.NotContains(t, log.String(), "other")
	require.ErrorContains(t, r.fault(t.Context(), "store", errors.New("EOF")), "EOF")
}
