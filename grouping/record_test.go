package grouping

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A storage finds the kind of a record by the beginning of its name, and has fields
// of its own with names of one letter.
func TestRecordPrefixes(t *testing.T) {
	prefixes := RecordPrefixes()
	require.Len(t, prefixes, len(groupKinds)+len(sourceKinds))
	for i, prefix := range prefixes {
		require.Greater(t, len(prefix), 1, "%q could be a field of a storage", prefix)
		others := slices.Delete(slices.Clone(prefixes), i, i+1)
		require.False(t, slices.ContainsFunc(others, func(o string) bool { return strings.HasPrefix(o, prefix) }), prefix)
	}
	require.Len(t, HeadRecord, 1)
}

// The records that a change writes, put over those of its base, are the group.
func TestRecordsMakeTheGroup(t *testing.T) {
	notify := func(g *AlertGroup, minutes time.Duration, names ...string) *AlertGroup {
		n := Notification{Key: drawnKey(1), Stamp: NewStamp(base.Add(minutes*time.Minute), 0, testWriter)}
		for _, name := range names {
			n.Alerts = append(n.Alerts, fires(name, 0))
		}
		g, _ = applied(g, n, testRules)
		return g
	}
	first := notify(nil, 0, "a", "b", "c")
	second := notify(first, 1, "b", "d")
	third, _ := removeAlerts(second, []Fingerprint{fires("c", 0).Fingerprint}, NewStamp(base.Add(time.Hour), 0, testWriter))
	stored := map[string]string{}
	for i, g := range []*AlertGroup{first, second, third} {
		c := Change{Group: g, Base: []*AlertGroup{nil, first, second}[i]}
		write := c.Write()
		writes, err := write.Records()
		require.NoError(t, err)
		require.Len(t, writes, []int{3, 3, 1}[i], "b does not change")
		for _, w := range writes {
			require.Equal(t, string(w.Expected), stored[w.Name][:min(StampLen, len(stored[w.Name]))], w.Name)
			stored[w.Name] = w.Text
		}
		stored[HeadRecord], err = g.EncodeHead()
		require.NoError(t, err)
		stored["later:1"] = "a record of a later version"
		decoded, err := StoredDocument{ID: g.ID, Records: stored}.Decode()
		require.NoError(t, err)
		require.True(t, EqualDocuments(decoded, g))
	}
	stored["a:"+string(fires("b", 0).Fingerprint)] = "damaged"
	_, err := StoredDocument{ID: first.ID, Records: stored}.Decode()
	var damaged *DamagedGroupError
	require.ErrorAs(t, err, &damaged)
	require.Equal(t, first.ID, damaged.ID)
}
