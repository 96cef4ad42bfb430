package redis

import (
	"cmp"
	"runtime/debug"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/common/promslog"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"muster/grouping"
	"muster/storage/storagetest"
)

func TestMain(m *testing.M) {
	debug.SetGCPercent(400) // less work for the race detector
	redis.SetLogger(redisLogger{promslog.NewNopLogger(), &secrets{}})
	// A closed connection pool of the client still checks once a second whether it
	// is closed.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

// The tests use the writer of the contract suite, with shorter names.

type writer = storagetest.Writer

func newWriter(s grouping.GroupStorage) *writer { return storagetest.NewWriter(s) }

func groupKey(name string) grouping.Key { return storagetest.Key(name) }

func a(name, value string) [2]string { return [2]string{name, value} }

// withDefaults sets the options that are zero to their defaults.
func withDefaults(o Options) Options {
	d := DefaultOptions()
	o.KeyPrefix = cmp.Or(o.KeyPrefix, d.KeyPrefix)
	o.Retention = cmp.Or(o.Retention, d.Retention)
	o.HistoryRetention = cmp.Or(o.HistoryRetention, d.HistoryRetention)
	o.MaxHistory = cmp.Or(o.MaxHistory, d.MaxHistory)
	o.MaxTimeline = cmp.Or(o.MaxTimeline, d.MaxTimeline)
	o.MaxLog = cmp.Or(o.MaxLog, d.MaxLog)
	o.Limits = cmp.Or(o.Limits, d.Limits)
	return o
}

// openRedis returns a Redis with long time limits. The tests share few cores with
// the race detector and do not test speed.
func openRedis(t *testing.T, opts Options) *Storage {
	t.Helper()
	const patience = 20 * time.Second
	opts.Limits = Limits{Answer: patience, Dial: patience, Pool: patience, Connections: 16}
	r, err := New(withDefaults(opts))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return r
}

// openOn returns a Redis on the server with its own key prefix.
func openOn(t *testing.T, server *storagetest.RedisServer) *Storage {
	t.Helper()
	return openRedis(t, Options{URL: "unix://" + server.Socket, KeyPrefix: "test-" + grouping.NewClock().Writer()})
}

func TestMiniredisContract(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) grouping.GroupStorage {
		return openRedis(t, Options{URL: "redis://" + miniredis.RunT(t).Addr()})
	})
}

func TestRedisContract(t *testing.T) {
	server := storagetest.StartRedis(t)
	storagetest.Run(t, func(t *testing.T) grouping.GroupStorage { return openOn(t, server) })
}

func TestShardedRedisContract(t *testing.T) {
	server := storagetest.StartRedis(t)
	storagetest.Run(t, func(t *testing.T) grouping.GroupStorage {
		return openRedis(t, Options{URL: "unix://" + server.Socket, KeyPrefix: "test-" + grouping.NewClock().Writer(), Shards: 5})
	})
}
