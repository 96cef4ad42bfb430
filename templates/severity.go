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
	lookResolved   = Severity{"ok", "✓", "resolved"}
	lookUnreported = Severity{"unrep", "?", "unreported"}
)

// groupSeverity is how a group looks in a list.
func groupLook(g *grouping.AlertGroup) Severity {
	switch {
	case g.Counts.Firing > 0:
	case g.State == grouping.StateUnreported:
		return lookUnreported
	default:
		return lookResolved
	}
	for _, a := range g.Alerts {
		if a.Status == grouping.StatusFiring && a.Severity() == g.Severity {
			return firingLook(a)
		}
	}
	return severities[g.Severity]
}

// alertSeverity is the severity of a firing alert, in the alert's own word.
func firingLook(a *grouping.Alert) Severity {
	s := severities[a.Severity()]
	if word := a.SeverityWord(); word != "" {
		s.Word = word
	}
	return s
}

// alertLooks is how an alert looks, whatever its status.
func alertLook(a *grouping.Alert) Severity {
	switch a.Status {
	case grouping.StatusResolved:
		return lookResolved
	case grouping.StatusUnreported:
		return lookUnreported
	default:
		return firingLook(a)
	}
}
