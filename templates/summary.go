package templates

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/alertmanager/pkg/labels"

	"muster/grouping"
)

// Summary is the counts of what is held, for the head of every page.
type Summary struct {
	// Firing alerts by severity; an alert in several groups counts in each.
	// Heartbeats are left out here and below.
	Critical, Warning, Info, Other int

	Firing, Unreported, Resolved int // groups
	Receivers                    map[string]int
	Sources                      map[string]int // with heartbeats: they come from somewhere, too
	LastNotification             time.Time
	Heartbeat                    Heartbeat // the one that was heard of last

	words [grouping.SeverityNone + 1]map[string]int
}

// Counter makes a Summary out of changes, one by one. The zero value counts
// from nothing.
type Counter struct {
	sum        Summary // but for Heartbeat
	heartbeats map[Heartbeat]int
}

// Heartbeat is the alert that always fires, to prove that the path from
// Prometheus to here works.
type Heartbeat struct {
	Name  string // empty: none is known
	At    time.Time
	Quiet bool // it stopped firing, or is stale
}

// heartbeats are the alerts that fire always and mean nothing by it.
func isHeartbeat(name string) bool { return name == "Watchdog" || name == "DeadMansSwitch" }

// isHeartbeatGroup reports whether the group holds nothing but heartbeats.
func isHeartbeatGroup(g *grouping.AlertGroup) bool {
	return len(g.Alerts) > 0 && !slices.ContainsFunc(g.Alerts, func(a *grouping.Alert) bool { return !isHeartbeat(a.Name()) })
}

// Groups is the number of groups held.
func (s *Summary) Groups() int { return s.Firing + s.Unreported + s.Resolved }

// Alerts is the number of firing alerts.
func (s *Summary) Alerts() int { return s.Critical + s.Warning + s.Info + s.Other }

// Update counts a change of a group: before is nil for a new one, after for one
// that is gone. The changes of a group may come in any order.
func (c *Counter) Update(before, after *grouping.AlertGroup) {
	if before != nil {
		c.count(before, -1)
	}
	if after != nil {
		c.count(after, 1)
		if after.LastNotifiedAt.After(c.sum.LastNotification) {
			c.sum.LastNotification = after.LastNotifiedAt
		}
	}
}

func (c *Counter) count(g *grouping.AlertGroup, by int) {
	add(&c.sum.Sources, g.Source, by)
	if isHeartbeatGroup(g) {
		add(&c.heartbeats, Heartbeat{Name: g.Alerts[0].Name(), At: g.LastNotifiedAt, Quiet: g.Counts.Firing == 0 || g.Stale}, by)
		return
	}
	s := &c.sum
	add(&s.Receivers, g.Receiver, by)
	switch {
	case g.Counts.Firing > 0:
		s.Firing += by
	case g.State == grouping.StateUnreported:
		s.Unreported += by
	default:
		s.Resolved += by
	}
	for word, n := range g.Severities {
		rank := grouping.SeverityOf(word)
		switch rank {
		case grouping.SeverityCritical:
			s.Critical += by * n
		case grouping.SeverityWarning:
			s.Warning += by * n
		case grouping.SeverityInfo:
			s.Info += by * n
		default:
			s.Other += by * n
		}
		add(&s.words[rank], word, by*n)
	}
}

// add adds to a count, which is not there while it is zero.
func add[K comparable](counts *map[K]int, key K, n int) {
	if *counts == nil {
		*counts = map[K]int{}
	}
	if (*counts)[key] += n; (*counts)[key] == 0 {
		delete(*counts, key)
	}
}

// Summary returns the counts as they are now.
func (c *Counter) Summary() Summary {
	s := c.sum
	s.Receivers, s.Sources = maps.Clone(s.Receivers), maps.Clone(s.Sources)
	for rank, words := range s.words {
		s.words[rank] = maps.Clone(words)
	}
	for beat := range c.heartbeats {
		if s.Heartbeat.Name == "" || cmp.Or(beat.At.Compare(s.Heartbeat.At), cmp.Compare(s.Heartbeat.Name, beat.Name)) > 0 {
			s.Heartbeat = beat
		}
	}
	return s
}

// matcher selects the alerts of a severity by the words that are in use for it.
func (s *Summary) matcher(rank grouping.Severity, usual string) *labels.Matcher {
	words := slices.Sorted(maps.Keys(s.words[rank]))
	switch len(words) {
	case 0:
		return equals(grouping.SeverityLabel(), usual)
	case 1:
		return equals(grouping.SeverityLabel(), words[0])
	}
	for i := range words {
		words[i] = regexp.QuoteMeta(words[i])
	}
	m, err := labels.NewMatcher(labels.MatchRegexp, grouping.SeverityLabel(), strings.Join(words, "|"))
	if err != nil {
		return equals(grouping.SeverityLabel(), usual) // cannot be: the words are quoted
	}
	return m
}
