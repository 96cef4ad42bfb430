package file

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/storage/durable"
	"muster/storage/storagetest"
)

// inFile returns what a Muster that starts now would find at the path: the number
// of alerts of each group, and the number of events.
func inFile(t *testing.T, path string) (groups map[grouping.ID]int, events int) {
	t.Helper()
	f, err := openAt(path)
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	return storagetest.Contents(t, f)
}

// otherDatabase creates the database of another Muster at the path.
func otherDatabase(t *testing.T, path string) (content []byte) {
	t.Helper()
	f, err := openAt(path)
	require.NoError(t, err)
	newWriter(f).Add(t, groupKey("other"), a("x", "1"))
	require.NoError(t, f.Close())
	content, err = os.ReadFile(path)
	require.NoError(t, err)
	return content
}

// A file that is written again has the whole history, also the part that is not
// in memory. Only the second check writes it: the first one reports the outage.
func TestFileWrittenAgainHasItsHistory(t *testing.T) {
	f := openTestFile(t, Options{})
	w := newWriter(f)
	for i := range 50 {
		w.Add(t, groupKey(fmt.Sprint("g", i)), a("x", "1"))
	}
	require.NoError(t, os.Chmod(f.opts.Path, 0o640))
	require.NoError(t, os.Remove(f.opts.Path))
	_, err := f.Store(t.Context(), w.Change(nil, groupKey("new"), a("x", "1")))
	require.ErrorIs(t, err, grouping.ErrStorage)
	require.Equal(t, durable.ReasonMoved, faultReason(err))
	require.NoFileExists(t, f.opts.Path)

	_, err = f.Position(t.Context())
	require.NoError(t, err)
	w.Add(t, groupKey("new"), a("x", "1"))
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
	f := openTestFile(t, Options{})
	path := f.opts.Path
	require.NoError(t, os.Remove(path))
	content := otherDatabase(t, path)
	for range 3 {
		_, err := f.Position(t.Context())
		require.Equal(t, durable.ReasonMoved, faultReason(err))
	}
	problems, err := f.Check(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"another file was put at " + path + ": move it away, then Muster writes its own file there again"}, problems)

	found, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, bytes.Equal(content, found))

	openTestFile(t, Options{Path: path})
	_, err = f.Position(t.Context())
	require.ErrorContains(t, err, fmt.Sprintf("and process %d uses it: give that process another path", os.Getpid()))
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
	openTestFile(t, Options{Path: path})
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
			owners := make([]*Storage, 5)
			errs := make([]error, len(owners))
			if running {
				f := openTestFile(t, Options{Path: path})
				require.NoError(t, os.Remove(path))
				require.Error(t, f.verifyPath())
				wg.Go(func() { errs[0] = f.restoreAtPath(); owners[0] = f })
			} else {
				wg.Go(func() { owners[0], errs[0] = openAt(path) })
			}
			for i := range owners[1:] {
				wg.Go(func() { owners[i+1], errs[i+1] = openAt(path) })
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
		_, err := openAt(test.path)
		requireSentence(t, err, test.path)
		require.ErrorContains(t, err, test.want)
	}
	_, err := openAt(folder)
	require.NotContains(t, err.Error(), "move it away")
	info, err := os.Stat(empty)
	require.NoError(t, err)
	require.Zero(t, info.Size(), "it is left as it is")

	f := openTestFile(t, Options{Path: link})
	require.FileExists(t, target, "a link may lead to a file that does not exist yet")
	require.NoError(t, f.verifyPath())
}
