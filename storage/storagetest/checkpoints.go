package storagetest

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
)

// contractCheckpoints checks that checkpoints come back as they were stored, also large ones.
func contractCheckpoints(t *testing.T, w *Writer) {
	names := func() (names []grouping.Stamp, size int) {
		stored, err := w.Checkpoints(t.Context())
		require.NoError(t, err)
		for _, c := range stored {
			names, size = append(names, c.Name), size+c.Size
		}
		return names, size
	}
	stored, _ := names()
	require.Empty(t, stored)
	first, second, third := w.Stamp(), w.Stamp(), w.Stamp()
	absent, err := w.LoadCheckpoint(t.Context(), first)
	require.NoError(t, err)
	require.Nil(t, absent)
	require.NoError(t, w.DeleteCheckpoint(t.Context(), first))

	large := make([]byte, 3<<20+17)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range large {
		large[i] = byte(random.Uint32())
	}
	texts := map[grouping.Stamp][]byte{second: large, first: []byte("small\x00\xff"), third: bytes.Repeat([]byte{0}, 1<<19)}
	for name, data := range texts {
		require.NoError(t, w.StoreCheckpoint(t.Context(), name, data))
	}
	stored, size := names()
	require.Equal(t, []grouping.Stamp{first, second, third}, stored, "the oldest first")
	require.Equal(t, len(large)+7+1<<19, size)
	for name, data := range texts {
		got, err := w.LoadCheckpoint(t.Context(), name)
		require.NoError(t, err)
		require.True(t, bytes.Equal(data, got))
	}
	require.NoError(t, w.StoreCheckpoint(t.Context(), second, []byte("replaced")))
	got, err := w.LoadCheckpoint(t.Context(), second)
	require.NoError(t, err)
	require.Equal(t, "replaced", string(got))
	require.NoError(t, w.DeleteCheckpoint(t.Context(), second))
	stored, _ = names()
	require.Equal(t, []grouping.Stamp{first, third}, stored)
	got, err = w.LoadCheckpoint(t.Context(), second)
	require.NoError(t, err)
	require.Nil(t, got)
	keys, err := w.ListKeys(t.Context())
	require.NoError(t, err)
	require.Empty(t, keys, "a checkpoint is not a group")
}

// contractHistorySince checks that a history from which no limit removed anything is whole since
// its retention.
func contractHistorySince(t *testing.T, w *Writer) {
	first := time.Now()
	for range 2 {
		since, err := w.HistorySince(t.Context())
		require.NoError(t, err)
		require.True(t, since.Before(first.Add(-time.Minute)), "%s", since)
		w.Add(t, Key("0"), [2]string{"x", "1"})
	}
}

// RunHistorySince checks that a storage says since when its history is whole after a limit removed
// events. The storage may have about 200 events in its history.
func RunHistorySince(t *testing.T, s grouping.GroupStorage) {
	t.Helper()
	w := NewWriter(s)
	all := fillHistory(t, w, 60, 17)
	since, err := s.HistorySince(t.Context())
	require.NoError(t, err)
	kept, _ := Pages(t, w, grouping.EventQuery{Limit: 1000})
	require.Less(t, len(kept), len(all))
	for _, e := range all {
		if !e.Time.Before(since) {
			require.Contains(t, kept, e, "an event after %s is missing", since)
		}
	}
	require.False(t, since.After(kept[0].Time.Add(time.Millisecond)), "the newest events are there, unless all have one time")
}
