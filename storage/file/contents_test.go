package file

import (
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"muster/grouping"
	"muster/storage/storagetest"
)

// bytesOf returns the recorded size of the history, and its real size.
func (s *simulated) bytesOf(t *testing.T) (recorded, real int64) {
	t.Helper()
	require.NoError(t, s.file.view("size", func(tx *bbolt.Tx) error {
		w := newHistoryWriter(tx)
		recorded = w.bytes
		for id, text := range scan(w.history) {
			real += int64(len(id) + len(text))
		}
		for _, stored := range scan(w.contents) {
			_, text := splitContent(stored)
			real += int64(len(text))
		}
		return nil
	}))
	return recorded, real
}

// scan yields the keys and values of a bucket.
func scan(b *bbolt.Bucket) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		cursor := b.Cursor()
		for k, v := cursor.First(); k != nil && yield(k, v); k, v = cursor.Next() {
		}
	}
}

// A content stays as long as an event that has it. It counts for the size of the
// history.
func TestFileContentsGoWithTheHistory(t *testing.T) {
	s := simulate(t, Options{HistoryRetention: 10 * time.Hour, MaxHistory: 20_000})
	key := groupKey("g")
	var g *grouping.AlertGroup
	for i := range 100 {
		s.advance(time.Hour)
		g = s.MustStore(t, s.FiredChange(t, g, key, "always", fmt.Sprint(i)))
		recorded, real := s.bytesOf(t)
		require.Equal(t, real, recorded)
		require.Equal(t, s.countKeys(t, bucketContents), s.countKeys(t, bucketUses))
		require.LessOrEqual(t, s.countKeys(t, bucketContents), 13)
	}
	require.Equal(t, []string{"always", "90", "99"}, storagetest.StoredContents(t, s, "always", "80", "90", "99"))

	// The limit of the size removes contents, too.
	for i := range 100 {
		g = s.MustStore(t, s.FiredChange(t, g, key, strings.Repeat("long ", 400)+fmt.Sprint(i)))
		recorded, real := s.bytesOf(t)
		require.Equal(t, real, recorded)
		require.Less(t, recorded, int64(30_000))
	}
	require.Less(t, s.countKeys(t, bucketContents), 11)
}
