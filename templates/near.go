package templates

import (
	"strings"
	"unicode/utf8"

	"github.com/agnivade/levenshtein"
	"github.com/prometheus/alertmanager/pkg/labels"

	"muster/grouping"
)

// Suggest offers a reader whose filter leaves nothing a value that there is: a
// name that was mistyped is the usual reason.
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

// nearest returns the value of the matcher's label that is most like the
// matcher's, if one is like it at all and no alert has the matcher's own. Only
// alerts that the query would list without its filter are candidates.
func nearestValue(m *matcher, q grouping.ListQuery, groups []*grouping.AlertGroup) (value string, ok bool) {
	q.Matchers, q.Words = nil, nil
	wanted := strings.ToLower(m.Value)
	letters := utf8.RuneCountInString(wanted)
	least := letters/3 + 1
	seen := map[string]bool{}
	for _, g := range groups {
		listed := q.Selects(g)
		for _, a := range g.Alerts {
			is, has := a.Labels[m.Name]
			if !has || seen[is] {
				continue
			}
			if is == m.Value {
				return "", false // something else leaves nothing
			}
			if !listed || !q.Wants(a.Status) {
				continue
			}
			seen[is] = true
			if d := valueDistance(strings.ToLower(is), wanted, letters, least); d < least || d == least && (!ok || is < value) {
				value, least, ok = is, d, true
			}
		}
	}
	return value, ok
}

// unlike counts the letters by which two values differ, or returns more than
// most. One that holds the other differs by one: its reader typed a part.
func valueDistance(is, wanted string, letters, most int) int {
	if wanted != "" && strings.Contains(is, wanted) {
		return 1
	}
	if n := utf8.RuneCountInString(is); n > letters+most || n < letters-most {
		return most + 1
	}
	return levenshtein.ComputeDistance(is, wanted)
}
