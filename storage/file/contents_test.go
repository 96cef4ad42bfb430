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

// bytesOf returns the recorded size of events, and their real size.
func (s *simulated) bytesOf(t *testing.T, buckets func(*bbolt.Tx) *eventBuckets) (recorded, real int64) {
	t.Helper()
	require.NoError(t, s.file.view("size", func(tx *bbolt.Tx) error {
		b := buckets(tx)
		recorded = b.bytes
		for id, text := range scan(b.events) {
			real += int64(len(id) + len(text))
		}
		for _, stored := range scan(b.contents) {
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
		recorded, real := s.bytesOf(t, s.file.historyBuckets)
		require.Equal(t, real, recorded)
		require.Equal(t, s.countKeys(t, bucketContents), s.countKeys(t, bucketUses))
		require.LessOrEqual(t, s.countKeys(t, bucketContents), 13)
	}
	require.Equal(t, []string{"always", "90", "99"}, storagetest.StoredContents(t, s, "always", "80", "90", "99"))

	// The limit of the size removes contents, too.
	for i := range 100 {
		g = s.MustStore(t, s.FiredChange(t, g, key, strings.Repeat("long ", 400)+fmt.Sprint(i)))
		recorded, real := s.bytesOf(t, s.file.historyBuckets)
		require.Equal(t, real, recorded)
		require.Less(t, recorded, int64(30_000))
	}
	require.Less(t, s.countKeys(t, bucketContents), 11)
}

func TestFileSaysSinceWhenItsHistoryIsWhole(t *testing.T) {
	storagetest.RunHistorySince(t, simulate(t, Options{HistoryRetention: time.Hour, MaxHistory: 60_000}))
}

func TestFileKeepsChangedEventsApart(t *testing.T) {
	s := simulate(t, Options{HistoryRetention: time.Hour, MaxHistory: 50_000})
	changed := storagetest.RunChangedFlood(t, s)
	require.Less(t, len(changed), 20)
	recorded, real := s.bytesOf(t, s.file.changedBuckets)
	require.Equal(t, real, recorded)
	require.Less(t, recorded, int64(5000+5*500))
	require.Equal(t, len(changed), s.countKeys(t, bucketChangedContents))

	// The retention removes them, one with each write.
	s.advance(2 * time.Hour)
	for range changed {
		s.Add(t, groupKey("g"), a("x", "1"))
	}
	for _, bucket := range [][]byte{bucketChanged, bucketChangedContents, bucketChangedUses} {
		require.Zero(t, s.countKeys(t, bucket))
	}
	recorded, _ = s.bytesOf(t, s.file.changedBuckets)
	require.Zero(t, recorded)
}
