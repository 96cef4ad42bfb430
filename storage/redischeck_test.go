package storage

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/grouping"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

func freePort(t *testing.T) int {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	return l.Addr().(*net.TCPAddr).Port
}

// leastUser may do what Muster must, as README has it, and nothing else.
const leastUser = "muster on >secret ~muster:* resetchannels -@all +eval +evalsha +ping +time +hgetall +hlen +hscan +exists +xread +zrange +zadd " +
	"+zremrangebyrank +expire +type +hget +hmget +hset +hsetnx +hdel +hincrby +xlen +xadd +xrevrange +zcard +zscore +zremrangebylex +del +persist"

// Each against a real server that is set up that way.
func TestRedisCheck(t *testing.T) {
	for name, test := range map[string]struct {
		server string // lines of its configuration
		url    string // with %s for the socket, or %d for the port
		want   []string
	}{
		"as it must be":         {"", "unix://%s", nil},
		"any key may go":        {"maxmemory-policy allkeys-lru", "unix://%s", []string{"Redis deletes any group when its memory is full: its maxmemory-policy is allkeys-lru, and must be noeviction."}},
		"keys with a TTL go":    {"maxmemory-policy volatile-ttl\nrename-command CONFIG ''", "unix://%s", []string{"Redis deletes resolved groups and their history when its memory is full: its maxmemory-policy is volatile-ttl, and must be noeviction."}},
		"a replica":             {"replicaof 127.0.0.1 1", "unix://%s", []string{"Redis is a replica and cannot be written to: name the primary in the URL, or the Sentinels, which know it."}},
		"a password":            {"requirepass secret", "unix://:secret@%s", nil},
		"no password":           {"requirepass secret", "unix://%s", []string{"Redis wants a password and was given none."}},
		"another password":      {"requirepass secret", "unix://:se%%2Fcret@%s", []string{"Redis refuses the user or the password."}},
		"another user":          {"requirepass secret", "unix://muster:secret@%s", []string{"Redis refuses the user or the password."}},
		"no way to log in":      {"requirepass secret\nrename-command HELLO ''\nrename-command AUTH ''", "unix://:secret@%s", []string{"Redis knows no command to log in with."}},
		"no command that logs":  {"requirepass secret\nrename-command AUTH ''", "unix://:secret@%s", nil},
		"the least user":        {"user " + leastUser, "unix://muster:secret@%s", nil},
		"no scripts":            {"user " + leastUser + " -evalsha", "unix://muster:secret@%s", []string{"Redis does not let the user do what Muster must: NOPERM this user has no permissions to run the 'evalsha' command."}},
		"other keys":            {"user " + leastUser + " resetkeys ~other:*", "unix://muster:secret@%s", []string{"Redis does not let the user do what Muster must: NOPERM this user has no permissions to access one of the keys used as arguments."}},
		"a node of a cluster":   {"cluster-enabled yes", "unix://%s", []string{"Redis is a node of a cluster: name a second one in the URL, with addr=host:port."}},
		"no cluster":            {"", "redis://127.0.0.1:%d?addr=127.0.0.1:%[1]d", []string{"Redis is no cluster, but the URL names several servers by addr: name one, or the Sentinels with their master_name."}},
		"Sentinels that do not": {"sentinel", "redis://127.0.0.1:%d?master_name=mine", []string{"No Sentinel knows a master of the URL's master_name."}},
		"a Sentinel's password": {"sentinel\nrequirepass secret", "redis://127.0.0.1:%d?master_name=mine", []string{"Sentinel wants a password and was given none."}},
		"not a Sentinel's one":  {"sentinel\nrequirepass secret", "redis://:other@127.0.0.1:%d?master_name=mine", []string{"Sentinel refuses the user or the password."}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := startRawRedis(t, test.server, test.url)
			r := openRedis(t, RedisOptions{URL: url})
			var found []string
			require.Eventually(t, func() (done bool) {
				var err error
				found, err = r.Check(context.Background())
				if err != nil {
					t.Log(err)
				}
				return err == nil
			}, 20*time.Second, 20*time.Millisecond)
			require.Equal(t, test.want, found)
			_, err := r.Position(t.Context())
			if err != nil {
				require.NotContains(t, err.Error(), "secret")
			}
			if len(found) == 0 {
				w := &writer{GroupStorage: r, Clock: grouping.NewClock()}
				g := w.add(t, groupKey("g"), a("x", "1"))
				w.mustStore(t, w.change(g, g.Key, a("x", "2")))
				require.Equal(t, "2", values(w.mustLoad(t, g.Key))["x"])
				_, err := w.Events(t.Context(), grouping.EventQuery{})
				require.NoError(t, err)
				require.NoError(t, r.PushEvents(t.Context(), w.change(g, g.Key, a("x", "3")).Events))
				from, err := r.Position(t.Context())
				require.NoError(t, err)
				_, err = r.CheckLineage(t.Context(), from)
				require.NoError(t, err)
				_, err = r.LoadEvents(t.Context(), []LogEntry{{ID: g.ID, Position: Position{Token: string(w.Stamp())}}})
				require.NoError(t, err)
				_, err = r.MissingEvents(t.Context(), w.change(g, g.Key, a("x", "3")).Events)
				require.NoError(t, err)
				_, err = r.FindLosses(t.Context(), []grouping.ID{g.ID})
				require.NoError(t, err)
				_, err = r.Index(t.Context())
				require.NoError(t, err)
				_, err = r.Now(t.Context())
				require.NoError(t, err)
				require.NoError(t, r.Ping(t.Context()))
			}
		})
	}
}

// startRawRedis starts a redis-server with the lines in its configuration, or a
// Sentinel if the first of them says so, and returns the URL with its place put in.
func startRawRedis(t *testing.T, lines, url string) string {
	t.Helper()
	if os.Getenv("SHORT") == "1" {
		t.Skip("SHORT=1: without a real Redis")
	}
	path, err := exec.LookPath("redis-server")
	require.NoError(t, err, "redis-server is not installed: run scripts/install-redis.sh (Debian: apt-get install redis-server), or set SHORT=1")
	dir, port := t.TempDir(), freePort(t)
	socket, file := filepath.Join(dir, "s"), filepath.Join(dir, "redis.conf")
	args := []string{file}
	lines, sentinel := strings.CutPrefix(lines, "sentinel")
	if sentinel {
		args = append(args, "--sentinel")
	}
	config := fmt.Sprintf("port %d\nbind 127.0.0.1\nunixsocket %s\ndir %s\nsave ''\n%s\n", port, socket, dir, lines)
	if strings.Contains(lines, "cluster-enabled") {
		config += fmt.Sprintln("cluster-port", freePort(t))
	}
	require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
	var said bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = &said, &said
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(said.String())
		}
	})
	if strings.Contains(url, "%d") {
		return fmt.Sprintf(url, port)
	}
	return fmt.Sprintf(url, socket)
}

// What real servers answer to INFO, with another version, role or policy.
func TestServerProblems(t *testing.T) {
	const info = "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\ntcp_port:6379\r\n# Replication\r\nrole:master\r\n# Cluster\r\ncluster_enabled:0\r\nmaxmemory_policy:noeviction\r\n"
	for _, test := range []struct {
		old, new  string
		inCluster bool
		want      string
	}{
		{"", "", false, ""},
		{"", "", true, ""},
		{"7.0.15", "6.2.0", false, ""},
		{"7.0.15", "10.0.1", false, ""},
		{"7.0.15", "255.255.255", false, ""},
		{"redis_version:7.0.15", "redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.0", false, ""},
		{"7.0.15", "unstable", false, ""},
		{"redis_version:7.0.15\r\n", "", false, ""},
		{"7.0.15", "6.0.16", false, "Redis is version 6.0.16, and the oldest that works is 6.2: before it there is no ZRANGE with BYLEX and REV, by which the history is read."},
		{"7.0.15", "5.0.14", true, "The Redis of the cluster with port 6379 is version 5.0.14, and the oldest"},
		{"role:master", "role:slave", false, "Redis is a replica"},
		{"cluster_enabled:0", "cluster_enabled:1", false, "Redis is a node of a cluster"},
		{"cluster_enabled:0", "cluster_enabled:1", true, ""},
		{"noeviction", "allkeys-lfu", true, "The Redis of the cluster with port 6379 deletes any group"},
		{"maxmemory_policy:noeviction", "maxmemory_policy:", false, ""},
	} {
		found := serverProblems(strings.Replace(info, test.old, test.new, 1), test.inCluster)
		if test.want == "" {
			require.Empty(t, found, test.new)
		} else {
			require.Len(t, found, 1, test.new)
			require.Contains(t, found[0], test.want)
		}
	}
}

// Groups are found by the number of shards: who comes with another one must not
// write, since nobody would look there.
func TestRedisShardsAreKept(t *testing.T) {
	server, r, w := mini(t, RedisOptions{Shards: 2})
	w.add(t, groupKey("g"), a("x", "1"))
	_, err := r.Position(t.Context())
	require.NoError(t, err)
	other := openRedis(t, RedisOptions{URL: "redis://" + server.Addr(), Shards: 3})
	_, err = other.Position(t.Context())
	require.ErrorContains(t, err, "spread over 2 shards, not over the 3 of --redis.shards")
	require.Equal(t, "shards", FaultReason(err))
	require.Equal(t, "The groups in Redis are spread over 2 shards, and --redis.shards is 3: set it back, or choose another --redis.key-prefix to begin anew.", refusal(err))
	var b breaker
	require.True(t, b.failure(FaultReason(err)), "at once")
}

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// What a check finds is in the status, and is logged once. A server that cannot
// be reached does not take it back.
func TestManagerChecks(t *testing.T) {
	server := startRedis(t, "--maxmemory-policy", "allkeys-lru")
	var log lockedBuffer
	r := server.open(t)
	m, err := NewTiered(NewMemory(MemoryOptions{}), InstrumentDurable(r, prometheus.NewRegistry()), grouping.NewClock(), prometheus.NewRegistry(),
		slog.New(slog.NewTextHandler(&log, nil)), TieredOptions{CheckInterval: 10 * time.Millisecond, CompareInterval: 20 * time.Millisecond, WriteTimeout: 20 * time.Second})
	require.NoError(t, err)
	require.Empty(t, m.Status().Problems)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = m.Run(ctx) }()
	defer func() {
		cancel()
		<-done
	}()
	const evicts = "Redis deletes any group when its memory is full"
	require.Eventually(t, func() bool { return len(m.Status().Problems) == 1 }, 20*time.Second, 5*time.Millisecond)
	require.Contains(t, m.Status().Problems[0], evicts)

	admin := redis.NewClient(&redis.Options{Network: "unix", Addr: server.socket})
	defer func() { require.NoError(t, admin.Close()) }()
	require.NoError(t, admin.ConfigSet(t.Context(), "maxmemory-policy", "noeviction").Err())
	require.Eventually(t, func() bool { return len(m.Status().Problems) == 0 }, 20*time.Second, 5*time.Millisecond, "it was mended")
	require.NoError(t, admin.ConfigSet(t.Context(), "maxmemory-policy", "volatile-lru").Err())
	require.Eventually(t, func() bool { return len(m.Status().Problems) == 1 }, 20*time.Second, 5*time.Millisecond)
	_ = server.cmd.Process.Kill()
	require.Eventually(t, func() bool { return !m.Status().Healthy }, 20*time.Second, 5*time.Millisecond)
	require.Len(t, m.Status().Problems, 1, "nothing new is known")
	require.Equal(t, 1, strings.Count(log.String(), evicts))
	require.Equal(t, 1, strings.Count(log.String(), "resolved groups and their history"))
}

// A server that is not there says nothing about how it is set up.
func TestRedisCheckOfNobody(t *testing.T) {
	r, err := NewRedis(RedisOptions{URL: fmt.Sprintf("redis://127.0.0.1:%d", freePort(t))}, promslog.NewNopLogger())
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	found, err := r.Check(t.Context())
	require.ErrorIs(t, err, grouping.ErrStorage)
	require.Empty(t, found)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = r.Check(ctx)
	require.ErrorIs(t, err, context.Canceled)
}
