package grouping

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func at(seconds int) Stamp {
	return NewStamp(base.Add(time.Duration(seconds)*time.Second), 0, testWriter)
}

// storeSource puts the records of a change over the stored texts, like a storage, and
// returns the document that they make.
func storeSource(t require.TestingT, stored map[string]string, base, next *SourceDocument) *SourceDocument {
	c := SourceChange{Source: next, Base: base}
	for _, r := range recordsOf(t, c.Write()) {
		held := stored[r.Name]
		require.Equal(t, string(r.Expected), held[:min(StampLen, len(held))], r.Name)
		if stored[r.Name] = string(r.Text); len(r.Text) == 0 {
			delete(stored, r.Name)
		}
	}
	stored[HeadRecord] = headText(t, next)
	d, err := decodeStored(StoredDocument{ID: next.ID}, stored)
	require.NoError(t, err)
	return AsSource(d)
}

func TestSourceID(t *testing.T) {
	id := SourceID("prod")
	require.Len(t, id, idLen)
	require.True(t, id.Valid())
	require.True(t, id.IsSource())
	require.NotEqual(t, id, SourceID(""))
	require.False(t, drawnKey(1).ID().IsSource(), "no group has the ID of a source")
	require.False(t, ID("ss"+string(id[2:])).Valid())
	require.False(t, id[1:].Valid())
}

// The records that a change writes, put over those of its base, are the document. Fields
// and kinds of a later version stay.
func TestRecordsMakeTheSource(t *testing.T) {
	first := NewSourceDocument("prod").WithSilences(at(1), Silence{
		ID: "5f1d", CreatedBy: "ann", Comment: "<deploy>", StartsAt: base, EndsAt: base.Add(time.Hour), UpdatedAt: base,
		MatcherSets: [][]SilenceMatcher{{{"alertname", "=~", "Down|Up"}}, {{"a", "!=", ""}}}, Annotations: LabelsOf([]Label{{"a", "b"}}),
	}, Silence{ID: "77aa", Write: &SilenceWrite{
		By: Person{Name: "<mira>", Verified: true}, ID: "w", Request: "r", Kind: EventSilenceChanged, At: base, Confirmed: true,
	}}).WithAlertmanagers(at(1), Alertmanager{
		ExternalURL: "http://am:9093/?a=b", Version: "0.35.0", StartedAt: base, PolledAt: base,
		Failed: map[string]uint64{"slack": 1<<64 - 1},
	})
	first = leaseRecords.put(first, at(1), Lease{Name: "poll", Holder: testWriter, RenewedAt: base})
	first = lifeRecords.put(first, at(1), Life{Writer: testWriter, StartedAt: base, LastAt: base.Add(time.Hour)})
	first = gapRecords.put(first, at(1), RecordedGap{Key: "a", Gap: Gap{base.Add(-time.Hour), base}})
	second := first.WithoutSilences(at(2), "77aa", "unknown")
	require.Len(t, second.Silences, 1)
	require.Len(t, first.Silences, 2, "documents are immutable")
	require.Equal(t, map[string]Stamp{"s:77aa": at(2)}, second.Removed)

	stored := map[string]string{"later:1": "a record of a later version"}
	require.True(t, storeSource(t, stored, nil, first).Equal(first))
	require.True(t, storeSource(t, stored, first, second).Equal(second))
	require.Equal(t, string(at(2)), stored["s:77aa"], "a stamp alone is the tombstone")

	stored["s:5f1d"] = strings.TrimSuffix(stored["s:5f1d"], "}") + `,"later":1}`
	stored[HeadRecord] = strings.TrimSuffix(stored[HeadRecord], "}") + `,"later":2}`
	d, err := decodeStored(StoredDocument{ID: first.ID, Header: Header{Version: 7}}, stored)
	require.NoError(t, err)
	read := AsSource(d)
	require.Equal(t, int64(7), read.Version)
	changed := *read.Silences["5f1d"]
	changed.Comment = "longer"
	next := read.WithSilences(at(3), changed)
	require.True(t, storeSource(t, stored, read, next).Equal(next))
	require.Contains(t, stored["s:5f1d"], `"later":1`)
	require.Contains(t, stored["s:5f1d"], `"longer"`)
	require.Contains(t, stored[HeadRecord], `"later":2`)
	require.Equal(t, "a record of a later version", stored["later:1"])

	stored["am:http://am"] = "damaged"
	_, err = decodeStored(StoredDocument{ID: first.ID}, stored)
	var damaged *DamagedGroupError
	require.ErrorAs(t, err, &damaged)
	require.Equal(t, first.ID, damaged.ID)
}

// The key of a record is part of a key of the storage, so its length is limited.
func TestKeysOfSourceRecordsAreLimited(t *testing.T) {
	for key, valid := range map[string]bool{
		"": false, "x": true, strings.Repeat("x", maxRecordKey): true, strings.Repeat("x", maxRecordKey+1): false,
	} {
		c := SourceChange{Source: NewSourceDocument("prod").WithAlertmanagers(at(1), Alertmanager{ExternalURL: key})}
		w := c.Write()
		err := w.AppendRecords(&RecordWrites{})
		require.Equal(t, valid, err == nil, "%d: %v", len(key), err)
	}
}

// A change conflicts if another writer changed a record that it changes. Other records
// do not matter.
func TestSourceConflicts(t *testing.T) {
	start := NewSourceDocument("prod").WithSilences(at(1), Silence{ID: "a"}, Silence{ID: "b"})
	ours := SourceChange{Base: start, Source: start.WithSilences(at(2), Silence{ID: "a", Comment: "ours"}), Stamp: at(2)}
	w := ours.Write()
	require.False(t, w.Conflicts(start))
	require.False(t, w.Conflicts(start.WithSilences(at(3), Silence{ID: "b", Comment: "theirs"}, Silence{ID: "c"})))
	require.True(t, w.Conflicts(start.WithSilences(at(3), Silence{ID: "a", Comment: "theirs"})))
	require.True(t, w.Conflicts(start.WithoutSilences(at(3), "a")))
	require.True(t, w.Conflicts(nil), "the document was lost")
	create := SourceChange{Source: start, Stamp: at(1)}
	w = create.Write()
	require.False(t, w.Conflicts(nil))
	require.True(t, w.Conflicts(start), "it exists already")
}

// A record that is written after a broken clock wrote it, or removed it, is newer.
func TestSourceRecordsSupersedeABrokenClock(t *testing.T) {
	d := NewSourceDocument("prod").WithSilences(at(1000), Silence{ID: "a"})
	d = d.WithoutSilences(at(2), "a")
	require.Greater(t, d.Removed["s:a"], at(1000))
	require.Greater(t, d.Stamp, at(1000))
	removal := d.Removed["s:a"]
	d = d.WithSilences(at(3), Silence{ID: "a"})
	require.Greater(t, d.Silences["a"].Stamp, removal)
	require.Empty(t, d.Removed)
}

func TestRemovalsOfSourcesArePruned(t *testing.T) {
	day := int(removalRetention / time.Second)
	d := NewSourceDocument("prod").WithSilences(at(0), Silence{ID: "old"}, Silence{ID: "new"})
	d = d.WithoutSilences(at(1), "old").WithoutSilences(at(2), "new")
	require.Same(t, d, d.Prune(), "the document is not copied if there is nothing to prune")
	later := d.WithSilences(at(day+2), Silence{ID: "x"})
	require.Equal(t, map[string]Stamp{"s:new": at(2)}, AsSource(later.Prune()).Removed)

	// A change removes what is pruned from the storage, too.
	stored := map[string]string{}
	storeSource(t, stored, nil, d)
	storeSource(t, stored, d, later)
	require.NotContains(t, stored, "s:old")
	require.Contains(t, stored, "s:new")

	var silences []Silence
	var ids []string
	for i := range maxRemovals + 100 {
		id := fmt.Sprint(i)
		silences, ids = append(silences, Silence{ID: id}), append(ids, id)
	}
	d = NewSourceDocument("prod").WithSilences(at(0), silences...)
	for i, id := range ids {
		d = d.WithoutSilences(at(i+1), id)
	}
	kept := AsSource(d.Prune()).Removed
	require.Len(t, kept, prunedRemovals)
	require.Equal(t, at(len(ids)-prunedRemovals+1), slices.Min(slices.Collect(maps.Values(kept))), "the newest removals are kept")
}

func TestEqualSeesEveryFieldOfASource(t *testing.T) {
	eachField(t, reflect.TypeFor[Silence](), func(change func(v any)) bool {
		var a, b Silence
		change(&b)
		return a.Equal(&b) || b.Equal(&a)
	})
	eachField(t, reflect.TypeFor[SilenceWrite](), func(change func(v any)) bool {
		var a, b SilenceWrite
		change(&b)
		return a.equal(&b) || b.equal(&a)
	})
	eachField(t, reflect.TypeFor[Alertmanager](), func(change func(v any)) bool {
		var a, b Alertmanager
		change(&b)
		return a.Equal(&b) || b.Equal(&a)
	})
	eachField(t, reflect.TypeFor[Life](), func(change func(v any)) bool {
		var a, b Life
		change(&b)
		return a.Equal(&b) || b.Equal(&a)
	})
	eachField(t, reflect.TypeFor[RecordedGap](), func(change func(v any)) bool {
		var a, b RecordedGap
		change(&b)
		return a.Equal(&b) || b.Equal(&a)
	})
	for _, b := range []*SourceDocument{
		nil,
		{ID: "x"},
		{Source: "x"},
		{Stamp: "x"},
		{Unknown: "x"},
		{Removed: map[string]Stamp{"a": "x"}},
		{Silences: map[string]*Silence{"a": {}}},
		{Alertmanagers: map[string]*Alertmanager{"a": {}}},
		{Lives: map[string]*Life{"a": {}}},
		{Gaps: map[string]*RecordedGap{"a": {}}},
	} {
		require.False(t, (&SourceDocument{}).Equal(b))
	}
	require.True(t, (&SourceDocument{}).Equal(&SourceDocument{Version: 3}), "the counter for display is ignored")
}

// drawSources returns states of one source that replicas wrote in turns. Some of them
// come from damaged data: records with equal stamps and other contents.
func drawSources(t *rapid.T) []*SourceDocument {
	states := []*SourceDocument{nil, NewSourceDocument("prod")}
	for i := range rapid.IntRange(1, 12).Draw(t, "writes") {
		from := rapid.SampledFrom(states).Draw(t, "from")
		if from == nil {
			from = NewSourceDocument("prod")
		}
		s := at(rapid.IntRange(0, i).Draw(t, "time"))
		key := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key")
		text := rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "text")
		later := rapid.SampledFrom([]string{"", `{"later":1}`}).Draw(t, "unknown")
		var next *SourceDocument
		switch rapid.IntRange(0, 4).Draw(t, "what") {
		case 0:
			next = from.WithoutSilences(s, key)
		case 1:
			next = alertmanagerRecords.remove(from, s, key)
		case 2:
			next = from.WithAlertmanagers(s, Alertmanager{ExternalURL: key, Version: text, Unknown: later})
		case 3:
			next = MergeSources(from, rapid.SampledFrom(states).Draw(t, "merged"))
		default:
			next = from.WithSilences(s, Silence{ID: key, Comment: text, Unknown: later})
		}
		if rapid.Bool().Draw(t, "head") {
			c := *next
			c.Unknown = later
			next = &c
		}
		states = append(states, next)
	}
	return states
}

func TestMergeSourcesLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		state := rapid.SampledFrom(drawSources(t))
		a, b, c := state.Draw(t, "a"), state.Draw(t, "b"), state.Draw(t, "c")
		same := func(want, got *SourceDocument, law string) {
			require.True(t, want.Equal(got), "%s:\n%+v\n%+v", law, want, got)
		}
		ab := MergeSources(a, b)
		same(ab, MergeSources(b, a), "commutative")
		same(MergeSources(ab, c), MergeSources(a, MergeSources(b, c)), "associative")
		same(ab, MergeSources(ab, a), "a known state changes nothing")
		if ab == nil || ab.IsTombstone() {
			return
		}
		read := storeSource(t, map[string]string{}, nil, ab)
		same(AsSource(ab.Prune()), read, "what is stored is what is read")
		same(ab, MergeSources(ab, read), "idempotent")
		for id, s := range ab.Silences {
			require.NotContains(t, ab.Removed, "s:"+id)
			require.Equal(t, id, s.ID)
		}
	})
}
