package templates

import (
	"regexp"
	"strings"

	"github.com/prometheus/alertmanager/pkg/labels"

	"muster/grouping"
)

// Severity is how a page shows a severity or a status: a color, a shape and a word.
// The color is never the only sign.
type Severity struct {
	Class string // in the style sheet
	Shape string
	Word  string // the alert's own word, if it has one
	Mute  bool   // suppressed: only the outline is drawn
}

// severities has a look for each severity. The shapes have different outlines, so
// that they differ without color too.
var severities = [...]Severity{
	grouping.SeverityCritical: {Class: "crit", Shape: "▲", Word: "critical"},
	grouping.SeverityWarning:  {Class: "warn", Shape: "◆", Word: "warning"},
	grouping.SeverityInfo:     {Class: "info", Shape: "●", Word: "info"},
	grouping.SeverityOther:    {Class: "other", Shape: "○", Word: "unrated"},
	grouping.SeverityNone:     {Class: "other", Shape: "○", Word: "none"},
}

// hollow has the shapes of suppressed alerts.
var hollow = [...]string{
	grouping.SeverityCritical: "△",
	grouping.SeverityWarning:  "◇",
	grouping.SeverityInfo:     "○",
	grouping.SeverityOther:    "○",
	grouping.SeverityNone:     "○",
}

var (
	lookResolved   = Severity{Class: "ok", Shape: "✓", Word: "resolved"}
	lookUnreported = Severity{Class: "unrep", Shape: "?", Word: "unreported"}
)

// groupLook returns the look of a group in a list.
func groupLook(g *grouping.AlertGroup) Severity {
	status := grouping.StatusFiring
	switch {
	case g.Counts.Firing > 0:
	case g.Counts.Suppressed > 0:
		status = grouping.StatusSuppressed
	case g.State == grouping.StateUnreported:
		return lookUnreported
	default:
		return lookResolved
	}
	for _, a := range g.Alerts {
		if a.ShownStatus() == status && a.Severity() == g.Severity {
			return alertLook(a)
		}
	}
	return severities[g.Severity]
}

// firingLook returns the look of a firing alert, with the alert's own word.
func firingLook(a *grouping.Alert) Severity {
	s := severities[a.Severity()]
	if word := a.SeverityWord(); word != "" {
		s.Word = word
	}
	return s
}

// suppressedLook returns the look of a suppressed alert: that of a firing one, but hollow.
func suppressedLook(a *grouping.Alert) Severity {
	s := firingLook(a)
	s.Shape, s.Mute = hollow[a.Severity()], true
	return s
}

// alertLook returns the look of an alert in any status.
func alertLook(a *grouping.Alert) Severity {
	switch a.ShownStatus() {
	case grouping.StatusSuppressed:
		return suppressedLook(a)
	case grouping.StatusResolved:
		return lookResolved
	case grouping.StatusUnreported:
		return lookUnreported
	default:
		return firingLook(a)
	}
}

// severityMatcher returns a matcher for the alerts of a severity. words are the words
// that these alerts use. Without words, it matches the usual one.
func severityMatcher(words []string, usual string) *labels.Matcher {
	switch len(words) {
	case 0:
		return equals(grouping.SeverityLabel(), usual)
	case 1:
		return equals(grouping.SeverityLabel(), words[0])
	}
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = regexp.QuoteMeta(word)
	}
	m, err := labels.NewMatcher(labels.MatchRegexp, grouping.SeverityLabel(), strings.Join(quoted, "|"))
	if err != nil {
		return equals(grouping.SeverityLabel(), usual) // cannot happen, because the words are quoted
	}
	return m
}
