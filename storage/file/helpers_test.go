package file

import (
	"cmp"
	"path/filepath"
	"runtime/debug"
	"testing"

	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"muster/grouping"
	"muster/storage/storagetest"
)

func TestMain(m *testing.M) {
	debug.SetGCPercent(400) // less work for the race detector
	goleak.VerifyTestMain(m)
}

// The tests use the writer of the contract suite, with shorter names.

type writer = storagetest.Writer

func newWriter(s grouping.GroupStorage) *writer { return storagetest.NewWriter(s) }

func groupKey(name string) grouping.Key { return storagetest.Key(name) }

func a(name, value string) [2]string { return [2]string{name, value} }

// atPath returns the default options with a path.
func atPath(path string) Options {
	o := DefaultOptions()
	o.Path = path
	return o
}

// openAt opens the file at the path with the default options.
func openAt(path string) (*Storage, error) { return Open(atPath(path), promslog.NewNopLogger()) }

// openTestFile opens a file that is closed at the end of the test. It sets the
// options that are zero to their defaults, and uses a new file if there is no path.
func openTestFile(t *testing.T, opts Options) *Storage {
	t.Helper()
	d := DefaultOptions()
	if opts.Path == "" {
		opts.Path = filepath.Join(t.TempDir(), "muster.db")
	}
	opts.HistoryRetention = cmp.Or(opts.HistoryRetention, d.HistoryRetention)
	opts.MaxHistory = cmp.Or(opts.MaxHistory, d.MaxHistory)
	f, err := Open(opts, promslog.NewNopLogger())
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestFileContract(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) grouping.GroupStorage { return openTestFile(t, Options{}) })
}
