package grouping

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/prometheus/alertmanager/pkg/labels"
)

// Notification is one delivery of one message about one group. The same
// message may be delivered again, and by several HA replicas.
type Notification struct {
	Key

	Alerts            []NotifiedAlert
	GroupLabels       Labels
	CommonLabels      Labels
	CommonAnnotations Labels
	RouteLabels       Labels
	ExternalURL       string // of the Alertmanager that sent it
	Reason            string // as sent; "" before Alertmanager 0.32
	Truncated         uint64 // number of alerts truncated from the message; 0: the message is complete

	// Stamp is the time of arrival. It is taken when the request is accepted,
	// before its body is read.
	Stamp Stamp
}

// Truncate adds to the number of alerts truncated from the message. The number
// comes from the wire, so the sum saturates instead of overflowing.
func (n *Notification) Truncate(alerts uint64) {
	if n.Truncated += alerts; n.Truncated < alerts {
		n.Truncated = math.MaxUint64
	}
}

// NotifiedAlert is an alert as a notification lists it.
type NotifiedAlert struct {
	Fingerprint      Fingerprint
	Status           Status // firing or resolved
	Labels           Labels
	Annotations      Labels
	GeneratorURL     string
	Grafana          *Grafana // nil unless Grafana sent it
	StartsAt, EndsAt time.Time
}

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
		Kind: EventNotified, Labels: n.GroupLabels, Reason: n.Reason, ExternalURL: n.ExternalURL,
		Firing: firing, Resolved: resolved, Truncated: n.Truncated,
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

// transition builds the next state of a group.
type transition struct {
	rules
	before       *AlertGroup // nil for a new group
	at           time.Time   // arrival
	stamp        Stamp
	sender       string // external URL of the sender
	outdated     bool   // the stored state is newer than the notification
	partial      bool   // an alert that is not listed does not count as omitted
	inDispute    bool   // a status change belongs to a dispute between Alertmanagers
	disputeEnded bool   // a dispute about an already resolved alert ended

	id      ID
	deleted Stamp
	version int64
	counter int64
	meta    Meta
	alerts  []*Alert // sorted by fingerprint
	removed map[Fingerprint]Stamp
	log     eventLog
}

func newTransition(g *AlertGroup, key Key, stamp Stamp) *transition {
	tr := &transition{at: stamp.Time(), stamp: stamp, id: key.ID(), removed: map[Fingerprint]Stamp{}}
	if g != nil {
		tr.deleted, tr.version, tr.counter = g.Deleted, g.Version, g.Notifications
		maps.Copy(tr.removed, g.Removed)
		if !g.IsTombstone() {
			tr.before, tr.meta, tr.alerts = g, g.Meta, slices.Clone(g.Alerts)
		}
	}
	tr.log = eventLog{stamp: stamp, key: key, id: tr.id}
	if tr.before == nil {
		// The group's own fields must also be newer than the deletion.
		tr.meta = Meta{Key: key, CreatedAt: tr.at, Settling: true, Stamp: tr.deleted}
	}
	return tr
}

// finish completes the group and its events. The opened event comes first, the
// closed event last.
func (tr *transition) finish() (*AlertGroup, []Event) {
	if tr.before == nil || tr.fromFuture(tr.meta.CreatedAt) {
		tr.meta.CreatedAt, tr.meta.FlushAt = tr.at, tr.at.Add(tr.groupWait)
	}
	if !tr.outdated {
		tr.meta.Stamp = tr.stamp.supersedes(tr.meta.Stamp)
		tr.meta.UpdatedAt = tr.at
	}
	// No alert may be newer than its group's own fields. Merge relies on this.
	for _, a := range tr.alerts {
		tr.meta.Stamp = max(tr.meta.Stamp, a.Stamp)
	}
	g := NewAlertGroup(AlertGroup{
		ID: tr.id, Meta: tr.meta, Alerts: tr.alerts, Removed: tr.removed, Deleted: tr.deleted,
		Version: tr.version, Notifications: tr.counter,
	})
	wasOpen := tr.before != nil && tr.before.State != StateResolved
	isOpen := g.State != StateResolved
	switch {
	case tr.inDispute && !slices.ContainsFunc(tr.log.events, func(e Event) bool { return e.Kind != EventNotified }):
		// If a dispute wrote no event for its alert, it writes no opened or closed
		// event for the group either.
	case !wasOpen && isOpen:
		events := tr.log.events
		tr.log.events = nil
		tr.log.addForGroup(EventOpened, g.GroupLabels)
		for _, e := range events {
			tr.log.add(e)
		}
	case !isOpen && len(g.Alerts) > 0 && (wasOpen || tr.before == nil || tr.disputeEnded):
		tr.log.addForGroup(EventClosed, g.GroupLabels)
	}
	return g, tr.log.events
}

// find returns the alert's index in the list and true, or the index at which to
// insert it and false.
func (tr *transition) find(fp Fingerprint) (int, bool) {
	return slices.BinarySearchFunc(tr.alerts, fp, func(a *Alert, fp Fingerprint) int {
		return cmp.Compare(a.Fingerprint, fp)
	})
}

// remove removes the alert at the index in the list.
func (tr *transition) remove(i int) {
	a := tr.alerts[i]
	tr.log.addForAlert(EventExpired, a)
	tr.removed[a.Fingerprint] = tr.stamp.supersedes(a.Stamp)
	tr.alerts = slices.Delete(tr.alerts, i, i+1)
}

// enforceLimit keeps the group within its maximum number of alerts. It evicts
// alerts that do not fire to make room for new firing alerts. It evicts resolved
// alerts before unreported ones, and those that changed longest ago first. New
// alerts that still exceed the limit are removed from listed. It returns how many
// of those fire.
func (tr *transition) enforceLimit(listed map[Fingerprint]NotifiedAlert) (rejected uint64) {
	var added []Fingerprint
	firing := 0
	for fp, na := range listed {
		if _, known := tr.find(fp); known {
			continue
		}
		added = append(added, fp)
		if na.Status == StatusFiring {
			firing++
		}
	}
	if tr.maxAlerts == 0 || len(tr.alerts)+len(added) <= tr.maxAlerts {
		return 0
	}
	var evictable []*Alert
	for _, a := range tr.alerts {
		if _, ok := listed[a.Fingerprint]; !ok && a.Status != StatusFiring {
			evictable = append(evictable, a)
		}
	}
	slices.SortFunc(evictable, func(a, b *Alert) int {
		return cmp.Or(cmp.Compare(a.Status, b.Status), a.ChangedAt.Compare(b.ChangedAt), compareFingerprints(a, b))
	})
	excess := max(0, len(tr.alerts)+firing-tr.maxAlerts)
	for _, a := range evictable[:min(excess, len(evictable))] {
		i, _ := tr.find(a.Fingerprint)
		tr.remove(i)
	}
	slices.SortFunc(added, func(a, b Fingerprint) int { // firing alerts first
		return cmp.Or(cmp.Compare(listed[a].Status, listed[b].Status), cmp.Compare(a, b))
	})
	free := max(0, tr.maxAlerts-len(tr.alerts))
	for _, fp := range added[min(free, len(added)):] {
		if listed[fp].Status == StatusFiring {
			rejected++
		}
		delete(listed, fp)
	}
	return rejected
}

// applyListed applies one alert that the message lists.
func (tr *transition) applyListed(na NotifiedAlert) {
	if na.Status != StatusFiring {
		na.Status = StatusResolved
	}
	i, known := tr.find(na.Fingerprint)
	if !known {
		tr.alerts = slices.Insert(tr.alerts, i, tr.addAlert(na))
		return
	}
	a := tr.alerts[i]
	if tr.outdated || tr.stamp.precedes(a.Stamp) {
		return
	}
	na.StartsAt = tr.startOf(a, na)
	if na.Status == StatusFiring {
		tr.alerts[i] = tr.fire(a, na)
	} else {
		tr.alerts[i] = tr.resolve(a, na)
	}
}

// startOf returns the start of the episode that na reports. If the reported start
// lies inside a known ended episode, a second Prometheus reported that episode.
// Alertmanager merges such overlapping episodes and keeps the earliest start, so
// startOf does too.
func (tr *transition) startOf(a *Alert, na NotifiedAlert) time.Time {
	switch ended := a.Status == StatusResolved; {
	case na.StartsAt.IsZero() && ended && na.Status == StatusFiring:
		return tr.at // the sender sends no times
	case na.StartsAt.IsZero(),
		ended && na.StartsAt.After(a.StartsAt) && na.StartsAt.Before(a.EndsAt):
		return a.StartsAt
	default:
		return na.StartsAt
	}
}

// addAlert records an alert that is seen for the first time. It may already be
// resolved.
func (tr *transition) addAlert(na NotifiedAlert) *Alert {
	a := &Alert{
		Fingerprint: na.Fingerprint, Status: na.Status, StartsAt: na.StartsAt,
		FirstSeenAt: tr.at, ChangedAt: tr.at,
	}
	if na.Status == StatusResolved {
		a.EndsAt = tr.endOf(na)
	}
	if na.StartsAt.IsZero() {
		a.StartsAt = tr.at // but never later than the end
		if na.Status == StatusResolved {
			a.StartsAt = earliest(tr.at, a.EndsAt)
		}
	}
	// If the alert was removed before, its new record must be newer than the
	// removal.
	a.RemovalStamp = tr.removed[na.Fingerprint]
	a.Stamp = max(a.RemovalStamp, tr.deleted)
	delete(tr.removed, na.Fingerprint)
	a = tr.recordAlert(a, na)
	if na.Status == StatusFiring {
		tr.log.addForAlert(EventFired, a)
	} else {
		tr.log.addForAlert(EventResolved, a)
	}
	return a
}

// fire applies "firing" to a known alert.
func (tr *transition) fire(a *Alert, na NotifiedAlert) *Alert {
	if a.Status == StatusFiring && na.StartsAt.Equal(a.StartsAt) && tr.isUnchanged(a, na) {
		return a // true for most alerts of a large group: avoid the copy below
	}
	seenAt, _ := tr.lastSeen(a)
	next := *a
	next.Status, next.EndsAt = StatusFiring, time.Time{}
	if a.Status != StatusFiring {
		next.ChangedAt = tr.at
	}
	switch {
	case a.Status != StatusResolved && na.StartsAt.After(a.StartsAt) && na.StartsAt.After(seenAt):
		// The alert ended and fired again between two notifications: the new start
		// is after the last report of the old episode.
		next.StartsAt, next.Disputed, next.ChangedAt = na.StartsAt, false, tr.at
		next.Recorded = putEpisode(next.Recorded, Episode{StartsAt: a.StartsAt, Stamp: tr.stamp.supersedes(a.Stamp)})
		tr.log.addForAlert(EventRefired, &next)

	case a.Status != StatusResolved:
		// The same episode. Its start can move back. A later start comes from a
		// second Prometheus and changes nothing.
		next.StartsAt = earliest(a.StartsAt, na.StartsAt)
		if a.Status == StatusUnreported {
			tr.log.addForAlert(EventReturned, &next)
		}

	case na.StartsAt.After(a.StartsAt):
		next.StartsAt, next.Disputed = na.StartsAt, false
		tr.log.addForAlert(EventRefired, &next)

	case tr.isOtherSender(a.ReportedBy) && tr.isRecent(a.ChangedAt):
		// This is the older view of another replica, sent after its peer timeout.
		return a

	default:
		// The alert fires with the same start after a resolution. This becomes a
		// dispute only when the resolution is repeated. Until then, the
		// Alertmanager that sent the resolution may have been replaced by a pod
		// with another name. The page shows a dispute. The history gets no event
		// each time the reported status changes.
		next.StartsAt = earliest(a.StartsAt, na.StartsAt)
		if tr.inDispute = tr.inDispute || a.Disputed; !a.Disputed {
			tr.log.addForAlert(EventReopened, &next)
		}
	}
	return tr.recordIfChanged(a, &next, na)
}

// resolve applies "resolved" to a known alert.
func (tr *transition) resolve(a *Alert, na NotifiedAlert) *Alert {
	if na.StartsAt.Before(a.StartsAt) && !na.EndsAt.After(a.StartsAt) {
		return a // an older episode is listed again
	}
	seenAt, _ := tr.lastSeen(a)
	next := *a
	next.Status, next.EndsAt = StatusResolved, tr.endOf(na)
	if a.Status == StatusResolved {
		if !na.StartsAt.After(a.StartsAt) {
			// Prometheus re-posts a resolution, so it is listed again. Another
			// replica may report a later end of the same episode.
			if !na.EndsAt.After(a.EndsAt) {
				return a
			}
			next.StartsAt = earliest(a.StartsAt, na.StartsAt)
			if a.Disputed {
				next.Disputed, tr.disputeEnded = false, true // both sides now report it resolved
				tr.log.addForAlert(EventResolved, &next)
			}
			return tr.recordIfChanged(a, &next, na)
		}
		next.StartsAt, next.Disputed, next.ChangedAt = na.StartsAt, false, tr.at
		tr.log.addForAlert(EventResolved, &next)
		return tr.recordIfChanged(a, &next, na)
	}
	next.ChangedAt = tr.at
	if na.StartsAt.After(a.StartsAt) && na.StartsAt.After(seenAt) {
		// The end of an episode whose start was never reported.
		next.StartsAt = na.StartsAt
		next.Recorded = putEpisode(next.Recorded, Episode{StartsAt: a.StartsAt, Stamp: tr.stamp.supersedes(a.Stamp)})
	} else {
		next.StartsAt = earliest(a.StartsAt, na.StartsAt)
	}
	if next.Disputed = a.Status == StatusFiring && endIsRecorded(a, na); next.Disputed {
		// This end was already reported before the alert fired again. So there are
		// two views of one episode, even if both have the same external URL.
		tr.inDispute = true
	} else {
		tr.log.addForAlert(EventResolved, &next)
	}
	return tr.recordIfChanged(a, &next, na)
}

// endIsRecorded reports whether the alert's newest episode has the same recorded
// end as na.
func endIsRecorded(a *Alert, na NotifiedAlert) bool {
	return !na.EndsAt.IsZero() && na.EndsAt.Equal(recordedEnd(a))
}

// recordedEnd returns the last reported end of the alert's newest episode, or
// zero. The alert may have fired again since.
func recordedEnd(a *Alert) time.Time {
	for _, e := range a.Recorded {
		if e.StartsAt.Equal(a.StartsAt) {
			return e.EndsAt
		}
	}
	return time.Time{}
}

// endOf returns the end in a resolution. If the resolution has no end, it returns
// the time of arrival.
func (tr *transition) endOf(na NotifiedAlert) time.Time {
	if na.EndsAt.IsZero() {
		return tr.at
	}
	return na.EndsAt
}

// isOtherSender reports whether another Alertmanager than the one with the
// external URL sent the message. It returns false if either URL is unknown.
func (tr *transition) isOtherSender(by string) bool {
	return tr.sender != by && tr.sender != "" && by != ""
}

// isRecent reports whether t is less than the settle time before the arrival.
// Within that time, two Alertmanagers may still have different views.
func (tr *transition) isRecent(t time.Time) bool {
	return tr.at.Sub(t) < tr.settle && !tr.fromFuture(t)
}

// fromFuture reports whether a broken clock of Muster wrote t: t is more than
// maxSkew after the arrival.
func (tr *transition) fromFuture(t time.Time) bool { return t.Sub(tr.at) > maxSkew }

// correctFuture returns t, or the arrival if a broken clock wrote t.
func (tr *transition) correctFuture(t time.Time) time.Time {
	if tr.fromFuture(t) {
		return tr.at
	}
	return t
}

// lastSeen calls AlertGroup.LastSeen of the group before the transition.
func (tr *transition) lastSeen(a *Alert) (time.Time, string) {
	if tr.before == nil {
		return a.LastSeenAt, a.ReportedBy
	}
	return tr.before.LastSeen(a)
}

// isOvertaken reports whether a notification that arrived later was applied
// already. The stamp of the group alone cannot tell: a flush, or a report of one
// alert, is newer than the notification that waited for it, and lists no other alerts.
func (tr *transition) isOvertaken() bool {
	return tr.before != nil && tr.stamp.precedes(tr.before.Stamp) && !tr.at.After(tr.before.LastNotifiedAt)
}

// omitsRecentlyReported reports whether the message omits an alert that another
// Alertmanager of the cluster recently reported as firing. A replica sends the view
// that it had before it waited for its peers. So the omitted alert may be newer
// than that view.
func (tr *transition) omitsRecentlyReported(listed map[Fingerprint]NotifiedAlert) bool {
	for _, a := range tr.alerts {
		if _, ok := listed[a.Fingerprint]; ok || a.Status != StatusFiring {
			continue
		}
		if at, by := tr.lastSeen(a); tr.isOtherSender(by) && tr.isRecent(at) {
			return true
		}
	}
	return false
}

// applyOmitted applies that a complete message does not list an alert. A firing
// alert becomes unreported. A dispute about a resolved alert ends. An alert that
// was written after the message arrived does not change.
func (tr *transition) applyOmitted(a *Alert) *Alert {
	if a.Status != StatusFiring && !a.Disputed || tr.stamp.precedes(a.Stamp) {
		return a
	}
	next := *a
	next.Stamp, next.Disputed = tr.stamp.supersedes(a.Stamp), false
	if a.Status != StatusFiring {
		tr.disputeEnded = true
		return &next
	}
	next.Status, next.ChangedAt, next.FirstSeenAt = StatusUnreported, tr.at, tr.correctFuture(a.FirstSeenAt)
	next.LastSeenAt, next.ReportedBy = tr.lastSeen(a)
	next.LastSeenAt = tr.correctFuture(next.LastSeenAt)
	tr.log.addForAlert(EventUnreported, &next)
	return &next
}

// recordIfChanged records next and returns it. If only the last-seen time changed,
// it returns before: after a complete notification, the group has that time.
func (tr *transition) recordIfChanged(before, next *Alert, na NotifiedAlert) *Alert {
	if next.Status == before.Status && next.Disputed == before.Disputed &&
		next.StartsAt.Equal(before.StartsAt) && next.EndsAt.Equal(before.EndsAt) && tr.isUnchanged(before, na) {
		return before
	}
	return tr.recordAlert(next, na)
}

// isUnchanged reports whether the alert's recorded content equals that of the
// message, without status, start and end. It returns false if the last-seen time
// must be written to the alert.
func (tr *transition) isUnchanged(a *Alert, na NotifiedAlert) bool {
	return !tr.partial && !tr.fromFuture(a.LastSeenAt) && na.GeneratorURL == a.GeneratorURL && na.Grafana.Equal(a.Grafana) &&
		maps.Equal(na.Labels, a.Labels) && maps.Equal(na.Annotations, a.Annotations)
}

// recordAlert fills a with the content of the message and stamps it. It changes a.
func (tr *transition) recordAlert(a *Alert, na NotifiedAlert) *Alert {
	a.Labels, a.Annotations, a.GeneratorURL, a.Grafana = na.Labels, na.Annotations, na.GeneratorURL, na.Grafana
	a.LastSeenAt, a.ReportedBy = tr.at, tr.sender
	a.FirstSeenAt, a.ChangedAt = tr.correctFuture(a.FirstSeenAt), tr.correctFuture(a.ChangedAt)
	a.Stamp = tr.stamp.supersedes(a.Stamp)
	e := Episode{StartsAt: a.StartsAt, EndsAt: a.EndsAt, Stamp: a.Stamp}
	if a.EndsAt.IsZero() {
		// The alert was resolved and fires again. Keep the old end: if it is
		// reported once more, this is a dispute and not a second resolution.
		e.EndsAt = recordedEnd(a)
	}
	a.Recorded = putEpisode(a.Recorded, e)
	return a
}

// common returns the labels and annotations that all firing alerts share. If no
// alert fires, it returns those that all alerts share.
func (tr *transition) common() (ls, annotations Labels) {
	firing := slices.DeleteFunc(slices.Clone(tr.alerts), func(a *Alert) bool { return a.Status != StatusFiring })
	if len(firing) == 0 {
		firing = tr.alerts
	}
	for i, a := range firing {
		if i == 0 {
			ls, annotations = maps.Clone(a.Labels), maps.Clone(a.Annotations)
			continue
		}
		intersect(ls, a.Labels)
		intersect(annotations, a.Annotations)
	}
	return ls, annotations
}

// intersect deletes every entry of l that o does not have with the same value.
func intersect(l, o Labels) {
	maps.DeleteFunc(l, func(name, value string) bool {
		other, ok := o[name]
		return !ok || other != value
	})
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
