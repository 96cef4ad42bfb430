package storagetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/grouping"
	"muster/storage/durable"

	"github.com/stretchr/testify/require"
)

// SourceChange returns a write that puts the silences, each "id=comment", into base. It
// has an event of the source.
func (w *Writer) SourceChange(base *grouping.SourceDocument, silences ...[2]string) grouping.SourceChange {
	s := w.Stamp()
	all := make([]grouping.Silence, 0, len(silences))
	for _, silence := range silences {
		all = append(all, grouping.Silence{ID: silence[0], Comment: silence[1]})
	}
	event := grouping.Event{ID: string(s) + "000000", Time: s.Time(), Kind: grouping.EventStale, Source: base.Source}
	return grouping.SourceChange{
		Source: base.WithSilences(s, all...), Base: base, Stamp: s, Events: []grouping.Event{event},
	}
}

// SourceRemoval returns a write that removes a silence from base.
func (w *Writer) SourceRemoval(base *grouping.SourceDocument, id string) grouping.SourceChange {
	c := w.SourceChange(base)
	c.Source = base.WithoutSilences(c.Stamp, id)
	return c
}

// MustStoreSource stores a change and returns the document as stored.
func (w *Writer) MustStoreSource(t *testing.T, c grouping.SourceChange) *grouping.SourceDocument {
	t.Helper()
	d, err := w.StoreSource(t.Context(), c)
	require.NoError(t, err)
	return d
}

// MustLoadSource loads the document of a source.
func (w *Writer) MustLoadSource(t *testing.T, source string) *grouping.SourceDocument {
	t.Helper()
	d, err := w.LoadSource(t.Context(), source)
	require.NoError(t, err)
	return d
}

// Comments returns the comment of each silence, by the ID of the silence.
func Comments(d *grouping.SourceDocument) map[string]string {
	m := map[string]string{}
	for id, s := range d.Silences {
		m[id] = s.Comment
	}
	return m
}

// sourceConflict checks that the error is a conflict and returns the stored document.
func sourceConflict(t *testing.T, source string, err error) *grouping.SourceDocument {
	t.Helper()
	require.ErrorIs(t, err, grouping.ErrVersionMismatch)
	require.NotErrorIs(t, err, grouping.ErrStorage, "a conflict is not a fault")
	var mismatch *grouping.VersionMismatchError
	require.ErrorAs(t, err, &mismatch)
	require.Equal(t, grouping.SourceID(source), mismatch.ID)
	require.ErrorContains(t, err, "source document")
	return grouping.AsSource(mismatch.Stored)
}

func contractSourceRoundTrip(t *testing.T, w *Writer) {
	const source = "größe ☃/\x00\r\nFLUSHALL"
	empty := w.MustLoadSource(t, source)
	require.True(t, empty.Equal(grouping.NewSourceDocument(source)), "a source that is not stored has an empty document")

	s := w.Stamp()
	first := time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC)
	last := time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC)
	odd := grouping.NewLabels(map[string]string{"empty": "", "quote": `"\<&>` + "\u2028\x00\n", "ü ☃": "["})
	url := "http://am:9093/?a=b&c#\x00\n" + strings.Repeat("x", 1000)
	d := empty.WithSilences(s, grouping.Silence{
		ID: "5f1d/ü", MatcherSets: [][]grouping.SilenceMatcher{{{Name: "ü", Type: "=~", Value: "a|b\x00"}, {Name: "a", Type: "!="}}, {}},
		StartsAt: first, EndsAt: last, UpdatedAt: first, CreatedBy: "ann\n", Comment: "<b>", Annotations: odd,
	}, grouping.Silence{ID: "removed"}, grouping.Silence{ID: "a:b"}).WithoutSilences(s, "removed")
	d = d.WithAlertmanagers(s, grouping.Alertmanager{
		ExternalURL: url, Version: "0.35.0", StartedAt: first, PolledAt: last,
		Failed: map[string]uint64{"slack": 1<<64 - 1},
	})
	ahead := *d
	ahead.Version = 41
	stored := w.MustStoreSource(t, grouping.SourceChange{Source: &ahead, Base: empty, Stamp: s})
	for _, got := range []*grouping.SourceDocument{stored, w.MustLoadSource(t, source)} {
		require.True(t, got.Equal(d), "%+v\n%+v", got, d)
		require.Equal(t, int64(42), got.Version)
	}
	require.Empty(t, w.MustLoadSource(t, "").Silences)
}

func contractSourceRecords(t *testing.T, w *Writer) {
	base := w.MustStoreSource(t, w.SourceChange(grouping.NewSourceDocument("prod"), a("x", "1"), a("y", "1"), a("z", "1")))
	// Writers of different records do not conflict, and each writes only its own.
	changeX, changeY := w.SourceChange(base, a("x", "2")), w.SourceChange(base, a("y", "2"), a("new", "1"))
	removeZ := w.SourceRemoval(base, "z")
	polled := w.SourceChange(base)
	polled.Source = base.WithAlertmanagers(polled.Stamp, grouping.Alertmanager{ExternalURL: "http://am"})
	for _, c := range []grouping.SourceChange{polled, changeX, removeZ, changeY} {
		w.MustStoreSource(t, c)
	}
	d := w.MustLoadSource(t, "prod")
	require.Equal(t, map[string]string{"x": "2", "y": "2", "new": "1"}, Comments(d))
	require.Contains(t, d.Alertmanagers, "http://am")
	require.Equal(t, removeZ.Stamp, d.Removed["s:z"])
	require.Equal(t, polled.Stamp, d.Stamp, "the newest fields of the document itself are kept")
	require.Equal(t, int64(5), d.Version)

	// A write of a record that somebody else changed is a conflict, and writes nothing.
	for name, ours := range map[string]grouping.SourceChange{
		"changed": w.SourceChange(base, a("x", "ours"), a("only ours", "1")),
		"removed": w.SourceRemoval(base, "x"),
		"new":     w.SourceChange(base, a("new", "ours"), a("only ours", "1")),
	} {
		_, err := w.StoreSource(t.Context(), ours)
		merged := grouping.MergeSources(base, sourceConflict(t, "prod", err))
		require.True(t, w.MustLoadSource(t, "prod").Equal(d), name)
		// The merged document can be the base of the next write.
		touched := "x"
		if name == "new" {
			touched = "new"
		}
		w.MustStoreSource(t, w.SourceChange(merged, a(touched, name)))
		d = w.MustLoadSource(t, "prod")
		require.Equal(t, name, Comments(d)[touched])
	}

	// An older copy does not restore a removed record.
	_, err := w.StoreSource(t.Context(), w.SourceChange(base, a("z", "again")))
	merged := grouping.MergeSources(base, sourceConflict(t, "prod", err))
	require.Nil(t, merged.Silences["z"])
	w.MustStoreSource(t, w.SourceChange(merged, a("z", "back")))
	require.Equal(t, "back", Comments(w.MustLoadSource(t, "prod"))["z"])

	// A writer that does not know the document gets it as a whole.
	d = w.MustLoadSource(t, "prod")
	_, err = w.StoreSource(t.Context(), w.SourceChange(grouping.NewSourceDocument("prod"), a("unknown", "1")))
	require.True(t, sourceConflict(t, "prod", err).Equal(d))
}

func contractSourceRepeated(t *testing.T, w *Writer) {
	c := w.SourceChange(grouping.NewSourceDocument("prod"), a("x", "1"))
	w.MustStoreSource(t, c)
	d := w.MustStoreSource(t, c)
	require.Equal(t, int64(1), d.Version)
	silent := w.SourceChange(d, a("x", "2"))
	silent.Events = nil
	w.MustStoreSource(t, silent)
	d = w.MustStoreSource(t, silent)
	require.Equal(t, int64(2), d.Version)
	w.MustStoreSource(t, w.SourceChange(d, a("y", "1"))) // another write came in between
	if _, err := w.StoreSource(t.Context(), c); err != nil {
		sourceConflict(t, "prod", err)
	}
	require.Equal(t, map[string]string{"x": "2", "y": "1"}, Comments(w.MustLoadSource(t, "prod")))
	page, err := w.Events(t.Context(), grouping.EventQuery{})
	require.NoError(t, err)
	require.Len(t, page.Events, 2)
}

// A source is not a group, and its events are events of no group.
func contractSourceIsNoGroup(t *testing.T, w *Writer) {
	g := w.Add(t, Key("g"), a("x", "1"))
	c := w.SourceChange(grouping.NewSourceDocument(g.Source), a("x", "1"))
	d := w.MustStoreSource(t, c)
	ids, err := w.ListKeys(t.Context())
	require.NoError(t, err)
	require.Equal(t, []grouping.ID{g.ID}, ids)
	n, err := w.Size(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	for group, err := range w.LoadAll(t.Context()) {
		require.NoError(t, err)
		require.True(t, group.Equal(g))
	}
	_, err = w.Load(t.Context(), d.ID)
	require.ErrorIs(t, err, grouping.ErrGroupNotFound)
	page, err := w.Events(t.Context(), grouping.EventQuery{Group: d.ID})
	require.NoError(t, err)
	require.Empty(t, page.Events)
	page, err = w.Events(t.Context(), grouping.EventQuery{Source: g.Source})
	require.NoError(t, err)
	require.Len(t, page.Events, 2)
	require.Equal(t, c.Events[0], page.Events[0])
	require.NoError(t, w.Delete(t.Context(), grouping.Change{Base: g, Stamp: w.Stamp()}))
	require.True(t, w.MustLoadSource(t, g.Source).Equal(d))

	b, ok := w.GroupStorage.(durable.Backend)
	if !ok {
		return
	}
	index := ReadIndex(t, b)
	require.Equal(t, map[grouping.ID]string{d.ID: string(c.Stamp)}, index, "replicas find the document")
	missing, err := b.MissingEvents(t.Context(), c.Events)
	require.NoError(t, err)
	require.Empty(t, missing)
	lost := grouping.SourceID("lost")
	losses, err := b.FindLosses(t.Context(), []grouping.ID{d.ID, lost})
	require.NoError(t, err)
	require.Empty(t, losses.Timelines)
	if b.HasLog() {
		require.Equal(t, []grouping.ID{lost}, losses.Documents)
		events, _, err := b.LoadEvents(t.Context(), []durable.LogEntry{{ID: d.ID, Position: durable.Position{Token: string(c.Stamp)}}})
		require.NoError(t, err)
		require.Equal(t, c.Events, events)
	}
}

func contractSourceConcurrent(t *testing.T, w *Writer) {
	const writers = 30
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			base := grouping.NewSourceDocument("prod")
			for range 100 * writers {
				_, err := w.StoreSource(context.Background(), w.SourceChange(base, a(fmt.Sprint(i), "1"), a("shared", fmt.Sprint(i))))
				var mismatch *grouping.VersionMismatchError
				switch {
				case err == nil:
					return
				case errors.As(err, &mismatch):
					base = grouping.MergeSources(base, grouping.AsSource(mismatch.Stored))
				case !errors.Is(err, grouping.ErrStorage): // more writers than connections: try again
					t.Error(err)
					return
				}
				<-time.After(rand.N(10 * time.Millisecond))
			}
			t.Error("a writer did not succeed")
		})
	}
	wg.Wait()
	d := w.MustLoadSource(t, "prod")
	require.Len(t, d.Silences, writers+1)
	require.Equal(t, int64(writers), d.Version)
}

// ReadIndex returns the whole index of a backend.
func ReadIndex(t *testing.T, b durable.Backend) map[grouping.ID]string {
	t.Helper()
	index := map[grouping.ID]string{}
	require.NoError(t, b.Index(t.Context(), func(tokens map[grouping.ID]string) { maps.Copy(index, tokens) }))
	return index
}
