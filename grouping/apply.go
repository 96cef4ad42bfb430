package grouping

import (
	"maps"
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

// apply returns the group after the notification, and the events of the change.
// g may be nil or a tombstone. apply is a pure function: equal arguments give
// equal results. If a notification is applied a second time, only counters and
// last-seen times change.
func apply(g *AlertGroup, n Notification, r rules) (*AlertGroup, []Event) {
	tr := newTransition(g, n.Key, n.Stamp)
	tr.rules, tr.sender = r, n.ExternalURL
	// Another replica's notification may have overtaken this one. Then its view
	// of known alerts is outdated.
	tr.outdated = tr.isOvertaken()

	listed := make(map[Fingerprint]NotifiedAlert, len(n.Alerts))
	var firing, resolved int
	for _, na := range n.Alerts {
		// If an alert is listed twice, the first firing entry wins.
		if before, twice := listed[na.Fingerprint]; twice && (before.Status == StatusFiring || na.Status != StatusFiring) {
			continue
		}
		listed[na.Fingerprint] = na
	}
	for _, na := range listed {
		if na.Status == StatusFiring {
			firing++
		} else {
			resolved++
		}
	}
	tr.partial = tr.outdated || n.Truncated > 0 || tr.omitsRecentlyReported(listed)
	if !tr.partial {
		for i, a := range tr.alerts {
			if _, ok := listed[a.Fingerprint]; !ok {
				tr.alerts[i] = tr.applyOmitted(a)
			}
		}
	}
	n.Truncate(tr.enforceLimit(listed))
	for _, fp := range slices.Sorted(maps.Keys(listed)) {
		tr.applyListed(listed[fp])
	}
	tr.log.add(Event{
		Kind: EventNotified, Labels: n.GroupLabels,
		Notified: &Notified{Reason: n.Reason, ExternalURL: n.ExternalURL, Firing: firing, Resolved: resolved, Truncated: n.Truncated},
	})
	if !tr.outdated {
		m := &tr.meta
		m.GroupLabels, m.RouteLabels, m.ExternalURL = n.GroupLabels, n.RouteLabels, n.ExternalURL
		m.CommonLabels, m.CommonAnnotations = n.CommonLabels, n.CommonAnnotations
		if tr.partial {
			m.CommonLabels, m.CommonAnnotations = tr.common()
		} else {
			m.CompleteAt, m.CompleteBy = tr.at, n.ExternalURL
		}
		m.LastNotifiedAt, m.LastReason, m.Truncated, m.Stale = tr.at, n.Reason, n.Truncated, false
		if firing > 0 && IsHeartbeatGroup(tr.heartbeats, &AlertGroup{Alerts: tr.alerts}) {
			m.Beats = recordBeat(m.Beats, n.ExternalURL, tr.at)
		}
	}
	return tr.finish()
}

// applyAlert returns the group after a report of a single alert. The report
// does not change the other alerts.
func applyAlert(g *AlertGroup, key Key, na NotifiedAlert, stamp Stamp, r rules) (*AlertGroup, []Event) {
	tr := newTransition(g, key, stamp)
	tr.rules, tr.partial = r, true
	listed := map[Fingerprint]NotifiedAlert{na.Fingerprint: na}
	if tr.enforceLimit(listed); len(listed) > 0 {
		tr.applyListed(na)
	}
	tr.meta.CommonLabels, tr.meta.CommonAnnotations = tr.common()
	return tr.finish()
}

// removeAlerts returns the group without the alerts, and the events of the
// removal.
func removeAlerts(g *AlertGroup, fps []Fingerprint, stamp Stamp) (*AlertGroup, []Event) {
	tr := newTransition(g, g.Key, stamp)
	for _, fp := range fps {
		i, ok := tr.find(fp)
		if !ok {
			continue
		}
		tr.remove(i)
	}
	if len(tr.alerts) == 0 {
		tr.log.addForGroup(EventExpired, g.GroupLabels)
	} else {
		tr.meta.CommonLabels, tr.meta.CommonAnnotations = tr.common()
	}
	return tr.finish()
}
