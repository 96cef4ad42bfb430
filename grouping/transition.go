package grouping

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// transition builds the next state of a group.
type transition struct {
	rules
	before       *AlertGroup // nil for a new group
	at           time.Time   // arrival
	stamp        Stamp
	sender       string // external URL of the sender
	outdated     bool   // the stored state is newer than the notification
	partial      bool   // an alert that is not listed does not count as omitted
	setShared    bool   // the common labels become those that the alerts share, because no message has them
	observed     bool   // observations are applied, and no notification
	inDispute    bool   // a status change belongs to a dispute between Alertmanagers
	disputeEnded bool   // a dispute about an already resolved alert ended
	personal     bool   // a person writes a record of their own

	id      ID
	deleted Stamp
	version int64
	counter int64
	meta    Meta
	alerts  []*Alert      // sorted by fingerprint
	mutes   []*AlertMutes // sorted by fingerprint
	acks    []*Ack        // never changed in place
	notes   []*Note       // never changed in place
	removed map[Fingerprint]Stamp
	log     eventLog

	// silenceEnd returns the end of a silence that ended, or zero. It can be nil.
	silenceEnd func(id string) time.Time
}

// newTransition returns the transition of a group, or of a new one if g is nil. It is a value,
// so that the caller keeps it on its stack.
func newTransition(g *AlertGroup, key Key, stamp Stamp) transition {
	tr := transition{at: stamp.Time(), stamp: stamp}
	if g == nil {
		tr.id = key.ID()
	} else {
		tr.id, tr.deleted, tr.version, tr.counter = g.ID, g.Deleted, g.Version, g.Notifications
		tr.removed = maps.Clone(g.Removed)
		if !g.IsTombstone() {
			tr.before, tr.meta, tr.alerts, tr.mutes = g, g.Meta, slices.Clone(g.Alerts), slices.Clone(g.Mutes)
			tr.acks, tr.notes = g.Acks, g.Notes
		}
	}
	tr.log = eventLog{stamp: stamp, key: key, id: tr.id}
	if tr.before == nil {
		// The group's own fields must also be newer than the deletion.
		tr.meta = Meta{Key: key, CreatedAt: tr.at, Settling: true, Stamp: tr.deleted}
	}
	return tr
}

// finish returns the change to the group.
func (tr *transition) finish() Change {
	if tr.before == nil || tr.fromFuture(tr.meta.CreatedAt) {
		tr.meta.CreatedAt, tr.meta.FlushAt = tr.at, tr.at.Add(tr.groupWait)
	}
	if !tr.outdated {
		tr.meta.UpdatedAt = tr.at
	}
	if !tr.outdated && !tr.personal {
		tr.meta.Stamp = tr.stamp.supersedes(tr.meta.Stamp)
	}
	if tr.hasMutes() {
		linkMutes(tr.alerts, tr.mutes)
	}
	replaced := tr.replacedAlerts()
	// No record may be newer than its group's own fields. Merge relies on this.
	for _, p := range replaced {
		if p.after == nil {
			continue
		}
		tr.meta.Stamp = max(tr.meta.Stamp, p.after.Stamp)
		if m := p.after.muted; m != nil {
			tr.meta.Stamp = max(tr.meta.Stamp, m.Stamp)
		}
	}
	g := &AlertGroup{
		ID: tr.id, Meta: tr.meta, Alerts: tr.alerts, Mutes: tr.mutes, Acks: tr.acks, Notes: tr.notes, Removed: tr.removed, Deleted: tr.deleted,
		Version: tr.version, Notifications: tr.counter,
	}
	g.deriveFrom(tr.before, replaced)
	if tr.setShared || tr.before != nil && tr.before.shared != nil {
		g.share(tr.before, replaced)
	}
	if tr.setShared {
		g.CommonLabels, g.CommonAnnotations = g.shared.labels, g.shared.annotations
	}
	tr.endEpisode(g)
	tr.tellRest(g, replaced)
	return Change{Group: g, Stamp: tr.stamp, Events: tr.log.events, Changed: tr.log.takeChanged(), Contents: tr.log.contents}
}

// endEpisode begins or ends the episode of the group g that the transition makes, and writes
// that into the history. The opened event comes first, the closed event last.
func (tr *transition) endEpisode(g *AlertGroup) {
	wasOpen := tr.before != nil && tr.before.IsOpen()
	isOpen := g.IsOpen() || g.Counts.Firing > 0
	closed := wasOpen && g.ClosedBy != nil // by a person
	switch {
	case tr.inDispute && g.ClosedBy == nil && !slices.ContainsFunc(tr.log.events, func(e Event) bool { return e.Kind != EventNotified }):
		// If a dispute wrote no event for its alert, it writes no opened or closed
		// event for the group either. But it opens a group that a person closed.
	case !wasOpen && isOpen:
		opened := &Opened{GroupKey: g.GroupKey, ExternalURL: g.ExternalURL}
		tr.log.addFirst(Event{Kind: EventOpened, Labels: g.GroupLabels, Opened: opened, StartsAt: g.firstStart()})
		g.beginEpisode(tr.stamp)
	case closed && !isOpen, !isOpen && len(g.Alerts) > 0 && (wasOpen || tr.before == nil || tr.disputeEnded && g.ClosedBy == nil):
		e := Event{Kind: EventClosed, Labels: g.GroupLabels, EndsAt: g.lastEnd()}
		if closed {
			e.People, e.EndsAt = &PeopleDetail{Person: g.ClosedBy.Person}, g.ClosedBy.At
		}
		tr.log.add(e)
		g.Ended = g.endOfAcks(tr.stamp)
	}
}

// beginEpisode makes the stamp the name of the episode of the group. What was acknowledged
// before is over, also if another replica ended that episode and this one did not hear of it.
func (g *AlertGroup) beginEpisode(opened Stamp) {
	g.Opened, g.ClosedBy = opened, nil
	if len(g.Acks) > 0 {
		g.Ended = g.endOfAcks(g.Ended)
	}
}

// endOfAcks returns the stamp, or the greatest one of the acknowledgements if that is greater.
func (g *AlertGroup) endOfAcks(s Stamp) Stamp {
	for _, a := range g.Acks {
		s = max(s, a.Stamp)
	}
	return s
}

// firstStart returns the earliest start of the alerts that did not end.
func (g *AlertGroup) firstStart() (at time.Time) {
	for _, a := range g.Alerts {
		if a.Status != StatusResolved && (at.IsZero() || a.StartsAt.Before(at)) {
			at = a.StartsAt
		}
	}
	return at
}

// lastEnd returns the latest end of the alerts.
func (g *AlertGroup) lastEnd() (at time.Time) {
	for _, a := range g.Alerts {
		at = latest(at, a.EndsAt)
	}
	return at
}

// hasMutes reports whether an alert of the group has or had mutes.
func (tr *transition) hasMutes() bool {
	return len(tr.mutes) > 0 || tr.before != nil && len(tr.before.Mutes) > 0
}

// find returns the alert's index in the list and true, or the index at which to
// insert it and false.
func (tr *transition) find(fp Fingerprint) (int, bool) {
	return slices.BinarySearchFunc(tr.alerts, fp, func(a *Alert, fp Fingerprint) int {
		return cmp.Compare(a.Fingerprint, fp)
	})
}

// remove removes those of the alerts that the group has.
func (tr *transition) remove(fps []Fingerprint) {
	if tr.removed == nil {
		tr.removed = map[Fingerprint]Stamp{}
	}
	gone := make(map[Fingerprint]bool, len(fps))
	for _, fp := range fps {
		i, known := tr.find(fp)
		if !known {
			continue
		}
		a := tr.alerts[i]
		last := a.Stamp
		if m := findMutes(tr.mutes, fp); m != nil {
			last = max(last, m.Stamp)
		}
		tr.removed[fp], gone[fp] = tr.stamp.supersedes(last), true
		tr.log.addForAlert(EventExpired, a, a)
	}
	if len(gone) > 0 {
		tr.alerts = slices.DeleteFunc(tr.alerts, func(a *Alert) bool { return gone[a.Fingerprint] })
		tr.mutes = slices.DeleteFunc(tr.mutes, func(m *AlertMutes) bool { return gone[m.Fingerprint] })
	}
}

// enforceLimit keeps the group within its maximum number of alerts. It evicts
// alerts that do not fire to make room for new firing alerts. It evicts resolved
// alerts before unreported ones, and those that changed longest ago first. It returns
// the listed alerts without the new ones that still exceed the limit, and how many of
// those fire.
func (tr *transition) enforceLimit(listed []*NotifiedAlert) (remaining []*NotifiedAlert, rejected uint64) {
	var added []*NotifiedAlert
	firing := 0
	for _, na := range listed {
		if _, known := tr.find(na.Fingerprint); known {
			continue
		}
		added = append(added, na)
		if na.Status == StatusFiring {
			firing++
		}
	}
	if tr.maxAlerts == 0 || len(tr.alerts)+len(added) <= tr.maxAlerts {
		return listed, 0
	}
	var evictable []*Alert
	for _, a := range tr.alerts {
		if !isListed(listed, a.Fingerprint) && a.Status != StatusFiring {
			evictable = append(evictable, a)
		}
	}
	slices.SortFunc(evictable, func(a, b *Alert) int {
		return cmp.Or(
			cmp.Compare(b.ShownStatus().urgency(), a.ShownStatus().urgency()),
			a.ChangedAt.Compare(b.ChangedAt),
			compareFingerprints(a, b),
		)
	})
	excess := max(0, len(tr.alerts)+firing-tr.maxAlerts)
	var evicted []Fingerprint
	for _, a := range evictable[:min(excess, len(evictable))] {
		evicted = append(evicted, a.Fingerprint)
	}
	tr.remove(evicted)
	slices.SortStableFunc(added, func(a, b *NotifiedAlert) int { return cmp.Compare(a.Status, b.Status) }) // firing alerts first
	free := max(0, tr.maxAlerts-len(tr.alerts))
	excluded := map[*NotifiedAlert]bool{}
	for _, na := range added[min(free, len(added)):] {
		excluded[na] = true
		if na.Status == StatusFiring {
			rejected++
		}
	}
	return slices.DeleteFunc(listed, func(na *NotifiedAlert) bool { return excluded[na] }), rejected
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
func (tr *transition) omitsRecentlyReported(omitted []int) bool {
	for _, i := range omitted {
		a := tr.alerts[i]
		if a.Status != StatusFiring {
			continue
		}
		if at, by := tr.lastSeen(a); tr.isOtherSender(by) && tr.isRecent(at) {
			return true
		}
	}
	return false
}

// lastSeen calls AlertGroup.LastSeen of the group before the transition.
func (tr *transition) lastSeen(a *Alert) (time.Time, string) {
	if tr.before == nil {
		return a.LastSeenAt, a.ReportedBy
	}
	return tr.before.LastSeen(a)
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

// replacedAlerts returns the alerts that the transition added, changed or removed.
func (tr *transition) replacedAlerts() []alertPair {
	if tr.before == nil {
		return replacedAlerts(nil, tr.alerts)
	}
	return replacedAlerts(tr.before.Alerts, tr.alerts)
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
