package file

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"muster/grouping"
	"muster/storage/storagetest"
)

// A file of a newer schema must not be changed, and the error must name the schema.
func TestStoredByANewerVersion(t *testing.T) {
	const want = "a newer version of Muster (schema 3, this version reads schema 2)"
	f := openTestFile(t, Options{})
	require.NoError(t, f.update("test", func(tx *writeTx) error { return tx.Bucket(bucketMeta).Put(keySchema, []byte("3")) }))
	require.NoError(t, f.Close())
	before, err := os.ReadFile(f.opts.Path)
	require.NoError(t, err)
	_, err = openAt(f.opts.Path)
	requireSentence(t, err, f.opts.Path)
	require.ErrorContains(t, err, want)
	after, err := os.ReadFile(f.opts.Path)
	require.NoError(t, err)
	require.True(t, bytes.Equal(before, after), "the file was changed")
}

// A file of schema 1 is upgraded once, which is logged.
func TestFileUpgrades(t *testing.T) {
	f := openTestFile(t, Options{})
	g := newWriter(f).Add(t, groupKey("g"), a("x", "1"))
	require.NoError(t, f.update("test", func(tx *writeTx) error {
		for _, name := range [][]byte{bucketContents, bucketChanged, bucketChangedContents} {
			if err := tx.DeleteBucket(name); err != nil {
				return err
			}
		}
		return tx.Bucket(bucketMeta).Put(keySchema, []byte("1"))
	}))
	require.NoError(t, f.Close())
	var log bytes.Buffer
	for i := range 2 {
		upgraded, err := Open(atPath(f.opts.Path), slog.New(slog.NewTextHandler(&log, nil)))
		require.NoError(t, err)
		w := newWriter(upgraded)
		require.True(t, w.MustLoad(t, g.Key).Equal(g))
		value := fmt.Sprint(i)
		w.MustStore(t, w.FiredChange(t, nil, groupKey(value), value))
		require.Equal(t, []string{value}, storagetest.StoredContents(t, upgraded, value))
		require.NoError(t, upgraded.Close())
	}
	require.Equal(t, 1, strings.Count(log.String(), "Upgraded the storage"))
	require.Contains(t, log.String(), `from="schema 1" to="schema 2"`)
}

func TestWhatALaterVersionAddedStays(t *testing.T) {
	f := openTestFile(t, Options{})
	key := func(id grouping.ID, name string) []byte { return []byte(string(id) + name) }
	storagetest.RunLaterVersion(t, f, storagetest.Fields{
		Get: func(id grouping.ID, name string) (value string) {
			require.NoError(t, f.view("get", func(tx *bbolt.Tx) error {
				value = string(tx.Bucket(bucketGroups).Get(key(id, name)))
				return nil
			}))
			return value
		},
		Set: func(id grouping.ID, name, value string) {
			require.NoError(t, f.update("set", func(tx *writeTx) error {
				return tx.Bucket(bucketGroups).Put(key(id, name), []byte(value))
			}))
		},
	})
}
