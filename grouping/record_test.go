package grouping

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

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

// A record leaves out what the rest says. Records of earlier versions say all.
func TestAlertsAreStoredShort(t *testing.T) {
	stamp := NewStamp(base, 1, testWriter)
	a := &Alert{
		Fingerprint: "0123456789abcdef", Status: StatusFiring, StartsAt: base, FirstSeenAt: base.Add(1), LastSeenAt: base.Add(1),
		ChangedAt: base.Add(1), Recorded: []Episode{{StartsAt: base, Stamp: stamp}}, Stamp: stamp,
	}
	decode := func(text string) *Alert {
		g := &AlertGroup{}
		require.NoError(t, alertRecords{}.decode(g, string(a.Fingerprint), text))
		return g.Alerts[0]
	}
	text, err := encodeAlert(a)
	require.NoError(t, err)
	for _, name := range []string{"fingerprint", "lastSeenAt", "changedAt", "episodes"} {
		require.NotContains(t, text, name)
	}
	require.Equal(t, a, decode(text))
	long, err := encodeRecord(stamp, a)
	require.NoError(t, err)
	require.Contains(t, long, "episodes")
	require.Equal(t, a, decode(long))

	for _, unusual := range []func(a *Alert){
		func(a *Alert) { a.LastSeenAt = time.Time{} },
		func(a *Alert) { a.ChangedAt = time.Time{} },
		func(a *Alert) { a.ChangedAt = base.Add(time.Hour) },
		func(a *Alert) { a.Recorded = nil },
		func(a *Alert) { a.Recorded = []Episode{{StartsAt: base, EndsAt: base.Add(time.Hour), Stamp: stamp}} },
		func(a *Alert) { a.Recorded = append(a.Recorded, Episode{StartsAt: base.Add(1), Stamp: stamp}) },
	} {
		for _, grafana := range []*Grafana{nil, {Values: map[string]float64{"A": 1}}} {
			b := *a
			b.Grafana = grafana
			unusual(&b)
			text, err := encodeAlert(&b)
			require.NoError(t, err)
			require.True(t, decode(text).Equal(&b), "%s", text)
		}
	}
}

// The text of a record must not stay in memory because of its stamp.
func TestStampsDoNotKeepTexts(t *testing.T) {
	made := apply(nil, Notification{Key: testKey, Stamp: NewStamp(base, 0, testWriter), Alerts: bigGroup(2)}, testRules)
	records, err := (&Write{Next: made.Group, Stamp: made.Stamp}).Records()
	require.NoError(t, err)
	head, err := made.Group.EncodeHead()
	require.NoError(t, err)
	texts := map[string]string{HeadRecord: strings.Clone(head)}
	for _, r := range records {
		texts[r.Name] = strings.Clone(r.Text)
	}
	d, err := StoredDocument{ID: made.Group.ID, Records: texts}.Decode()
	require.NoError(t, err)
	g := AsGroup(d)
	require.True(t, made.Group.Equal(g))
	stamps := []Stamp{g.Stamp}
	for _, a := range g.Alerts {
		stamps = append(stamps, a.Stamp, a.Recorded[0].Stamp)
	}
	for _, s := range stamps {
		for name, text := range texts {
			require.NotSame(t, unsafe.StringData(text), unsafe.StringData(string(s)), name)
		}
	}
}
