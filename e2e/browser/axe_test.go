package browser

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

//go:embed testdata/axe.min.js
var axe string

// colorRules are the rules of axe-core that depend on colors. axe-core enables them by default.
var colorRules = []string{"color-contrast", "link-in-text-block"}

// accessible asserts that axe-core finds no violation on the open page, and that nothing is wider
// than the window, in windows of these widths and in both color schemes. The dark scheme changes
// only colors, which a test of the templates checks. So the rules that do not depend on colors run
// once for each width.
func (b *tab) accessible(name string, widths ...int64) {
	b.t.Helper()
	eval[bool](b, axe+"; true")
	for _, width := range widths {
		where := fmt.Sprintf("%s, %d pixels", name, width)
		b.scheme(false)
		b.fits(where, width)
		require.Empty(b.t, b.violations(nil), where)
		b.scheme(true)
		b.until(`matchMedia('(prefers-color-scheme: dark)').matches`)
		b.fits(where+", dark", width)
		require.Empty(b.t, b.violations(colorRules), "%s, dark", where)
	}
}

// fits changes the width of the window, and asserts that nothing on the open page is wider.
func (b *tab) fits(name string, width int64) {
	b.t.Helper()
	require.NoError(b.t, chromedp.Do(b.ctx, chromedp.EmulateViewport(width, 900)))
	b.until(fmt.Sprintf(`innerWidth === %d`, width))
	require.LessOrEqual(b.t, eval[int](b, `document.documentElement.scrollWidth`), int(width), "%s is wider than the window", name)
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
