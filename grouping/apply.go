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
	c := begin(g, n.Key, n.Stamp)
	c.rules, c.by = r, n.ExternalURL
	// Another replica's notification may have overtaken this one: then what it
	// says of alerts that we know is old.
	c.late = c.before != nil && n.Stamp.isLate(c.before.Stamp)

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
	c.partial = c.late || n.Truncated > 0 || c.isStale(listed)
	if !c.partial {
		for i, a := range c.alerts {
			if _, ok := listed[a.Fingerprint]; !ok {
				c.alerts[i] = c.omit(a)
			}
		}
	}
	n.Truncate(c.makeRoom(listed))
	for _, fp := range slices.Sorted(maps.Keys(listed)) {
		c.observe(listed[fp])
	}
	c.log.add(Event{
		Kind: EventNotified, Labels: n.GroupLabels, Reason: n.Reason, ExternalURL: n.ExternalURL,
		Firing: firing, Resolved: resolved, Truncated: n.Truncated,
	})
	if !c.late {
		m := &c.meta
		m.GroupLabels, m.RouteLabels, m.ExternalURL = n.GroupLabels, n.RouteLabels, n.ExternalURL
		m.CommonLabels, m.CommonAnnotations = n.CommonLabels, n.CommonAnnotations
		if c.partial {
			m.CommonLabels, m.CommonAnnotations = c.common()
		} else {
			m.CompleteAt, m.CompleteBy = c.at, n.ExternalURL
		}
		m.LastNotifiedAt, m.LastReason, m.Truncated, m.Stale = c.at, n.Reason, n.Truncated, false
		if firing > 0 && IsHeartbeatGroup(c.heartbeats, &AlertGroup{Alerts: c.alerts}) {
			m.Beats = recordBeat(m.Beats, n.ExternalURL, c.at)
		}
	}
	return c.finish()
}

// applyAlert returns the group after word of a single alert; nothing is said
// of the others.
func applyAlert(g *AlertGroup, key Key, na NotifiedAlert, stamp Stamp, r rules) (*AlertGroup, []Event) {
	c := begin(g, key, stamp)
	c.rules, c.partial = r, true
	listed := map[Fingerprint]NotifiedAlert{na.Fingerprint: na}
	if c.makeRoom(listed); len(listed) > 0 {
		c.observe(na)
	}
	c.meta.CommonLabels, c.meta.CommonAnnotations = c.common()
	return c.finish()
}

// removeAlerts returns the group without the alerts.
func removeAlerts(g *AlertGroup, fps []Fingerprint, stamp Stamp) (*AlertGroup, []Event) {
	c := begin(g, g.Key, stamp)
	for _, fp := range fps {
		i, ok := c.find(fp)
		if !ok {
			continue
		}
		c.remove(i)
	}
	if len(c.alerts) == 0 {
		c.log.group(EventExpired, g.GroupLabels)
	} else {
		c.meta.CommonLabels, c.meta.CommonAnnotations = c.common()
	}
	return c.finish()
}

// change is a group in the making.
type change struct {
	rules
	before  *AlertGroup // nil for a new group
	at      time.Time   // arrival
	stamp   Stamp
	by      string // external URL of the sender
	late    bool   // overtaken: what is known already is newer
	partial bool   // what is not listed was not omitted
	turned  bool   // one side of a dispute was heard again
	settled bool   // a dispute about an alert that was resolved already is over

	id      ID
	deleted Stamp
	version int64
	counter int64
	meta    Meta
	alerts  []*Alert // sorted by fingerprint
	removed map[Fingerprint]Stamp
	log     eventLog
}

func begin(g *AlertGroup, key Key, stamp Stamp) *change {
	c := &change{at: stamp.Time(), stamp: stamp, id: key.ID(), removed: map[Fingerprint]Stamp{}}
	if g != nil {
		c.deleted, c.version, c.counter = g.Deleted, g.Version, g.Notifications
		maps.Copy(c.removed, g.Removed)
		if !g.IsTombstone() {
			c.before, c.meta, c.alerts = g, g.Meta, slices.Clone(g.Alerts)
		}
	}
	c.log = eventLog{stamp: stamp, key: key, id: c.id}
	if c.before == nil {
		// The group's own fields, too, are written after what was deleted.
		c.meta = Meta{Key: key, CreatedAt: c.at, Settling: true, Stamp: c.deleted}
	}
	return c
}

// finish completes the group and its events: opened comes first, closed last.
func (c *change) finish() (*AlertGroup, []Event) {
	if c.before == nil || c.fromFuture(c.meta.CreatedAt) {
		c.meta.CreatedAt, c.meta.FlushAt = c.at, c.at.Add(c.groupWait)
	}
	if !c.late {
		c.meta.Stamp = c.stamp.supersedes(c.meta.Stamp)
		c.meta.UpdatedAt = c.at
	}
	// No alert is ever newer than its group's own fields: Merge counts on it.
	for _, a := range c.alerts {
		c.meta.Stamp = max(c.meta.Stamp, a.Stamp)
	}
	g := NewAlertGroup(AlertGroup{
		ID: c.id, Meta: c.meta, Alerts: c.alerts, Removed: c.removed, Deleted: c.deleted,
		Version: c.version, Notifications: c.counter,
	})
	wasOpen := c.before != nil && c.before.State != StateResolved
	isOpen := g.State != StateResolved
	switch {
	case c.turned && !slices.ContainsFunc(c.log.events, func(e Event) bool { return e.Kind != EventNotified }):
		// A dispute opens and closes its group no more often than its alert.
	case !wasOpen && isOpen:
		events := c.log.events
		c.log.events = nil
		c.log.group(EventOpened, g.GroupLabels)
		for _, e := range events {
			c.log.add(e)
		}
	case !isOpen && len(g.Alerts) > 0 && (wasOpen || c.before == nil || c.settled):
		c.log.group(EventClosed, g.GroupLabels)
	}
	return g, c.log.events
}

// find returns the place of the alert in the list, and whether it is there.
func (c *change) find(fp Fingerprint) (int, bool) {
	return slices.BinarySearchFunc(c.alerts, fp, func(a *Alert, fp Fingerprint) int {
		return cmp.Compare(a.Fingerprint, fp)
	})
}

// remove removes the alert at the place in the list.
func (c *change) remove(i int) {
	a := c.alerts[i]
	c.log.alert(EventExpired, a)
	c.removed[a.Fingerprint] = c.stamp.supersedes(a.Stamp)
	c.alerts = slices.Delete(c.alerts, i, i+1)
}

// makeRoom keeps the group within its limit. For an alert that is new and fires
// one goes that does not: the resolved before the unreported, and the longest
// quiet first. What there is no room for is not taken: it goes out of listed,
// and counts as cut if it fires.
func (c *change) makeRoom(listed map[Fingerprint]NotifiedAlert) (cut uint64) {
	var fresh []Fingerprint
	firing := 0
	for fp, na := range listed {
		if _, known := c.find(fp); known {
			continue
		}
		fresh = append(fresh, fp)
		if na.Status == StatusFiring {
			firing++
		}
	}
	if c.maxAlerts == 0 || len(c.alerts)+len(fresh) <= c.maxAlerts {
		return 0
	}
	var quiet []*Alert
	for _, a := range c.alerts {
		if _, ok := listed[a.Fingerprint]; !ok && a.Status != StatusFiring {
			quiet = append(quiet, a)
		}
	}
	slices.SortFunc(quiet, func(a, b *Alert) int {
		return cmp.Or(cmp.Compare(a.Status, b.Status), a.ChangedAt.Compare(b.ChangedAt), compareFingerprints(a, b))
	})
	over := max(0, len(c.alerts)+firing-c.maxAlerts)
	for _, a := range quiet[:min(over, len(quiet))] {
		i, _ := c.find(a.Fingerprint)
		c.remove(i)
	}
	slices.SortFunc(fresh, func(a, b Fingerprint) int { // those that fire first
		return cmp.Or(cmp.Compare(listed[a].Status, listed[b].Status), cmp.Compare(a, b))
	})
	room := max(0, c.maxAlerts-len(c.alerts))
	for _, fp := range fresh[min(room, len(fresh)):] {
		if listed[fp].Status == StatusFiring {
			cut++
		}
		delete(listed, fp)
	}
	return cut
}

// observe applies what a message says of one alert.
func (c *change) observe(na NotifiedAlert) {
	if na.Status != StatusFiring {
		na.Status = StatusResolved
	}
	i, known := c.find(na.Fingerprint)
	if !known {
		c.alerts = slices.Insert(c.alerts, i, c.meet(na))
		return
	}
	a := c.alerts[i]
	if c.late || c.stamp.isLate(a.Stamp) {
		return
	}
	na.StartsAt = c.startOf(a, na)
	if na.Status == StatusFiring {
		c.alerts[i] = c.fire(a, na)
	} else {
		c.alerts[i] = c.resolve(a, na)
	}
}

// startOf returns the start of the episode that na is about. One that lies
// inside the episode that we know to be over is a second source's: Alertmanager,
// too, joins what overlaps and keeps the earliest start.
func (c *change) startOf(a *Alert, na NotifiedAlert) time.Time {
	switch over := a.Status == StatusResolved; {
	case na.StartsAt.IsZero() && over && na.Status == StatusFiring:
		return c.at // the sender gives no times
	case na.StartsAt.IsZero(),
		over && na.StartsAt.After(a.StartsAt) && na.StartsAt.Before(a.EndsAt):
		return a.StartsAt
	default:
		return na.StartsAt
	}
}

// meet records an alert of which this is the first word. It can be that of its
// end.
func (c *change) meet(na NotifiedAlert) *Alert {
	a := &Alert{
		Fingerprint: na.Fingerprint, Status: na.Status, StartsAt: na.StartsAt,
		FirstSeenAt: c.at, ChangedAt: c.at,
	}
	if na.Status == StatusResolved {
		a.EndsAt = c.endOf(na)
	}
	if na.StartsAt.IsZero() {
		a.StartsAt = c.at // no later than its end, though: that came before
		if na.Status == StatusResolved {
			a.StartsAt = earliest(c.at, a.EndsAt)
		}
	}
	// Should it come back: its record goes on after the one of its removal.
	a.RemovalStamp = c.removed[na.Fingerprint]
	a.Stamp = max(a.RemovalStamp, c.deleted)
	delete(c.removed, na.Fingerprint)
	a = c.write(a, na)
	if na.Status == StatusFiring {
		c.log.alert(EventFired, a)
	} else {
		c.log.alert(EventResolved, a)
	}
	return a
}

// fire applies "firing" to a known alert.
func (c *change) fire(a *Alert, na NotifiedAlert) *Alert {
	if a.Status == StatusFiring && na.StartsAt.Equal(a.StartsAt) && c.saysNothingNew(a, na) {
		return a // as of most alerts of a large group: spare them the copy below
	}
	seenAt, _ := c.lastSeen(a)
	next := *a
	next.Status, next.EndsAt = StatusFiring, time.Time{}
	if a.Status != StatusFiring {
		next.ChangedAt = c.at
	}
	switch {
	case a.Status != StatusResolved && na.StartsAt.After(a.StartsAt) && na.StartsAt.After(seenAt):
		// It ended and fired again between two notifications, unseen: the new
		// start lies after our last word of the old episode.
		next.StartsAt, next.Disputed, next.ChangedAt = na.StartsAt, false, c.at
		next.Recorded = record(next.Recorded, Episode{StartsAt: a.StartsAt, Stamp: c.stamp.supersedes(a.Stamp)})
		c.log.alert(EventRefired, &next)

	case a.Status != StatusResolved:
		// The same episode. Its start can move back, and a second source's
		// later start is no news.
		next.StartsAt = earliest(a.StartsAt, na.StartsAt)
		if a.Status == StatusUnreported {
			c.log.alert(EventReturned, &next)
		}

	case na.StartsAt.After(a.StartsAt):
		next.StartsAt, next.Disputed = na.StartsAt, false
		c.log.alert(EventRefired, &next)

	case c.isAnother(a.ReportedBy) && c.isRecent(a.ChangedAt):
		// The other replica's older view, sent after its peer timeout.
		return a

	default:
		// The same start after a resolution. It is a dispute only when the
		// resolution is repeated: until then the Alertmanager that sent it may
		// be gone, its pod replaced by one with another name. A dispute is
		// shown, and not written into the history at each turn.
		next.StartsAt = earliest(a.StartsAt, na.StartsAt)
		if c.turned = c.turned || a.Disputed; !a.Disputed {
			c.log.alert(EventReopened, &next)
		}
	}
	return c.writeChanged(a, &next, na)
}

// resolve applies "resolved" to a known alert.
func (c *change) resolve(a *Alert, na NotifiedAlert) *Alert {
	if na.StartsAt.Before(a.StartsAt) && !na.EndsAt.After(a.StartsAt) {
		return a // an episode before the newest, listed again
	}
	seenAt, _ := c.lastSeen(a)
	next := *a
	next.Status, next.EndsAt = StatusResolved, c.endOf(na)
	if a.Status == StatusResolved {
		if !na.StartsAt.After(a.StartsAt) {
			// Listed again while the source re-posts it; another replica's end
			// of the same episode may be later.
			if !na.EndsAt.After(a.EndsAt) {
				return a
			}
			next.StartsAt = earliest(a.StartsAt, na.StartsAt)
			if a.Disputed {
				next.Disputed, c.settled = false, true // the other side has come round
				c.log.alert(EventResolved, &next)
			}
			return c.writeChanged(a, &next, na)
		}
		next.StartsAt, next.Disputed, next.ChangedAt = na.StartsAt, false, c.at
		c.log.alert(EventResolved, &next)
		return c.writeChanged(a, &next, na)
	}
	next.ChangedAt = c.at
	if na.StartsAt.After(a.StartsAt) && na.StartsAt.After(seenAt) {
		// The end of an episode that was never announced.
		next.StartsAt = na.StartsAt
		next.Recorded = record(next.Recorded, Episode{StartsAt: a.StartsAt, Stamp: c.stamp.supersedes(a.Stamp)})
	} else {
		next.StartsAt = earliest(a.StartsAt, na.StartsAt)
	}
	if next.Disputed = a.Status == StatusFiring && endKnown(a, na); next.Disputed {
		// The same end as before the alert was reported as firing again: two
		// views of one episode, even where they come under one external URL.
		c.turned = true
	} else {
		c.log.alert(EventResolved, &next)
	}
	return c.writeChanged(a, &next, na)
}

// endKnown reports whether the end that na reports is on record for the alert's
// newest episode, which fires.
func endKnown(a *Alert, na NotifiedAlert) bool {
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
func (c *change) endOf(na NotifiedAlert) time.Time {
	if na.EndsAt.IsZero() {
		return c.at
	}
	return na.EndsAt
}

// isAnother reports whether the message comes from another Alertmanager than
// the one with the external URL. Where either is unknown it cannot be told.
func (c *change) isAnother(by string) bool { return c.by != by && c.by != "" && by != "" }

// isRecent reports whether t is so near to the arrival that the views of two
// Alertmanagers may not have met yet.
func (c *change) isRecent(t time.Time) bool { return c.at.Sub(t) < c.settle && !c.fromFuture(t) }

// fromFuture reports whether t, one of our own times, was written by a broken
// clock.
func (c *change) fromFuture(t time.Time) bool { return t.Sub(c.at) > maxSkew }

// past returns t, or the arrival if t was written by a broken clock.
func (c *change) past(t time.Time) time.Time {
	if c.fromFuture(t) {
		return c.at
	}
	return t
}

// lastSeen is AlertGroup.LastSeen of the group before the change.
func (c *change) lastSeen(a *Alert) (time.Time, string) {
	if c.before == nil {
		return a.LastSeenAt, a.ReportedBy
	}
	return c.before.LastSeen(a)
}

// isStale reports whether the message omits an alert that another Alertmanager
// of the cluster reported as firing moments ago: a replica sends the view that
// it took before it waited for its peers, so what it omits may be newer than it.
func (c *change) isStale(listed map[Fingerprint]NotifiedAlert) bool {
	for _, a := range c.alerts {
		if _, ok := listed[a.Fingerprint]; ok || a.Status != StatusFiring {
			continue
		}
		if at, by := c.lastSeen(a); c.isAnother(by) && c.isRecent(at) {
			return true
		}
	}
	return false
}

// omit applies that a complete message does not list an alert: one that fires
// is no longer reported, and a dispute about one that is resolved is over.
func (c *change) omit(a *Alert) *Alert {
	if a.Status != StatusFiring && !a.Disputed {
		return a
	}
	next := *a
	next.Stamp, next.Disputed = c.stamp.supersedes(a.Stamp), false
	if a.Status != StatusFiring {
		c.settled = true
		return &next
	}
	next.Status, next.ChangedAt, next.FirstSeenAt = StatusUnreported, c.at, c.past(a.FirstSeenAt)
	next.LastSeenAt, next.ReportedBy = c.lastSeen(a)
	next.LastSeenAt = c.past(next.LastSeenAt)
	c.log.alert(EventUnreported, &next)
	return &next
}

// writeChanged returns next, written, or before where nothing changed but the
// time at which the alert was last seen: for a complete notification that
// follows from the group.
func (c *change) writeChanged(before, next *Alert, na NotifiedAlert) *Alert {
	if next.Status == before.Status && next.Disputed == before.Disputed &&
		next.StartsAt.Equal(before.StartsAt) && next.EndsAt.Equal(before.EndsAt) && c.saysNothingNew(before, na) {
		return before
	}
	return c.write(next, na)
}

// saysNothingNew reports whether all but the status and the times that the
// message gives is on record, and nothing has to be written to tell when.
func (c *change) saysNothingNew(a *Alert, na NotifiedAlert) bool {
	return !c.partial && !c.fromFuture(a.LastSeenAt) && na.GeneratorURL == a.GeneratorURL && na.Grafana.Equal(a.Grafana) &&
		maps.Equal(na.Labels, a.Labels) && maps.Equal(na.Annotations, a.Annotations)
}

// write completes a with what the message says and stamps it.
func (c *change) write(a *Alert, na NotifiedAlert) *Alert {
	a.Labels, a.Annotations, a.GeneratorURL, a.Grafana = na.Labels, na.Annotations, na.GeneratorURL, na.Grafana
	a.LastSeenAt, a.ReportedBy = c.at, c.by
	a.FirstSeenAt, a.ChangedAt = c.past(a.FirstSeenAt), c.past(a.ChangedAt)
	a.Stamp = c.stamp.supersedes(a.Stamp)
	e := Episode{StartsAt: a.StartsAt, EndsAt: a.EndsAt, Stamp: a.Stamp}
	if a.EndsAt.IsZero() {
		// Reported over and firing again: whether the same end will be reported
		// once more tells a dispute from a second resolution.
		e.EndsAt = recordedEnd(a)
	}
	a.Recorded = record(a.Recorded, e)
	return a
}

// common returns the labels and annotations that the firing alerts share, or,
// where none fires, all alerts.
func (c *change) common() (ls, annotations Labels) {
	firing := slices.DeleteFunc(slices.Clone(c.alerts), func(a *Alert) bool { return a.Status != StatusFiring })
	if len(firing) == 0 {
		firing = c.alerts
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
