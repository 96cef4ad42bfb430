package templates

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/agnivade/levenshtein"
	"github.com/prometheus/alertmanager/pkg/labels"

	"muster/grouping"
)

// Known answers what Suggest asks about the groups.
type Known struct {
	// LabelValues returns the values of a label that alerts have.
	LabelValues func(name string) []string
	// Selects reports whether the query selects any group.
	Selects func(q grouping.ListQuery) bool
}

// Suggest adds a filter with an existing value to a page whose filter matches
// nothing. A mistyped name is the usual reason for such a page.
func (p *GroupsPage) Suggest(s *Site, v View, known Known) {
	if p.Empty == nil || v.Err != nil {
		return
	}
	for i, m := range v.Matchers {
		if m.Type != labels.MatchEqual {
			continue
		}
		if value, ok := nearestValue(m, v.ListQuery(), known); ok {
			to := equals(m.Name, value)
			p.Empty.Near = []Chip{{Text: to.String(), Href: s.Links.groupsWith(v.without(i), to)}}
			return
		}
	}
}

// maxSimilar is the maximum number of similar values that are tried. To try one can mean to
// read all alerts.
const maxSimilar = 8

// nearestValue returns the existing value of the matcher's label that is most
// similar to the matcher's value. It returns false if no value is similar, or if
// an alert has exactly the matcher's value.
//
// It returns only a value that the query lists without its filter, so that
// the suggestion does not lead to another empty list.
func nearestValue(m *matcher, q grouping.ListQuery, known Known) (value string, ok bool) {
	values := known.LabelValues(m.Name)
	if slices.Contains(values, m.Value) {
		return "", false // this matcher is not the reason
	}
	type similar struct {
		value    string
		distance int
	}
	var near []similar
	wanted := strings.ToLower(m.Value)
	letters := utf8.RuneCountInString(wanted)
	maximum := letters/3 + 1
	for _, existing := range values {
		if d := valueDistance(strings.ToLower(existing), wanted, letters, maximum); d <= maximum {
			near = append(near, similar{existing, d})
		}
	}
	slices.SortFunc(near, func(a, b similar) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(a.value, b.value))
	})
	q.Words = nil
	for _, n := range near[:min(len(near), maxSimilar)] {
		q.Matchers = labels.Matchers{equals(m.Name, n.value)}
		if known.Selects(q) {
			return n.value, true
		}
	}
	return "", false
}

// valueDistance returns the edit distance between two values, or more than maximum
// if it is larger. letters is the number of characters of wanted. The distance is 1 if value contains wanted, because readers
// often type a part of a name.
func valueDistance(value, wanted string, letters, maximum int) int {
	if wanted != "" && strings.Contains(value, wanted) {
		return 1
	}
	if n := utf8.RuneCountInString(value); n > letters+maximum || n < letters-maximum {
		return maximum + 1
	}
	return levenshtein.ComputeDistance(value, wanted)
}
