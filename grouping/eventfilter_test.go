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
		part := rapid.SampledFrom([]string{"", "a", "b", "é", `"`, `\`, "<", "&", "/", "\n", "\x7f", "\xff", "\u2028", `":"`, "\u212a", "kind"})
		return strings.Join(rapid.SliceOfN(part, 0, 3).Draw(t, "parts"), "")
	})
	rapid.Check(t, func(t *rapid.T) {
		e := Event{
			ID: string(NewStamp(base, 0, testWriter)) + "000000", Time: base,
			Kind:     rapid.SampledFrom(EventKinds()).Draw(t, "kind"),
			Receiver: text.Draw(t, "receiver"), Source: text.Draw(t, "source"),
			Fingerprint: Fingerprint(rapid.StringOf(rapid.SampledFrom([]rune("0a"))).Draw(t, "fingerprint")),
			Labels:      NewLabels(rapid.MapOfN(text, text, 0, 3).Draw(t, "labels")),
		}
		stored, err := e.Encode()
		require.NoError(t, err)
		e, err = DecodeEvent(stored)
		require.NoError(t, err)
		q := drawEventQuery(t, text, &e)
		require.NotContains(t, stored[:len(e.ID)], "{")
		for _, stored := range []string{stored, stored[len(e.ID):]} {
			filter := q.Filter()
			filter.passes([]byte("{}")) // it is tuned to another text
			selected, ok := filter.Select([]byte(stored))
			require.Equal(t, q.Matches(&e), ok)
			if ok {
				require.Equal(t, e, selected)
			}
		}
	})
}

// drawEventQuery returns a query that has a good chance to select the event.
func drawEventQuery(t *rapid.T, text *rapid.Generator[string], e *Event) (q EventQuery) {
	types := rapid.SampledFrom([]labels.MatchType{labels.MatchEqual, labels.MatchNotEqual, labels.MatchRegexp, labels.MatchNotRegexp})
	for range rapid.IntRange(0, 3).Draw(t, "matchers") {
		name, value := text.Draw(t, "name"), text.Draw(t, "value")
		if !e.Labels.IsZero() && rapid.Bool().Draw(t, "matches") {
			name, value = e.Labels.At(0)
		}
		m, err := labels.NewMatcher(types.Draw(t, "type"), name, value)
		if err != nil { // the value is no regular expression
			continue
		}
		q.Matchers = append(q.Matchers, m)
	}
	choose := func(name, right string) string {
		return rapid.SampledFrom([]string{"", "", right, text.Draw(t, name)}).Draw(t, name)
	}
	q.Receiver, q.Source = choose("receiver", e.Receiver), choose("source", e.Source)
	q.Fingerprint = Fingerprint(choose("fingerprint", string(e.Fingerprint)))
	q.Kinds = rapid.SliceOfN(rapid.SampledFrom(EventKinds()), 0, 8).Draw(t, "kinds")
	words := rapid.SampledFrom([]string{"a", "A", "ab", "é", "É", "k", "/", strings.ToUpper(e.Source)})
	q.Words = rapid.SliceOfN(words, 0, 2).Draw(t, "words")
	return q
}

func TestEventFiltersSelect(t *testing.T) {
	eq := func(name, value string) *labels.Matcher {
		return &labels.Matcher{Type: labels.MatchEqual, Name: name, Value: value}
	}
	re := func(name, value string) *labels.Matcher {
		m, err := labels.NewMatcher(labels.MatchRegexp, name, value)
		require.NoError(t, err)
		return m
	}
	e := Event{ID: string(NewStamp(base, 0, testWriter)) + "000000", Kind: EventFired, Time: base}
	e.Labels = LabelsOf([]Label{{"pod", "app-1"}, {"rare", "x"}})
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
		{labels.Matchers{re("pod", "app-.*")}, true},
		{labels.Matchers{re("pod", "app-[23]")}, false},
		{labels.Matchers{re("pod", "app.*"), re("missing", ".+")}, false},
		{labels.Matchers{re("missing", ".*")}, true},
	} {
		q := EventQuery{Matchers: tc.matchers}
		require.Equal(t, tc.want, q.Filter().passes([]byte(stored)), tc.matchers.String())
	}
	for _, tc := range []struct {
		query EventQuery
		want  bool
	}{
		{EventQuery{Kinds: []EventKind{EventResolved, EventFired}}, true},
		{EventQuery{Kinds: []EventKind{EventResolved}}, false},
		{EventQuery{Words: []string{"APP"}}, true},
		{EventQuery{Words: []string{"app", "absent"}}, false},
		{EventQuery{Receiver: "absent"}, false},
		{EventQuery{Source: "absent"}, false},
		{EventQuery{Fingerprint: "absent"}, false},
	} {
		require.Equal(t, tc.want, tc.query.Filter().passes([]byte(stored)), tc.query)
	}
}
