package templates

import (
	"html/template"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCompact(t *testing.T) {
	for source, want := range map[string]string{
		"<p>\n  some\n  text\n</p>\n\n<p>more</p>\n":                                   "<p>some text</p><p>more</p>",
		"<b>a</b>\n<i>b</i>":                                                           "<b>a</b> <i>b</i>",
		"<b>a</b>\n{{- /* no space */ -}}\n<i>b</i>":                                   "<b>a</b><i>b</i>",
		"<b>a</b><i>b</i>":                                                             "<b>a</b><i>b</i>",
		"<tr\n  id=\"x\"\n  class=\"y\">\n  <td>1</td>\n</tr>":                         `<tr id="x" class="y"><td>1</td></tr>`,
		"<ul>\n  {{range .}}\n  <li>{{.}}</li>\n  {{end}}\n</ul>":                      "<ul><li>one</li><li>two</li></ul>",
		"<p>\n  <em>x</em>\n  {{if .}}\n  yes\n  {{else}}\n  no\n  {{end}}\n</p>":      "<p><em>x</em>  yes </p>",
		"<p>\n  x\n</p>\n<pre>\n  a\n  <p>\n  {{index . 0}}\n\n</pre>\n<p>\n  y\n</p>": "<p>x</p><pre>\n  a\n  <p>\n  one\n\n</pre><p>y</p>",
		"<textarea>\n a  b</textarea>  <i>c</i>":                                       "<textarea>\n a  b</textarea> <i>c</i>",
	} {
		page, err := template.New("page").Parse(source)
		require.NoError(t, err)
		compact(page)
		var b strings.Builder
		require.NoError(t, page.Execute(&b, []string{"one", "two"}))
		require.Equal(t, want, b.String(), source)
	}
}

// Templates are indented for their readers. Pages must not become larger for it.
func TestPagesHaveNoIndentation(t *testing.T) {
	r := newRenderer(t)
	verbatim := regexp.MustCompile(`(?s)<pre.*?</pre>|data-copy="[^"]*"`)
	for name, p := range states(t) {
		page := verbatim.ReplaceAllString(renderPage(t, r, p), "")
		require.NotContains(t, page, "\n", name)
		require.NotRegexp(t, `\s{4}`, page, name)
	}
}
