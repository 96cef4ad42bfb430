package grouping

import "slices"

// identifyingLabels are the labels that usually distinguish alerts of one name, the best
// first.
var identifyingLabels = []string{
	"pod", "instance", "service", "persistentvolumeclaim", "statefulset", "deployment", "daemonset", "job_name",
	"node", "host", "hostname", "device", "mountpoint", "container", "topic", "consumergroup", "queue", "job", "namespace", "cluster",
}

// maxScannedAlerts is the maximum number of alerts that the search for a distinguishing
// label reads.
const maxScannedAlerts = 100

// DistinguishingLabel returns the name of the label that distinguishes the alerts best,
// or "" if no label does.
func DistinguishingLabel(alerts []*Alert) string {
	some := alerts[:min(len(alerts), maxScannedAlerts)]
	if len(some) == 0 {
		return ""
	}
	varies := func(name string) bool {
		first, ok := some[0].Labels.Lookup(name)
		return ok && slices.ContainsFunc(some[1:], func(a *Alert) bool { return a.Labels.Get(name) != first })
	}
	for _, name := range identifyingLabels {
		if varies(name) {
			return name
		}
	}
	best, maximum := "", 1
	for _, name := range some[0].Labels.Names() {
		if name == "alertname" || name == SeverityLabel() || !varies(name) {
			continue
		}
		seen := map[string]struct{}{}
		for _, a := range some {
			seen[a.Labels.Get(name)] = struct{}{}
		}
		if len(seen) > maximum {
			best, maximum = name, len(seen)
		}
	}
	return best
}

// IdentifyingValue returns the value that identifies an alert among others: the value of
// the label, or else of the best identifying label that the alert does not share with
// the others. It returns "" if the alert has no such label.
func (a *Alert) IdentifyingValue(label string, shared Labels) string {
	if value := a.Labels.Get(label); value != "" {
		return value
	}
	for _, name := range identifyingLabels {
		if value := a.Labels.Get(name); value != "" && value != shared.Get(name) {
			return value
		}
	}
	return ""
}

// maxMainLabels is the number of labels that still fit into one line.
const maxMainLabels = 4

// MainLabels returns the labels that identify an alert best: first those that usually
// differ between alerts, then the severity, then any label. It omits the alertname.
func (l Labels) MainLabels() Labels {
	var few []Label
	add := func(names ...string) {
		for _, name := range names {
			if value, ok := l.Lookup(name); ok && len(few) < maxMainLabels && name != "alertname" &&
				!slices.ContainsFunc(few, func(p Label) bool { return p.Name == name }) {
				few = append(few, Label{name, value})
			}
		}
	}
	add("namespace", "cluster")
	add(identifyingLabels...)
	add(SeverityLabel())
	add(l.Names()...)
	return LabelsOf(few)
}
