package storage

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/common/promslog"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/stretchr/testify/require"
)

func TestRedisOptions(t *testing.T) {
	junk := filepath.Join(t.TempDir(), "junk.pem")
	require.NoError(t, os.WriteFile(junk, []byte("junk"), 0o600))
	for _, test := range []struct {
		want    string
		options RedisOptions
	}{
		{"--redis.url: is not a URL", RedisOptions{URL: "redis://user:secret@host:port/"}},
		{"--redis.url: is not a URL", RedisOptions{URL: "redis://user:%secret@host"}},
		{"--redis.url: is not a URL", RedisOptions{URL: "redis://:secret#@host"}},
		{"--redis.url: is not a URL", RedisOptions{URL: "redis://:1#secret@host"}},
		{"--redis.url: must begin with redis://, rediss:// or unix://", RedisOptions{URL: "http://user:secret@host"}},
		{"--redis.url: must begin with", RedisOptions{URL: "secret:secret@host"}},
		{"--redis.url: must begin with", RedisOptions{URL: "host"}},
		{"--redis.url: must begin with", RedisOptions{}},
		{"--redis.url: a port, a path or an option is not valid", RedisOptions{URL: "redis://:1/secret@host"}},
		{"--redis.url: a port, a path or an option is not valid", RedisOptions{URL: "redis://:1?secret@host"}},
		{"--redis.url: a port, a path or an option is not valid", RedisOptions{URL: "redis://host?master_name=m&password=x&secret"}},
		{"--redis.url: unexpected option: max_retrys", RedisOptions{URL: "redis://host?max_retrys=1"}},
		{"--redis.url: invalid database number", RedisOptions{URL: "redis://host/x"}},
		{"--redis.url: empty unix socket path", RedisOptions{URL: "unix://"}},
		{"--redis.url: invalid URL scheme: unix", RedisOptions{URL: "unix:///socket?master_name=m"}},
		{"--redis.url: master_name is empty", RedisOptions{URL: "redis://host?master_name=&addr=other:1"}},
		{"--redis.url: unable to parse addr param", RedisOptions{URL: "redis://host?addr=other"}},
		{"--redis.url: \"host:65536\" has no valid port", RedisOptions{URL: "redis://host:65536"}},
		{"--redis.url: \"other:99999\" has no valid port", RedisOptions{URL: "redis://host:1?addr=other:99999"}},
		{"--redis.url: a port, a path or an option is not valid", RedisOptions{URL: "redis://:345678901?secret@host"}},
		{"--redis.url: a cluster has only the database 0", RedisOptions{URL: "redis://host/1?addr=other:1"}},
		{"--redis.url: read_only is not supported", RedisOptions{URL: "redis://host?addr=other:1&read_only=true"}},
		{"--redis.url: route_by_latency is not supported", RedisOptions{URL: "redis://host?master_name=m&route_by_latency=true"}},
		{"--redis.url: replica_only is not supported", RedisOptions{URL: "redis://host?master_name=m&replica_only=true"}},
		{"--redis.sentinel-password-file: the URL names no Sentinels", RedisOptions{URL: "redis://host", SentinelPasswordFile: "secret"}},
		{"--redis.tls-ca-file: needs a --redis.url that begins with rediss://", RedisOptions{URL: "redis://host", TLS: RedisTLS{CAFile: "ca"}}},
		{"--redis.tls-cert-file: needs a --redis.url that begins with rediss://", RedisOptions{URL: "unix:///s", TLS: RedisTLS{CertFile: "c"}}},
		{
			"--redis.tls-key-file: needs a --redis.url that begins with rediss://",
			RedisOptions{URL: "redis://h?master_name=m", TLS: RedisTLS{KeyFile: "k"}},
		},
		{
			"--redis.tls-server-name: needs a --redis.url that begins with rediss://",
			RedisOptions{URL: "redis://h?addr=h:1", TLS: RedisTLS{ServerName: "k"}},
		},
		{"--redis.tls-ca-file: open /none", RedisOptions{URL: "rediss://host", TLS: RedisTLS{CAFile: "/none"}}},
		{"--redis.tls-ca-file: " + junk + " has no certificate", RedisOptions{URL: "rediss://host", TLS: RedisTLS{CAFile: junk}}},
		{"--redis.tls-cert-file: needs --redis.tls-key-file", RedisOptions{URL: "rediss://host", TLS: RedisTLS{CertFile: junk}}},
		{"--redis.tls-key-file: needs --redis.tls-cert-file", RedisOptions{URL: "rediss://host", TLS: RedisTLS{KeyFile: junk}}},
		{"--redis.tls-cert-file: tls: failed to find any PEM", RedisOptions{URL: "rediss://host", TLS: RedisTLS{CertFile: junk, KeyFile: junk}}},
		{"--redis.key-prefix: \"m{1}\" contains a brace", RedisOptions{URL: "redis://host", KeyPrefix: "m{1}"}},
		{"--redis.shards: 65 is not between 1 and 64", RedisOptions{URL: "redis://host", Shards: 65}},
		{"--redis.shards: -1 is not between", RedisOptions{URL: "redis://host", Shards: -1}},
		{"redis: a negative value is not allowed: retention -1ns", RedisOptions{URL: "redis://host", Retention: -1}},
	} {
		_, err := NewRedis(test.options, promslog.NewNopLogger())
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
			r, err := NewRedis(RedisOptions{URL: test.url, Shards: 4, PasswordFile: file}, promslog.NewNopLogger())
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

	r, err := NewRedis(RedisOptions{URL: "redis://u:p@127.0.0.1:1?addr=127.0.0.1:2", PasswordFile: file}, promslog.NewNopLogger())
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	withFile, ok := r.client.(*redis.ClusterClient)
	require.True(t, ok)
	user, password, err := withFile.Options().CredentialsProviderContext(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"u", "from a file"}, []string{user, password})

	r, err = NewRedis(RedisOptions{URL: "rediss://u:p@127.0.0.1:1?addr=127.0.0.1:2&addr=127.0.0.1:3&" + overridden}, promslog.NewNopLogger())
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
	r := &Redis{secrets: &secrets{}}
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
