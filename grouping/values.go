package grouping

import (
	"github.com/prometheus/alertmanager/pkg/labels"
)

// labelValues counts the alerts of all groups that have a value of a label, by the label's name and by
// the value. A name or a value that no alert has is absent. So a query for a value that
// does not exist costs nothing, and similar values are found without reading all alerts.
type labelValues map[string]map[string]int

// add counts labels n times.
func (v labelValues) add(l Labels, n int) {
	for name, value := range l.All() {
		values := v[name]
		if values == nil {
			values = map[string]int{}
			v[name] = values
		}
		if addCount(values, value, n) && len(values) == 0 {
			delete(v, name)
		}
	}
}

// addGroup counts the group labels of a group without alerts n times. A query compares
// these labels. The group may be nil.
func (v labelValues) addGroup(g *AlertGroup, n int) {
	if g != nil && len(g.Alerts) == 0 {
		v.add(g.GroupLabels, n)
	}
}

// replace counts a group with the alerts that differ, instead of the group before.
func (v labelValues) replace(before, after *AlertGroup, replaced []alertPair) {
	v.addGroup(after, 1) // first what is new, so that no count becomes zero in between
	v.addGroup(before, -1)
	for _, p := range replaced {
		if p.before != nil && p.after != nil && p.before.Labels.Equal(p.after.Labels) {
			continue
		}
		if p.after != nil {
			v.add(p.after.Labels, 1)
		}
		if p.before != nil {
			v.add(p.before.Labels, -1)
		}
	}
}

// maxTried is the maximum number of values to which a regular expression is applied before
// the alerts are read.
const maxTried = 1000

// mayMatch reports whether an alert may match all matchers. It is false only if a matcher
// matches no value of its label that exists.
func (v labelValues) mayMatch(ms labels.Matchers) bool {
	for _, m := range ms {
		if !v.mayMatchOne(m) {
			return false
		}
	}
	return true
}

func (v labelValues) mayMatchOne(m *labels.Matcher) bool {
	values := v[m.Name]
	if m.Matches("") || values[m.Value] > 0 && m.Type == labels.MatchEqual {
		return true // alerts without the label match, or some have the value
	}
	if m.Type == labels.MatchEqual {
		return false
	}
	if len(values) > maxTried {
		return true
	}
	for value := range values {
		if m.Matches(value) {
			return true
		}
	}
	return false
}
