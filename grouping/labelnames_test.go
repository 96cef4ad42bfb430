package grouping

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Sets with equal names share them, wherever they come from.
func TestLabelsShareTheirNames(t *testing.T) {
	a := NewLabels(map[string]string{"a": "1", "b": "2"})
	require.Same(t, a.names, LabelsOf([]Label{{"b", "3"}, {"a", "4"}}).names)
	require.Same(t, a.names, NewLabels(map[string]string{"a": "1", "b": "2", "c": "3"}).Without(NewLabels(map[string]string{"c": "3"})).names)
	require.Same(t, a.names, a.WithValues([]string{"", ""}).names)
	require.NotSame(t, a.names, NewLabels(map[string]string{"ab": "2"}).names)
	require.NotSame(t, a.names, NewLabels(map[string]string{"a": "1"}).names)
}

// A flood of different names does not make the table of shared names grow. Neither the number nor
// the text of the names in it is large.
func TestFewNamesAreShared(t *testing.T) {
	for i := range 3 * len(nameSlots) {
		name := fmt.Sprint("name-", i)
		require.Equal(t, []string{name}, LabelsOf([]Label{{name, ""}}).Names())
	}
	of := func(n int, name string) Labels {
		var list []Label
		for i := range n {
			list = append(list, Label{fmt.Sprintf("%s%03d", name, i), ""})
		}
		return LabelsOf(list)
	}
	most, same := of(maxSharedNames, "n"), of(maxSharedNames, "n")
	require.Same(t, most.names, same.names)
	many, long := of(maxSharedNames+1, "n"), of(1, strings.Repeat("n", maxSharedNameBytes))
	require.NotSame(t, many.names, of(maxSharedNames+1, "n").names)
	require.True(t, many.Equal(of(maxSharedNames+1, "n")))
	require.NotSame(t, long.names, of(1, strings.Repeat("n", maxSharedNameBytes)).names)
}

// A reader of stored objects reads the same labels, whichever it read before.
func TestLabelsAreReadAfterAnyOthers(t *testing.T) {
	text := rapid.SampledFrom([]string{"", "a", "b", "ab", `\`, `a\u0062`, `"`, "ü", "\u2028", strings.Repeat("x", maxLastLabels/2)})
	rapid.Check(t, func(t *rapid.T) {
		r := &objectReader{}
		for range rapid.IntRange(2, 8).Draw(t, "sets") {
			want := NewLabels(rapid.MapOfN(text, text, 0, 3).Draw(t, "labels"))
			written := string(want.appendJSON(nil))
			if rapid.Bool().Draw(t, "escaped") {
				written = strings.ReplaceAll(written, "b", `\u0062`)
			}
			r.rest, r.later = []byte(`"labels":`+written+"}"), false
			var got Labels
			r.labels("labels", &got, &r.last.ofAlert)
			require.False(t, r.declined)
			require.Equal(t, "}", string(r.rest))
			require.Equal(t, want, got)
			for _, value := range r.last.ofAlert.values {
				require.LessOrEqual(t, len(value), maxLastLabels)
			}
		}
	})
}
