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

// simulated is a file whose time is the writer's, which the test moves.
type simulated struct {
	*writer

	file *File
	now  time.Time
}

func simulate(t *testing.T, opts FileOptions) *simulated {
	t.Helper()
	f := openFile(t, opts)
	f.held.Load().db.NoSync = true
	s := &simulated{writer: &writer{GroupStorage: f, Clock: grouping.NewClock()}, file: f, now: time.Now()}
	f.now = s.Clock.Now
	return s
}

func (s *simulated) pass(d time.Duration) {
	s.now = s.now.Add(d)
	_ = s.Sync(func() (time.Time, error) { return s.now, nil })
}

func (s *simulated) size(t *testing.T) int64 {
	t.Helper()
	info, err := os.Stat(s.file.opts.Path)
	require.NoError(t, err)
	return info.Size()
}

// keys counts those of a bucket.
func (s *simulated) keys(t *testing.T, bucket []byte) (n int) {
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

// A month in which groups come, change, and go after three days, with a history
// of five: the file has its size after ten days.
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
		s.pass(step)
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
			sizes[(hour+1)/24] = s.size(t)
		}
	}
	t.Logf("MB by day: %.1f, %.1f, %.1f, %.1f", float64(sizes[1])/1e6, float64(sizes[5])/1e6, float64(sizes[10])/1e6, float64(sizes[30])/1e6)
	require.Less(t, sizes[1], sizes[5], "it grows at first")
	require.LessOrEqual(t, float64(sizes[30]), 1.1*float64(sizes[10]))

	size, err := s.Size(t.Context())
	require.NoError(t, err)
	require.Equal(t, len(held), size)
	events := s.keys(t, bucketHistory)
	require.InDelta(t, perStep*2*history.Hours(), events, 2*perStep+1)
	require.Equal(t, events, s.keys(t, bucketTimeline))
	tombstones := s.keys(t, bucketGroups) - len(held)*s.fields(t, held[0].ID)
	require.InDelta(t, 2*perStep*tombstoneAge.Hours(), tombstones, 2*2*perStep, "two fields each")
}

// fields counts those of a group.
func (s *simulated) fields(t *testing.T, id grouping.ID) (n int) {
	t.Helper()
	require.NoError(t, s.file.view("count", func(tx *bbolt.Tx) error {
		n = len(readFields(tx.Bucket(bucketGroups), id))
		return nil
	}))
	return n
}

func TestFileHistoryIsBounded(t *testing.T) {
	const most = 50_000
	s := simulate(t, FileOptions{MaxHistory: most})
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
		require.LessOrEqual(t, bytes(), most)
	}
	require.Greater(t, bytes(), most*9/10, "it keeps what it may")
	require.Equal(t, s.keys(t, bucketHistory), s.keys(t, bucketTimeline))
	page, err := s.Events(t.Context(), grouping.EventQuery{Limit: 1})
	require.NoError(t, err)
	require.Equal(t, string(g.Stamp)+"000000", page.Events[0].ID, "the newest stay")

	s.pass(31 * 24 * time.Hour)
	for i := range 1000 {
		g = s.mustStore(t, s.change(g, g.Key, a("x", fmt.Sprint(i))))
		if s.keys(t, bucketHistory) == i+1 {
			return
		}
	}
	t.Error("what is past its time stays")
}

// A group that was deleted is remembered for a day, and no longer, also by a
// Muster that is not restarted.
func TestFileForgetsWhatWasDeleted(t *testing.T) {
	s := simulate(t, FileOptions{})
	gone, back := s.add(t, groupKey("gone"), a("x", "1")), s.add(t, groupKey("back"), a("x", "1"))
	s.remove(t, gone)
	s.remove(t, back)
	s.pass(tombstoneAge - time.Minute)
	tombstones, _, err := s.file.LoadMany(t.Context(), []grouping.ID{back.ID})
	require.NoError(t, err)
	s.mustStore(t, s.change(tombstones[back.ID], back.Key, a("x", "2")))
	require.Equal(t, 2, s.fields(t, gone.ID), "it is remembered")

	s.pass(2 * time.Minute)
	s.add(t, groupKey("other"), a("x", "1"))
	require.Zero(t, s.fields(t, gone.ID))
	require.Len(t, s.mustLoad(t, back.Key).Alerts, 1, "it came back since")
	require.Empty(t, s.file.graves)

	s.remove(t, s.mustLoad(t, back.Key))
	require.NoError(t, s.file.Close())
	again := simulate(t, FileOptions{Path: s.file.opts.Path})
	require.Equal(t, 2, again.fields(t, back.ID), "it is remembered over a restart")
	require.Len(t, again.file.graves, 1)
	again.pass(3 * 24 * time.Hour)
	again.add(t, groupKey("other"), a("x", "2"))
	require.Zero(t, again.fields(t, back.ID))
}

// A disk that is full while Muster runs is an outage like any other: what is
// acknowledged is kept in memory, is shown, and is written once there is room.
// The limit of a file's size stands in for the disk's.
func TestFullDisk(t *testing.T) {
	// It holds for all files of a process.
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
	f := openFile(t, FileOptions{})
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
		_, err := r.GetGroup(t.Context(), id)
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
	require.NoError(t, checkFile(f.opts.Path))
}
