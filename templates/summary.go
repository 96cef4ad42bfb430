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

// Summary counts what is held, for the head of every page. The zero value is
// empty; Add counts a group in.
type Summary struct {
	// Firing alerts by severity; an alert in several groups counts in each.
	// Heartbeats are left out here and below.
	Critical, Warning, Info, Other int

	Firing, Unreported, Resolved int // groups
	Receivers                    map[string]int
	LastNotification             time.Time
	Heartbeat                    Heartbeat

	words [grouping.SeverityNone + 1]map[string]int
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

// Add counts a group in.
func (s *Summary) Add(g *grouping.AlertGroup) {
	if g.LastNotifiedAt.After(s.LastNotification) {
		s.LastNotification = g.LastNotifiedAt
	}
	if isHeartbeatGroup(g) {
		if !g.LastNotifiedAt.Before(s.Heartbeat.At) {
			s.Heartbeat = Heartbeat{Name: g.Alerts[0].Name(), At: g.LastNotifiedAt, Quiet: g.Counts.Firing == 0 || g.Stale}
		}
		return
	}
	if s.Receivers == nil {
		s.Receivers = map[string]int{}
	}
	s.Receivers[g.Receiver]++
	switch {
	case g.Counts.Firing > 0:
		s.Firing++
	case g.State == grouping.StateUnreported:
		s.Unreported++
	default:
		s.Resolved++
	}
	for word, n := range g.Severities {
		rank := grouping.SeverityOf(word)
		switch rank {
		case grouping.SeverityCritical:
			s.Critical += n
		case grouping.SeverityWarning:
			s.Warning += n
		case grouping.SeverityInfo:
			s.Info += n
		default:
			s.Other += n
		}
		if s.words[rank] == nil {
			s.words[rank] = map[string]int{}
		}
		s.words[rank][word] += n
	}
}

// matcher selects the alerts of a severity by the words that are in use for it.
func (s *Summary) matcher(rank grouping.Severity, usual string) *labels.Matcher {
	words := slices.Sorted(maps.Keys(s.words[rank]))
	switch len(words) {
	case 0:
		return equals("severity", usual)
	case 1:
		return equals("severity", words[0])
	}
	for i := range words {
		words[i] = regexp.QuoteMeta(words[i])
	}
	m, err := labels.NewMatcher(labels.MatchRegexp, "severity", strings.Join(words, "|"))
	if err != nil {
		return equals("severity", usual) // cannot be: the words are quoted
	}
	return m
}
