package browser

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

//go:embed testdata/axe.min.js
var axe string

// colorRules are the rules of axe-core that depend on colors. axe-core enables them by default.
var colorRules = []string{"color-contrast", "link-in-text-block"}

// accessible asserts that axe-core finds no violation on the page, and that nothing is wider than
// the window, in both color schemes. The dark scheme changes only colors, which a test of the
// templates checks. So the rules that do not depend on colors run once.
func (b *tab) accessible(name string) {
	b.t.Helper()
	fits := fmt.Sprintf(`document.documentElement.scrollWidth <= %d`, b.width)
	b.scheme(false)
	eval[bool](b, axe+"; true")
	require.Empty(b.t, b.violations(nil), name)
	require.True(b.t, eval[bool](b, fits), "%s is wider than the window", name)
	b.scheme(true)
	require.True(b.t, eval[bool](b, `matchMedia('(prefers-color-scheme: dark)').matches`))
	require.Empty(b.t, b.violations(colorRules), "%s, dark", name)
	require.True(b.t, eval[bool](b, fits), "%s is wider than the window, dark", name)
}

// violation is a rule that elements of a page violate.
type violation struct{ ID, Nodes string }

// violations returns what axe-core finds on the page. If rules are given, only these run.
func (b *tab) violations(rules []string) []violation {
	b.t.Helper()
	options := map[string]any{"resultTypes": []string{"violations"}} // the others take time
	if rules != nil {
		options["runOnly"] = map[string]any{"type": "rule", "values": rules}
	}
	text, err := json.Marshal(options)
	require.NoError(b.t, err)
	return eval[[]violation](b, `axe.run(`+string(text)+`).then(r => r.violations.map(v =>
		({ID: v.id, Nodes: v.nodes.map(n => n.html + ' ' + n.failureSummary).join('\n')})))`)
}

// All rules that depend on colors run in both schemes.
func TestColorRules(t *testing.T) {
	b := open(t, 800, 600, false)
	eval[bool](b, axe+"; true")
	require.Equal(t, colorRules, eval[[]string](b, `axe._audit.rules.filter(r =>
		r.enabled && r.tags.includes('cat.color')).map(r => r.id).sort()`))
}
