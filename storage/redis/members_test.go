package redis

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/prometheus/alertmanager/pkg/labels"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/storage/storagetest"
)

// A search reads a long history in parts. It finds each event once, also if events are
// written meanwhile.
func TestASearchReadsAllParts(t *testing.T) {
	r := openOn(t, storagetest.StartRedis(t))
	w := newWriter(r)
	total := historyChunk + 3*searchChunk
	first := w.Change(nil, groupKey("g")).Events[0]
	events := make([]grouping.Event, 0, total)
	for i := range total {
		e := first
		e.ID = fmt.Sprintf("%s%06x", first.Stamp(), i)
		e.Labels = grouping.NewLabels(map[string]string{"number": fmt.Sprint(i), "third": fmt.Sprint(i % 3)})
		events = append(events, e)
	}
	for _, stored := range []int{total, total - 1, historyChunk + searchChunk, historyChunk, historyChunk - 1, 1} {
		require.NoError(t, r.client.Del(t.Context(), r.historyKeys(0).events).Err())
		require.NoError(t, r.PushEvents(t.Context(), events[:stored], nil))

		found := []grouping.Event{}
		q := grouping.EventQuery{Limit: grouping.MaxLimit, Matchers: labels.Matchers{{Name: "third", Value: "1"}}}
		for more := true; more; more = q.Cursor != "" {
			page, err := r.Events(t.Context(), q)
			require.NoError(t, err)
			found, q.Cursor = append(found, page.Events...), page.Next
		}
		want := slices.DeleteFunc(slices.Clone(events[:stored]), func(e grouping.Event) bool { return e.Labels.Get("third") != "1" })
		slices.Reverse(want)
		require.Equal(t, want, found, "%d stored", stored)

		page, err := r.Events(t.Context(), grouping.EventQuery{Matchers: labels.Matchers{{Name: "number", Value: "0"}}})
		require.NoError(t, err)
		require.Equal(t, grouping.EventPage{Events: events[:1]}, page, "%d stored", stored)
	}
}

// An answer that is an error must not look like an empty history.
func TestASearchReportsErrors(t *testing.T) {
	server, r, _ := mini(t, Options{})
	require.NoError(t, server.Set(r.historyKeys(0).events, "not a set"))
	_, err := r.Events(t.Context(), grouping.EventQuery{})
	require.ErrorIs(t, err, grouping.ErrStorage)
	require.ErrorContains(t, err, "WRONGTYPE")
}

func TestMemberListsAreSplit(t *testing.T) {
	for answer, want := range map[string][]string{
		"*0\r\n":                           {},
		"*2\r\n$1\r\na\r\n$3\r\n\r\n*\r\n": {"a", "\r\n*"},
		"*1\r\n$0\r\n\r\n":                 {""},
		"*11\r\n" + string(bytes.Repeat([]byte("$1\r\nx\r\n"), 11)): slices.Repeat([]string{"x"}, 11),
		"":                                     nil,
		"-MOVED 1 host:1\r\n":                  nil,
		"*\r\n":                                nil,
		"*1":                                   nil,
		"*1\r\n":                               nil,
		"*-1\r\n":                              nil,
		"*1\r\n:1\r\n":                         nil,
		"*1\r\n$-1\r\n":                        nil,
		"*1\r\n$2\r\nx\r\n":                    nil,
		"*1\r\n$1\r\nx":                        nil,
		"*2\r\n$1\r\nx\r\n$1\r\n":              nil,
		"*0\r\n+OK\r\n":                        nil,
		"*1\r\n$18446744073709551617\r\nx\r\n": nil,
	} {
		var l memberList
		l.answer.text = []byte(answer)
		require.Equal(t, want != nil, l.split(), "%q", answer)
		if want != nil {
			texts := []string{}
			for _, text := range l.texts {
				texts = append(texts, string(text))
			}
			require.Equal(t, want, texts)
		}
	}
}

// A search that has enough events stops reading. A fault ends it.
func TestASearchStops(t *testing.T) {
	r := openOn(t, storagetest.StartRedis(t))
	key := r.historyKeys(0)
	pipe := r.client.Pipeline()
	for i := range 4 * searchChunk {
		pipe.ZAdd(t.Context(), key.events, redis.Z{Member: fmt.Sprintf("%08x{}", i)})
	}
	_, err := pipe.Exec(t.Context())
	require.NoError(t, err)
	for wanted := range 3 {
		parts := 0
		for texts, err := range r.members(t.Context(), key.events, &grouping.EventQuery{}) {
			require.NoError(t, err)
			require.NotEmpty(t, texts)
			if parts++; parts > wanted {
				break
			}
		}
		require.Equal(t, wanted+1, parts)
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	parts := 0
	for _, err = range r.members(ctx, key.events, &grouping.EventQuery{}) {
		cancel()
		parts++
	}
	require.ErrorIs(t, err, context.Canceled)
	require.Less(t, parts, 5)
}
