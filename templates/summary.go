package templates

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/alertmanager/pkg/labels"

	"muster/grouping"
)

// Summary holds the counts of groups and alerts for the head of every page.
type Summary struct {
	// Firing alerts by severity. An alert in several groups counts several times.
	// Heartbeats are not counted, except in Sources.
	Critical, Warning, Info, Other int

	Firing, Unreported, Resolved int // number of groups
	Receivers                    map[string]int
	LastNotification             time.Time
	Sources                      map[string]SourceSummary // includes heartbeats

	words [grouping.SeverityNone + 1]map[string]int // number of alerts by severity and its word
}

// Counter updates a Summary with each change of a group. The zero value is ready to
// use. It is not safe for concurrent use.
type Counter struct {
	// Heartbeats select the alerts that are not counted.
	Heartbeats []labels.Matchers

	sum Summary
}

// SourceSummary holds the counts of one source.
type SourceSummary struct {
	Groups, Firing   int // number of groups; Firing does not include heartbeats
	LastNotification time.Time
}

// Groups is the number of groups.
func (s *Summary) Groups() int { return s.Firing + s.Unreported + s.Resolved }

// Alerts is the number of firing alerts.
func (s *Summary) Alerts() int { return s.Critical + s.Warning + s.Info + s.Other }

// Update counts a change of a group. before is nil for a new group, and after is nil
// for a removed group. The changes of a group can come in any order.
func (c *Counter) Update(before, after *grouping.AlertGroup) {
	if before != nil {
		c.countGroup(before, -1)
	}
	if after != nil {
		c.countGroup(after, 1)
		if after.LastNotifiedAt.After(c.sum.LastNotification) {
			c.sum.LastNotification = after.LastNotifiedAt
		}
	}
}

func (c *Counter) countGroup(g *grouping.AlertGroup, by int) {
	s := &c.sum
	beats := grouping.IsHeartbeatGroup(c.Heartbeats, g)
	c.countSource(g, by, beats)
	if beats {
		return
	}
	addCount(&s.Receivers, g.Receiver, by)
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
		addCount(&s.words[rank], word, by*n)
	}
}

func (c *Counter) countSource(g *grouping.AlertGroup, by int, beats bool) {
	if c.sum.Sources == nil {
		c.sum.Sources = map[string]SourceSummary{}
	}
	src := c.sum.Sources[g.Source]
	if src.Groups += by; g.Counts.Firing > 0 && !beats {
		src.Firing += by
	}
	if g.LastNotifiedAt.After(src.LastNotification) {
		src.LastNotification = g.LastNotifiedAt
	}
	c.sum.Sources[g.Source] = src
}

// addCount adds n to a count. It removes a count that becomes zero.
func addCount[K comparable](counts *map[K]int, key K, n int) {
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
	// Changes of a group can come in any order, so a source can have 0 groups for a
	// moment. For this reason Update does not remove it.
	maps.DeleteFunc(s.Sources, func(_ string, src SourceSummary) bool { return src.Groups == 0 })
	for rank, words := range s.words {
		s.words[rank] = maps.Clone(words)
	}
	return s
}

// severityMatcher returns a matcher for the alerts of a severity. It matches the
// words that these alerts use, or usual if there are no such alerts.
func (s *Summary) severityMatcher(rank grouping.Severity, usual string) *labels.Matcher {
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
		return equals(grouping.SeverityLabel(), usual) // cannot happen, because the words are quoted
	}
	return m
}
