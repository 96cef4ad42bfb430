package grouping

import (
	"slices"
	"strings"

	"github.com/prometheus/alertmanager/pkg/labels"
)

// Select returns the groups that the query selects, in their order. It ignores the
// cursor and the limit.
func (q *ListQuery) Select(groups []*AlertGroup) []*AlertGroup {
	s := newSelector(q)
	return slices.DeleteFunc(slices.Clone(groups), func(g *AlertGroup) bool { return !s.selects(g) })
}

// Selection returns a function that reports whether the query selects a group. The function
// is not safe for concurrent use.
func (q *ListQuery) Selection() func(*AlertGroup) bool { return newSelector(q).selects }

// selector applies a query to many groups. It remembers what it found out about earlier
// ones, so it is not safe for concurrent use.
type selector struct {
	*ListQuery

	// wanted holds the statuses that the states of the query select.
	wanted   []Status
	matchers []valueMatcher // for alerts
	grouped  []valueMatcher // the same for group labels
	words    []string       // in lower case
}

func newSelector(q *ListQuery) *selector {
	s := &selector{
		ListQuery: q, matchers: make([]valueMatcher, len(q.Matchers)), grouped: make([]valueMatcher, len(q.Matchers)),
		words: make([]string, len(q.Words)),
	}
	for _, status := range Statuses() {
		if q.Wants(status) {
			s.wanted = append(s.wanted, status)
		}
	}
	for i, m := range q.Matchers {
		s.matchers[i].Matcher, s.grouped[i].Matcher = m, m
	}
	for i, word := range q.Words {
		s.words[i] = strings.ToLower(word)
	}
	return s
}

// selects reports whether the query selects the group.
func (s *selector) selects(g *AlertGroup) bool {
	if s.Receiver != "" && s.Receiver != g.Receiver || s.Source != "" && s.Source != g.Source ||
		len(s.States) > 0 && !slices.Contains(s.States, g.State) || s.Ack != "" && s.Ack != g.AckState(s.now()) ||
		s.Closed && g.ClosedBy == nil || !s.matchesAny(g) {
		return false
	}
	for _, word := range s.words {
		if !s.mentions(g, word) {
			return false
		}
	}
	return true
}

// matchesAny reports whether an alert of the group matches. If the group has no alert, its
// group labels must match.
func (s *selector) matchesAny(g *AlertGroup) bool {
	if len(g.Alerts) == 0 && s.Mutes == nil {
		return s.matches(g.GroupLabels)
	}
	return len(s.matchers) == 0 && s.Mutes == nil || !s.noneMatches(g) && slices.ContainsFunc(g.Alerts, s.matchesAlert)
}

// noneMatches reports whether the group labels show that no alert matches. Then the alerts
// need not be read.
func (s *selector) noneMatches(g *AlertGroup) bool {
	if g.lacking > 0 {
		return false
	}
	for i := range s.grouped {
		m := &s.grouped[i]
		if _, has := m.lookup(g.GroupLabels); has && !m.matches(g.GroupLabels) {
			return true
		}
	}
	return false
}

// matchesAlert reports whether the alert has a wanted status and matches.
func (s *selector) matchesAlert(a *Alert) bool {
	return s.wants(a) && s.matches(a.Labels)
}

// wants is ListQuery.wantsAlert.
func (s *selector) wants(a *Alert) bool {
	return slices.Contains(s.wanted, a.ShownStatus()) && (s.Mutes == nil || s.Mutes.selects(a))
}

func (s *selector) matches(l Labels) bool {
	for i := range s.matchers {
		if !s.matchers[i].matches(l) {
			return false
		}
	}
	return true
}

// mentions reports whether the group, or a wanted alert of it, contains the word.
func (s *selector) mentions(g *AlertGroup, word string) bool {
	if strings.Contains(strings.ToLower(g.Receiver), word) || strings.Contains(strings.ToLower(g.Source), word) ||
		labelsMention(g.GroupLabels, word) {
		return true
	}
	for _, a := range g.Alerts {
		if !s.wants(a) {
			continue
		}
		if labelsMention(a.Labels, word) {
			return true
		}
		for _, value := range a.Annotations.All() {
			if strings.Contains(strings.ToLower(value), word) {
				return true
			}
		}
	}
	return false
}

func labelsMention(l Labels, word string) bool {
	for name, value := range l.All() {
		if strings.Contains(strings.ToLower(name), word) || strings.Contains(strings.ToLower(value), word) {
			return true
		}
	}
	return false
}

// valueMatcher is a matcher that is applied to many label sets.
type valueMatcher struct {
	*labels.Matcher

	// at is the place of the label in sets with the names, or -1 if they do not have it. Most
	// alerts have the same names.
	names *labelNames
	at    int
	// lastValue and lastMatches are the last value and its result, if known is not nil.
	// known holds the results of some earlier values. Regular expressions need them.
	lastValue   string
	lastMatches bool
	known       map[string]bool
}

// maxKnown is the maximum number of values whose result a matcher remembers. If there are
// more, few values are repeated, and memory would cost more than it saves.
const maxKnown = 1 << 8

// matches reports whether the labels match. A missing label counts as empty.
func (m *valueMatcher) matches(l Labels) bool {
	value, _ := m.lookup(l)
	switch m.Type {
	case labels.MatchEqual:
		return value == m.Value
	case labels.MatchNotEqual:
		return value != m.Value
	default:
		return m.matchesValue(value)
	}
}

// lookup is Labels.Lookup for the label.
func (m *valueMatcher) lookup(l Labels) (string, bool) {
	if l.IsZero() {
		return "", false
	}
	if l.names != m.names {
		m.names, m.at = l.names, slices.Index(l.names.list, m.Name)
	}
	if m.at < 0 {
		return "", false
	}
	return l.values[m.at], true
}

func (m *valueMatcher) matchesValue(value string) bool {
	if m.known == nil {
		m.known = map[string]bool{}
	} else if value == m.lastValue {
		return m.lastMatches
	}
	matches, known := m.known[value]
	if !known {
		if matches = m.Matches(value); len(m.known) < maxKnown {
			m.known[value] = matches
		}
	}
	m.lastValue, m.lastMatches = value, matches
	return matches
}
