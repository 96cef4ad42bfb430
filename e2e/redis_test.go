package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// redisServer is a real redis-server. It uses an append-only file, as the README
// recommends, and keeps its port when it is restarted.
type redisServer struct {
	*process

	url    string
	data   string
	client *redis.Client
}

func startRedis(t *testing.T) *redisServer {
	t.Helper()
	path := needsRedis(t)
	port, data := freePort(t), t.TempDir()
	r := &redisServer{
		process: newProcess(t, "redis-server", path,
			"--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--dir", data,
			"--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
		url: fmt.Sprintf("redis://127.0.0.1:%d/0", port), data: data,
		client: redis.NewClient(&redis.Options{Addr: fmt.Sprintf("127.0.0.1:%d", port), MaxRetries: -1}),
	}
	t.Cleanup(func() { _ = r.client.Close() })
	r.start()
	return r
}

// start starts redis-server and waits until it answers.
func (r *redisServer) start() {
	r.t.Helper()
	r.process.start()
	waitFor(r.t, 10*time.Second, "redis-server answers", func() error {
		return r.client.Ping(context.Background()).Err()
	})
}

// deleteData deletes all files of redis-server, which must not be running.
func (r *redisServer) deleteData() {
	r.t.Helper()
	require.False(r.t, r.running())
	entries, err := os.ReadDir(r.data)
	require.NoError(r.t, err)
	for _, e := range entries {
		require.NoError(r.t, os.RemoveAll(filepath.Join(r.data, e.Name())))
	}
}

func (r *redisServer) flushAll() {
	r.t.Helper()
	require.NoError(r.t, r.client.FlushAll(context.Background()).Err())
}
