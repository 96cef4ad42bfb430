package storagetest

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/storage/durable"
)

// TestContent returns a content with a value, and its hash.
func TestContent(t *testing.T, value string) (hash string, content grouping.Content) {
	t.Helper()
	content = grouping.Content{Annotations: grouping.NewLabels(map[string]string{"summary": value}), GeneratorURL: "http://prometheus/?a=<&>"}
	hash, _ = content.Encode()
	return hash, content
}

// FiredChange is Change with one fired event for each value. The value is the content of
// its alert.
func (w *Writer) FiredChange(t *testing.T, base *grouping.AlertGroup, key grouping.Key, values ...string) grouping.Change {
	t.Helper()
	c := w.Change(base, key, a("x", fmt.Sprint(values)))
	event := c.Events[0]
	c.Events, c.Contents = nil, grouping.ContentTexts{}
	for i, value := range values {
		hash, content := TestContent(t, value)
		_, text := content.Encode()
		c.Contents[hash] = text
		event.ID, event.Kind, event.Content = fmt.Sprintf("%s%06x", c.Stamp, i), grouping.EventFired, hash
		c.Events = append(c.Events, event)
	}
	return c
}

// StoredContents returns the values of those contents that are stored.
func StoredContents(t *testing.T, s grouping.ContentLoader, values ...string) (stored []string) {
	t.Helper()
	var events []grouping.Event
	for _, value := range values {
		hash, _ := TestContent(t, value)
		for i := range 20 { // whichever shard has it
			for _, kind := range []grouping.EventKind{grouping.EventFired, grouping.EventChanged} {
				events = append(events, grouping.Event{Kind: kind, GroupID: Key(fmt.Sprint(i)).ID(), Content: hash})
			}
		}
	}
	contents, err := s.Contents(t.Context(), events)
	require.NoError(t, err)
	for _, value := range values {
		hash, content := TestContent(t, value)
		if found, ok := contents[hash]; ok {
			require.Equal(t, content, found)
			stored = append(stored, value)
		}
	}
	require.Len(t, stored, len(contents))
	return stored
}

func contractContents(t *testing.T, w *Writer) {
	key := Key("0")
	require.Empty(t, StoredContents(t, w, "slow", "full"))
	c := w.FiredChange(t, nil, key, "slow", "full", "slow")
	for range 2 { // a repeated write
		w.MustStore(t, c)
		require.Equal(t, []string{"slow", "full"}, StoredContents(t, w, "slow", "full", "other"))
	}
	empty, text := new(grouping.Content).Encode()
	next := w.FiredChange(t, w.MustLoad(t, key), key, "slow")
	next.Events[0].Content, next.Contents = empty, grouping.ContentTexts{empty: text}
	g := w.MustStore(t, next)
	events := append(stream(t, w, time.Time{}), grouping.Event{}, grouping.Event{GroupID: "../no group", Content: "no hash"})
	contents, err := w.Contents(t.Context(), events)
	require.NoError(t, err)
	require.Len(t, contents, 3)
	require.Equal(t, grouping.Content{}, contents[empty])
	contents, err = w.Contents(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, contents)

	// A conflict writes no content.
	late := w.FiredChange(t, nil, key, "late")
	_, err = w.Store(t.Context(), late)
	Conflict(t, key.ID(), err)
	require.Empty(t, StoredContents(t, w, "late"))
	// A deletion can have contents, and keeps those of the group.
	removal := w.FiredChange(t, g, key, "last")
	removal.Group = nil
	require.NoError(t, w.Delete(t.Context(), removal))
	require.Equal(t, []string{"slow", "full", "last"}, StoredContents(t, w, "slow", "full", "last"))
}

// Very many contents are more than a script can pass to one command.
func contractManyContents(t *testing.T, w *Writer) {
	var values []string
	for i := range 3000 {
		values = append(values, fmt.Sprint(i))
	}
	w.MustStore(t, w.FiredChange(t, nil, Key("0"), values...))
	require.Equal(t, values, StoredContents(t, w, values...))
}

func contractPushedContents(t *testing.T, w *Writer) {
	d, ok := w.GroupStorage.(durable.Backend)
	if !ok {
		return
	}
	stored := w.FiredChange(t, nil, Key("0"), "stored")
	w.MustStore(t, stored)
	pushed := w.FiredChange(t, nil, Key("1"), "slow", "full", "slow")
	without := w.FiredChange(t, nil, Key("2"), "without")
	all := append(append(stored.Events[:1:1], pushed.Events...), without.Events...)
	missing, err := d.MissingEvents(t.Context(), all)
	require.NoError(t, err)
	require.ElementsMatch(t, all[1:], missing)
	for range 2 {
		require.NoError(t, d.PushEvents(t.Context(), missing, pushed.Contents))
		require.Equal(t, []string{"stored", "slow", "full"}, StoredContents(t, w, "stored", "slow", "full", "without"))
	}
	missing, err = d.MissingEvents(t.Context(), all)
	require.NoError(t, err)
	require.Equal(t, without.Events, missing, "its content is missing")
	texts := maps.Clone(pushed.Contents)
	maps.Copy(texts, without.Contents)
	require.NoError(t, d.PushEvents(t.Context(), missing, texts))
	missing, err = d.MissingEvents(t.Context(), all)
	require.NoError(t, err)
	require.Empty(t, missing)
	require.Len(t, stream(t, w, time.Time{}), len(all), "pushed once")
}
