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

func TestInstrumentedContract(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) grouping.GroupStorage {
		return InstrumentDurable(openRedis(t, redis.Options{URL: "redis://" + miniredis.RunT(t).Addr()}), prometheus.NewRegistry())
	})
}

func TestTieredContract(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) grouping.GroupStorage {
		r := openRedis(t, redis.Options{URL: "redis://" + miniredis.RunT(t).Addr()})
		tiered, err := NewTiered(NewMemory(DefaultMemoryOptions()), r, grouping.NewClock(), prometheus.NewRegistry(),
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
