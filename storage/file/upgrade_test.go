package file

import (
	"bytes"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"muster/grouping"
	"muster/storage/storagetest"
)

// A file of a newer schema must not be changed, and the error must name the schema.
func TestStoredByANewerVersion(t *testing.T) {
	const want = "a newer version of Muster (schema 2, this version reads schema 1)"
	f := openTestFile(t, Options{})
	require.NoError(t, f.update("test", func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Put(keySchema, []byte("2")) }))
	require.NoError(t, f.Close())
	before, err := os.ReadFile(f.opts.Path)
	require.NoError(t, err)
	_, err = Open(atPath(f.opts.Path))
	requireSentence(t, err, f.opts.Path)
	require.ErrorContains(t, err, want)
	after, err := os.ReadFile(f.opts.Path)
	require.NoError(t, err)
	require.True(t, bytes.Equal(before, after), "the file was changed")
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
			require.NoError(t, f.update("set", func(tx *bbolt.Tx) error {
				return tx.Bucket(bucketGroups).Put(key(id, name), []byte(value))
			}))
		},
	})
}
