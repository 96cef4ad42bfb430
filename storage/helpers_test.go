package storage

import (
	"cmp"
	"runtime/debug"
	"testing"
	"time"

	"github.com/prometheus/common/promslog"
	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"muster/grouping"
	"muster/storage/file"
	"muster/storage/redis"
	"muster/storage/storagetest"
)

func TestMain(m *testing.M) {
	debug.SetGCPercent(400) // less work for the race detector
	r, err := redis.New(redisDefaults(redis.Options{URL: "redis://127.0.0.1"}))
	if err != nil {
		panic(err)
	}
	r.LogTo(promslog.NewNopLogger())
	_ = r.Close()
	// A closed connection pool of the client still checks once a second whether it
	// is closed.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

// The tests use the writer of the contract suite, with shorter names.

type writer = storagetest.Writer

func newWriter(s grouping.GroupStorage) *writer { return storagetest.NewWriter(s) }

func groupKey(name string) grouping.Key { return storagetest.Key(name) }

func a(name, value string) [2]string { return [2]string{name, value} }

// tieredDefaults sets the options that are zero to their defaults.
func tieredDefaults(o TieredOptions) TieredOptions {
	d := DefaultTieredOptions()
	o.Outage = cmp.Or(o.Outage, d.Outage)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, d.WriteTimeout)
	o.PushRate = cmp.Or(o.PushRate, d.PushRate)
	o.CheckInterval = cmp.Or(o.CheckInterval, d.CheckInterval)
	o.CompareInterval = cmp.Or(o.CompareInterval, d.CompareInterval)
	return o
}

// redisDefaults sets the options that are zero to their defaults.
func redisDefaults(o redis.Options) redis.Options {
	d := redis.DefaultOptions()
	o.KeyPrefix = cmp.Or(o.KeyPrefix, d.KeyPrefix)
	o.Retention = cmp.Or(o.Retention, d.Retention)
	o.HistoryRetention = cmp.Or(o.HistoryRetention, d.HistoryRetention)
	o.MaxHistory = cmp.Or(o.MaxHistory, d.MaxHistory)
	o.MaxTimeline = cmp.Or(o.MaxTimeline, d.MaxTimeline)
	o.MaxLog = cmp.Or(o.MaxLog, d.MaxLog)
	o.Limits = cmp.Or(o.Limits, d.Limits)
	return o
}

// testRedis is a Redis with a plain client of the same server.
type testRedis struct {
	*redis.Storage

	opts   redis.Options
	client *goredis.Client
}

// openRedis returns a Redis with long time limits. The tests share few cores with
// the race detector and do not test speed.
func openRedis(t *testing.T, opts redis.Options) *testRedis {
	t.Helper()
	const patience = 20 * time.Second
	opts.Limits = redis.Limits{Answer: patience, Dial: patience, Pool: patience, Connections: 16}
	opts = redisDefaults(opts)
	r, err := redis.New(opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	plain, err := goredis.ParseURL(opts.URL)
	require.NoError(t, err)
	client := goredis.NewClient(plain)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	return &testRedis{r, opts, client}
}

// openFast returns a Redis with the time limits of production, which the caller must
// close.
func openFast(t *testing.T, url string) *redis.Storage {
	t.Helper()
	r, err := redis.New(redisDefaults(redis.Options{URL: url}))
	require.NoError(t, err)
	return r
}

// openOn returns a Redis on the server with its own key prefix.
func openOn(t *testing.T, server *storagetest.RedisServer) *testRedis {
	t.Helper()
	return openRedis(t, redis.Options{URL: "unix://" + server.Socket, KeyPrefix: "test-" + grouping.NewClock().Writer()})
}

// again opens another client for the keys of r.
func (r *testRedis) again(t *testing.T) *testRedis {
	t.Helper()
	return openRedis(t, r.opts)
}

// fileAt returns the default options of a file with a path.
func fileAt(path string) file.Options {
	o := file.DefaultOptions()
	o.Path = path
	return o
}

// openFile opens a file that is closed at the end of the test.
func openFile(t *testing.T, path string) *file.Storage {
	t.Helper()
	f, err := file.Open(fileAt(path), promslog.NewNopLogger())
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}
