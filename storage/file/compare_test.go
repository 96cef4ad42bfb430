package file

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"muster/grouping"
)

// The stamps suffice for a change of what nobody else wrote. In every other case, the
// whole group is read.
func TestCompareStamps(t *testing.T) {
	f := openTestFile(t, Options{})
	w, key := newWriter(f), groupKey("g")
	suffice := func(c grouping.Change) (ok bool) {
		t.Helper()
		write := c.Write()
		var records grouping.RecordWrites
		require.NoError(t, write.AppendRecords(&records))
		require.NoError(t, f.view("test", func(tx *bbolt.Tx) error {
			ok = compareStamps(tx.Bucket(bucketGroups), &write, records.List) != nil
			return nil
		}))
		return ok
	}
	one := func(name string) [2]string { return [2]string{name, "2"} }

	require.False(t, suffice(w.Change(nil, key, one("x"))), "there is no group")
	old := w.Add(t, key, one("x"), one("y"))
	exclusive := w.Change(old, key, one("y"))
	exclusive.Exclusive = true
	require.True(t, suffice(exclusive))
	written := w.Change(old, key, [2]string{"x", "3"})
	require.True(t, suffice(written))
	g := w.MustStore(t, written)

	require.True(t, suffice(w.Change(old, key, one("y"))), "another alert was written")
	require.False(t, suffice(w.Change(old, key, [2]string{"x", "4"})), "the same alert was written")
	require.False(t, suffice(exclusive), "the group was written")
	require.False(t, suffice(written), "it is the write that was made already")
	late := w.Change(old, key, one("y"))
	newer := w.MustStore(t, w.Change(g, key, one("z")))
	late.Group = grouping.NewAlertGroup(func() grouping.AlertGroup { h := *late.Group; h.Stamp = old.Stamp; return h }())
	require.False(t, suffice(late), "the stored fields of the group are newer")
	require.False(t, suffice(w.Removal(old, "x")))
	require.True(t, suffice(w.Removal(newer, "x")))

	deletion := w.Change(newer, key)
	deletion.Group = nil
	require.False(t, suffice(deletion), "a deletion compares all alerts")
	require.NoError(t, w.Delete(t.Context(), deletion))
	require.False(t, suffice(w.Change(newer, key, one("y"))), "the group was deleted")
}
