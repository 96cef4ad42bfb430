package templates

import (
	"strings"
	"unicode/utf8"

	"muster/grouping"
)

// Long is a text of somebody else that may be long.
type Long string

// Fold is the label of a long text that is folded, see fold.
func (t Long) Fold() string { return fold(string(t)) }

// Fold is the label of a long text that is folded, see fold.
func (t TextLink) Fold() string { return fold(t.Text) }

// Linked is a text with links in it.
type Linked []TextLink

// Fold is the label of a long text that is folded, see fold.
func (t Linked) Fold() string {
	var b strings.Builder
	for _, part := range t {
		b.WriteString(part.Text)
	}
	return fold(b.String())
}

// fold returns the label of the element that unfolds a long text. It is empty if the text is
// short. The style sheet shows eight lines of a folded text on a phone, and four elsewhere.
func fold(text string) string {
	const characters, lines = 600, 8 // what these lines have room for
	n := utf8.RuneCountInString(text)
	if n <= characters && strings.Count(text, "\n") < lines {
		return ""
	}
	return "All " + plural(n, "character", "characters")
}

// longLabels returns the labels that chips show truncated.
func longLabels(of grouping.Labels) []Pair {
	var out []Pair
	for _, name := range of.Names() {
		if text := name + "=" + of.Get(name); shorten(text) != text {
			out = append(out, Pair{"Label: " + name, newTextLink(of.Get(name))})
		}
	}
	return out
}
