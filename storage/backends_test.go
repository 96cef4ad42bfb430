package storage

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"muster/grouping"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	redis.SetLogger(redisLogger{promslog.NewNopLogger(), &secrets{}})
	// A closed connection pool of the client still checks once a second whether it
	// is closed.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

// A new backend needs one more test function here.

func TestMemoryContract(t *testing.T) {
	testContract(t, func(*testing.T) grouping.GroupStorage { return NewMemory(MemoryOptions{}) })
}

func TestFileContract(t *testing.T) {
	testContract(t, func(t *testing.T) grouping.GroupStorage {
		f, err := OpenFile(FileOptions{Path: filepath.Join(t.TempDir(), "muster.db")})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, f.Close()) })
		return f
	})
}

func TestMiniredisContract(t *testing.T) {
	testContract(t, func(t *testing.T) grouping.GroupStorage {
		return openRedis(t, RedisOptions{URL: "redis://" + miniredis.RunT(t).Addr()})
	})
}

func TestRedisContract(t *testing.T) {
	server := startRedis(t)
	testContract(t, func(t *testing.T) grouping.GroupStorage { return server.open(t) })
}

func TestShardedRedisContract(t *testing.T) {
	testContract(t, func(t *testing.T) grouping.GroupStorage {
		return openRedis(t, RedisOptions{URL: "redis://" + miniredis.RunT(t).Addr(), Shards: 5})
	})
}

func TestInstrumentedContract(t *testing.T) {
	testContract(t, func(t *testing.T) grouping.GroupStorage {
		return InstrumentDurable(openRedis(t, RedisOptions{URL: "redis://" + miniredis.RunT(t).Addr()}), prometheus.NewRegistry())
	})
}

func TestTieredContract(t *testing.T) {
	testContract(t, func(t *testing.T) grouping.GroupStorage {
		r := openRedis(t, RedisOptions{URL: "redis://" + miniredis.RunT(t).Addr()})
		tiered, err := NewTiered(NewMemory(MemoryOptions{}), r, grouping.NewClock(), prometheus.NewRegistry(),
			promslog.NewNopLogger(), TieredOptions{WriteTimeout: 20 * time.Second})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- tiered.Run(ctx) }()
		t.Cleanup(func() {
			cancel()
			require.NoError(t, <-done)
		})
		<-tiered.Restored()
		return tiered
	})
}

// openRedis returns a Redis with long time limits. The tests share few cores with
// the race detector and do not test speed.
func openRedis(t *testing.T, opts RedisOptions) *Redis {
	t.Helper()
	const patience = 20 * time.Second
	r, err := newRedisWithLimits(opts, limits{answer: patience, dial: patience, pool: patience, connections: 16})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return r
}

// redisServer is a real redis-server with its own directory.
type redisServer struct {
	cmd    *exec.Cmd
	socket string
}

// startRedis starts a redis-server that runs until the end of the test.
func startRedis(t *testing.T, args ...string) *redisServer {
	t.Helper()
	if os.Getenv("SHORT") == "1" {
		t.Skip("SHORT=1: without a real Redis")
	}
	path, err := exec.LookPath("redis-server")
	require.NoError(t, err,
		"redis-server is not installed: run scripts/install.sh redis-server redis-server (Debian: apt-get install redis-server), or set SHORT=1")
	dir := t.TempDir()
	s := &redisServer{socket: filepath.Join(dir, "s")}
	args = append([]string{"--port", "0", "--unixsocket", s.socket, "--dir", dir, "--save", "", "--appendonly", "no"}, args...)
	s.cmd = exec.Command(path, args...)
	require.NoError(t, s.cmd.Start())
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		var exit *exec.ExitError
		if err := s.cmd.Wait(); err != nil {
			require.ErrorAs(t, err, &exit)
		}
	})
	r := s.open(t)
	require.Eventually(t, func() bool { return r.Ping(context.Background()) == nil }, 10*time.Second, 10*time.Millisecond)
	return s
}

// pause suspends the server, or resumes it.
func (s *redisServer) pause(t *testing.T, stop bool) {
	t.Helper()
	signal := syscall.SIGCONT
	if stop {
		signal = syscall.SIGSTOP
	}
	require.NoError(t, s.cmd.Process.Signal(signal))
}

// open returns a Redis with its own key prefix.
func (s *redisServer) open(t *testing.T) *Redis {
	t.Helper()
	return openRedis(t, RedisOptions{URL: "unix://" + s.socket, KeyPrefix: "test-" + grouping.NewClock().Writer()})
}
