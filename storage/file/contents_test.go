package file

import (
	"bytes"
	"errors"
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
func (s *simulated) bytesOf(t *testing.T, buckets func(*writeTx) *eventBuckets) (recorded, real int64) {
	t.Helper()
	require.NoError(t, s.file.view("size", func(tx *bbolt.Tx) error {
		b := buckets(newWriteTx(tx, nil))
		recorded = b.bytes
		for id, text := range scan(b.events.Bucket) {
			real += int64(len(id) + len(text))
		}
		for _, stored := range scan(b.contents.Bucket) {
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
	key := groupKey("0")
	var g *grouping.AlertGroup
	for i := range 100 {
		s.advance(time.Hour)
		g = s.MustStore(t, s.FiredChange(t, g, key, "always", fmt.Sprint(i)))
		recorded, real := s.bytesOf(t, s.file.historyBuckets)
		require.Equal(t, real, recorded)
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
	for _, bucket := range [][]byte{bucketChanged, bucketChangedContents} {
		require.Zero(t, s.countKeys(t, bucket))
	}
	recorded, _ = s.bytesOf(t, s.file.changedBuckets)
	require.Zero(t, recorded)
}

// The contents of a write are together, so a write changes as few pages in a large file
// as in a small one.
func TestFileWritesFewPages(t *testing.T) {
	s := simulate(t, Options{})
	written := func(group int) int64 {
		var values []string
		for i := range 100 {
			values = append(values, fmt.Sprint(group, "-", i, strings.Repeat(" long", 50)))
		}
		stats := func() int64 {
			stats := s.file.handle.Load().db.Stats()
			return stats.TxStats.GetWrite()
		}
		before := stats()
		s.MustStore(t, s.FiredChange(t, nil, groupKey(fmt.Sprint(group)), values...))
		return stats() - before
	}
	for i := range 100 {
		written(i)
	}
	const most = 60
	require.Less(t, written(100), int64(most), "10,000 contents with random keys are on 1,000 pages")
}

// The keys of contents that an earlier version wrote have no ID.
func TestFileReadsContentsOfEarlierVersions(t *testing.T) {
	s := simulate(t, Options{HistoryRetention: 10 * time.Hour})
	first := s.FiredChange(t, nil, groupKey("0"), "one", "two")
	g := s.MustStore(t, first)
	require.NoError(t, s.file.update("test", func(tx *writeTx) error {
		contents := tx.Bucket(bucketContents)
		for _, e := range first.Events {
			key := contentKey(e.DocumentID(), e.Content)
			text := bytes.Clone(contents.Get(key))
			require.NotNil(t, text)
			if err := errors.Join(contents.Delete(key), put(contents, e.Content, text)); err != nil {
				return err
			}
		}
		return nil
	}))
	require.Equal(t, []string{"one", "two"}, storagetest.StoredContents(t, s, "one", "two", "three"))
	absent, err := s.file.MissingEvents(t.Context(), first.Events)
	require.NoError(t, err)
	require.Empty(t, absent)

	// An event whose text nobody knows any more keeps it.
	s.advance(9 * time.Hour)
	again := s.FiredChange(t, g, g.Key, "two", "three")
	delete(again.Contents, again.Events[0].Content)
	s.MustStore(t, again)
	s.advance(2 * time.Hour)
	for range 3 {
		s.Add(t, groupKey("1"), a("x", "1"))
	}
	require.Equal(t, []string{"two", "three"}, storagetest.StoredContents(t, s, "one", "two", "three"))
	recorded, real := s.bytesOf(t, s.file.historyBuckets)
	require.Equal(t, real, recorded)
}

// A damaged event is removed like any other, and costs no write.
func TestDamagedEventsAreRemoved(t *testing.T) {
	s := simulate(t, Options{HistoryRetention: time.Hour})
	change := s.FiredChange(t, nil, groupKey("0"), "value")
	g := s.MustStore(t, change)
	require.NoError(t, s.file.update("test", func(tx *writeTx) error {
		return put(tx.Bucket(bucketHistory), change.Events[0].ID, "{")
	}))
	s.advance(2 * time.Hour)
	for range 3 {
		g = s.MustStore(t, s.Change(g, g.Key, a("x", "1")))
	}
	require.Equal(t, 3, s.countKeys(t, bucketHistory))
	page, err := s.Events(t.Context(), grouping.EventQuery{Group: g.ID})
	require.NoError(t, err)
	require.Len(t, page.Events, 3)
}
