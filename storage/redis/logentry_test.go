package redis

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"muster/grouping"
	"muster/storage/durable"
	"muster/storage/storagetest"
)

func TestTheChangeOfALogEntry(t *testing.T) {
	const writer = "00000000000000aa"
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfN(rapid.StringMatching(`(a|s|am):[ -~]{0,200}`), 0, 140).Draw(t, "names")
		stamps := []grouping.Stamp{
			grouping.NewStamp(time.UnixMilli(1), 0, writer), grouping.NewStamp(time.UnixMilli(1), 0, "00000000000000bb"),
			grouping.NewStamp(time.UnixMilli(2), 0, writer),
		}
		w := &grouping.Write{Stamp: stamps[2]}
		first := rapid.SampledFrom(stamps).Draw(t, "first")
		w.Events = []grouping.Event{{ID: string(first) + "000000"}}
		if rapid.Bool().Draw(t, "changed events") {
			w.Changed = []grouping.Event{{ID: string(stamps[2]) + "000001"}}
		}
		records := make([]grouping.RecordWrite, 0, len(names))
		for _, name := range names {
			records = append(records, grouping.RecordWrite{Name: name})
		}
		e := durable.LogEntry{Position: durable.Position{Token: string(w.Stamp)}}
		decodeChange(&e, "7\n"+changeText(w, records))
		require.Equal(t, len(w.Changed) == 0, e.NoChanged)
		if first == w.Stamp {
			first = ""
		}
		require.Equal(t, first != "", len(e.Stamps) == 1)
		require.Equal(t, string(first), strings.Join(e.Stamps, ""))
		if len(names) > maxNames || len(strings.Join(names, "")) > maxNamesSize {
			require.Zero(t, e.Version)
			return
		}
		require.Equal(t, int64(7), e.Version)
		require.Equal(t, names, append([]string{}, e.Records...))
	})
}

func TestALineFeedIsNotInAName(t *testing.T) {
	var e durable.LogEntry
	decodeChange(&e, "7\n"+changeText(&grouping.Write{}, []grouping.RecordWrite{{Name: "am:a\nb"}}))
	require.Equal(t, durable.LogEntry{NoChanged: true}, e)
	// An older Muster writes no such field.
	e = durable.LogEntry{}
	decodeChange(&e, "")
	require.Equal(t, durable.LogEntry{}, e)
}

// A log entry names what its write changed, unless a reader must load the whole document.
func TestLogEntriesNameTheRecords(t *testing.T) {
	server, r, w := mini(t, Options{})
	last := func() durable.LogEntry {
		t.Helper()
		entries, err := server.Stream(r.key(0, "log"))
		require.NoError(t, err)
		values := map[string]any{}
		for pair := range slices.Chunk(entries[len(entries)-1].Values, 2) {
			values[pair[0]] = pair[1]
		}
		return decodeLogEntry(redis.XMessage{Values: values})
	}
	whole := func(why string) {
		t.Helper()
		require.Zero(t, last().Version, why)
	}
	name := func(alert string) string { return "a:" + string(storagetest.Fingerprint(alert)) }

	key := groupKey("g")
	g := w.Add(t, key, a("x", "1"), a("y", "1"))
	whole("a new document")
	g = w.MustStore(t, w.Change(g, key, a("x", "2")))
	require.Equal(t, int64(2), last().Version)
	require.Equal(t, []string{name("x")}, last().Records)
	require.True(t, last().NoChanged)
	g = w.MustStore(t, w.Change(g, key))
	require.Equal(t, int64(3), last().Version)
	require.Equal(t, []string{}, last().Records, "only the head")

	ahead := w.Change(g, key, a("x", "3"))
	ahead.Group = grouping.AsGroup(ahead.Group.WithCounters(9, 0))
	g = w.MustStore(t, ahead)
	whole("versions were left out")

	many := make([][2]string, 0, maxNames+1)
	for i := range maxNames + 1 {
		many = append(many, a(fmt.Sprint(i), "1"))
	}
	g = w.MustStore(t, w.Change(g, key, many...))
	whole("too many names")
	g = w.MustStore(t, w.Change(g, key, many[1:]...))
	require.Len(t, last().Records, maxNames)

	c := w.ChangedChange(t, g, key, "slow", "full", "slow")
	w.MustStore(t, c)
	require.False(t, last().NoChanged)
	g, err := r.Load(t.Context(), g.ID)
	require.NoError(t, err)
	require.NoError(t, w.Delete(t.Context(), grouping.Change{Base: g, Stamp: w.Stamp()}))
	whole("a deletion")
}

func TestLoadWritten(t *testing.T) {
	server, r, w := mini(t, Options{})
	g := w.Add(t, groupKey("g"), a("x", "1"), a("y", "1"))
	g = w.MustStore(t, w.Change(g, g.Key, a("x", "2")))
	gone := w.Add(t, groupKey("gone"), a("x", "1"))
	require.NoError(t, w.Delete(t.Context(), grouping.Change{Base: gone, Stamp: w.Stamp()}))
	odd, broken := w.Add(t, groupKey("odd"), a("x", "1")), w.Add(t, groupKey("broken"), a("x", "1"))
	newer := w.Add(t, groupKey("newer"), a("x", "1"))
	server.Del(r.documentKey(odd.ID))
	require.NoError(t, server.Set(r.documentKey(odd.ID), "not a hash"))
	x := "a:" + string(storagetest.Fingerprint("x"))
	server.HSet(r.documentKey(broken.ID), x, "junk")
	server.HSet(r.documentKey(newer.ID), durable.FieldSchema, "99")

	absent := groupKey("absent").ID()
	names := map[grouping.ID][]string{g.ID: {x, "a:0000000000000000"}, "x": nil}
	for _, id := range []grouping.ID{gone.ID, odd.ID, broken.ID, newer.ID, absent} {
		names[id] = []string{x}
	}
	c := w.FiredChange(t, nil, groupKey("fired"), "known", "new")
	w.MustStore(t, c)
	entries := []durable.LogEntry{{ID: c.ID(), Position: durable.Position{Token: string(c.Stamp)}}}
	known := c.Events[0].Content
	written, err := r.LoadWritten(t.Context(), names, entries, func(e *grouping.Event) bool { return e.Content == known })
	require.NoError(t, err)
	require.Equal(t, c.Events, written.Events)
	require.Len(t, written.Contents, 1)
	require.NotContains(t, written.Contents, known)
	require.Len(t, written.Documents, 1)
	part := grouping.AsGroup(written.Documents[g.ID])
	require.Len(t, part.Alerts, 1)
	require.Equal(t, map[string]string{"x": "2"}, storagetest.Values(part))
	require.Equal(t, g.Header(), part.Header())
}
