package redis

import (
	"context"
	"maps"
	"testing"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/storage/durable"
	"muster/storage/storagetest"
)

// Data of a newer schema must not be changed, and the error must name the schema.
func TestStoredByANewerVersion(t *testing.T) {
	const want = "a newer version of Muster (schema 2, this version reads schema 1)"
	server, r, w := mini(t, Options{})
	g := w.Add(t, groupKey("g"), a("x", "1"))
	server.HSet(r.documentKey(g.ID), durable.FieldSchema, "2")
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

func TestWhatALaterVersionAddedStays(t *testing.T) {
	server, r, _ := mini(t, Options{})
	storagetest.RunLaterVersion(t, r, storagetest.Fields{
		Get: func(id grouping.ID, name string) string { return server.HGet(r.documentKey(id), name) },
		Set: func(id grouping.ID, name, value string) { server.HSet(r.documentKey(id), name, value) },
	})
}
