package redis

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/storage/durable"
	"muster/storage/storagetest"
)

// Data of a newer schema must not be changed, and the error must name the schema.
func TestStoredByANewerVersion(t *testing.T) {
	const want = "a newer version of Muster (schema 3, this version reads schema 2)"
	server, r, w := mini(t, Options{})
	g := w.Add(t, groupKey("g"), a("x", "1"))
	server.HSet(r.documentKey(g.ID), durable.FieldSchema, "3")
	fields := func() map[string]string {
		keys, err := server.HKeys(r.documentKey(g.ID))
		require.NoError(t, err)
		all := map[string]string{}
		for _, k := range keys {
			all[k] = server.HGet(r.documentKey(g.ID), k)
		}
		return all
	}
	before := maps.Clone(fields())
	_, err := r.Load(t.Context(), g.ID)
	require.ErrorContains(t, err, want)
	for _, base := range []*grouping.AlertGroup{g, nil} {
		_, err = r.Store(t.Context(), w.Change(base, g.Key, a("x", "2")))
		var damaged *grouping.DamagedGroupError
		require.ErrorAs(t, err, &damaged)
		require.ErrorContains(t, err, want)
	}
	require.ErrorContains(t, r.Delete(context.Background(), grouping.Change{Base: g, Stamp: w.Stamp()}), want)
	require.Equal(t, before, fields())
}

// A process does not begin to use the keys of a newer version.
func TestRedisRefusesADowngrade(t *testing.T) {
	const want = "The groups in Redis were written by a newer version of Muster (schema 3, this version reads schema 2). " +
		"Use that version, or choose another --redis.key-prefix to start without history."
	server, r, w := mini(t, Options{})
	w.Add(t, groupKey("g"), a("x", "1"))
	_, err := r.Position(t.Context())
	require.NoError(t, err)
	require.Equal(t, "2", server.HGet(r.key(0, "meta"), "schema"))
	server.HSet(r.key(0, "meta"), "schema", "3")

	other := openRedis(t, Options{URL: "redis://" + server.Addr()})
	_, err = other.Position(t.Context())
	require.Equal(t, durable.ReasonSchema, durable.FaultReason(err), "the breaker opens at once")
	require.Equal(t, want, connectionProblem(err))
	problems, err := other.Check(t.Context())
	require.NoError(t, err)
	require.Contains(t, problems, want)

	// A process that used the keys before writes what the newer version did not write.
	_, err = r.Position(t.Context())
	require.NoError(t, err)
	w.Add(t, groupKey("h"), a("x", "1"))
	problems, err = r.Check(t.Context())
	require.NoError(t, err)
	require.Contains(t, problems, "Redis is also used by a newer version of Muster (schema 3, this version reads schema 2). "+
		"This process cannot read the groups that the other one writes, so replace this process.")
	require.Equal(t, "3", server.HGet(r.key(0, "meta"), "schema"), "the schema never decreases")
}

// Keys of schema 1 are upgraded, which is logged once.
func TestRedisUpgrades(t *testing.T) {
	server, r, w := mini(t, Options{})
	g := w.Add(t, groupKey("g"), a("x", "1"))
	server.HSet(r.documentKey(g.ID), durable.FieldSchema, "1")
	server.HDel(r.key(0, "meta"), "schema")
	var log bytes.Buffer
	other := openRedis(t, Options{URL: "redis://" + server.Addr()})
	other.LogTo(slog.New(slog.NewTextHandler(&log, nil)))
	for range 2 {
		_, err := other.Position(t.Context())
		require.NoError(t, err)
	}
	require.Equal(t, 1, strings.Count(log.String(), "Upgraded the storage"))
	require.Contains(t, log.String(), `from="schema 1" to="schema 2"`)
	require.Equal(t, "2", server.HGet(r.key(0, "meta"), "schema"))
	loaded, err := other.Load(t.Context(), g.ID)
	require.NoError(t, err)
	require.True(t, loaded.Equal(g))
	require.Equal(t, "1", server.HGet(r.documentKey(g.ID), durable.FieldSchema), "a group is upgraded when it is written")
	w.Add(t, g.Key, a("x", "2"))
	require.Equal(t, "2", server.HGet(r.documentKey(g.ID), durable.FieldSchema))

	// A new Redis is not upgraded.
	log.Reset()
	server.FlushAll()
	_, err = other.Position(t.Context())
	require.NoError(t, err)
	require.Empty(t, log.String())
}

func TestWhatALaterVersionAddedStays(t *testing.T) {
	server, r, _ := mini(t, Options{})
	storagetest.RunLaterVersion(t, r, storagetest.Fields{
		Get: func(id grouping.ID, name string) string { return server.HGet(r.documentKey(id), name) },
		Set: func(id grouping.ID, name, value string) { server.HSet(r.documentKey(id), name, value) },
	})
}
