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
	Truncated         uint64 // alerts cut from the message; 0: it is complete

	// Stamp is the arrival: taken when the request is accepted, before its
	// body is read.
	Stamp Stamp
}

// Truncate counts alerts that were cut from the message. The number comes from
// the wire, so it stops at its end instead of beginning at 0 again.
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
	// heartbeats select the alerts whose rhythm is recorded.
	heartbeats []labels.Matchers
}

// apply returns the group after the notification, and what happened. It is
// pure: where g, which may be nil or a tombstone, and n are equal, so are the
// results. Applying one notification twice changes nothing the second time but
// the times at which something was last heard.
func apply(g *AlertGroup, n Notification, r rules) (*AlertGroup, []Event) {
	tr := newTransition(g, n.Key, n.Stamp)
	tr.rules, tr.sender = r, n.ExternalURL
	// Another replica's notification may have overtaken this one: then what it
	// says of alerts that we know is old.
	tr.outdated = tr.before != nil && n.Stamp.precedes(tr.before.Stamp)

	listed := make(map[Fingerprint]NotifiedAlert, len(n.Alerts))
	var firing, resolved int
	for _, na := range n.Alerts {
		// Of an alert that is listed twice the first entry that fires counts.
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

// applyAlert returns the group after word of a single alert; nothing is said
// of the others.
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

// removeAlerts returns the group without the alerts.
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

// change is a group in the making.
type transition struct {
	rules
	before       *AlertGroup // nil for a new group
	at           time.Time   // arrival
	stamp        Stamp
	sender       string // external URL of the sender
	outdated     bool   // overtaken: what is known already is newer
	partial      bool   // what is not listed was not omitted
	inDispute    bool   // one side of a dispute was heard again
	disputeEnded bool   // a dispute about an alert that was resolved already is over

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
		// The group's own fields, too, are written after what was deleted.
		tr.meta = Meta{Key: key, CreatedAt: tr.at, Settling: true, Stamp: tr.deleted}
	}
	return tr
}

// finish completes the group and its events: opened comes first, closed last.
func (tr *transition) finish() (*AlertGroup, []Event) {
	if tr.before == nil || tr.fromFuture(tr.meta.CreatedAt) {
		tr.meta.CreatedAt, tr.meta.FlushAt = tr.at, tr.at.Add(tr.groupWait)
	}
	if !tr.outdated {
		tr.meta.Stamp = tr.stamp.supersedes(tr.meta.Stamp)
		tr.meta.UpdatedAt = tr.at
	}
	// No alert is ever newer than its group's own fields: Merge counts on it.
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
		// A dispute opens and closes its group no more often than its alert.
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

// find returns the place of the alert in the list, and whether it is there.
func (tr *transition) find(fp Fingerprint) (int, bool) {
	return slices.BinarySearchFunc(tr.alerts, fp, func(a *Alert, fp Fingerprint) int {
		return cmp.Compare(a.Fingerprint, fp)
	})
}

// remove removes the alert at the place in the list.
func (tr *transition) remove(i int) {
	a := tr.alerts[i]
	tr.log.addForAlert(EventExpired, a)
	tr.removed[a.Fingerprint] = tr.stamp.supersedes(a.Stamp)
	tr.alerts = slices.Delete(tr.alerts, i, i+1)
}

// enforceLimit keeps the group within its limit. For an alert that is new and fires
// one goes that does not: the resolved before the unreported, and the longest
// quiet first. What there is no room for is not taken: it goes out of listed,
// and counts as cut if it fires.
func (tr *transition) enforceLimit(listed map[Fingerprint]NotifiedAlert) (cut uint64) {
	var fresh []Fingerprint
	firing := 0
	for fp, na := range listed {
		if _, known := tr.find(fp); known {
			continue
		}
		fresh = append(fresh, fp)
		if na.Status == StatusFiring {
			firing++
		}
	}
	if tr.maxAlerts == 0 || len(tr.alerts)+len(fresh) <= tr.maxAlerts {
		return 0
	}
	var quiet []*Alert
	for _, a := range tr.alerts {
		if _, ok := listed[a.Fingerprint]; !ok && a.Status != StatusFiring {
			quiet = append(quiet, a)
		}
	}
	slices.SortFunc(quiet, func(a, b *Alert) int {
		return cmp.Or(cmp.Compare(a.Status, b.Status), a.ChangedAt.Compare(b.ChangedAt), compareFingerprints(a, b))
	})
	over := max(0, len(tr.alerts)+firing-tr.maxAlerts)
	for _, a := range quiet[:min(over, len(quiet))] {
		i, _ := tr.find(a.Fingerprint)
		tr.remove(i)
	}
	slices.SortFunc(fresh, func(a, b Fingerprint) int { // those that fire first
		return cmp.Or(cmp.Compare(listed[a].Status, listed[b].Status), cmp.Compare(a, b))
	})
	room := max(0, tr.maxAlerts-len(tr.alerts))
	for _, fp := range fresh[min(room, len(fresh)):] {
		if listed[fp].Status == StatusFiring {
			cut++
		}
		delete(listed, fp)
	}
	return cut
}

// observe applies what a message says of one alert.
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

// startOf returns the start of the episode that na is about. One that lies
// inside the episode that we know to be over is a second source's: Alertmanager,
// too, joins what overlaps and keeps the earliest start.
func (tr *transition) startOf(a *Alert, na NotifiedAlert) time.Time {
	switch over := a.Status == StatusResolved; {
	case na.StartsAt.IsZero() && over && na.Status == StatusFiring:
		return tr.at // the sender gives no times
	case na.StartsAt.IsZero(),
		over && na.StartsAt.After(a.StartsAt) && na.StartsAt.Before(a.EndsAt):
		return a.StartsAt
	default:
		return na.StartsAt
	}
}

// meet records an alert of which this is the first word. It can be that of its
// end.
func (tr *transition) addAlert(na NotifiedAlert) *Alert {
	a := &Alert{
		Fingerprint: na.Fingerprint, Status: na.Status, StartsAt: na.StartsAt,
		FirstSeenAt: tr.at, ChangedAt: tr.at,
	}
	if na.Status == StatusResolved {
		a.EndsAt = tr.endOf(na)
	}
	if na.StartsAt.IsZero() {
		a.StartsAt = tr.at // no later than its end, though: that came before
		if na.Status == StatusResolved {
			a.StartsAt = earliest(tr.at, a.EndsAt)
		}
	}
	// Should it come back: its record goes on after the one of its removal.
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
		return a // as of most alerts of a large group: spare them the copy below
	}
	seenAt, _ := tr.lastSeen(a)
	next := *a
	next.Status, next.EndsAt = StatusFiring, time.Time{}
	if a.Status != StatusFiring {
		next.ChangedAt = tr.at
	}
	switch {
	case a.Status != StatusResolved && na.StartsAt.After(a.StartsAt) && na.StartsAt.After(seenAt):
		// It ended and fired again between two notifications, unseen: the new
		// start lies after our last word of the old episode.
		next.StartsAt, next.Disputed, next.ChangedAt = na.StartsAt, false, tr.at
		next.Recorded = putEpisode(next.Recorded, Episode{StartsAt: a.StartsAt, Stamp: tr.stamp.supersedes(a.Stamp)})
		tr.log.addForAlert(EventRefired, &next)

	case a.Status != StatusResolved:
		// The same episode. Its start can move back, and a second source's
		// later start is no news.
		next.StartsAt = earliest(a.StartsAt, na.StartsAt)
		if a.Status == StatusUnreported {
			tr.log.addForAlert(EventReturned, &next)
		}

	case na.StartsAt.After(a.StartsAt):
		next.StartsAt, next.Disputed = na.StartsAt, false
		tr.log.addForAlert(EventRefired, &next)

	case tr.isOtherSender(a.ReportedBy) && tr.isRecent(a.ChangedAt):
		// The other replica's older view, sent after its peer timeout.
		return a

	default:
		// The same start after a resolution. It is a dispute only when the
		// resolution is repeated: until then the Alertmanager that sent it may
		// be gone, its pod replaced by one with another name. A dispute is
		// shown, and not written into the history at each turn.
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
		return a // an episode before the newest, listed again
	}
	seenAt, _ := tr.lastSeen(a)
	next := *a
	next.Status, next.EndsAt = StatusResolved, tr.endOf(na)
	if a.Status == StatusResolved {
		if !na.StartsAt.After(a.StartsAt) {
			// Listed again while the source re-posts it; another replica's end
			// of the same episode may be later.
			if !na.EndsAt.After(a.EndsAt) {
				return a
			}
			next.StartsAt = earliest(a.StartsAt, na.StartsAt)
			if a.Disputed {
				next.Disputed, tr.disputeEnded = false, true // the other side has come round
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
		// The end of an episode that was never announced.
		next.StartsAt = na.StartsAt
		next.Recorded = putEpisode(next.Recorded, Episode{StartsAt: a.StartsAt, Stamp: tr.stamp.supersedes(a.Stamp)})
	} else {
		next.StartsAt = earliest(a.StartsAt, na.StartsAt)
	}
	if next.Disputed = a.Status == StatusFiring && endIsRecorded(a, na); next.Disputed {
		// The same end as before the alert was reported as firing again: two
		// views of one episode, even where they come under one external URL.
		tr.inDispute = true
	} else {
		tr.log.addForAlert(EventResolved, &next)
	}
	return tr.recordIfChanged(a, &next, na)
}

// endIsRecorded reports whether the end that na reports is on record for the alert's
// newest episode, which fires.
func endIsRecorded(a *Alert, na NotifiedAlert) bool {
	return !na.EndsAt.IsZero() && na.EndsAt.Equal(recordedEnd(a))
}

// recordedEnd returns the last end that was reported of the alert's newest
// episode, though it may fire again; zero if there is none.
func recordedEnd(a *Alert) time.Time {
	for _, e := range a.Recorded {
		if e.StartsAt.Equal(a.StartsAt) {
			return e.EndsAt
		}
	}
	return time.Time{}
}

// endOf returns the end that a resolution gives, or, where it gives none, the
// arrival.
func (tr *transition) endOf(na NotifiedAlert) time.Time {
	if na.EndsAt.IsZero() {
		return tr.at
	}
	return na.EndsAt
}

// isOtherSender reports whether the message comes from another Alertmanager than
// the one with the external URL. Where either is unknown it cannot be told.
func (tr *transition) isOtherSender(by string) bool {
	return tr.sender != by && tr.sender != "" && by != ""
}

// isRecent reports whether t is so near to the arrival that the views of two
// Alertmanagers may not have met yet.
func (tr *transition) isRecent(t time.Time) bool {
	return tr.at.Sub(t) < tr.settle && !tr.fromFuture(t)
}

// fromFuture reports whether t, one of our own times, was written by a broken
// clock.
func (tr *transition) fromFuture(t time.Time) bool { return t.Sub(tr.at) > maxSkew }

// past returns t, or the arrival if t was written by a broken clock.
func (tr *transition) correctFuture(t time.Time) time.Time {
	if tr.fromFuture(t) {
		return tr.at
	}
	return t
}

// lastSeen is AlertGroup.LastSeen of the group before the change.
func (tr *transition) lastSeen(a *Alert) (time.Time, string) {
	if tr.before == nil {
		return a.LastSeenAt, a.ReportedBy
	}
	return tr.before.LastSeen(a)
}

// isStale reports whether the message omits an alert that another Alertmanager
// of the cluster reported as firing moments ago: a replica sends the view that
// it took before it waited for its peers, so what it omits may be newer than it.
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

// omit applies that a complete message does not list an alert: one that fires
// is no longer reported, and a dispute about one that is resolved is over.
func (tr *transition) applyOmitted(a *Alert) *Alert {
	if a.Status != StatusFiring && !a.Disputed {
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

// recordIfChanged returns next, written, or before where nothing changed but the
// time at which the alert was last seen: for a complete notification that
// follows from the group.
func (tr *transition) recordIfChanged(before, next *Alert, na NotifiedAlert) *Alert {
	if next.Status == before.Status && next.Disputed == before.Disputed &&
		next.StartsAt.Equal(before.StartsAt) && next.EndsAt.Equal(before.EndsAt) && tr.isUnchanged(before, na) {
		return before
	}
	return tr.recordAlert(next, na)
}

// isUnchanged reports whether all but the status and the times that the
// message gives is on record, and nothing has to be written to tell when.
func (tr *transition) isUnchanged(a *Alert, na NotifiedAlert) bool {
	return !tr.partial && !tr.fromFuture(a.LastSeenAt) && na.GeneratorURL == a.GeneratorURL && na.Grafana.Equal(a.Grafana) &&
		maps.Equal(na.Labels, a.Labels) && maps.Equal(na.Annotations, a.Annotations)
}

// write completes a with what the message says and stamps it.
func (tr *transition) recordAlert(a *Alert, na NotifiedAlert) *Alert {
	a.Labels, a.Annotations, a.GeneratorURL, a.Grafana = na.Labels, na.Annotations, na.GeneratorURL, na.Grafana
	a.LastSeenAt, a.ReportedBy = tr.at, tr.sender
	a.FirstSeenAt, a.ChangedAt = tr.correctFuture(a.FirstSeenAt), tr.correctFuture(a.ChangedAt)
	a.Stamp = tr.stamp.supersedes(a.Stamp)
	e := Episode{StartsAt: a.StartsAt, EndsAt: a.EndsAt, Stamp: a.Stamp}
	if a.EndsAt.IsZero() {
		// Reported over and firing again: whether the same end will be reported
		// once more tells a dispute from a second resolution.
		e.EndsAt = recordedEnd(a)
	}
	a.Recorded = putEpisode(a.Recorded, e)
	return a
}

// common returns the labels and annotations that the firing alerts share, or,
// where none fires, all alerts.
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

// intersect deletes from l what o does not have with the same value.
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
