package grouping

import (
	stdjson "encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Labels read and write the JSON of a map, with both libraries.
func TestLabelsHaveTheJSONOfAMap(t *testing.T) {
	lenient := jsontext.AllowInvalidUTF8(true)
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "labels")
		want, err := json.Marshal(m, json.Deterministic(true), lenient)
		require.NoError(t, err)
		got, err := json.Marshal(NewLabels(m), lenient)
		require.NoError(t, err)
		require.Equal(t, string(want), string(got))
		std, err := stdjson.Marshal(NewLabels(m))
		require.NoError(t, err)
		wantStd, err := stdjson.Marshal(m)
		require.NoError(t, err)
		require.JSONEq(t, string(wantStd), string(std))

		var l, o Labels
		require.NoError(t, json.Unmarshal(want, &l, lenient))
		require.NoError(t, stdjson.Unmarshal(wantStd, &o))
		require.True(t, l.Equal(o), "%q %q", l, o)
		for name, value := range l.All() {
			require.Equal(t, value, l.Get(name))
		}
		require.Equal(t, len(m), l.Len())
	})
	double := jsontext.AllowDuplicateNames(true)
	for _, text := range []string{
		`null`, `{}`, `{"a":null}`, `{"a":1}`, `{"a":{}}`, `[]`, `"a"`, `1`, `{"a":"1","a":"2"}`, `{"b":"1","a":"2"}`,
		`{"a":"\u00fc\n\"","\u0041":"x"}`,
		"{\"a\":\"\xff\"}", `{"a":"b"`, `{"a"}`, `{"a":"b",}`, `{"` + strings.Repeat("n", 300) + `":"` + strings.Repeat("v", 300) + `"}`,
	} {
		for _, options := range []json.Options{lenient, jsontext.AllowInvalidUTF8(false), json.JoinOptions(lenient, double)} {
			var l Labels
			var m map[string]string
			err, want := json.Unmarshal([]byte(text), &l, options), json.Unmarshal([]byte(text), &m, options)
			require.Equal(t, want == nil, err == nil, "%s: %v, %v", text, want, err)
			if want == nil {
				require.Equal(t, NewLabels(m), l, text)
			}
		}
	}
}

func TestLabels(t *testing.T) {
	l := LabelsOf([]Label{{"b", "1"}, {"a", "2"}, {"b", "3"}, {"c", ""}})
	require.Equal(t, LabelsOf([]Label{{"a", "2"}, {"b", "3"}, {"c", ""}}), l, "the last value counts")
	_, ok := l.Lookup("c")
	require.True(t, ok)
	require.True(t, l.Has("c", ""))
	require.False(t, l.Has("d", ""), "a missing label is not an empty one")
	require.Equal(t, []string{"a", "b", "c"}, l.Names())
	require.True(t, Labels{}.Equal(Labels{}))
	require.False(t, l.Equal(LabelsOf([]Label{{"a", "2"}, {"b", "3"}})))
	require.False(t, l.Equal(LabelsOf([]Label{{"a", "2"}, {"b", "3"}, {"c", "4"}})))
	require.False(t, l.Equal(LabelsOf([]Label{{"a", "2"}, {"b", "3"}, {"d", ""}})))
	require.True(t, l.Equal(NewLabels(map[string]string{"a": "2", "b": "3", "c": ""})))
	require.Zero(t, NewLabels(nil))
	require.Zero(t, LabelsOf([]Label{}))
}

// A flood of different names does not make the table of shared strings grow, and it
// returns the right string.
func TestInternReturnsTheString(t *testing.T) {
	for i := range 3 * len(internSlots) {
		s := fmt.Sprint("value-", i%50_000)
		require.Equal(t, s, Intern([]byte(s)))
	}
}
