package grouping

import (
	"strings"

	"github.com/prometheus/alertmanager/pkg/labels"
)

// EventFilter applies a query to stored texts of events. It tells from most texts that the
// query does not select the event. To decode an event takes much longer.
type EventFilter struct {
	query *EventQuery
	parts []string // a text without one of them is not selected
}

// Filter returns the filter of the query. It knows only the matchers that demand a value.
func (q *EventQuery) Filter() EventFilter {
	f := EventFilter{query: q}
	for _, m := range q.Matchers {
		// Another text could be written with escapes or without.
		if m.Type == labels.MatchEqual && m.Value != "" && isVerbatim(m.Name) && isVerbatim(m.Value) {
			f.parts = append(f.parts, `"`+m.Name+`":"`+m.Value+`"`)
		}
	}
	return f
}

// Select returns the event with the stored text. It returns false if the query does not
// select it, or if the text cannot be read: it has a newer schema or is damaged, and other
// events are readable.
func (f EventFilter) Select(text string) (e Event, ok bool) {
	if !f.passes(text) {
		return e, false
	}
	e, err := DecodeEvent(text)
	return e, err == nil && f.query.Matches(&e)
}

// isVerbatim reports whether every encoder writes the text without escapes.
func isVerbatim(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' || strings.ContainsRune(`"\<>&/`, r) })
}

// passes reports whether the query may select the event with the stored text.
func (f EventFilter) passes(text string) bool {
	for _, part := range f.parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}
