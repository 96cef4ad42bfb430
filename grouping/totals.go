package grouping

import (
	"maps"
	"slices"
	"time"

	"github.com/prometheus/alertmanager/pkg/labels"
)

// Totals counts all groups and their alerts. It is immutable: nobody may change its
// maps. The zero value counts nothing.
type Totals struct {
	GroupTotals

	// WithoutHeartbeats counts the groups that do not contain only heartbeats. People
	// look at these, while programs watch heartbeats.
	WithoutHeartbeats GroupTotals
	// Sources is keyed by the name of the source. A source has at least one group.
	Sources map[string]SourceTotals
	// LastNotification also counts groups that were removed since.
	LastNotification time.Time
}

// GroupTotals counts groups and their alerts. An alert counts once in each of its
// groups.
type GroupTotals struct {
	Groups    map[State]int
	Alerts    map[Status]int
	Receivers map[string]int // number of groups by receiver
	// Severities holds the number of firing alerts by the value of their severity
	// label.
	Severities map[string]int
	// Acknowledged is the number of firing groups that are acknowledged and have no new alert
	// since, and TakenOn is Severities of these groups alone.
	Acknowledged int
	TakenOn      map[string]int
}

// SourceTotals counts the groups of one source.
type SourceTotals struct {
	Groups int
	// Firing is the number of groups with a firing alert. FiringHeartbeats of them
	// contain only heartbeats.
	Firing, FiringHeartbeats int
	LastNotification         time.Time
	// Alertmanagers holds the time of the last notification by external URL.
	Alertmanagers map[string]time.Time

	groupsOf map[string]int // number of groups by external URL
}

// TotalsOf counts the groups at a time. The matchers select heartbeats.
func TotalsOf(groups []*AlertGroup, heartbeats []labels.Matchers, now time.Time) Totals {
	t := newTotals()
	for _, g := range groups {
		t.add(g, IsHeartbeatGroup(heartbeats, g), g.IsAcknowledged(now), 1)
	}
	return t
}

// Size returns the number of groups.
func (t *GroupTotals) Size() int {
	n := 0
	for _, groups := range t.Groups {
		n += groups
	}
	return n
}

// Firing returns the number of groups with a firing alert.
func (t *GroupTotals) Firing() int { return t.Groups[StateFiring] + t.Groups[StateMixed] }

// FiringAlerts returns the number of firing alerts with the severity.
func (t *GroupTotals) FiringAlerts(s Severity) int { return alertsOf(t.Severities, s) }

// WaitingAlerts returns the number of firing alerts with the severity in groups that are not
// acknowledged. They wait for somebody.
func (t *GroupTotals) WaitingAlerts(s Severity) int {
	return alertsOf(t.Severities, s) - alertsOf(t.TakenOn, s)
}

func alertsOf(severities map[string]int, s Severity) int {
	n := 0
	for word, alerts := range severities {
		if SeverityOf(word) == s {
			n += alerts
		}
	}
	return n
}

// SeverityWords returns the sorted values of the severity label that firing alerts
// with the severity have.
func (t *GroupTotals) SeverityWords(s Severity) []string {
	var words []string
	for word := range t.Severities {
		if SeverityOf(word) == s {
			words = append(words, word)
		}
	}
	slices.Sort(words)
	return words
}

// IsSilent reports whether the source sent no notification for longer than the
// maximum, although its groups fire. Heartbeats do not count: they are watched one by
// one. A maximum of 0 means no limit.
func (s *SourceTotals) IsSilent(now time.Time, maximum time.Duration) bool {
	return maximum > 0 && s.Firing > s.FiringHeartbeats && now.Sub(s.LastNotification) > maximum
}

func newTotals() Totals {
	return Totals{GroupTotals: newGroupTotals(), WithoutHeartbeats: newGroupTotals(), Sources: map[string]SourceTotals{}}
}

func newGroupTotals() GroupTotals {
	t := GroupTotals{
		Groups: map[State]int{}, Alerts: map[Status]int{},
		Receivers: map[string]int{}, Severities: map[string]int{},
	}
	for _, state := range States() {
		t.Groups[state] = 0
	}
	for _, status := range Statuses() {
		t.Alerts[status] = 0
	}
	return t
}

// add counts a group if sign is 1, and subtracts it if sign is -1. heartbeats reports
// whether the group contains only heartbeats, and acknowledged what IsAcknowledged says.
func (t *Totals) add(g *AlertGroup, heartbeats, acknowledged bool, sign int) {
	t.GroupTotals.add(g, acknowledged, sign)
	if !heartbeats {
		t.WithoutHeartbeats.add(g, acknowledged, sign)
	}
	t.LastNotification = latest(t.LastNotification, g.LastNotifiedAt)
	source := t.Sources[g.Source]
	if source.add(g, heartbeats, sign); source.Groups == 0 {
		delete(t.Sources, g.Source)
	} else {
		t.Sources[g.Source] = source
	}
}

// countsLike reports whether the totals count both states of a group in the same way. Only the
// times of notifications can differ.
func (g *AlertGroup) countsLike(o *AlertGroup) bool {
	return g.State == o.State && g.Counts == o.Counts && g.Source == o.Source && g.Receiver == o.Receiver &&
		g.ExternalURL == o.ExternalURL && g.LastNotifiedAt.IsZero() == o.LastNotifiedAt.IsZero() && maps.Equal(g.Severities, o.Severities)
}

// addTimes adds the last notification of a group that is counted.
func (t *Totals) addTimes(g *AlertGroup) {
	if g.LastNotifiedAt.IsZero() {
		return
	}
	t.LastNotification = latest(t.LastNotification, g.LastNotifiedAt)
	source := t.Sources[g.Source]
	source.addTimes(g)
	t.Sources[g.Source] = source
}

func (s *SourceTotals) addTimes(g *AlertGroup) {
	s.LastNotification = latest(s.LastNotification, g.LastNotifiedAt)
	s.Alertmanagers[g.ExternalURL] = latest(s.Alertmanagers[g.ExternalURL], g.LastNotifiedAt)
}

func (t *GroupTotals) add(g *AlertGroup, acknowledged bool, sign int) {
	t.Groups[g.State] += sign
	t.Alerts[StatusFiring] += sign * g.Counts.Firing
	t.Alerts[StatusResolved] += sign * g.Counts.Resolved
	t.Alerts[StatusSuppressed] += sign * g.Counts.Suppressed
	t.Alerts[StatusUnreported] += sign * g.Counts.Unreported
	addCount(t.Receivers, g.Receiver, sign)
	for word, n := range g.Severities {
		addCount(t.Severities, word, sign*n)
	}
	if acknowledged && g.Counts.Firing > 0 {
		t.addAcknowledged(g, sign)
	}
}

// addAcknowledged counts a firing group that is acknowledged.
func (t *GroupTotals) addAcknowledged(g *AlertGroup, sign int) {
	if t.TakenOn == nil {
		t.TakenOn = map[string]int{}
	}
	for word, n := range g.Severities {
		addCount(t.TakenOn, word, sign*n)
	}
	if t.Acknowledged += sign; t.Acknowledged == 0 {
		t.TakenOn = nil
	}
}

func (s *SourceTotals) add(g *AlertGroup, heartbeats bool, sign int) {
	if s.Alertmanagers == nil {
		s.Alertmanagers, s.groupsOf = map[string]time.Time{}, map[string]int{}
	}
	s.Groups += sign
	if g.Counts.Firing > 0 {
		s.Firing += sign
		if heartbeats {
			s.FiringHeartbeats += sign
		}
	}
	if g.LastNotifiedAt.IsZero() {
		return // only an observation made it
	}
	s.addTimes(g)
	if addCount(s.groupsOf, g.ExternalURL, sign) {
		delete(s.Alertmanagers, g.ExternalURL)
	}
}

// addCount adds n to a count, which is never less than zero. It removes a count that becomes
// zero, and reports whether it did.
func addCount(counts map[string]int, key string, n int) (removed bool) {
	if n > 0 {
		counts[key] += n // most counts grow, which takes one look-up
		return false
	}
	sum := counts[key] + n
	if sum == 0 {
		delete(counts, key)
		return true
	}
	counts[key] = sum
	return false
}

// clone returns a copy that later calls of add do not change.
func (t *Totals) clone() *Totals {
	c := *t
	c.GroupTotals, c.WithoutHeartbeats = t.GroupTotals.clone(), t.WithoutHeartbeats.clone()
	c.Sources = make(map[string]SourceTotals, len(t.Sources))
	for name, source := range t.Sources {
		source.Alertmanagers, source.groupsOf = maps.Clone(source.Alertmanagers), nil
		c.Sources[name] = source
	}
	return &c
}

func (t *GroupTotals) clone() GroupTotals {
	return GroupTotals{
		Groups: maps.Clone(t.Groups), Alerts: maps.Clone(t.Alerts),
		Receivers: maps.Clone(t.Receivers), Severities: maps.Clone(t.Severities),
		Acknowledged: t.Acknowledged, TakenOn: maps.Clone(t.TakenOn),
	}
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
