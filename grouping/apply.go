package grouping

import (
	"cmp"
	"slices"
	"time"

	"github.com/prometheus/alertmanager/pkg/labels"
)

// rules are the settings that apply depends on.
type rules struct {
	settle    time.Duration // --group.settle
	groupWait time.Duration // --group.wait
	maxAlerts int           // --group.max-alerts; 0: no limit
	// heartbeats selects the alerts whose intervals are recorded.
	heartbeats []labels.Matchers
}

// apply returns the change that a notification makes to a group. g may be nil or a
// tombstone. apply is a pure function: equal arguments give
// equal results. If a notification is applied a second time, only counters and
// last-seen times change.
func apply(g *AlertGroup, n Notification, r rules) Change {
	tr := newTransition(g, n.Key, n.Stamp)
	tr.rules, tr.sender = r, n.ExternalURL
	// Another replica's notification may have overtaken this one. Then its view
	// of known alerts is outdated.
	tr.outdated = tr.isOvertaken()

	listed := uniqueAlerts(n.Alerts)
	firing, resolved := countNotified(listed)
	if tr.partial = tr.outdated || n.Truncated > 0; !tr.partial {
		omitted := tr.omittedFrom(listed)
		if tr.partial = tr.omitsRecentlyReported(omitted); !tr.partial {
			for _, i := range omitted {
				tr.alerts[i] = tr.applyOmitted(tr.alerts[i])
			}
		}
	}
	listed, rejected := tr.enforceLimit(listed)
	n.Truncate(rejected)
	if tr.before == nil {
		tr.log.events = slices.Grow(tr.log.events, len(listed)+2) // opened and notified too
	}
	for _, na := range listed {
		tr.applyListed(*na)
	}
	tr.log.add(Event{
		Kind: EventNotified, Labels: n.GroupLabels,
		Notified: &Notified{Reason: n.Reason, ExternalURL: n.ExternalURL, Firing: firing, Resolved: resolved, Truncated: n.Truncated},
	})
	if !tr.outdated {
		m := &tr.meta
		m.GroupLabels, m.RouteLabels, m.ExternalURL = n.GroupLabels, n.RouteLabels, n.ExternalURL
		m.CommonLabels, m.CommonAnnotations = n.CommonLabels, n.CommonAnnotations
		if tr.setShared = tr.partial; !tr.partial {
			m.CompleteAt, m.CompleteBy = tr.at, n.ExternalURL
		}
		m.LastNotifiedAt, m.LastReason, m.Truncated, m.Stale = tr.at, n.Reason, n.Truncated, false
		if firing > 0 && IsHeartbeatGroup(tr.heartbeats, &AlertGroup{Alerts: tr.alerts}) {
			m.Beats = RecordBeat(m.Beats, n.ExternalURL, tr.at)
		}
	}
	return tr.finish()
}

// uniqueAlerts returns the alerts sorted by fingerprint. If an alert is listed twice, it
// returns the first firing entry, else the first one.
func uniqueAlerts(alerts []NotifiedAlert) []*NotifiedAlert {
	unique := make([]*NotifiedAlert, len(alerts))
	for i := range alerts {
		unique[i] = &alerts[i]
	}
	slices.SortStableFunc(unique, func(a, b *NotifiedAlert) int {
		return cmp.Or(cmp.Compare(a.Fingerprint, b.Fingerprint), cmp.Compare(a.firingFirst(), b.firingFirst()))
	})
	return slices.CompactFunc(unique, func(a, b *NotifiedAlert) bool { return a.Fingerprint == b.Fingerprint })
}

func (na *NotifiedAlert) firingFirst() int {
	if na.Status == StatusFiring {
		return 0
	}
	return 1
}

func countNotified(alerts []*NotifiedAlert) (firing, resolved int) {
	for _, na := range alerts {
		if na.Status == StatusFiring {
			firing++
		} else {
			resolved++
		}
	}
	return firing, resolved
}

// omittedFrom returns the indexes of the group's alerts that are not listed. Both lists
// are sorted by fingerprint.
func (tr *transition) omittedFrom(listed []*NotifiedAlert) (omitted []int) {
	for i, a := range tr.alerts {
		for len(listed) > 0 && listed[0].Fingerprint < a.Fingerprint {
			listed = listed[1:]
		}
		if len(listed) == 0 || listed[0].Fingerprint != a.Fingerprint {
			omitted = append(omitted, i)
		}
	}
	return omitted
}

// isListed reports whether the sorted list holds the alert.
func isListed(listed []*NotifiedAlert, fp Fingerprint) bool {
	_, ok := slices.BinarySearchFunc(listed, fp, func(na *NotifiedAlert, fp Fingerprint) int { return cmp.Compare(na.Fingerprint, fp) })
	return ok
}

// applyAlert returns the change that a report of a single alert makes. It does not
// change the other alerts.
func applyAlert(g *AlertGroup, key Key, na NotifiedAlert, stamp Stamp, r rules) Change {
	tr := newTransition(g, key, stamp)
	tr.rules, tr.partial, tr.setShared = r, true, true
	if listed, _ := tr.enforceLimit([]*NotifiedAlert{&na}); len(listed) > 0 {
		tr.applyListed(na)
	}
	return tr.finish()
}

// applyRemoval returns the change that removes the alerts from the group.
func applyRemoval(g *AlertGroup, fps []Fingerprint, stamp Stamp) Change {
	tr := newTransition(g, g.Key, stamp)
	tr.remove(fps)
	if len(tr.alerts) == 0 {
		tr.log.addForGroup(EventExpired, g.GroupLabels)
	} else {
		tr.setShared = true
	}
	return tr.finish()
}
