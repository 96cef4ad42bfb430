package grouping

import (
	"strings"
	"testing"

	"github.com/prometheus/alertmanager/pkg/labels"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A filter of stored texts selects every event that the query selects.
func TestEventFiltersPassWhatQueriesSelect(t *testing.T) {
	text := rapid.Custom(func(t *rapid.T) string {
		part := rapid.SampledFrom([]string{"", "a", "b", "é", `"`, `\`, "<", "&", "/", "\n", "\x7f", "\xff", "\u2028", `":"`})
		return strings.Join(rapid.SliceOfN(part, 0, 3).Draw(t, "parts"), "")
	})
	rapid.Check(t, func(t *rapid.T) {
		e := Event{
			ID: string(NewStamp(base, 0, testWriter)) + "000000", Kind: EventFired, Time: base,
			Labels: NewLabels(rapid.MapOfN(text, text, 0, 3).Draw(t, "labels")),
		}
		stored, err := e.Encode()
		require.NoError(t, err)
		e, err = DecodeEvent(stored)
		require.NoError(t, err)
		var q EventQuery
		kinds := rapid.SampledFrom([]labels.MatchType{labels.MatchEqual, labels.MatchNotEqual})
		for range rapid.IntRange(1, 3).Draw(t, "matchers") {
			m := &labels.Matcher{Type: kinds.Draw(t, "kind"), Name: text.Draw(t, "name"), Value: text.Draw(t, "value")}
			if len(e.Labels) > 0 && rapid.Bool().Draw(t, "matches") {
				m.Name, m.Value = e.Labels[0].Name, e.Labels[0].Value
			}
			q.Matchers = append(q.Matchers, m)
		}
		selected, ok := q.Filter().Select(stored)
		require.Equal(t, q.Matches(&e), ok)
		if ok {
			require.Equal(t, e, selected)
		}
	})
}

func TestEventFiltersSelect(t *testing.T) {
	eq := func(name, value string) *labels.Matcher {
		return &labels.Matcher{Type: labels.MatchEqual, Name: name, Value: value}
	}
	e := Event{ID: string(NewStamp(base, 0, testWriter)) + "000000", Kind: EventFired, Time: base}
	e.Labels = Labels{{"pod", "app-1"}, {"rare", "x"}}
	stored, err := e.Encode()
	require.NoError(t, err)
	for _, tc := range []struct {
		matchers labels.Matchers
		want     bool
	}{
		{nil, true},
		{labels.Matchers{eq("pod", "app-1"), eq("rare", "x")}, true},
		{labels.Matchers{eq("pod", "app-1"), eq("rare", "y")}, false},
		{labels.Matchers{eq("pod", "app")}, false},
		{labels.Matchers{eq("missing", "")}, true},
		{labels.Matchers{{Type: labels.MatchNotEqual, Name: "pod", Value: "app-2"}}, true},
	} {
		q := EventQuery{Matchers: tc.matchers}
		require.Equal(t, tc.want, q.Filter().passes(stored), tc.matchers.String())
	}
}
