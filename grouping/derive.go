package grouping

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// The derived fields of a group follow from its alerts. A change of a few alerts
// derives them from the state before, so that its cost does not grow with the group.

// NewAlertGroup sorts the alerts of g and sets the derived fields. It takes
// ownership of g: the caller must not use it or its alerts' slice afterwards.
func NewAlertGroup(g AlertGroup) *AlertGroup {
	g.derive()
	return &g
}

func (g *AlertGroup) derive() {
	if !slices.IsSortedFunc(g.Alerts, compareFingerprints) {
		slices.SortFunc(g.Alerts, compareFingerprints)
	}
	linkMutes(g.Alerts, g.Mutes)
	g.shared = nil
	g.Counts, g.Severities, g.lacking = Counts{}, nil, 0
	for _, a := range g.Alerts {
		g.count(a, 1)
		g.countLacking(a, 1)
	}
	g.setState()
	g.findMostUrgent()
}

// deriveFrom is derive for a later state of the group before. The alerts of g must be sorted,
// and differ from those of before in the replaced ones only. before may be nil or a tombstone.
func (g *AlertGroup) deriveFrom(before *AlertGroup, replaced []alertPair) {
	if before == nil || before.State == "" {
		g.derive()
		return
	}
	g.Counts, g.Severities = before.Counts, before.Severities
	if len(replaced) > 0 {
		g.Severities = maps.Clone(g.Severities)
	}
	for _, p := range replaced {
		g.count(p.after, 1)
		g.count(p.before, -1)
	}
	if g.Counts.Firing == 0 {
		g.Severities = nil
	}
	g.findLacking(before, replaced)
	g.setState()
	g.replaceMostUrgent(before, replaced)
}

// count adds n to the counts of the alert's status and severity. The alert may be nil.
func (g *AlertGroup) count(a *Alert, n int) {
	if a == nil {
		return
	}
	switch a.ShownStatus() {
	case StatusFiring:
		g.Counts.Firing += n
		if g.Severities == nil {
			g.Severities = map[string]int{}
		}
		addCount(g.Severities, a.SeverityWord(), n)
	case StatusResolved:
		g.Counts.Resolved += n
	case StatusSuppressed:
		g.Counts.Suppressed += n
	case StatusUnreported:
		g.Counts.Unreported += n
	}
}

// findLacking sets lacking. It derives it from the state before, if the group labels are
// the same.
func (g *AlertGroup) findLacking(before *AlertGroup, replaced []alertPair) {
	if !g.GroupLabels.Equal(before.GroupLabels) {
		g.lacking = 0
		for _, a := range g.Alerts {
			g.countLacking(a, 1)
		}
		return
	}
	g.lacking = before.lacking
	for _, p := range replaced {
		g.countLacking(p.after, 1)
		g.countLacking(p.before, -1)
	}
}

// countLacking adds n to lacking if the alert, which may be nil, lacks a group label.
func (g *AlertGroup) countLacking(a *Alert, n int) {
	if a == nil {
		return
	}
	for name, value := range g.GroupLabels.All() {
		if !a.Labels.Has(name, value) {
			g.lacking += n
			return
		}
	}
}

// setState sets the state, which follows from the counts, and the name.
func (g *AlertGroup) setState() {
	switch c := g.Counts; {
	case c.Firing > 0 && c.Firing < len(g.Alerts):
		g.State = StateMixed
	case c.Firing > 0:
		g.State = StateFiring
	case c.Suppressed > 0:
		g.State = StateSuppressed
	case c.Unreported > 0 || g.Truncated > 0:
		g.State = StateUnreported
	default:
		g.State = StateResolved
	}
	g.Name = groupName(&g.Meta)
}

// countedStatus returns the status of the alerts that determine the severity and the
// shared labels of the group: firing, or suppressed if no alert fires. It is "" if all
// alerts do.
func (g *AlertGroup) countedStatus() Status {
	switch {
	case g.Counts.Firing > 0:
		return StatusFiring
	case g.Counts.Suppressed > 0:
		return StatusSuppressed
	}
	return ""
}

// counts reports whether the alert, which may be nil, is one of those that determine
// the severity and the shared labels of the group.
func (g *AlertGroup) counts(a *Alert) bool {
	if a == nil {
		return false
	}
	status := g.countedStatus()
	return status == "" || a.ShownStatus() == status
}

// urgency orders the alerts of a group.
type urgency struct {
	severity Severity
	began    time.Time
	alerts   int // the number of alerts that have it
}

func urgencyOf(a *Alert, severity Severity) urgency { return urgency{severity, a.Began(), 1} }

// compare returns a negative number if u is more urgent than o, and 0 if they are equal.
func (u urgency) compare(o urgency) int {
	return cmp.Or(u.severity.Compare(o.severity), o.began.Compare(u.began), cmp.Compare(u.severity, o.severity))
}

func (g *AlertGroup) first() urgency { return urgency{g.Severity, g.NewestAt, g.mostUrgent} }

func (g *AlertGroup) setFirst(u urgency) {
	g.Severity, g.NewestAt, g.mostUrgent = u.severity, u.began, u.alerts
}

// findMostUrgent sets Severity, NewestAt, mostUrgent and second.
func (g *AlertGroup) findMostUrgent() {
	first, second := urgency{severity: SeverityNone}, urgency{}
	var severity Severity
	word, known := "", false
	for _, a := range g.Alerts {
		if !g.counts(a) {
			continue
		}
		// Most alerts of a group have the same severity.
		if w := a.SeverityWord(); !known || w != word {
			word, severity, known = w, SeverityOf(w), true
		}
		u := urgencyOf(a, severity)
		switch c := u.compare(first); {
		case c == 0:
			first.alerts++
		case c < 0:
			first, second = u, first
		case second.alerts == 0:
			second = u
		default:
			second.add(u)
		}
	}
	g.setFirst(first)
	g.second = second
}

// add adds an alert with the urgency o, if u is not more urgent.
func (u *urgency) add(o urgency) {
	switch c := o.compare(*u); {
	case c == 0:
		u.alerts++
	case c < 0:
		*u = o
	}
}

// replaceMostUrgent is findMostUrgent for a later state of the group before. It looks at
// all alerts only if the urgency of the remaining ones is not known.
func (g *AlertGroup) replaceMostUrgent(before *AlertGroup, replaced []alertPair) {
	if g.countedStatus() != before.countedStatus() {
		g.findMostUrgent()
		return
	}
	first, second := before.first(), before.second
	for _, p := range replaced {
		if !before.counts(p.before) {
			continue
		}
		switch u := urgencyOf(p.before, p.before.Severity()); {
		case u.compare(first) == 0:
			first.alerts--
		case second.alerts > 0 && u.compare(second) == 0:
			second.alerts--
		}
	}
	for _, p := range replaced {
		if !g.counts(p.after) {
			continue
		}
		u := urgencyOf(p.after, p.after.Severity())
		switch c := u.compare(first); {
		case c == 0:
			first.alerts++
		case c < 0:
			if first.alerts > 0 {
				second = first
			}
			first = u
		case second.alerts > 0:
			second.add(u)
		}
	}
	if first.alerts == 0 {
		first, second = second, urgency{}
	}
	if first.alerts == 0 {
		g.findMostUrgent()
		return
	}
	g.setFirst(first)
	g.second = second
}

// sharedLabels are the labels and annotations that all firing alerts of a group have
// with the same value, or all suppressed ones if none fires, or else all.
type sharedLabels struct{ labels, annotations Labels }

// share sets the shared labels of the group. It derives them from the state before, if
// that has them.
func (g *AlertGroup) share(before *AlertGroup, replaced []alertPair) {
	if before == nil || before.shared == nil || g.countedStatus() != before.countedStatus() {
		g.shared = &sharedLabels{g.sharedBeside(Labels{}, labelsOf), g.sharedBeside(Labels{}, annotationsOf)}
		return
	}
	s := *before.shared
	// If an alert left, those that remain may share more.
	labelsLeft, annotationsLeft := false, false
	for _, p := range replaced {
		was, is := before.counts(p.before), g.counts(p.after)
		if is {
			s.labels, s.annotations = s.labels.in(p.after.Labels), s.annotations.in(p.after.Annotations)
		}
		labelsLeft = labelsLeft || was && (!is || !p.before.Labels.Equal(p.after.Labels))
		annotationsLeft = annotationsLeft || was && (!is || !p.before.Annotations.Equal(p.after.Annotations))
	}
	if labelsLeft {
		s.labels = g.sharedBeside(s.labels, labelsOf)
	}
	if annotationsLeft {
		s.annotations = g.sharedBeside(s.annotations, annotationsOf)
	}
	g.shared = &s
}

func labelsOf(a *Alert) Labels      { return a.Labels }
func annotationsOf(a *Alert) Labels { return a.Annotations }

// sharedBeside returns the shared labels of the group, of which those in known are
// certain. of returns the labels of an alert.
func (g *AlertGroup) sharedBeside(known Labels, of func(*Alert) Labels) Labels {
	first := slices.IndexFunc(g.Alerts, g.counts)
	if first < 0 {
		return Labels{}
	}
	return of(g.Alerts[first]).Filter(func(name, value string) bool {
		_, isKnown := known.Lookup(name)
		return isKnown || g.allHave(g.Alerts[first+1:], of, name, value)
	})
}

// allHave reports whether all of the alerts that count have the label.
func (g *AlertGroup) allHave(alerts []*Alert, of func(*Alert) Labels, name, value string) bool {
	return !slices.ContainsFunc(alerts, func(a *Alert) bool { return g.counts(a) && !of(a).Has(name, value) })
}
