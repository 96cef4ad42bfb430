package storage

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"muster/grouping"
)

// inFile returns what a Muster that starts now would find at the path: the number
// of alerts of each group, and the number of events.
func inFile(t *testing.T, path string) (groups map[grouping.ID]int, events int) {
	t.Helper()
	f, err := OpenFile(FileOptions{Path: path})
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	groups = map[grouping.ID]int{}
	for g, err := range f.LoadAll(t.Context()) {
		require.NoError(t, err)
		groups[g.ID] = len(g.Alerts)
	}
	page, err := f.Events(t.Context(), grouping.EventQuery{Limit: 100_000})
	require.NoError(t, err)
	return groups, len(page.Events)
}

// otherDatabase creates the database of another Muster at the path.
func otherDatabase(t *testing.T, path string) (content []byte) {
	t.Helper()
	f, err := OpenFile(FileOptions{Path: path})
	require.NoError(t, err)
	(&writer{GroupStorage: f, Clock: grouping.NewClock()}).add(t, groupKey("other"), a("x", "1"))
	require.NoError(t, f.Close())
	content, err = os.ReadFile(path)
	require.NoError(t, err)
	return content
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
			f := openTestFile(t, FileOptions{Path: path})
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

// A file that is written again has the whole history, also the part that is not
// in memory. Only the second check writes it: the first one reports the outage.
func TestFileWrittenAgainHasItsHistory(t *testing.T) {
	f := openTestFile(t, FileOptions{})
	w := &writer{GroupStorage: f, Clock: grouping.NewClock()}
	for i := range 50 {
		w.add(t, groupKey(fmt.Sprint("g", i)), a("x", "1"))
	}
	require.NoError(t, os.Chmod(f.opts.Path, 0o640))
	require.NoError(t, os.Remove(f.opts.Path))
	_, err := f.Store(t.Context(), w.change(nil, groupKey("new"), a("x", "1")))
	require.ErrorIs(t, err, grouping.ErrStorage)
	require.Equal(t, reasonMoved, FaultReason(err))
	require.NoFileExists(t, f.opts.Path)

	_, err = f.Position(t.Context())
	require.NoError(t, err)
	w.add(t, groupKey("new"), a("x", "1"))
	info, err := os.Stat(f.opts.Path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o640), info.Mode().Perm())
	require.NoError(t, f.Close())
	groups, events := inFile(t, f.opts.Path)
	require.Len(t, groups, 51)
	require.Equal(t, 51, events)
	entries, err := os.ReadDir(filepath.Dir(f.opts.Path))
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing else is left")
}

// Muster never writes to another database at its path.
func TestFileReplacedIsLeftAlone(t *testing.T) {
	f := openTestFile(t, FileOptions{})
	path := f.opts.Path
	require.NoError(t, os.Remove(path))
	content := otherDatabase(t, path)
	for range 3 {
		_, err := f.Position(t.Context())
		require.Equal(t, reasonMoved, FaultReason(err))
	}
	problems, err := f.Check(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"another file was put at " + path + ": move it away, then Muster writes its own file there again"}, problems)

	found, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, bytes.Equal(content, found))

	openTestFile(t, FileOptions{Path: path})
	_, err = f.Position(t.Context())
	require.ErrorContains(t, err, fmt.Sprintf("and process %d uses it: give that process another path", os.Getpid()))
}

// An outage is one line in the log, although two parts of the code notice it.
func TestFileMovedIsLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	f := openTestFile(t, FileOptions{Path: filepath.Join(t.TempDir(), "data", "muster.db")})
	m, err := NewTiered(NewMemory(MemoryOptions{}), f, grouping.NewClock(), nil, slog.New(slog.NewTextHandler(&log, nil)), TieredOptions{})
	require.NoError(t, err)
	require.NoError(t, os.RemoveAll(filepath.Dir(f.opts.Path)))
	for range 5 {
		_, _, err := m.catchUp(t.Context())
		require.Equal(t, reasonMoved, FaultReason(err))
		m.updateProblems(t.Context())
	}
	require.Equal(t, 1, strings.Count(log.String(), "\n"), log.String())
	require.Contains(t, log.String(), "reason=moved")
	require.Contains(t, log.String(), "create it again")
}

// A Muster that is stopped right after its file was removed writes it again.
func TestFileRemovedBeforeTheStop(t *testing.T) {
	f := openTestFile(t, FileOptions{})
	r, stop := runReplica(t, f, grouping.NewClock(), TieredOptions{CheckInterval: time.Hour})
	_, err := r.AddAlertToGroup(t.Context(), testKey, firing("a"))
	require.NoError(t, err)
	require.NoError(t, os.Remove(f.opts.Path))
	stop()
	require.NoError(t, f.Close())
	groups, _ := inFile(t, f.opts.Path)
	require.Equal(t, map[grouping.ID]int{testKey.ID(): 1}, groups)
}

// The start removes unfinished files that a crash left, and never reads them.
func TestUnfinishedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "muster.db")
	old, young, other := path+unfinished+"1", path+unfinished+"2", path+".bak"
	for _, name := range []string{old, young, other} {
		require.NoError(t, os.WriteFile(name, []byte("half a page"), 0o600))
		if name != young {
			require.NoError(t, os.Chtimes(name, time.Time{}, time.Now().Add(-2*unfinishedAge)))
		}
	}
	openTestFile(t, FileOptions{Path: path})
	require.NoFileExists(t, old)
	require.FileExists(t, young, "another process may be creating it")
	require.FileExists(t, other)
}

// If several processes start with one path, or one writes its file there again,
// exactly one of them gets the path.
func TestOneOwnerOfAPath(t *testing.T) {
	for _, running := range []bool{false, true} {
		t.Run(fmt.Sprint("one runs already: ", running), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "muster.db")
			var wg sync.WaitGroup
			owners := make([]*File, 5)
			errs := make([]error, len(owners))
			if running {
				f := openTestFile(t, FileOptions{Path: path})
				require.NoError(t, os.Remove(path))
				require.Error(t, f.verifyPath())
				wg.Go(func() { errs[0] = f.restoreAtPath(); owners[0] = f })
			} else {
				wg.Go(func() { owners[0], errs[0] = OpenFile(FileOptions{Path: path}) })
			}
			for i := range owners[1:] {
				wg.Go(func() { owners[i+1], errs[i+1] = OpenFile(FileOptions{Path: path}) })
			}
			wg.Wait()
			n := 0
			for i, err := range errs {
				switch {
				case err == nil:
					n++
				case i == 0 && running:
					require.ErrorContains(t, err, "another file was put at")
				default:
					require.ErrorContains(t, err, "is in use by")
				}
			}
			require.Equal(t, 1, n, "%v", errs)
			for _, f := range owners {
				if f != nil {
					require.NoError(t, f.Close())
				}
			}
		})
	}
}

// The start rejects a path that cannot be a database, and says what to do.
func TestFileStartSentences(t *testing.T) {
	folder := t.TempDir()
	empty := writeFile(t, nil)
	target := filepath.Join(folder, "target.db")
	link := filepath.Join(folder, "link.db")
	require.NoError(t, os.Symlink("target.db", link))
	for _, test := range []struct{ path, want string }{
		{folder, "is a directory: set --storage.path to a file in it, such as " + filepath.Join(folder, "muster.db")},
		{os.DevNull, "is a device, a pipe or a socket"},
		{empty, "is empty, and Muster never leaves an empty file: put a backup in its place"},
	} {
		_, err := OpenFile(FileOptions{Path: test.path})
		requireSentence(t, err, test.path)
		require.ErrorContains(t, err, test.want)
	}
	_, err := OpenFile(FileOptions{Path: folder})
	require.NotContains(t, err.Error(), "move it away")
	info, err := os.Stat(empty)
	require.NoError(t, err)
	require.Zero(t, info.Size(), "it is left as it is")

	f := openTestFile(t, FileOptions{Path: link})
	require.FileExists(t, target, "a link may lead to a file that does not exist yet")
	require.NoError(t, f.verifyPath())
}
