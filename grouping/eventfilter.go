package grouping

import (
	"strings"

	"github.com/prometheus/alertmanager/pkg/labels"
)

// TextFilter tells from the stored text of an event that a query does not select it. To
// decode an event takes much longer.
type TextFilter []string

// TextFilter returns the filter of the query. It knows only the matchers that demand a value.
func (q *EventQuery) TextFilter() TextFilter {
	var parts TextFilter
	for _, m := range q.Matchers {
		// Another text could be written with escapes or without.
		if m.Type == labels.MatchEqual && m.Value != "" && isVerbatim(m.Name) && isVerbatim(m.Value) {
			parts = append(parts, `"`+m.Name+`":"`+m.Value+`"`)
		}
	}
	return parts
}

// isVerbatim reports whether every encoder writes the text without escapes.
func isVerbatim(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' || strings.ContainsRune(`"\<>&/`, r) })
}

// Passes reports whether the query may select the event with the stored text.
func (f TextFilter) Passes(text string) bool {
	for _, part := range f {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}
