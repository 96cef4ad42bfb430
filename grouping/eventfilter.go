package grouping

import (
	"bytes"
	"slices"
	"strings"

	"github.com/prometheus/alertmanager/pkg/labels"
)

// EventFilter applies a query to stored texts of events. It tells from most texts that the
// query does not select the event. To decode an event takes much longer. It is not safe for
// concurrent use.
type EventFilter struct {
	query  *EventQuery
	texts  []needle     // a text without one of them is not selected
	values []valueCheck // a text that one of them declines is not selected
	words  [][]byte     // in lower case; a text without one of them is not selected
	lower  []byte       // memory for a text in lower case
	tuned  bool         // whether the needles know which of their bytes is rare
}

// valueCheck demands a value of a field or of a label.
type valueCheck struct {
	begin   needle // the text before the value
	accepts func(value string) bool
}

// Filter returns the filter of the query.
func (q *EventQuery) Filter() *EventFilter {
	f := &EventFilter{query: q}
	for _, m := range q.Matchers {
		switch {
		case m.Matches(""): // an event without the label is selected
		case m.Type == labels.MatchEqual:
			f.demand(m.Name, m.Value)
		case isVerbatim(m.Name):
			f.values = append(f.values, valueCheck{newNeedle(m.Name, ""), m.Matches})
		}
	}
	f.demand("fingerprint", string(q.Fingerprint))
	f.demand("receiver", q.Receiver)
	f.demand("source", q.Source)
	if len(q.Kinds) > 0 {
		isAsked := func(value string) bool { return slices.Contains(q.Kinds, EventKind(value)) }
		f.values = append(f.values, valueCheck{newNeedle("kind", ""), isAsked})
	}
	for _, word := range q.Words {
		if isVerbatim(word) {
			f.words = append(f.words, []byte(strings.ToLower(word)))
		}
	}
	return f
}

// demand makes the filter demand a value of a field or of a label, unless it is empty.
// Another text could be written with escapes or without.
func (f *EventFilter) demand(name, value string) {
	if value != "" && isVerbatim(name) && isVerbatim(value) {
		f.texts = append(f.texts, newNeedle(name, value+`"`))
	}
}

// Select returns the event with the stored text. The ID before its JSON may be missing.
// It returns false if the query does not select it, or if the text cannot be read: it has a
// newer schema or is damaged, and other events are readable.
func (f *EventFilter) Select(text []byte) (e Event, ok bool) {
	if !f.passes(text) {
		return e, false
	}
	e, err := decodeEvent(text)
	return e, err == nil && f.query.Matches(&e)
}

// isVerbatim reports whether every encoder writes the text without escapes.
func isVerbatim(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' || strings.ContainsRune(`"\<>&/`, r) })
}

// passes reports whether the query may select the event with the stored text.
func (f *EventFilter) passes(text []byte) bool {
	f.tune(text)
	for i := range f.texts {
		if f.texts[i].find(text) < 0 {
			return false
		}
	}
	for i := range f.values {
		if !f.values[i].passes(text) {
			return false
		}
	}
	return f.mentions(text)
}

// passes reports whether a field or a label of the name may have a value that is accepted.
// If a field has the name of the label, either may be the right one.
func (c *valueCheck) passes(text []byte) bool {
	for {
		i := c.begin.find(text)
		if i < 0 {
			return false
		}
		text = text[i+len(c.begin.text):]
		end := bytes.IndexByte(text, '"')
		if end < 0 || bytes.IndexByte(text[:end], '\\') >= 0 || c.accepts(string(text[:end])) {
			return true
		}
	}
}

// mentions reports whether the text may have all words. Escapes may stand for any
// character, and a few characters beyond ASCII have lower cases in ASCII.
func (f *EventFilter) mentions(text []byte) bool {
	if len(f.words) == 0 {
		return true
	}
	f.lower = append(f.lower[:0], text...)
	for i, c := range f.lower {
		switch {
		case c >= 0x80 || c == '\\':
			return true
		case 'A' <= c && c <= 'Z':
			f.lower[i] = c + 'a' - 'A'
		}
	}
	missing := func(word []byte) bool { return !bytes.Contains(f.lower, word) }
	return !slices.ContainsFunc(f.words, missing)
}

// tune makes the needles search for the byte that is rarest in the first text: all events
// are similar.
func (f *EventFilter) tune(text []byte) {
	if f.tuned {
		return
	}
	f.tuned = true
	for i := range f.texts {
		f.texts[i].tune(text)
	}
	for i := range f.values {
		f.values[i].begin.tune(text)
	}
}

// needle is a text that is searched in events. bytes.Index looks for the first byte of a
// text, and a quote is the most frequent byte of JSON. So it takes five times as long.
type needle struct {
	text []byte
	rare int // index of a byte in text
}

// newNeedle returns the text of a JSON string with this name and the beginning of its value.
func newNeedle(name, value string) needle { return needle{text: []byte(`"` + name + `":"` + value)} }

func (n *needle) tune(text []byte) {
	least := len(text) + 1
	for i := range n.text {
		if count := bytes.Count(text, n.text[i:i+1]); count < least {
			least, n.rare = count, i
		}
	}
}

// find returns the index of the needle in a text, or -1.
func (n *needle) find(text []byte) int {
	for from := n.rare; from < len(text); from++ {
		i := bytes.IndexByte(text[from:], n.text[n.rare])
		if i < 0 {
			return -1
		}
		from += i
		if start := from - n.rare; bytes.HasPrefix(text[start:], n.text) {
			return start
		}
	}
	return -1
}
