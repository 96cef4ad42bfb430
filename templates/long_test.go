package templates

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
)

// A text is folded if it has too many characters, or too many lines.
func TestLongTextsHaveTheLabelOfAFold(t *testing.T) {
	require.Empty(t, Long("").Fold())
	require.Empty(t, Long(strings.Repeat("é", 600)).Fold())
	require.Equal(t, "All 601 characters", Long(strings.Repeat("é", 601)).Fold())
	require.Empty(t, Long(strings.Repeat("line\n", 7)+"line").Fold())
	require.Equal(t, "All 40 characters", TextLink{Text: strings.Repeat("line\n", 8)}.Fold())
	require.Equal(t, "All 800 characters", Linked{{Text: strings.Repeat("a", 400)}, {Text: strings.Repeat("b", 400)}}.Fold())
}

// A chip shows the beginning of a long label. It filters by the whole label, and the details of the
// group have it whole.
func TestLongLabelsAreInTheDetails(t *testing.T) {
	s := newSite(nil)
	value := strings.Repeat("v", 500)
	l := grouping.NewLabels(map[string]string{"alertname": "Long", "query": value})
	g := &grouping.AlertGroup{Alerts: []*grouping.Alert{{Fingerprint: l.Fingerprint(), Labels: l}}}
	p := NewGroupPage(s, GroupView{}, g, nil)
	require.Equal(t, "alertname=Long", p.Shared[0].Text)
	require.Equal(t, "query="+value[:maxQuoted-len("query=")]+"…", p.Shared[1].Text)
	require.Contains(t, p.Shared[1].Href, value)
	require.Equal(t, []Pair{{"Label: query", TextLink{Text: value}}}, p.Facts.Annotations)
}

// The facts of a silence have a long matcher whole.
func TestLongMatchersAreInTheFacts(t *testing.T) {
	value := strings.Repeat("ShopAlert|", 80)
	p := NewSilencePage(newSite(nil), grouping.SilenceInfo{Silence: &grouping.Silence{
		ID: "s1", EndsAt: night.Add(time.Hour), MatcherSets: [][]grouping.SilenceMatcher{{
			{Name: "alertname", Type: "=~", Value: value}, {Name: "cluster", Type: "=", Value: "eu"},
		}},
	}}, nil)
	page := renderPage(t, newRenderer(t), p)
	require.Contains(t, page, `<dt>Matcher</dt>`)
	require.Contains(t, page, `<dd><details class="long"><summary>All 813 characters</summary><code>alertname=~&#34;`+value+
		`&#34;</code></details></dd>`)
	require.Equal(t, 1, strings.Count(page, "<dt>Matcher</dt>"))
}
