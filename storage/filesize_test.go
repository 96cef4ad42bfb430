package storage

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"muster/grouping"
)

// simulated is a file that uses the clock of the writer. The test moves this clock.
type simulated struct {
	*writer

	file *File
	now  time.Time
}

func simulate(t *testing.T, opts FileOptions) *simulated {
	t.Helper()
	f := openTestFile(t, opts)
	f.handle.Load().db.NoSync = true
	s := &simulated{writer: &writer{GroupStorage: f, Clock: grouping.NewClock()}, file: f, now: time.Now()}
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
	s := simulate(t, FileOptions{HistoryRetention: history})
	var held []*grouping.AlertGroup // the oldest first
	sizes := map[int]int64{}
	for hour := range 30 * 24 {
		s.advance(step)
		for i := range perStep {
			key := groupKey(fmt.Sprint("group ", hour, " ", i))
			g := s.add(t, key, a("x", strings.Repeat("v", 500)), a("y", "1"))
			g = s.mustStore(t, s.change(g, key, a("x", strings.Repeat("w", 500))))
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
	require.InDelta(t, 2*perStep*tombstoneAge.Hours(), tombstones, 2*2*perStep, "two fields each")
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
	s := simulate(t, FileOptions{MaxHistory: maximum})
	g := s.add(t, groupKey("g"), a("x", "0"))
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
		g = s.mustStore(t, s.change(g, g.Key, a("x", fmt.Sprint(i))))
		require.LessOrEqual(t, bytes(), maximum)
	}
	require.Greater(t, bytes(), maximum*9/10, "it keeps as much as the limit allows")
	require.Equal(t, s.countKeys(t, bucketHistory), s.countKeys(t, bucketTimeline))
	page, err := s.Events(t.Context(), grouping.EventQuery{Limit: 1})
	require.NoError(t, err)
	require.Equal(t, string(g.Stamp)+"000000", page.Events[0].ID, "the newest stay")

	s.advance(31 * 24 * time.Hour)
	for i := range 1000 {
		g = s.mustStore(t, s.change(g, g.Key, a("x", fmt.Sprint(i))))
		if s.countKeys(t, bucketHistory) == i+1 {
			return
		}
	}
	t.Error("events past their retention stay")
}

// The tombstone of a deleted group is kept for a day and then removed, also
// without a restart.
func TestFileForgetsWhatWasDeleted(t *testing.T) {
	s := simulate(t, FileOptions{})
	deleted, restored := s.add(t, groupKey("deleted"), a("x", "1")), s.add(t, groupKey("restored"), a("x", "1"))
	s.remove(t, deleted)
	s.remove(t, restored)
	s.advance(tombstoneAge - time.Minute)
	tombstones, _, err := s.file.LoadMany(t.Context(), []grouping.ID{restored.ID})
	require.NoError(t, err)
	s.mustStore(t, s.change(tombstones[restored.ID], restored.Key, a("x", "2")))
	require.Equal(t, 2, s.countFields(t, deleted.ID), "the tombstone is kept")

	s.advance(2 * time.Minute)
	s.add(t, groupKey("other"), a("x", "1"))
	require.Zero(t, s.countFields(t, deleted.ID))
	require.Len(t, s.mustLoad(t, restored.Key).Alerts, 1, "it was stored again since then")
	require.Empty(t, s.file.tombstones)

	s.remove(t, s.mustLoad(t, restored.Key))
	require.NoError(t, s.file.Close())
	again := simulate(t, FileOptions{Path: s.file.opts.Path})
	require.Equal(t, 2, again.countFields(t, restored.ID), "the tombstone survives a restart")
	require.Len(t, again.file.tombstones, 1)
	again.advance(3 * 24 * time.Hour)
	again.add(t, groupKey("other"), a("x", "2"))
	require.Zero(t, again.countFields(t, restored.ID))
}

// If the disk becomes full while Muster runs, this is an outage like any other.
// Acknowledged writes are kept in memory, are shown, and are stored once there is
// space. The test limits the size of a file instead of filling a disk.
func TestFullDisk(t *testing.T) {
	// The limit holds for all files of a process, so the test needs its own process.
	const variable = "MUSTER_TEST_FULL_DISK"
	if os.Getenv(variable) == "" {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFullDisk$", "-test.v")
		child.Env = append(os.Environ(), variable+"=1")
		said, err := child.CombinedOutput()
		require.NoError(t, err, "%s", said)
		require.Contains(t, string(said), "--- PASS: TestFullDisk")
		return
	}
	signal.Ignore(syscall.SIGXFSZ)
	f := openTestFile(t, FileOptions{})
	r := startReplicaOn(t, f, TieredOptions{})
	info, err := os.Stat(f.opts.Path)
	require.NoError(t, err)

	var before syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before))
	limit := before
	limit.Cur = uint64(info.Size()) + 2<<20
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit))
	defer func() { require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before)) }()

	sent := map[grouping.ID]int{}
	notify := func(i int) {
		key := groupKey(fmt.Sprint("group ", i))
		alert := firing(fmt.Sprint(i))
		alert.Annotations = grouping.Labels{"text": strings.Repeat("v", 50_000)}
		_, err := r.AddAlertToGroup(t.Context(), key, alert)
		require.NoError(t, err, "it is acknowledged all the same")
		sent[key.ID()]++
	}
	n := 0
	for ; r.storage.Status().Healthy; n++ {
		require.Less(t, n, 1000, "the disk is never full")
		notify(n)
	}
	for range 20 {
		notify(n)
		n++
	}
	status := r.storage.Status()
	require.Equal(t, reasonFull, status.Reason)
	require.GreaterOrEqual(t, status.DirtyGroups, 20)
	for id := range sent {
		_, err := r.Get(t.Context(), id)
		require.NoError(t, err, "it is shown")
	}

	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before))
	r.clean(t)
	held := 0
	for g, err := range f.LoadAll(t.Context()) {
		require.NoError(t, err)
		require.Len(t, g.Alerts, sent[g.ID])
		held++
	}
	require.Equal(t, n, held)
	require.NoError(t, verifyFile(f.opts.Path))
}
