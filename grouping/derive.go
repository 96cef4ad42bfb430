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
	if !slices.IsSortedFunc(g.Alerts, compareFingerprints) {
		slices.SortFunc(g.Alerts, compareFingerprints)
	}
	g.shared = nil
	g.Counts, g.Severities, g.lacking = Counts{}, nil, 0
	for _, a := range g.Alerts {
		g.count(a, 1)
		g.countLacking(a, 1)
	}
	g.setState()
	g.findMostUrgent()
	return &g
}

// nextAlertGroup is NewAlertGroup for a later state of the group before. The alerts of g
// must be sorted, and differ from those of before in the replaced ones only. before may be
// nil or a tombstone.
func nextAlertGroup(before *AlertGroup, g AlertGroup, replaced []alertPair) *AlertGroup {
	if before == nil || before.State == "" {
		return NewAlertGroup(g)
	}
	g.Counts, g.Severities = before.Counts, maps.Clone(before.Severities)
	for _, p := range replaced {
		g.count(p.after, 1)
		g.count(p.before, -1)
	}
	if g.Counts.Firing == 0 {
		g.Severities = nil
	}
	g.findLacking(before, replaced)
	g.setState()
	g.Severity, g.NewestAt, g.mostUrgent = before.Severity, before.NewestAt, before.mostUrgent
	if g.onlyFiringCount() != before.onlyFiringCount() {
		g.findMostUrgent()
		return &g
	}
	for _, p := range replaced {
		if before.counts(p.before) && p.before.Began().Equal(before.NewestAt) && p.before.Severity() == before.Severity {
			g.mostUrgent--
		}
	}
	for _, p := range replaced {
		g.compareUrgency(p.after)
	}
	if g.mostUrgent == 0 {
		g.findMostUrgent() // all of the most urgent alerts left
	}
	return &g
}

// count adds n to the counts of the alert's status and severity. The alert may be nil.
func (g *AlertGroup) count(a *Alert, n int) {
	if a == nil {
		return
	}
	switch a.Status {
	case StatusFiring:
		g.Counts.Firing += n
		if g.Severities == nil {
			g.Severities = map[string]int{}
		}
		addCount(g.Severities, a.SeverityWord(), n)
	case StatusResolved:
		g.Counts.Resolved += n
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
	for i := range g.GroupLabels {
		if !a.Labels.Has(g.GroupLabels[i].Name, g.GroupLabels[i].Value) {
			g.lacking += n
			return
		}
	}
}

// setState sets the state, which follows from the counts, and the name.
func (g *AlertGroup) setState() {
	switch c := g.Counts; {
	case c.Firing > 0 && c.Resolved+c.Unreported > 0:
		g.State = StateMixed
	case c.Firing > 0:
		g.State = StateFiring
	case c.Unreported > 0 || g.Truncated > 0:
		g.State = StateUnreported
	default:
		g.State = StateResolved
	}
	g.Name = groupName(&g.Meta)
}

// onlyFiringCount reports whether the severity and the shared labels of the group are
// those of its firing alerts. Otherwise no alert fires, and they are those of all alerts.
func (g *AlertGroup) onlyFiringCount() bool { return g.Counts.Firing > 0 }

// counts reports whether the alert, which may be nil, is one of those that determine
// the severity and the shared labels of the group.
func (g *AlertGroup) counts(a *Alert) bool {
	return a != nil && (a.Status == StatusFiring || !g.onlyFiringCount())
}

// findMostUrgent sets Severity, NewestAt and mostUrgent.
func (g *AlertGroup) findMostUrgent() {
	g.Severity, g.NewestAt, g.mostUrgent = SeverityNone, time.Time{}, 0
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
		g.compareUrgencyOf(a, severity)
	}
}

// compareUrgency sets Severity, NewestAt and mostUrgent for one more alert, which may be
// nil.
func (g *AlertGroup) compareUrgency(a *Alert) {
	if g.counts(a) {
		g.compareUrgencyOf(a, a.Severity())
	}
}

// compareUrgencyOf is compareUrgency for an alert that counts, with its severity.
func (g *AlertGroup) compareUrgencyOf(a *Alert, severity Severity) {
	began := a.Began()
	switch c := cmp.Or(severity.Compare(g.Severity), g.NewestAt.Compare(began), cmp.Compare(severity, g.Severity)); {
	case c < 0:
		g.Severity, g.NewestAt, g.mostUrgent = severity, began, 1
	case c == 0:
		g.mostUrgent++
	}
}

// sharedLabels are the labels and annotations that all firing alerts of a group have
// with the same value, or all alerts if none fires.
type sharedLabels struct{ labels, annotations Labels }

// share sets the shared labels of the group. It derives them from the state before, if
// that has them.
func (g *AlertGroup) share(before *AlertGroup, replaced []alertPair) {
	if before == nil || before.shared == nil || g.onlyFiringCount() != before.onlyFiringCount() {
		g.shared = &sharedLabels{g.sharedBeside(nil, labelsOf), g.sharedBeside(nil, annotationsOf)}
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
		return nil
	}
	return of(g.Alerts[first]).filter(func(l Label) bool {
		_, isKnown := known.Lookup(l.Name)
		return isKnown || g.allHave(g.Alerts[first+1:], of, l)
	})
}

// allHave reports whether all of the alerts that count have the label.
func (g *AlertGroup) allHave(alerts []*Alert, of func(*Alert) Labels, l Label) bool {
	return !slices.ContainsFunc(alerts, func(a *Alert) bool { return g.counts(a) && !of(a).Has(l.Name, l.Value) })
}
