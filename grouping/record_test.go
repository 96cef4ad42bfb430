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
		writes := recordsOf(t, c.Write())
		require.Len(t, writes, []int{3, 3, 1}[i], "b does not change")
		for _, w := range writes {
			require.Equal(t, string(w.Expected), stored[w.Name][:min(StampLen, len(stored[w.Name]))], w.Name)
			stored[w.Name] = string(w.Text)
		}
		stored[HeadRecord] = headText(t, g)
		stored["later:1"] = "a record of a later version"
		decoded, err := decodeStored(StoredDocument{ID: g.ID}, stored)
		require.NoError(t, err)
		require.True(t, EqualDocuments(decoded, g))
	}
	stored["a:"+string(fires("b", 0).Fingerprint)] = "damaged"
	_, err := decodeStored(StoredDocument{ID: first.ID}, stored)
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
		require.NoError(t, alertRecords{}.decode(g, string(a.Fingerprint), []byte(text)))
		return g.Alerts[0]
	}
	text := alertText(t, a)
	for _, name := range []string{"fingerprint", "lastSeenAt", "changedAt", "episodes"} {
		require.NotContains(t, text, name)
	}
	require.Equal(t, a, decode(text))
	long, err := appendRecord(nil, stamp, a)
	require.NoError(t, err)
	require.Contains(t, string(long), "episodes")
	require.Equal(t, a, decode(string(long)))

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
			text := alertText(t, &b)
			require.True(t, decode(text).Equal(&b), "%s", text)
		}
	}
}

// A storage uses the memory of the texts again: nothing of a decoded document is in it.
func TestDocumentsDoNotKeepTexts(t *testing.T) {
	made := apply(nil, Notification{Key: testKey, Stamp: NewStamp(base, 0, testWriter), Alerts: bigGroup(3)}, testRules)
	g := *made.Group
	alice := Person{Name: "alice \u00e9 <b>"}
	mutes := []Mute{{Kind: MuteSilence, ID: "5f1d", Since: base}}
	g.Mutes = []*AlertMutes{{Fingerprint: g.Alerts[0].Fingerprint, Stamp: made.Stamp, Mutes: mutes}}
	g.Acks = []*Ack{{ID: string(made.Stamp), Person: alice, At: base, Note: "mine", Episode: g.Opened, Stamp: made.Stamp}}
	g.Notes = []*Note{{ID: "1", Person: alice, At: base, Text: "a \"note\"", Stamp: made.Stamp}}
	g.Alerts, g.Removed = g.Alerts[:2], map[Fingerprint]Stamp{g.Alerts[2].Fingerprint: made.Stamp}
	group := NewAlertGroup(g)
	records := recordsOf(t, Write{Next: group, Stamp: made.Stamp})
	require.Len(t, records, 6)
	texts := map[string]string{HeadRecord: headText(t, group)}
	for _, r := range records {
		texts[r.Name] = string(r.Text)
	}
	d, err := decodeStored(StoredDocument{ID: group.ID}, texts)
	require.NoError(t, err)
	require.True(t, group.Equal(AsGroup(d)))
}

// The records of one write share the memory of their texts, also with the writes before. One
// that needs the library changes no other.
func TestRecordsOfAWriteShareTheirMemory(t *testing.T) {
	made := apply(nil, Notification{Key: testKey, Stamp: NewStamp(base, 0, testWriter), Alerts: bigGroup(3)}, testRules)
	g := made.Group
	g.Alerts[1].Unknown = `{"later":1}`
	records := RecordWrites{Memory: []byte("others")}
	for range 2 {
		require.NoError(t, (&Write{Next: g}).AppendRecords(&records))
		all, err := g.AppendHead(records.Memory)
		require.NoError(t, err)
		require.Equal(t, headText(t, g), string(all[len(records.Memory):]))
		require.Len(t, records.List, 3)
		for i, r := range records.List {
			require.Equal(t, alertText(t, g.Alerts[i]), string(r.Text))
			require.Equal(t, len(r.Text), cap(r.Text), "nobody can add to it")
		}
		require.Contains(t, string(records.List[1].Text), "later")
		records.reset()
	}
}

// decodeStored decodes a document of these records. Then it uses the memory of their texts
// for something else.
func decodeStored(d StoredDocument, records map[string]string) (Document, error) {
	for name, text := range records {
		d.Records = append(d.Records, StoredRecord{name, []byte(text)})
	}
	decoded, err := d.Decode()
	for _, r := range d.Records {
		for i := range r.Text {
			r.Text[i] = '!'
		}
	}
	return decoded, err
}
