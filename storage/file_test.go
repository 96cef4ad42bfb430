package storage

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"muster/grouping"
	"muster/storage/durable"
	"muster/storage/file"
	"muster/storage/storagetest"
)

// A file has no log that reports this process its own writes. So a write that no
// log reports must not count as lost.
func TestFileUnderTrafficLosesNothing(t *testing.T) {
	backend, err := file.Open(fileAt(filepath.Join(t.TempDir(), "muster.db")), promslog.NewNopLogger())
	require.NoError(t, err)
	clock, log := grouping.NewClock(), &lockedBuffer{}
	tiered, err := NewTiered(NewMemory(DefaultMemoryOptions()), backend, clock, prometheus.NewRegistry(),
		promslog.New(&promslog.Config{Writer: log}), tieredDefaults(TieredOptions{CheckInterval: 20 * time.Millisecond}))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- tiered.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
		require.NoError(t, backend.Close())
	})
	<-tiered.Restored()
	groups, err := grouping.NewManager(tiered, clock, nil, nil, promslog.NewNopLogger(), grouping.DefaultOptions)
	require.NoError(t, err)
	for i := range 200 {
		alert := grouping.NotifiedAlert{
			Fingerprint: "00000000000000aa", Status: grouping.StatusFiring, StartsAt: time.Now().Add(time.Duration(i) * time.Second),
		}
		_, err := groups.Ingest(t.Context(), grouping.Notification{
			Key: grouping.Key{Source: "s", Receiver: "r", GroupKey: string(rune('a' + i%5))}, Stamp: groups.Stamp(),
			Alerts: []grouping.NotifiedAlert{alert},
		})
		require.NoError(t, err)
		time.Sleep(time.Millisecond) // Tiered compares with the backend several times meanwhile
	}
	require.NotContains(t, log.String(), "lost")
	require.Zero(t, tiered.Status().DirtyGroups)
}

// The test moves or replaces the file while Muster runs. This is an outage. Once
// the path is free, the file is there again with all acknowledged writes.
func TestFileMovedUnderTraffic(t *testing.T) {
	must := require.NoError
	for _, test := range []struct {
		name string
		// move moves or replaces the file, free makes the path free again.
		move, free func(t *testing.T, path string)
		problem    string // shown on the status page until then
	}{
		{name: "removed", move: func(t *testing.T, path string) { must(t, os.Remove(path)) }},
		{name: "renamed", move: func(t *testing.T, path string) { must(t, os.Rename(path, path+".bak")) }},
		{
			name:    "folder removed",
			move:    func(t *testing.T, path string) { must(t, os.RemoveAll(filepath.Dir(path))) },
			free:    func(t *testing.T, path string) { must(t, os.Mkdir(filepath.Dir(path), 0o700)) },
			problem: "was removed: create it again",
		},
		{
			name:    "folder renamed and back",
			move:    func(t *testing.T, path string) { must(t, os.Rename(filepath.Dir(path), filepath.Dir(path)+"2")) },
			free:    func(t *testing.T, path string) { must(t, os.Rename(filepath.Dir(path)+"2", filepath.Dir(path))) },
			problem: "was removed: create it again",
		},
		{
			name: "replaced by another database",
			move: func(t *testing.T, path string) {
				otherDatabase(t, path+".other")
				must(t, os.Rename(path+".other", path))
			},
			free:    func(t *testing.T, path string) { must(t, os.Rename(path, path+".away")) },
			problem: "another file was put at",
		},
		{
			name: "replaced by an empty file",
			move: func(t *testing.T, path string) {
				must(t, os.Remove(path))
				must(t, os.WriteFile(path, nil, 0o600))
			},
			free:    func(t *testing.T, path string) { must(t, os.Remove(path)) },
			problem: "another file was put at",
		},
		{
			name: "damaged, then moved away",
			move: func(t *testing.T, path string) { must(t, os.Truncate(path, 0)) },
			free: func(t *testing.T, path string) { must(t, os.Rename(path, path+".away")) },
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "data", "muster.db")
			f := openFile(t, path)
			r, stop := runReplica(t, f, grouping.NewClock(), TieredOptions{})
			stopped := sync.OnceFunc(stop)
			t.Cleanup(stopped)
			sent, events := map[grouping.ID]int{}, 0
			notify := func(n int) {
				for i := range n {
					key := groupKey(fmt.Sprint("group ", i%7))
					_, err := r.AddAlertToGroup(t.Context(), key, firing(fmt.Sprint(events)))
					require.NoError(t, err, "it is acknowledged all the same")
					sent[key.ID()]++
					events++
				}
			}
			notify(20)
			before := testutil.ToFloat64(r.storage.recoveries)
			test.move(t, path)
			notify(20)
			if test.free != nil {
				require.Eventually(t, func() bool { return !r.storage.Status().Healthy }, 10*time.Second, time.Millisecond)
				require.Eventually(t, func() bool {
					return strings.Contains(strings.Join(r.storage.Status().Problems, "\n"), test.problem)
				}, 10*time.Second, time.Millisecond, "%+v", r.storage.Status())
				require.Equal(t, len(sent), r.storage.Status().DirtyGroups, "the next start would find nothing")
				notify(20)
				test.free(t, path)
			}
			require.Eventually(t, func() bool { return testutil.ToFloat64(r.storage.recoveries) > before }, 10*time.Second, time.Millisecond)
			r.clean(t)
			notify(5)
			require.Eventually(t, func() bool { return len(r.storage.Status().Problems) == 0 }, 10*time.Second, time.Millisecond)
			_, err := bbolt.Open(path, 0, &bbolt.Options{Timeout: time.Millisecond})
			require.ErrorIs(t, err, bolterrors.ErrTimeout, "no other Muster may lock the file")
			stopped()
			require.NoError(t, f.Close())
			groups, held := inFile(t, path)
			require.Equal(t, sent, groups)
			require.GreaterOrEqual(t, held, events)
		})
	}
}

// The status page names a damaged group until an operator removed it, as the runbook says.
func TestADamagedGroupIsRemovedFromAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "muster.db")
	f := openFile(t, path)
	r, stop := runReplica(t, f, grouping.NewClock(), TieredOptions{})
	for _, key := range []grouping.Key{testKey, groupKey("intact")} {
		_, err := r.AddAlertToGroup(t.Context(), key, firing("a"))
		require.NoError(t, err)
	}
	stop()
	require.NoError(t, f.Close())
	db, err := bbolt.Open(path, 0, nil)
	require.NoError(t, err)
	require.NoError(t, db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("groups")).Put([]byte(string(testKey.ID())+"m"), []byte("junk"))
	}))
	require.NoError(t, db.Close())

	f = openFile(t, path)
	r, stop = runReplica(t, f, grouping.NewClock(), TieredOptions{})
	require.Len(t, r.storage.Status().Problems, 1)
	require.Contains(t, r.storage.Status().Problems[0], "damaged groups ("+string(testKey.ID())+").")
	require.NoError(t, os.Truncate(path, 0))
	require.NoError(t, os.Remove(path))
	require.Eventually(t, func() bool { return len(r.storage.Status().Problems) == 0 }, 10*time.Second, time.Millisecond)
	_, err = r.AddAlertToGroup(t.Context(), testKey, firing("a"))
	require.NoError(t, err)
	r.clean(t)
	stop()
	require.NoError(t, f.Close())
	groups, _ := inFile(t, path)
	require.Equal(t, map[grouping.ID]int{testKey.ID(): 1, groupKey("intact").ID(): 1}, groups)
}

// An outage is one line in the log, although two parts of the code notice it.
func TestFileMovedIsLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	path := filepath.Join(t.TempDir(), "data", "muster.db")
	f := openFile(t, path)
	logger := slog.New(slog.NewTextHandler(&log, nil))
	m, err := NewTiered(NewMemory(DefaultMemoryOptions()), f, grouping.NewClock(), nil, logger, DefaultTieredOptions())
	require.NoError(t, err)
	require.NoError(t, os.RemoveAll(filepath.Dir(path)))
	for range 5 {
		_, _, err := m.catchUp(t.Context())
		require.Equal(t, durable.ReasonMoved, durable.FaultReason(err))
		m.updateProblems(t.Context())
	}
	require.Equal(t, 1, strings.Count(log.String(), "\n"), log.String())
	require.Contains(t, log.String(), "reason=moved")
	require.Contains(t, log.String(), "create it again")
}

// A Muster that is stopped right after its file was removed writes it again.
func TestFileRemovedBeforeTheStop(t *testing.T) {
	path := filepath.Join(t.TempDir(), "muster.db")
	f := openFile(t, path)
	r, stop := runReplica(t, f, grouping.NewClock(), TieredOptions{CheckInterval: time.Hour})
	_, err := r.AddAlertToGroup(t.Context(), testKey, firing("a"))
	require.NoError(t, err)
	require.NoError(t, os.Remove(path))
	stop()
	require.NoError(t, f.Close())
	groups, _ := inFile(t, path)
	require.Equal(t, map[grouping.ID]int{testKey.ID(): 1}, groups)
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
	path := filepath.Join(t.TempDir(), "muster.db")
	f := openFile(t, path)
	r, stop := runReplica(t, f, grouping.NewClock(), TieredOptions{})
	info, err := os.Stat(path)
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
		alert.Annotations = grouping.NewLabels(map[string]string{"text": strings.Repeat("v", 50_000)})
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
	require.Equal(t, "full", status.Reason)
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
	stop()
	require.NoError(t, f.Close())
	groups, _ := inFile(t, path)
	require.Len(t, groups, n, "the file is intact")
}

// inFile returns what a Muster that starts now would find at the path: the number
// of alerts of each group, and the number of events.
func inFile(t *testing.T, path string) (groups map[grouping.ID]int, events int) {
	t.Helper()
	f, err := file.Open(fileAt(path), promslog.NewNopLogger())
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	return storagetest.Contents(t, f)
}

// otherDatabase creates the database of another Muster at the path.
func otherDatabase(t *testing.T, path string) (content []byte) {
	t.Helper()
	f, err := file.Open(fileAt(path), promslog.NewNopLogger())
	require.NoError(t, err)
	newWriter(f).Add(t, groupKey("other"), a("x", "1"))
	require.NoError(t, f.Close())
	content, err = os.ReadFile(path)
	require.NoError(t, err)
	return content
}
