package redis

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/storage/durable"
	"muster/storage/storagetest"
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
	"+del +persist"

// A script that uses another command would not run for users that the README describes.
func TestScriptsNeedNoOtherPermissions(t *testing.T) {
	allowed := strings.Fields(minimalUser)
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	for _, permission := range allowed {
		if strings.HasPrefix(permission, "+") {
			require.Contains(t, string(readme), " "+permission, "in the README")
		}
	}
	files, err := filepath.Glob("*.lua")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, command := range regexp.MustCompile(`(?:call|inBatches)\('([A-Z]+)'`).FindAllStringSubmatch(string(text), -1) {
			require.Contains(t, allowed, "+"+strings.ToLower(command[1]), file)
		}
	}
}

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
			r := openRedis(t, Options{URL: url})
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
				w := newWriter(r)
				g := w.Add(t, groupKey("g"), a("x", "1"))
				w.MustStore(t, w.Change(g, g.Key, a("x", "2")))
				require.Equal(t, "2", storagetest.Values(w.MustLoad(t, g.Key))["x"])
				_, err := w.Events(t.Context(), grouping.EventQuery{})
				require.NoError(t, err)
				require.NoError(t, r.PushEvents(t.Context(), w.Change(g, g.Key, a("x", "3")).Events, nil))
				from, err := r.Position(t.Context())
				require.NoError(t, err)
				_, err = r.CheckLineage(t.Context(), from)
				require.NoError(t, err)
				_, _, err = r.LoadEvents(t.Context(), []durable.LogEntry{{ID: g.ID, Position: durable.Position{Token: string(w.Stamp())}}})
				require.NoError(t, err)
				_, err = r.MissingEvents(t.Context(), w.Change(g, g.Key, a("x", "3")).Events)
				require.NoError(t, err)
				_, err = r.FindLosses(t.Context(), []grouping.ID{g.ID})
				require.NoError(t, err)
				storagetest.ReadIndex(t, r)
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
	dir, port := t.TempDir(), 0
	if strings.Contains(url, "%d") || strings.Contains(lines, "cluster-enabled") { // otherwise the socket is enough
		port = freePort(t)
	}
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
	server, r, w := mini(t, Options{Shards: 2})
	w.Add(t, groupKey("g"), a("x", "1"))
	_, err := r.Position(t.Context())
	require.NoError(t, err)
	other := openRedis(t, Options{URL: "redis://" + server.Addr(), Shards: 3})
	_, err = other.Position(t.Context())
	require.ErrorContains(t, err, "spread over 2 shards, but --redis.shards is 3")
	require.Equal(t, durable.ReasonShards, durable.FaultReason(err), "the breaker opens at once")
	require.Equal(t, "The groups in Redis are spread over 2 shards, but --redis.shards is 3. "+
		"Set it to 2, or choose another --redis.key-prefix to start without history.", connectionProblem(err))
}

// A server that cannot be reached reports no problems of its setup.
func TestRedisCheckUnreachable(t *testing.T) {
	r, err := New(withDefaults(Options{URL: fmt.Sprintf("redis://127.0.0.1:%d", freePort(t))}))
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
