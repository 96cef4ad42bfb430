package templates

import (
	"cmp"
	"slices"
	"strings"

	"muster/grouping"
)

// maxShownValues is the maximum number of values in the second line of a row.
const maxShownValues = 3

// secondLine returns what a group is about. It returns a summary only if all of
// its alerts have the same, because the summary of one alert is wrong for others.
func secondLine(g *grouping.AlertGroup) (says, values string) {
	alerts := withStatus(g.Alerts, grouping.StatusFiring)
	if len(alerts) == 0 {
		alerts = g.Alerts
	}
	if len(alerts) == 0 {
		return "", ""
	}
	if g.GroupLabels.Get("alertname") == "" {
		return "", listNames(countNames(alerts))
	}
	if len(alerts) == 1 {
		for _, name := range []string{"description", "message", "summary"} {
			if text := alerts[0].Annotations.Get(name); text != "" {
				return truncateText(text), ""
			}
		}
		return "", ""
	}
	says = annotationOfAll(alerts, "summary")
	if says == "" {
		says = annotationOfAll(alerts, "message")
	}
	if label := grouping.DistinguishingLabel(alerts); label != "" {
		values = listValues(distinctValues(alerts, label))
	}
	return truncateText(says), values
}

// truncateText limits the length of a text in a list. The group's page has the
// whole text.
func truncateText(s string) string {
	const maximum = 240 // bytes; three lines on a wide screen
	if len(s) <= maximum {
		return s
	}
	end := maximum
	for end > 0 && s[end]&0xc0 == 0x80 { // do not split a character
		end--
	}
	return s[:end] + "…"
}

// listValues lists the first values and the number of the others. It writes a
// common prefix once, because names of pods differ in their last part, and a small
// screen cuts that part off.
func listValues(values []string) string {
	rest := ""
	if len(values) > maxShownValues+1 { // ", +1" is not shorter than the value
		rest = ", +" + formatCount(len(values)-maxShownValues)
		values = values[:maxShownValues]
	}
	const lineLength = 40
	plain := strings.Join(values, ", ")
	shared := len(sharedPrefix(values))
	if shared == 0 || len(plain) <= lineLength {
		return plain + rest
	}
	var b strings.Builder
	b.WriteString(values[0])
	for _, value := range values[1:] {
		b.WriteString(", …" + value[shared:])
	}
	return b.String() + rest
}

// sharedPrefix returns the common prefix of all values up to a separator. It is
// empty if the prefix is too short to be worth omitting.
func sharedPrefix(values []string) string {
	if len(values) < 2 {
		return ""
	}
	head := values[0]
	for _, value := range values[1:] {
		for !strings.HasPrefix(value, head) {
			head = head[:len(head)-1]
		}
	}
	const minimum = 10
	head = head[:strings.LastIndexAny(head, "-./:_")+1]
	if len(head) < minimum {
		return ""
	}
	return head
}

func listNames(names []nameCount) string {
	var parts []string
	for i, c := range names {
		if i == maxShownValues+1 {
			parts = append(parts, "+"+formatCount(len(names)-i))
			break
		}
		if c.n > 1 {
			c.name += " ×" + formatCount(c.n)
		}
		parts = append(parts, c.name)
	}
	return strings.Join(parts, ", ")
}

// annotationOfAll returns the annotation if it is equal on all alerts, else "".
func annotationOfAll(alerts []*grouping.Alert, name string) string {
	value := alerts[0].Annotations.Get(name)
	for _, a := range alerts[1:] {
		if a.Annotations.Get(name) != value {
			return ""
		}
	}
	return value
}

// distinctValues returns the sorted values of a label.
func distinctValues(alerts []*grouping.Alert, name string) []string {
	values := make([]string, 0, len(alerts))
	for _, a := range alerts {
		if value := a.Labels.Get(name); value != "" {
			values = append(values, value)
		}
	}
	slices.Sort(values)
	return slices.Compact(values)
}

// nameCount is the number of alerts with one name.
type nameCount struct {
	name  string
	n     int
	worst grouping.Severity
}

// countNames counts the alerts by name. The name with the worst severity is first.
func countNames(alerts []*grouping.Alert) []nameCount {
	byName := map[string]*nameCount{}
	for _, a := range alerts {
		c := byName[a.Name()]
		if c == nil {
			c = &nameCount{name: cmp.Or(a.Name(), "(no alertname)"), worst: grouping.SeverityNone}
			byName[a.Name()] = c
		}
		c.n++
		if s := a.Severity(); s.Compare(c.worst) < 0 {
			c.worst = s
		}
	}
	out := make([]nameCount, 0, len(byName))
	for _, c := range byName {
		out = append(out, *c)
	}
	slices.SortFunc(out, func(a, b nameCount) int {
		return cmp.Or(a.worst.Compare(b.worst), cmp.Compare(b.n, a.n), cmp.Compare(a.name, b.name))
	})
	return out
}
