package history

import (
	"cmp"
	"slices"
	"time"

	"muster/grouping"
)

// replay applies events to the groups of the past.
type replay struct {
	groups      map[grouping.ID]*pastGroup
	causesKnown bool
}

// pastGroup is a group while its events are applied.
type pastGroup struct {
	id     grouping.ID
	meta   grouping.Meta
	alerts map[grouping.Fingerprint]*pastAlert
}

// pastAlert is an alert while its events are applied. event is the last one that names its
// content.
type pastAlert struct {
	alert grouping.Alert
	mutes []grouping.Mute
	event grouping.Event
}

func (r *replay) apply(e *grouping.Event) {
	switch {
	case e.Kind == grouping.EventGap:
	case e.GroupID == "":
		r.causesKnown = true // only the event recorder and polls tell of silences
	case e.Fingerprint != "":
		r.applyToAlert(r.group(e), e)
	case e.Kind == grouping.EventExpired:
		delete(r.groups, e.GroupID)
	default:
		r.applyToGroup(r.group(e), e)
	}
}

// group returns the group of an event. It begins with the first event.
func (r *replay) group(e *grouping.Event) *pastGroup {
	g := r.groups[e.GroupID]
	if g == nil {
		g = &pastGroup{
			id:     e.GroupID,
			meta:   grouping.Meta{Key: grouping.Key{Source: e.Source, Receiver: e.Receiver}, CreatedAt: e.Time},
			alerts: map[grouping.Fingerprint]*pastAlert{},
		}
		r.groups[e.GroupID] = g
	}
	g.meta.Stamp, g.meta.UpdatedAt = e.Stamp(), e.Time
	return g
}

func (r *replay) applyToGroup(g *pastGroup, e *grouping.Event) {
	m := &g.meta
	switch e.Kind {
	case grouping.EventOpened:
		m.GroupLabels = e.Labels
		if e.Opened != nil {
			m.GroupKey, m.ExternalURL = e.Opened.GroupKey, e.Opened.ExternalURL
		}
	case grouping.EventNotified:
		n := e.Notification()
		m.GroupLabels, m.LastNotifiedAt, m.LastReason, m.Truncated, m.Stale = e.Labels, e.Time, n.Reason, n.Truncated, false
		if n.ExternalURL != "" {
			m.ExternalURL = n.ExternalURL
		}
	case grouping.EventStale:
		m.Stale = true
	case grouping.EventDelivered:
		r.causesKnown = true
	default: // it follows from the events of the alerts
	}
}

func (r *replay) applyToAlert(g *pastGroup, e *grouping.Event) {
	if e.Kind == grouping.EventExpired {
		delete(g.alerts, e.Fingerprint)
		return
	}
	p := g.alerts[e.Fingerprint]
	if p == nil {
		p = &pastAlert{alert: grouping.Alert{Fingerprint: e.Fingerprint, FirstSeenAt: e.Time, Status: grouping.StatusFiring}}
		g.alerts[e.Fingerprint] = p
	}
	a := &p.alert
	a.Labels, a.StartsAt, a.EndsAt, a.LastSeenAt, a.Stamp = e.Labels, e.StartsAt, e.EndsAt, e.Time, e.Stamp()
	if status := statusAfter(e); status != "" && (status != a.Status || a.ChangedAt.IsZero()) {
		a.Status, a.ChangedAt = status, e.Time
	}
	if e.Content != "" {
		p.event = grouping.Event{ID: e.ID, Time: e.Time, Kind: e.Kind, GroupID: e.GroupID, Source: e.Source, Content: e.Content}
	}
	switch e.Kind {
	case grouping.EventSuppressed:
		r.causesKnown = true
		if e.Mute != nil {
			p.mutes = append(p.mutes, *e.Mute)
		}
	case grouping.EventUnsuppressed, grouping.EventResolved:
		p.endMutes(e)
	default: // nothing changes what mutes the alert
	}
}

// statusAfter returns the status of an alert after an event about it, or "" if the event does
// not change it.
func statusAfter(e *grouping.Event) grouping.Status {
	switch e.Kind {
	case grouping.EventFired, grouping.EventRefired, grouping.EventReopened, grouping.EventReturned:
		return grouping.StatusFiring
	case grouping.EventResolved:
		return grouping.StatusResolved
	case grouping.EventUnreported:
		return grouping.StatusUnreported
	default:
		return ""
	}
}

func (p *pastAlert) endMutes(e *grouping.Event) {
	end := e.Time
	switch {
	case !e.EndsAt.IsZero():
		end = e.EndsAt
	case !e.ObservedAt.IsZero():
		end = e.ObservedAt
	}
	for i := range p.mutes {
		if m := &p.mutes[i]; m.Active() {
			m.Ended = latest(end, m.Since)
		}
	}
}

// wanted returns the events whose contents the groups need.
func (r *replay) wanted() (events []grouping.Event) {
	for _, g := range r.groups {
		for _, p := range g.alerts {
			if p.event.Content != "" {
				events = append(events, p.event)
			}
		}
	}
	return events
}

func (r *replay) alertGroups(contents map[string]grouping.Content) []*grouping.AlertGroup {
	groups := make([]*grouping.AlertGroup, 0, len(r.groups))
	for _, g := range r.groups {
		groups = append(groups, g.alertGroup(contents))
	}
	return groups
}

func (g *pastGroup) alertGroup(contents map[string]grouping.Content) *grouping.AlertGroup {
	next := grouping.AlertGroup{ID: g.id, Meta: g.meta}
	for fp, p := range g.alerts {
		a := p.alert
		if c, ok := contents[p.event.Content]; ok {
			a.Annotations, a.GeneratorURL = c.Annotations, c.GeneratorURL
		}
		next.Alerts = append(next.Alerts, &a)
		if len(p.mutes) > 0 {
			next.Mutes = append(next.Mutes, &grouping.AlertMutes{Fingerprint: fp, Mutes: slices.Clone(p.mutes), Stamp: a.Stamp})
		}
	}
	slices.SortFunc(next.Mutes, func(x, y *grouping.AlertMutes) int { return cmp.Compare(x.Fingerprint, y.Fingerprint) })
	return grouping.NewAlertGroup(next)
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
