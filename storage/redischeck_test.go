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

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"muster/grouping"
)

func freePort(t *testing.T) int {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	return l.Addr().(*net.TCPAddr).Port
}

// minimalUser has only the permissions that Muster needs, as in the README.
const minimalUser = "muster on >secret ~muster:* resetchannels -@all +eval +evalsha +ping +time +hgetall +hlen +hscan +exists +xread " +
	"+zrange +zadd +zremrangebyrank +expire +type +hget +hmget +hset +hsetnx +hdel +hincrby +xlen +xadd +xrevrange +zcard +zscore " +
	"+zremrangebylex +del +persist"

// Each case runs against a real server with that setup.
func TestRedisCheck(t *testing.T) {
	for name, test := range map[string]struct {
		server string // lines of the configuration
		url    string // with %s for the socket or %d for the port
		want   []string
	}{
		"as it must be": {"", "unix://%s", nil},
		"any key may be evicted": {"maxmemory-policy allkeys-lru", "unix://%s", []string{
			"Redis evicts any group when its memory is full: its maxmemory-policy is allkeys-lru, but must be noeviction.",
		}},
		"keys with a TTL may be evicted": {"maxmemory-policy volatile-ttl\nrename-command CONFIG ''", "unix://%s", []string{
			"Redis evicts resolved groups and their history when its memory is full: " +
				"its maxmemory-policy is volatile-ttl, but must be noeviction.",
		}},
		"a replica": {"replicaof 127.0.0.1 1", "unix://%s", []string{
			"Redis is a replica and rejects writes. Name the primary or the Sentinels in --redis.url.",
		}},
		"a password": {"requirepass secret", "unix://:secret@%s", nil},
		"no password": {"requirepass secret", "unix://%s", []string{
			"Redis requires a password, but no password is configured.",
		}},
		"another password": {"requirepass secret", "unix://:se%%2Fcret@%s", []string{"Redis refuses the user or the password."}},
		"another user":     {"requirepass secret", "unix://muster:secret@%s", []string{"Redis refuses the user or the password."}},
		"no command to log in": {"requirepass secret\nrename-command HELLO ''\nrename-command AUTH ''", "unix://:secret@%s", []string{
			"Redis does not know the command AUTH, so Muster cannot log in.",
		}},
		"no AUTH but HELLO":      {"requirepass secret\nrename-command AUTH ''", "unix://:secret@%s", nil},
		"the fewest permissions": {"user " + minimalUser, "unix://muster:secret@%s", nil},
		"no scripts": {"user " + minimalUser + " -evalsha", "unix://muster:secret@%s", []string{
			"The Redis user does not have a permission that Muster needs: " +
				"NOPERM this user has no permissions to run the 'evalsha' command.",
		}},
		"other keys": {"user " + minimalUser + " resetkeys ~other:*", "unix://muster:secret@%s", []string{
			"The Redis user does not have a permission that Muster needs: " +
				"NOPERM this user has no permissions to access one of the keys used as arguments.",
		}},
		"a node of a cluster": {"cluster-enabled yes", "unix://%s", []string{
			"Redis is a node of a cluster: name a second one in the URL, with addr=host:port.",
		}},
		"not a cluster": {"", "redis://127.0.0.1:%d?addr=127.0.0.1:%[1]d", []string{
			"Redis is not a cluster, but --redis.url names several servers with addr. Name one server, or the Sentinels with master_name.",
		}},
		"Sentinels without the master": {"sentinel", "redis://127.0.0.1:%d?master_name=mine", []string{
			"No Sentinel knows the master_name in --redis.url.",
		}},
		"no password of Sentinel": {"sentinel\nrequirepass secret", "redis://127.0.0.1:%d?master_name=mine", []string{
			"Sentinel requires a password, but no password is configured.",
		}},
		"another password of Sentinel": {"sentinel\nrequirepass secret", "redis://:other@127.0.0.1:%d?master_name=mine", []string{
			"Sentinel refuses the user or the password.",
		}},
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

// startRawRedis starts a redis-server with the lines in its configuration. It starts
// a Sentinel if the lines begin with "sentinel". It returns the URL with the socket
// or the port of the server.
func startRawRedis(t *testing.T, lines, url string) string {
	t.Helper()
	if os.Getenv("SHORT") == "1" {
		t.Skip("SHORT=1: without a real Redis")
	}
	path, err := exec.LookPath("redis-server")
	require.NoError(t, err, "redis-server is not installed: run scripts/install.sh redis-server redis-server "+
		"(Debian: apt-get install redis-server), or set SHORT=1")
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

// The answers to INFO are those of real servers, with another version, role or
// policy.
func TestServerProblems(t *testing.T) {
	const info = "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\ntcp_port:6379\r\n" +
		"# Replication\r\nrole:master\r\n# Cluster\r\ncluster_enabled:0\r\nmaxmemory_policy:noeviction\r\n"
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
		{"7.0.15", "6.0.16", false, "Redis has version 6.0.16, but Muster needs at least 6.2: it reads the history with ZRANGE BYLEX REV,"},
		{"7.0.15", "5.0.14", true, "The cluster node with port 6379 has version 5.0.14, but Muster needs"},
		{"role:master", "role:slave", false, "Redis is a replica"},
		{"cluster_enabled:0", "cluster_enabled:1", false, "Redis is a node of a cluster"},
		{"cluster_enabled:0", "cluster_enabled:1", true, ""},
		{"noeviction", "allkeys-lfu", true, "The cluster node with port 6379 evicts any group"},
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

// The number of shards decides where a group is stored. A process with another
// number must not write, because the other processes would not find its groups.
func TestRedisShardsAreKept(t *testing.T) {
	server, r, w := mini(t, RedisOptions{Shards: 2})
	w.add(t, groupKey("g"), a("x", "1"))
	_, err := r.Position(t.Context())
	require.NoError(t, err)
	other := openRedis(t, RedisOptions{URL: "redis://" + server.Addr(), Shards: 3})
	_, err = other.Position(t.Context())
	require.ErrorContains(t, err, "spread over 2 shards, but --redis.shards is 3")
	require.Equal(t, "shards", FaultReason(err))
	require.Equal(t, "The groups in Redis are spread over 2 shards, but --redis.shards is 3. "+
		"Set it to 2, or choose another --redis.key-prefix to start without history.", connectionProblem(err))
	var b breaker
	require.True(t, b.failure(FaultReason(err)), "the breaker opens at once")
}

// lockedBuffer is a log that can be read while it is written.
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

// The status shows the problems that a check finds, and each of them is logged once.
// A server that cannot be reached does not change the problems.
func TestTieredChecks(t *testing.T) {
	server := startRedis(t, "--maxmemory-policy", "allkeys-lru")
	var log lockedBuffer
	r := server.open(t)
	options := TieredOptions{
		CheckInterval: 10 * time.Millisecond, CompareInterval: 20 * time.Millisecond, WriteTimeout: 20 * time.Second,
	}
	m, err := NewTiered(NewMemory(MemoryOptions{}), InstrumentDurable(r, prometheus.NewRegistry()), grouping.NewClock(),
		prometheus.NewRegistry(), slog.New(slog.NewTextHandler(&log, nil)), options)
	require.NoError(t, err)
	require.Empty(t, m.Status().Problems)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = m.Run(ctx) }()
	defer func() {
		cancel()
		<-done
	}()
	const evicts = "Redis evicts any group when its memory is full"
	require.Eventually(t, func() bool { return len(m.Status().Problems) == 1 }, 20*time.Second, 5*time.Millisecond)
	require.Contains(t, m.Status().Problems[0], evicts)

	admin := redis.NewClient(&redis.Options{Network: "unix", Addr: server.socket})
	defer func() { require.NoError(t, admin.Close()) }()
	require.NoError(t, admin.ConfigSet(t.Context(), "maxmemory-policy", "noeviction").Err())
	require.Eventually(t, func() bool { return len(m.Status().Problems) == 0 }, 20*time.Second, 5*time.Millisecond, "it was corrected")
	require.NoError(t, admin.ConfigSet(t.Context(), "maxmemory-policy", "volatile-lru").Err())
	require.Eventually(t, func() bool { return len(m.Status().Problems) == 1 }, 20*time.Second, 5*time.Millisecond)
	_ = server.cmd.Process.Kill()
	require.Eventually(t, func() bool { return !m.Status().Healthy }, 20*time.Second, 5*time.Millisecond)
	require.Len(t, m.Status().Problems, 1, "nothing new is known")
	require.Equal(t, 1, strings.Count(log.String(), evicts))
	require.Equal(t, 1, strings.Count(log.String(), "resolved groups and their history"))
}

// A server that cannot be reached reports no problems of its setup.
func TestRedisCheckUnreachable(t *testing.T) {
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
