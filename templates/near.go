package templates

import (
	"strings"
	"unicode/utf8"

	"github.com/agnivade/levenshtein"
	"github.com/prometheus/alertmanager/pkg/labels"

	"muster/grouping"
)

// Suggest adds a filter with an existing value to a page whose filter matches
// nothing. A mistyped name is the usual reason for such a page.
func (p *GroupsPage) Suggest(s *Site, v View, groups []*grouping.AlertGroup) {
	if p.Empty == nil || v.Err != nil {
		return
	}
	for i, m := range v.Matchers {
		if m.Type != labels.MatchEqual {
			continue
		}
		if value, ok := nearestValue(m, v.ListQuery(), groups); ok {
			to := equals(m.Name, value)
			p.Empty.Near = []Chip{{Text: to.String(), Href: s.Links.groupsWith(v.without(i), to)}}
			return
		}
	}
}

// nearestValue returns the existing value of the matcher's label that is most
// similar to the matcher's value. It returns false if no value is similar, or if
// an alert has exactly the matcher's value.
//
// Candidates are only the alerts that the query lists without its filter, so that
// the suggestion does not lead to another empty list.
func nearestValue(m *matcher, q grouping.ListQuery, groups []*grouping.AlertGroup) (value string, ok bool) {
	q.Matchers, q.Words = nil, nil
	wanted := strings.ToLower(m.Value)
	letters := utf8.RuneCountInString(wanted)
	minimum := letters/3 + 1
	seen := map[string]bool{}
	for _, g := range groups {
		listed := q.Selects(g)
		for _, a := range g.Alerts {
			existing, has := a.Labels.Lookup(m.Name)
			if !has || seen[existing] {
				continue
			}
			if existing == m.Value {
				return "", false // this matcher is not the reason
			}
			if !listed || !q.Wants(a.Status) {
				continue
			}
			seen[existing] = true
			d := valueDistance(strings.ToLower(existing), wanted, letters, minimum)
			if d < minimum || d == minimum && (!ok || existing < value) {
				value, minimum, ok = existing, d, true
			}
		}
	}
	return value, ok
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
