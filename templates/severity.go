package templates

import "muster/grouping"

// Severity is how a severity, or the lack of one, looks: a colour, a shape and
// a word, never the colour alone.
type Severity struct {
	Class string // of the style sheet
	Shape string
	Word  string // the alert's own, where it has one
}

// severities by rank. The shapes differ in outline, not only in colour.
var severities = [...]Severity{
	grouping.SeverityCritical: {"crit", "▲", "critical"},
	grouping.SeverityWarning:  {"warn", "◆", "warning"},
	grouping.SeverityInfo:     {"info", "●", "info"},
	grouping.SeverityOther:    {"other", "○", "unrated"},
	grouping.SeverityNone:     {"other", "○", "none"},
}

var (
	looksResolved   = Severity{"ok", "✓", "resolved"}
	looksUnreported = Severity{"unrep", "?", "unreported"}
)

// groupSeverity is how a group looks in a list.
func groupSeverity(g *grouping.AlertGroup) Severity {
	switch {
	case g.Counts.Firing > 0:
	case g.State == grouping.StateUnreported:
		return looksUnreported
	default:
		return looksResolved
	}
	for _, a := range g.Alerts {
		if a.Status == grouping.StatusFiring && a.Severity() == g.Severity {
			return alertSeverity(a)
		}
	}
	return severities[g.Severity]
}

// alertSeverity is the severity of a firing alert, in the alert's own word.
func alertSeverity(a *grouping.Alert) Severity {
	s := severities[a.Severity()]
	if word := a.SeverityWord(); word != "" {
		s.Word = word
	}
	return s
}

// alertLooks is how an alert looks, whatever its status.
func alertLooks(a *grouping.Alert) Severity {
	switch a.Status {
	case grouping.StatusResolved:
		return looksResolved
	case grouping.StatusUnreported:
		return looksUnreported
	default:
		return alertSeverity(a)
	}
}
