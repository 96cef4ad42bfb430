package redis

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/storage/durable"
)

func TestJoinEntries(t *testing.T) {
	clock := grouping.NewClock()
	one, two := string(clock.Stamp()), string(clock.Stamp())
	join := func(ids ...string) (list []string) {
		var events []grouping.Event
		var texts []string
		for _, id := range ids {
			events, texts = append(events, grouping.Event{ID: id}), append(texts, id+"{}")
		}
		entries := joined(t, events, texts)
		require.Equal(t, texts, splitEntries(entries))
		for _, entry := range entries {
			list = append(list, strings.ReplaceAll(entry, entrySeparator, " "))
			texts := splitEntries([]string{entry})
			require.Equal(t, texts[0], firstID([]byte(entry))+"{}")
			require.Equal(t, texts[len(texts)-1], lastID([]byte(entry))+"{}")
		}
		return list
	}
	require.Empty(t, join())
	require.Equal(t, []string{one + "1{} " + one + "2{}", two + "1{}"}, join(one+"1", one+"2", two+"1"), "one stamp")
	require.Equal(t, []string{one + "2{}", one + "1{}"}, join(one+"2", one+"1"), "in order")

	var ids []string
	for i := range 3*maxEntryEvents + 1 {
		ids = append(ids, fmt.Sprintf("%s%06x", one, i))
	}
	require.Len(t, join(ids...), 4, "the number is limited")
	long := strings.Repeat("x", maxEntrySize-1)
	events := []grouping.Event{{ID: one + "1"}, {ID: one + "2"}, {ID: one + "3"}}
	require.Equal(t, []string{long + entrySeparator + "ab", "c"}, joined(t, events, []string{long, "ab", "c"}), "the size is limited")
}

// joined returns the entries of events with these texts.
func joined(t *testing.T, events []grouping.Event, texts []string) (joined []string) {
	t.Helper()
	encode := func(_ *grouping.Event, buffer []byte) ([]byte, error) {
		text := texts[0]
		texts = texts[1:]
		return append(buffer, text...), nil
	}
	entries, _, err := joinEntries(nil, nil, events, encode)
	require.NoError(t, err)
	for _, e := range entries {
		joined = append(joined, string(e))
	}
	return joined
}

// bigChange returns a change with many events of one write.
func bigChange(t *testing.T, w *writer, base *grouping.AlertGroup, key grouping.Key, events int) grouping.Change {
	t.Helper()
	values := make([]string, events)
	for i := range values {
		values[i] = fmt.Sprint(i % 3)
	}
	return w.FiredChange(t, base, key, values...)
}

// Events that were written back have entries of their own. If the write comes late, all of
// them are there twice, and every reader sees them once.
func TestRedisReadsOverlappingEntries(t *testing.T) {
	server, r, w := mini(t, Options{})
	key := groupKey("g")
	var all []grouping.Event
	var changes []grouping.Change
	var g *grouping.AlertGroup
	for range 3 {
		c := bigChange(t, w, g, key, 40)
		g = w.MustStore(t, c)
		changes, all = append(changes, c), append(all, c.Events...)
	}
	entries, err := server.ZMembers(r.key(0, "h"))
	require.NoError(t, err)
	require.Len(t, entries, 9)
	pushed := slices.Concat(all[3:4], all[39:41], all[70:90], all[119:])
	require.NoError(t, r.PushEvents(t.Context(), pushed, changes[0].Contents))
	entries, err = server.ZMembers(r.key(0, "h"))
	require.NoError(t, err)
	require.Len(t, entries, 9+len(pushed))

	missing, err := r.MissingEvents(t.Context(), all)
	require.NoError(t, err)
	require.Empty(t, missing)
	newest := slices.Clone(all)
	slices.Reverse(newest)
	for _, limit := range []int{1, 2, 7, 16, 40, 120, 1000} {
		require.Equal(t, newest, groupEvents(t, r, g.ID, limit), "limit %d", limit)
		require.Equal(t, newest, groupEvents(t, r, "", limit), "limit %d", limit)
	}
	for _, from := range []time.Time{{}, all[40].Time, all[119].Time} {
		var streamed []grouping.Event
		for e, err := range r.StreamEvents(t.Context(), from) {
			require.NoError(t, err)
			streamed = append(streamed, e)
		}
		require.Equal(t, slices.DeleteFunc(slices.Clone(all), func(e grouping.Event) bool { return e.Time.Before(from) }), streamed)
	}
	loaded, _, err := r.LoadEvents(t.Context(), []durable.LogEntry{{ID: g.ID, Position: durable.Position{Token: string(changes[1].Stamp)}}})
	require.NoError(t, err)
	require.Equal(t, changes[1].Events, loaded)
}

// countEvents returns the number of events of a key, and by how many they are more than the
// entries, as counted and as recorded.
func countEvents(t *testing.T, server *miniredis.Miniredis, keys eventKeys) (events, extra, recorded int) {
	t.Helper()
	var entries []string
	if server.Exists(keys.events) {
		var err error
		entries, err = server.ZMembers(keys.events)
		require.NoError(t, err)
	}
	if text := server.HGet(keys.meta, keys.extra); text != "" {
		var err error
		recorded, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	events = len(splitEntries(entries))
	return events, events - len(entries), recorded
}

// The limit of a history counts events and not entries.
func TestRedisLimitsTheEventsOfEntries(t *testing.T) {
	const limit = 100
	server, r, w := mini(t, Options{MaxHistory: limit, HistoryRetention: time.Hour})
	key, keys := groupKey("g"), r.historyKeys(0)
	var all []grouping.Event
	var g *grouping.AlertGroup
	check := func(when string) int {
		events, extra, recorded := countEvents(t, server, keys)
		require.Equal(t, extra, recorded, when)
		require.LessOrEqual(t, events, limit, when)
		missing, err := r.MissingEvents(t.Context(), all)
		require.NoError(t, err)
		require.Empty(t, missing, "%s: what the limit has removed is not missing", when)
		return events
	}
	for i := range 30 {
		c := bigChange(t, w, g, key, 1+7*i%40)
		g, all = w.MustStore(t, c), append(all, c.Events...)
		if events := check(fmt.Sprint("write ", i)); len(all) > limit {
			require.Greater(t, events, limit-maxEntryEvents)
		}
	}
	pushed := bigChange(t, w, nil, groupKey("pushed"), 30)
	require.NoError(t, r.PushEvents(t.Context(), pushed.Events, pushed.Contents))
	require.Greater(t, check("push"), limit-maxEntryEvents)

	// Redis evicts the history.
	server.Del(keys.events)
	all = nil
	g = w.MustStore(t, bigChange(t, w, g, key, 40))
	require.Equal(t, 40, check("eviction"))

	server.SetTime(time.Now().Add(2 * time.Hour))
	for range cleaning {
		w.MustStore(t, w.Change(g, key))
	}
	require.Less(t, check("retention"), cleaning)
}
