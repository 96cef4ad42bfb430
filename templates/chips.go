package templates

import (
	"slices"

	"muster/internal/query"
)

// chips collects what selects in a view as links to the view without it. V is the type of the
// view. The view is one of the first page.
type chips[V any] struct {
	view V
	href func(V) string
	list []Chip
}

// add adds the part of the view that remove removes.
func (c *chips[V]) add(text string, remove func(*V)) {
	to := c.view
	remove(&to)
	c.list = append(c.list, Chip{Text: shorten(text), Href: c.href(to)})
}

// addNamed is add for a part with a name, if it has a value.
func (c *chips[V]) addNamed(name, value string, remove func(*V)) {
	if value != "" {
		c.add(name+value, remove)
	}
}

// addFilter adds the matchers and the words of the view's filter, which of returns.
func (c *chips[V]) addFilter(of func(*V) *query.Filter) {
	f := *of(&c.view)
	for i, m := range f.Matchers {
		c.add(m.String(), func(to *V) { of(to).Matchers = slices.Delete(slices.Clone(f.Matchers), i, i+1) })
	}
	for i, w := range f.Words {
		c.add(w, func(to *V) { of(to).Words = slices.Delete(slices.Clone(f.Words), i, i+1) })
	}
}
