package templates

import (
	"cmp"
	"maps"
	"slices"

	"muster/grouping"
)

// Chip is a label or a matcher as a link. A label leads to the list filtered by
// it. An active matcher leads to the list without it.
type Chip struct {
	Text string
	Href string // "" if the value is too long for a URL
}

// labelChip returns a label that leads to the view filtered by it.
func labelChip(name, value string, v View, l Links) Chip {
	return Chip{Text: name + "=" + value, Href: l.groupsWith(v, equals(name, value))}
}

// labelChips returns labels as chips, in the order of their names. It skips the
// names for which except returns true; except can be nil.
func labelChips(of grouping.Labels, v View, l Links, except func(name string) bool) []Chip {
	var out []Chip
	for _, name := range of.Names() {
		if except == nil || !except(name) {
			out = append(out, labelChip(name, of[name], v, l))
		}
	}
	return out
}

// sharedByAll returns the labels that are equal in all n label sets.
func sharedByAll(n int, at func(i int) grouping.Labels) grouping.Labels {
	if n == 0 {
		return nil
	}
	shared := maps.Clone(at(0))
	for i := 1; i < n && len(shared) > 0; i++ {
		l := at(i)
		for name, value := range shared {
			if other, ok := l[name]; !ok || other != value {
				delete(shared, name)
			}
		}
	}
	return shared
}

func labelsOfAll(alerts []*grouping.Alert) grouping.Labels {
	return sharedByAll(len(alerts), func(i int) grouping.Labels { return alerts[i].Labels })
}

func annotationsOfAll(alerts []*grouping.Alert) grouping.Labels {
	return sharedByAll(len(alerts), func(i int) grouping.Labels { return alerts[i].Annotations })
}

// annotationOfAll returns the annotation if it is equal on all alerts, else "".
func annotationOfAll(alerts []*grouping.Alert, name string) string {
	value := alerts[0].Annotations[name]
	for _, a := range alerts[1:] {
		if a.Annotations[name] != value {
			return ""
		}
	}
	return value
}

// distinguishingLabels are the labels that usually distinguish alerts of one name,
// the best first.
var distinguishingLabels = []string{
	"pod", "instance", "service", "persistentvolumeclaim", "statefulset", "deployment", "daemonset", "job_name",
	"node", "host", "hostname", "device", "mountpoint", "container", "topic", "consumergroup", "queue", "job", "namespace", "cluster",
}

// maxScannedAlerts is the maximum number of alerts that the search for a
// distinguishing label reads.
const maxScannedAlerts = 100

// distinguishingLabel returns the name of the label that distinguishes the alerts
// best, or "" if no label does.
func distinguishingLabel(alerts []*grouping.Alert) string {
	some := alerts[:min(len(alerts), maxScannedAlerts)]
	varies := func(name string) bool {
		first, ok := some[0].Labels[name]
		return ok && slices.ContainsFunc(some[1:], func(a *grouping.Alert) bool { return a.Labels[name] != first })
	}
	for _, name := range distinguishingLabels {
		if varies(name) {
			return name
		}
	}
	best, maximum := "", 1
	for _, name := range some[0].Labels.Names() {
		if name == "alertname" || name == grouping.SeverityLabel() || !varies(name) {
			continue
		}
		seen := map[string]struct{}{}
		for _, a := range some {
			seen[a.Labels[name]] = struct{}{}
		}
		if len(seen) > maximum {
			best, maximum = name, len(seen)
		}
	}
	return best
}

// distinctValues returns the sorted values of a label.
func distinctValues(alerts []*grouping.Alert, name string) []string {
	seen := make(map[string]struct{}, len(alerts))
	for _, a := range alerts {
		if value := a.Labels[name]; value != "" {
			seen[value] = struct{}{}
		}
	}
	return slices.Sorted(maps.Keys(seen))
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

// firingAlerts returns the firing alerts. The caller must not change the result,
// which can be the given slice.
func firingAlerts(alerts []*grouping.Alert) []*grouping.Alert {
	return withStatus(alerts, grouping.StatusFiring)
}

func withStatus(alerts []*grouping.Alert, s grouping.Status) []*grouping.Alert {
	n := 0
	for _, a := range alerts {
		if a.Status == s {
			n++
		}
	}
	if n == len(alerts) {
		return alerts
	}
	out := make([]*grouping.Alert, 0, n)
	for _, a := range alerts {
		if a.Status == s {
			out = append(out, a)
		}
	}
	return out
}
