package grouping

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"time"
)

// Statuses lists every status of an alert that is shown, the most urgent first.
func Statuses() []Status {
	return []Status{StatusFiring, StatusSuppressed, StatusUnreported, StatusResolved}
}

func (s Status) urgency() int { return slices.Index(Statuses(), s) }

// SortByUrgency returns the alerts in the order of urgency: firing, suppressed, unreported,
// resolved. Within a status, the worst severity comes first, then the newest alert. For
// resolved alerts, only the time matters.
func SortByUrgency(alerts []*Alert) []*Alert {
	type ranked struct {
		status   int
		severity Severity
		alert    *Alert
	}
	order := make([]ranked, len(alerts))
	for i, a := range alerts {
		order[i] = ranked{a.ShownStatus().urgency(), a.Severity(), a}
		if a.Status == StatusResolved {
			order[i].severity = SeverityNone
		}
	}
	slices.SortStableFunc(order, func(x, y ranked) int {
		return cmp.Or(cmp.Compare(x.status, y.status), x.severity.Compare(y.severity), y.alert.Began().Compare(x.alert.Began()))
	})
	out := make([]*Alert, len(order))
	for i := range order {
		out[i] = order[i].alert
	}
	return out
}

// WorstReports returns one group per source, in the order of the source names: the
// group that reports the worst state of the alert. Every group must hold the alert.
// The receivers of one source can differ, because Alertmanager notifies them at
// different times.
func WorstReports(fp Fingerprint, groups []*AlertGroup) []*AlertGroup {
	worst := map[string]*AlertGroup{}
	for _, g := range groups {
		if known := worst[g.Source]; known == nil || compareReports(g.Alert(fp), known.Alert(fp)) > 0 {
			worst[g.Source] = g
		}
	}
	out := make([]*AlertGroup, 0, len(worst))
	for _, source := range slices.Sorted(maps.Keys(worst)) {
		out = append(out, worst[source])
	}
	return out
}

// BySource yields the groups of each source, in the order of the source names.
func BySource(groups []*AlertGroup) iter.Seq2[string, []*AlertGroup] {
	of := map[string][]*AlertGroup{}
	for _, g := range groups {
		of[g.Source] = append(of[g.Source], g)
	}
	return func(yield func(string, []*AlertGroup) bool) {
		for _, source := range slices.Sorted(maps.Keys(of)) {
			if !yield(source, of[source]) {
				return
			}
		}
	}
}

// WorstReport returns the group that reports the worst state of the alert. groups must
// not be empty, and every group must hold the alert.
func WorstReport(fp Fingerprint, groups []*AlertGroup) *AlertGroup {
	return slices.MaxFunc(groups, func(x, y *AlertGroup) int { return compareReports(x.Alert(fp), y.Alert(fp)) })
}

// compareReports compares how two groups report one alert. The worse report is greater.
// If the statuses are equal, the newer report is greater.
func compareReports(a, b *Alert) int {
	return cmp.Or(cmp.Compare(b.ShownStatus().urgency(), a.ShownStatus().urgency()), cmp.Compare(a.Stamp, b.Stamp))
}

// OldestFiring returns the start of the oldest firing alert, or zero if no alert fires.
func (g *AlertGroup) OldestFiring() time.Time {
	return g.oldest(func(a *Alert) bool { return a.ShownStatus() == StatusFiring })
}

// WorstSince returns the start of the oldest firing alert with the group's severity. If no
// alert fires, it is that of the suppressed ones, or zero.
func (g *AlertGroup) WorstSince() time.Time {
	return g.oldest(func(a *Alert) bool {
		return g.countedStatus() != "" && g.counts(a) && a.Severity() == g.Severity
	})
}

func (g *AlertGroup) oldest(counts func(*Alert) bool) time.Time {
	var at time.Time
	for _, a := range g.Alerts {
		if counts(a) && (at.IsZero() || a.Began().Before(at)) {
			at = a.Began()
		}
	}
	return at
}

// maxHiddenSkew is the maximum time by which a start can be in the future without being
// worth a warning. Clocks of different machines always differ a little.
const maxHiddenSkew = time.Minute

// FutureStart returns the latest start of the alerts that are not resolved. It reports
// whether this start is in the future, so that the clock of the sender must be wrong.
func FutureStart(alerts []*Alert, now time.Time) (at time.Time, future bool) {
	for _, a := range alerts {
		if a.Status != StatusResolved && a.StartsAt.After(at) {
			at = a.StartsAt
		}
	}
	return at, at.Sub(now) > maxHiddenSkew
}
