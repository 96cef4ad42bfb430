package file

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"muster/grouping"
	"muster/storage/durable"
)

// simulated is a file that uses the clock of the writer. The test moves this clock.
type simulated struct {
	*writer

	file *Storage
	now  time.Time
}

func simulate(t *testing.T, opts Options) *simulated {
	t.Helper()
	f := openTestFile(t, opts)
	f.handle.Load().db.NoSync = true
	s := &simulated{writer: newWriter(f), file: f, now: time.Now()}
	f.now = s.Clock.Now
	return s
}

// advance moves the clock.
func (s *simulated) advance(d time.Duration) {
	s.now = s.now.Add(d)
	_ = s.Sync(func() (time.Time, error) { return s.now, nil })
}

func (s *simulated) fileSize(t *testing.T) int64 {
	t.Helper()
	info, err := os.Stat(s.file.opts.Path)
	require.NoError(t, err)
	return info.Size()
}

// countKeys returns the number of keys in a bucket.
func (s *simulated) countKeys(t *testing.T, bucket []byte) (n int) {
	t.Helper()
	require.NoError(t, s.file.view("count", func(tx *bbolt.Tx) error {
		n = tx.Bucket(bucket).Stats().KeyN
		return nil
	}))
	return n
}

func (s *simulated) remove(t *testing.T, g *grouping.AlertGroup) {
	t.Helper()
	require.NoError(t, s.Delete(t.Context(), grouping.Change{Base: g, Stamp: s.Stamp()}))
}

// For a month, groups are created, change, and are deleted after three days. The
// history is kept for five days. The file stops growing after ten days.
func TestFileLevelsOffOverAMonth(t *testing.T) {
	const (
		step      = time.Hour
		perStep   = 4
		retention = 3 * 24 * time.Hour
		history   = 5 * 24 * time.Hour
	)
	s := simulate(t, Options{HistoryRetention: history})
	var held []*grouping.AlertGroup // the oldest first
	sizes := map[int]int64{}
	for hour := range 30 * 24 {
		s.advance(step)
		for i := range perStep {
			key := groupKey(fmt.Sprint("group ", hour, " ", i))
			g := s.Add(t, key, a("x", strings.Repeat("v", 500)), a("y", "1"))
			g = s.MustStore(t, s.Change(g, key, a("x", strings.Repeat("w", 500))))
			held = append(held, g)
		}
		for s.now.Sub(held[0].UpdatedAt) > retention {
			s.remove(t, held[0])
			held = held[1:]
		}
		if (hour+1)%24 == 0 {
			sizes[(hour+1)/24] = s.fileSize(t)
		}
	}
	t.Logf("MB by day: %.1f, %.1f, %.1f, %.1f", float64(sizes[1])/1e6, float64(sizes[5])/1e6, float64(sizes[10])/1e6, float64(sizes[30])/1e6)
	require.Less(t, sizes[1], sizes[5], "it grows at first")
	require.LessOrEqual(t, float64(sizes[30]), 1.1*float64(sizes[10]))

	size, err := s.Size(t.Context())
	require.NoError(t, err)
	require.Equal(t, len(held), size)
	events := s.countKeys(t, bucketHistory)
	require.InDelta(t, perStep*2*history.Hours(), events, 2*perStep+1)
	require.Equal(t, events, s.countKeys(t, bucketTimeline))
	tombstones := s.countKeys(t, bucketGroups) - len(held)*s.countFields(t, held[0].ID)
	require.InDelta(t, 2*perStep*durable.TombstoneAge.Hours(), tombstones, 2*2*perStep, "two fields each")
}

// countFields returns the number of fields of a group.
func (s *simulated) countFields(t *testing.T, id grouping.ID) (n int) {
	t.Helper()
	require.NoError(t, s.file.view("count", func(tx *bbolt.Tx) error {
		n = len(readFields(tx.Bucket(bucketGroups), id))
		return nil
	}))
	return n
}

func TestFileHistoryIsBounded(t *testing.T) {
	const maximum = 50_000
	s := simulate(t, Options{MaxHistory: maximum})
	g := s.Add(t, groupKey("g"), a("x", "0"))
	bytes := func() (n int) {
		require.NoError(t, s.file.view("count", func(tx *bbolt.Tx) error {
			return tx.Bucket(bucketHistory).ForEach(func(k, v []byte) error {
				n += len(k) + len(v)
				return nil
			})
		}))
		return n
	}
	for i := range 1000 {
		g = s.MustStore(t, s.Change(g, g.Key, a("x", fmt.Sprint(i))))
		require.LessOrEqual(t, bytes(), maximum)
	}
	require.Greater(t, bytes(), maximum*9/10, "it keeps as much as the limit allows")
	require.Equal(t, s.countKeys(t, bucketHistory), s.countKeys(t, bucketTimeline))
	page, err := s.Events(t.Context(), grouping.EventQuery{Limit: 1})
	require.NoError(t, err)
	require.Equal(t, string(g.Stamp)+"000000", page.Events[0].ID, "the newest stay")

	s.advance(31 * 24 * time.Hour)
	for i := range 1000 {
		g = s.MustStore(t, s.Change(g, g.Key, a("x", fmt.Sprint(i))))
		if s.countKeys(t, bucketHistory) == i+1 {
			return
		}
	}
	t.Error("events past their retention stay")
}

// The tombstone of a deleted group is kept for a day and then removed, also
// without a restart.
func TestFileForgetsWhatWasDeleted(t *testing.T) {
	s := simulate(t, Options{})
	deleted, restored := s.Add(t, groupKey("deleted"), a("x", "1")), s.Add(t, groupKey("restored"), a("x", "1"))
	s.remove(t, deleted)
	s.remove(t, restored)
	s.advance(durable.TombstoneAge - time.Minute)
	tombstones, _, err := s.file.LoadMany(t.Context(), []grouping.ID{restored.ID})
	require.NoError(t, err)
	s.MustStore(t, s.Change(grouping.AsGroup(tombstones[restored.ID]), restored.Key, a("x", "2")))
	require.Equal(t, 2, s.countFields(t, deleted.ID), "the tombstone is kept")

	s.advance(2 * time.Minute)
	s.Add(t, groupKey("other"), a("x", "1"))
	require.Zero(t, s.countFields(t, deleted.ID))
	require.Len(t, s.MustLoad(t, restored.Key).Alerts, 1, "it was stored again since then")
	require.Empty(t, s.file.tombstones)

	s.remove(t, s.MustLoad(t, restored.Key))
	require.NoError(t, s.file.Close())
	again := simulate(t, Options{Path: s.file.opts.Path})
	require.Equal(t, 2, again.countFields(t, restored.ID), "the tombstone survives a restart")
	require.Len(t, again.file.tombstones, 1)
	again.advance(3 * 24 * time.Hour)
	again.Add(t, groupKey("other"), a("x", "2"))
	require.Zero(t, again.countFields(t, restored.ID))
}
