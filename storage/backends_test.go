package storage

import (
	"context"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"github.com/alicebob/miniredis/v2"

	"muster/grouping"
	"muster/storage/redis"
	"muster/storage/storagetest"
)

func TestMemoryContract(t *testing.T) {
	storagetest.Run(t, func(*testing.T) grouping.GroupStorage { return NewMemory(DefaultMemoryOptions()) })
}

// redisOpener returns a function that opens an empty Redis. The real one takes a fraction
// of the time of the one in memory, whose Lua the race detector makes slow.
func redisOpener(t *testing.T) func(*testing.T) *testRedis {
	t.Helper()
	if storagetest.Short() {
		return func(t *testing.T) *testRedis {
			return openRedis(t, redis.Options{URL: "redis://" + miniredis.RunT(t).Addr()})
		}
	}
	server := storagetest.StartRedis(t)
	return func(t *testing.T) *testRedis { return openOn(t, server) }
}

func TestInstrumentedContract(t *testing.T) {
	open := redisOpener(t)
	storagetest.Run(t, func(t *testing.T) grouping.GroupStorage {
		return InstrumentDurable(open(t), prometheus.NewRegistry())
	})
}

func TestTieredContract(t *testing.T) {
	open := redisOpener(t)
	storagetest.Run(t, func(t *testing.T) grouping.GroupStorage {
		tiered, err := NewTiered(NewMemory(DefaultMemoryOptions()), open(t), grouping.NewClock(), prometheus.NewRegistry(),
			promslog.NewNopLogger(), tieredDefaults(TieredOptions{}))
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
