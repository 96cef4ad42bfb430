package templates

import (
	"cmp"
	"maps"
	"slices"

	"muster/grouping"
)

// Chip is a label that leads to the list filtered by it, or a matcher that
// leads to the list without it.
type Chip struct {
	Text string
	Href string // "": its value is too long for an address
}

// chip is a label as a link to the view with it.
func labelChip(name, value string, v View, l Links) Chip {
	return Chip{Text: name + "=" + value, Href: l.groupsWith(v, equals(name, value))}
}

// chips are labels as links, in the order of the names.
func labelChips(of grouping.Labels, v View, l Links, except func(name string) bool) []Chip {
	var out []Chip
	for _, name := range of.Names() {
		if except == nil || !except(name) {
			out = append(out, labelChip(name, of[name], v, l))
		}
	}
	return out
}

// common returns what all the sets share.
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

// commonAnnotation returns the annotation if all alerts carry the same.
func annotationOfAll(alerts []*grouping.Alert, name string) string {
	value := alerts[0].Annotations[name]
	for _, a := range alerts[1:] {
		if a.Annotations[name] != value {
			return ""
		}
	}
	return value
}

// telling are the labels that tell alerts of one name apart best, the best
// first.
var distinguishingLabels = []string{
	"pod", "instance", "service", "persistentvolumeclaim", "statefulset", "deployment", "daemonset", "job_name",
	"node", "host", "hostname", "device", "mountpoint", "container", "topic", "consumergroup", "queue", "job", "namespace", "cluster",
}

// scanned bounds the alerts that are looked at to choose a label.
const maxScannedAlerts = 100

// differs returns the name of the label that tells the alerts apart best, or
// "" if none does.
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
	best, most := "", 1
	for _, name := range some[0].Labels.Names() {
		if name == "alertname" || name == grouping.SeverityLabel() || !varies(name) {
			continue
		}
		seen := map[string]struct{}{}
		for _, a := range some {
			seen[a.Labels[name]] = struct{}{}
		}
		if len(seen) > most {
			best, most = name, len(seen)
		}
	}
	return best
}

// distinct returns the sorted values of a label.
func distinctValues(alerts []*grouping.Alert, name string) []string {
	seen := make(map[string]struct{}, len(alerts))
	for _, a := range alerts {
		if value := a.Labels[name]; value != "" {
			seen[value] = struct{}{}
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// nameCount is how many alerts bear a name.
type nameCount struct {
	name  string
	n     int
	worst grouping.Severity
}

// names counts the alerts by name, the worst first.
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

// firing returns the alerts that fire.
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
