package query

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/prometheus/alertmanager/matcher/compat"
	"github.com/prometheus/alertmanager/pkg/labels"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"
)

// FuzzFilter compares filters with Alertmanager's parser. A word beside matchers changes nothing
// about them, and the text of a filter means the same as the filter.
func FuzzFilter(f *testing.F) {
	for _, text := range []string{
		`a="b"`, `a=b, c!="d"`, `a="b,c"`, `a="b\"c,d"`, `a="\\", b="c"`, `a=\, b=c`, `a=b\`, `a="\t", b=c\d`, `path=C:\temp,a=b`,
		`"a b"="c"`, `a=~"x{2,3}"`, `word`, `"a,b"`, `a b, c`, `{a="b"}`, `a="b" c`, `größe="x"`,
		"a=\xff", `"a=b"`, `""="x"`, `a="\,"`, `"\," ",", b`, `",\"x", "a,b"`, `\`, `\"`,
	} {
		f.Add(text)
	}
	alertmanager := compat.FallbackMatchersParser(promslog.NewNopLogger())
	f.Fuzz(func(t *testing.T, text string) {
		got := ParseFilter([]string{text})
		if got.Err != nil {
			require.Equal(t, text, got.Err.Before+got.Err.At+got.Err.After)
		} else {
			again := ParseFilter([]string{got.Text()})
			require.Nil(t, again.Err, "%q", got.Text())
			require.Equal(t, got.Matchers.String(), again.Matchers.String(), "%q", got.Text())
			require.Equal(t, got.Words, again.Words, "%q", got.Text())
		}

		want, err := alertmanager(text, "test")
		if err != nil || len(want) == 0 || !utf8.ValidString(text) || hasEmptyName(want) {
			return // no alert has such a label
		}
		require.Nil(t, got.Err)
		require.Equal(t, want.String(), got.Matchers.String())
		require.Empty(t, got.Words)
		if text = strings.TrimSpace(text); strings.ContainsAny(text, "{}") || strings.HasSuffix(text, ",") {
			return // no word can follow
		}
		got = ParseFilter([]string{text + ", word"})
		require.Nil(t, got.Err)
		require.Equal(t, want.String(), got.Matchers.String())
		require.Equal(t, []string{"word"}, got.Words)
	})
}

func hasEmptyName(ms labels.Matchers) bool {
	return slices.ContainsFunc(ms, func(m *labels.Matcher) bool { return m.Name == "" })
}
