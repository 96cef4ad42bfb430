package history_test

import (
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/history"
)

// What the alerts shared when their group opened stays common to them, whatever becomes of the
// alerts, until an event says something else.
func TestCommonIsWhatTheAlertsSharedWhenTheGroupOpened(t *testing.T) {
	start := time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)
	labels := func(host string) grouping.Labels {
		return grouping.NewLabels(map[string]string{"alertname": "Disk", "host": host})
	}
	events := []grouping.Event{}
	write := func(after int, all ...grouping.Event) {
		at := start.Add(time.Duration(after) * time.Minute)
		for i, e := range all {
			e.ID = string(grouping.NewStamp(at, 0, "0123456789abcdef")) + "00000" + string(rune('0'+i))
			e.Time, e.GroupID, e.Source = at, "group", "default"
			events = append(events, e)
		}
	}
	annotations := func(pairs map[string]string) grouping.Content {
		return grouping.Content{Annotations: grouping.NewLabels(pairs)}
	}
	contents := map[string]grouping.Content{
		"a": annotations(map[string]string{"runbook": "r", "summary": "a"}), "b": annotations(map[string]string{"runbook": "r", "summary": "b"}),
		"later": annotations(map[string]string{"summary": "c"}), "said": {Labels: labels("said")},
	}
	write(0,
		grouping.Event{Kind: grouping.EventOpened, Opened: &grouping.Opened{GroupKey: "key", Shared: true}},
		grouping.Event{Kind: grouping.EventFired, Fingerprint: "0a", Labels: labels("a"), Content: "a"},
		grouping.Event{Kind: grouping.EventFired, Fingerprint: "0b", Labels: labels("b"), Content: "b"},
		grouping.Event{Kind: grouping.EventNotified},
	)
	write(1, grouping.Event{Kind: grouping.EventChanged, Fingerprint: "0b", Labels: labels("b"), Content: "later"})
	write(2, grouping.Event{Kind: grouping.EventExpired, Fingerprint: "0a", Labels: labels("a")})
	write(3, grouping.Event{Kind: grouping.EventNotified, Content: "said"})

	at := func(base history.Base, after int) *grouping.AlertGroup {
		stream := func(yield func(grouping.Event, error) bool) {
			for _, e := range events {
				if !yield(e, nil) {
					return
				}
			}
		}
		known := func([]grouping.Event) (map[string]grouping.Content, error) { return contents, nil }
		wall, err := history.At(base, stream, start.Add(time.Duration(after)*time.Minute), known)
		require.NoError(t, err)
		require.Len(t, wall.Groups, 1)
		return wall.Groups[0]
	}
	for after := range 3 {
		g := at(history.Base{}, after)
		require.Equal(t, map[string]string{"alertname": "Disk"}, maps.Collect(g.CommonLabels.All()), "after %d minutes", after)
		require.Equal(t, map[string]string{"runbook": "r"}, maps.Collect(g.CommonAnnotations.All()), "after %d minutes", after)
	}
	require.Equal(t, labels("said"), at(history.Base{}, 3).CommonLabels)
	require.Empty(t, at(history.Base{}, 3).CommonAnnotations)

	// An alert of the base says what it shares too.
	base := at(history.Base{}, 2)
	write(4, grouping.Event{Kind: grouping.EventOpened, Opened: &grouping.Opened{GroupKey: "key", Shared: true}})
	g := at(history.Base{Groups: []*grouping.AlertGroup{base}, Until: start.Add(2 * time.Minute)}, 4)
	require.Equal(t, labels("b"), g.CommonLabels)
	require.Equal(t, map[string]string{"summary": "c"}, maps.Collect(g.CommonAnnotations.All()))

	delete(contents, "a")
	require.Empty(t, at(history.Base{}, 0).CommonAnnotations, "nothing is guessed if a content is lost")
}
