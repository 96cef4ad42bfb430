package templates

import "muster/grouping"

// Chip is a label or a matcher as a link. A label leads to the list filtered by
// it. An active matcher leads to the list without it.
type Chip struct {
	Text string
	Href string // "" if the value is too long for a URL
}

// labelChip returns a label that leads to the view filtered by it. The details of a group or
// an alert have a long label whole.
func labelChip(name, value string, v View, l Links) Chip {
	return Chip{Text: shorten(name + "=" + value), Href: l.groupsWith(v, equals(name, value))}
}

// labelChips returns labels as chips, in the order of their names. It skips the
// names for which except returns true; except can be nil.
func labelChips(of grouping.Labels, v View, l Links, except func(name string) bool) []Chip {
	var out []Chip
	for _, name := range of.Names() {
		if except == nil || !except(name) {
			out = append(out, labelChip(name, of.Get(name), v, l))
		}
	}
	return out
}

// withStatus returns the alerts with a shown status. The caller must not change the
// result, which can be the given slice.
func withStatus(alerts []*grouping.Alert, s grouping.Status) []*grouping.Alert {
	n := 0
	for _, a := range alerts {
		if a.ShownStatus() == s {
			n++
		}
	}
	if n == len(alerts) {
		return alerts
	}
	out := make([]*grouping.Alert, 0, n)
	for _, a := range alerts {
		if a.ShownStatus() == s {
			out = append(out, a)
		}
	}
	return out
}
