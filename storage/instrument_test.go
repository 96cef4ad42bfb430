package storage

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/storage/redis"
)

func TestInstrument(t *testing.T) {
	reg := prometheus.NewRegistry()
	server := miniredis.RunT(t)
	d := InstrumentDurable(openRedis(t, redis.Options{URL: "redis://" + server.Addr()}), reg)
	memory := &writer{GroupStorage: Instrument(NewMemory(DefaultMemoryOptions()), "memory", reg), Clock: grouping.NewClock()}
	w := newWriter(d)

	g := w.MustStore(t, w.Change(nil, groupKey("g"), a("x", "1")))
	memory.MustStore(t, memory.Change(nil, groupKey("g"), a("x", "1")))
	_, err := w.Store(t.Context(), w.Change(nil, groupKey("g"), a("x", "1")))
	require.ErrorIs(t, err, grouping.ErrVersionMismatch)
	_, err = w.Load(t.Context(), groupKey("none").ID())
	require.ErrorIs(t, err, grouping.ErrGroupNotFound)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = w.Load(ctx, g.ID)
	require.Error(t, err)
	ctx, cancelCause := context.WithCancelCause(t.Context())
	cancelCause(errors.New("the client went away"))
	require.Error(t, w.Ping(ctx))

	_, err = w.ListKeys(t.Context())
	require.NoError(t, err)
	_, err = w.Size(t.Context())
	require.NoError(t, err)
	for _, err := range w.LoadAll(t.Context()) {
		require.NoError(t, err)
		break
	}
	require.NoError(t, w.StoreAll(t.Context(), nil))
	_, err = w.Events(t.Context(), grouping.EventQuery{})
	require.NoError(t, err)
	_, err = w.Contents(t.Context(), nil)
	require.NoError(t, err)
	_, err = w.HistorySince(t.Context())
	require.NoError(t, err)
	_, err = w.Checkpoints(t.Context())
	require.NoError(t, err)
	_, err = w.LoadCheckpoint(t.Context(), w.Stamp())
	require.NoError(t, err)
	require.NoError(t, w.StoreCheckpoint(t.Context(), w.Stamp(), []byte("x")))
	require.NoError(t, w.DeleteCheckpoint(t.Context(), w.Stamp()))
	require.Equal(t, "redis", d.Name())
	from, err := d.Position(t.Context())
	require.NoError(t, err)
	require.NoError(t, d.Index(t.Context(), func(map[grouping.ID]string) {}))
	_, _, err = d.LoadMany(t.Context(), nil)
	require.NoError(t, err)
	require.NoError(t, d.PushEvents(t.Context(), nil, nil))
	_, err = d.CheckLineage(t.Context(), from)
	require.NoError(t, err)
	_, _, err = d.LoadEvents(t.Context(), nil)
	require.NoError(t, err)
	_, err = d.MissingEvents(t.Context(), nil)
	require.NoError(t, err)
	_, err = d.FindLosses(t.Context(), nil)
	require.NoError(t, err)
	_, err = d.Now(t.Context())
	require.NoError(t, err)
	require.NoError(t, d.FollowLog(ctx, from, nil))
	require.NoError(t, w.Delete(t.Context(), grouping.Change{Base: g, Stamp: w.Stamp()}))
	server.SetError("LOADING")
	require.Error(t, w.Ping(t.Context()))
	for _, err := range w.LoadAll(t.Context()) {
		require.Error(t, err)
	}

	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP muster_storage_operations_total Total number of storage operations, by backend, operation and result.
# TYPE muster_storage_operations_total counter
muster_storage_operations_total{backend="memory",operation="store",result="ok"} 1
muster_storage_operations_total{backend="redis",operation="absent",result="ok"} 1
muster_storage_operations_total{backend="redis",operation="checkpoints",result="ok"} 1
muster_storage_operations_total{backend="redis",operation="contents",result="ok"} 1
muster_storage_operations_total{backend="redis",operation="delete",result="ok"} 1
muster_storage_operations_total{backend="redis",operation="delete_checkpoint",result="ok"} 1
muster_storage_operations_total{backend="redis",operation="events",result="ok"} 1
muster_storage_operations_total{backend="redis",operation="events_of",result="ok"} 1
muster_storage_operations_total{backend="redis",operation="history_since",result="ok"} 1
muster_storage_operations_total{backend="redis",operation="index",result="ok"} 1
muster_storage_operations_total{backend="redis",operation="lacking",result="ok"} 1
muster_storage_operations_total{backend="redis",operation="list_keys",result="ok"} 1
muster_storage_operations_total{backend="redis",operation="load",result="cancelled"} 1
muster_storage_operations_total{backend="redis",operation="load",result="not_found"} 1
muster_storage_operations_total{backend="redis",operation="load_all",result="error"} 1
muster_storage_operations_total{backend="redis",operation="load_all",result="ok"} 1
muster_storage_operations_total{backend="redis",operation="load_checkpoint",result="ok"} 1
muster_storage_operations_total{backend="redis",operation="load_many",result="ok"} 1
muster_storage_operations_total{backend="redis",operation="ping",result="cancelled"} 1
muster_storage_operations_total{backend="redis",operation="ping",result="error"} 1
muster_storage_operations_total{backend="redis",operation="position",result="ok"} 1
muster_storage_operations_total{backend="redis",operation="push_events",result="ok"} 1
muster_storage_operations_total{backend="redis",operation="size",result="ok"} 1
muster_storage_operations_total{backend="redis",operation="store",result="conflict"} 1
muster_storage_operations_total{backend="redis",operation="store",result="ok"} 1
muster_storage_operations_total{backend="redis",operation="store_all",result="ok"} 1
muster_storage_operations_total{backend="redis",operation="store_checkpoint",result="ok"} 1
muster_storage_operations_total{backend="redis",operation="time",result="ok"} 1
muster_storage_operations_total{backend="redis",operation="trace",result="ok"} 1
`), "muster_storage_operations_total"))
	n, err := testutil.GatherAndCount(reg, "muster_storage_duration_seconds")
	require.NoError(t, err)
	require.Equal(t, 25, n)
}
