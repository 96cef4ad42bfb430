package history

import (
	"cmp"
	"slices"
	"time"

	"muster/grouping"
)

// pastGroup is a group while its events are applied.
type pastGroup struct {
	id grouping.ID
	// base is the group of the base, or nil. It stays as it is.
	base    *grouping.AlertGroup
	meta    grouping.Meta
	changed bool
	common  pastCommon
	// notifiedAt is the time of the last notification after the base.
	notifiedAt time.Time
	people     grouping.PastPeople
	// alerts are those that differ from the base. An alert that was removed is nil.
	alerts map[grouping.Fingerprint]*pastAlert
}

// pastAlert is an alert while its events are applied.
type pastAlert struct {
	grouping.PastAlert

	base      *grouping.Alert // nil if the base does not have it
	content   contentRef
	firstSeen time.Time
	seen      time.Time
	recorded  []grouping.Episode
	owned     bool // recorded is not that of the base, so it may be overwritten
	stamp     grouping.Stamp
	// unnotified is the time of the observation that began the episode, or zero if a
	// notification began it.
	unnotified time.Time
}

// has reports whether the base has what the event says. A base is taken while events are
// written, so each of its records says itself how new it is.
func (g *pastGroup) has(e *grouping.Event) bool {
	if g == nil || g.base == nil {
		return false
	}
	stamp := e.Stamp()
	has, ofPeople := g.base.HasOfPeople(e)
	switch {
	case stamp <= g.base.Deleted:
		return true
	case ofPeople:
		return has
	case e.Kind == grouping.EventNotified:
		return !e.Time.After(g.base.LastNotifiedAt)
	case e.Fingerprint == "":
		return stamp <= g.base.Stamp
	}
	a := g.base.Alert(e.Fingerprint)
	if a == nil {
		return stamp <= g.base.Removed[e.Fingerprint]
	}
	return stamp <= a.Stamp || stamp <= mutesOf(g.base, a).Stamp
}

// mutesOf returns the record of the alert's mutes.
func mutesOf(g *grouping.AlertGroup, a *grouping.Alert) grouping.AlertMutes {
	i, ok := slices.BinarySearchFunc(g.Mutes, a.Fingerprint, func(m *grouping.AlertMutes, fp grouping.Fingerprint) int {
		return cmp.Compare(m.Fingerprint, fp)
	})
	if !ok {
		return grouping.AlertMutes{}
	}
	return *g.Mutes[i]
}

func (g *pastGroup) apply(e *grouping.Event) {
	g.common.take(g, e.Stamp())
	g.changed = true
	g.meta.Stamp, g.meta.UpdatedAt = max(g.meta.Stamp, e.Stamp()), latest(g.meta.UpdatedAt, e.Time)
	if e.Fingerprint != "" {
		g.applyToAlert(e)
		return
	}
	m := &g.meta
	if e.Opened != nil {
		m.GroupKey, m.ExternalURL, m.GroupLabels = e.Opened.GroupKey, e.Opened.ExternalURL, e.Labels
	}
	g.common.apply(e)
	g.people.Apply(e)
	switch e.Kind {
	case grouping.EventNotified:
		n := e.Notification()
		m.GroupLabels, m.LastNotifiedAt, m.LastReason, m.Truncated, m.Stale = e.Labels, e.Time, n.Reason, n.Truncated, false
		m.ExternalURL = n.ExternalURL
		if n.Firing > 0 {
			if len(m.Beats) > 0 { // the base knows that it is a group of heartbeats
				m.Beats = grouping.RecordBeat(m.Beats, n.ExternalURL, e.Time)
			}
			g.notifiedAt = e.Time
		}
	case grouping.EventDelivered:
		if e.Delivery != nil && e.Delivery.Firing > 0 {
			g.notifiedAt = e.Time
		}
	case grouping.EventStale:
		m.Stale = true
	default: // it follows from the events of the alerts
	}
}

func (g *pastGroup) applyToAlert(e *grouping.Event) {
	if g.alerts == nil {
		g.alerts = map[grouping.Fingerprint]*pastAlert{}
	}
	if e.Kind == grouping.EventExpired {
		g.alerts[e.Fingerprint] = nil
		return
	}
	p, known := g.alerts[e.Fingerprint]
	if p == nil {
		if p = (&pastAlert{firstSeen: e.Time}); !known {
			p.begin(g.base.Alert(e.Fingerprint))
		}
		g.alerts[e.Fingerprint] = p
	}
	p.apply(e)
}

// begin makes p the alert of the base, which may be nil.
func (p *pastAlert) begin(a *grouping.Alert) {
	if a == nil {
		return
	}
	p.PastAlert, p.base, p.firstSeen, p.recorded = a.Past(), a, a.FirstSeenAt, a.Recorded
	if a.Unnotified {
		p.unnotified = a.FirstSeenAt
	}
}

func (p *pastAlert) apply(e *grouping.Event) {
	p.PastAlert.Apply(e)
	p.seen, p.stamp = e.Time, e.Stamp()
	if e.Content != "" {
		p.content = contentRef{e.Content, e.Kind}
	}
	switch e.Kind {
	case grouping.EventFired, grouping.EventRefired, grouping.EventReopened, grouping.EventReturned, grouping.EventResolved:
		if p.unnotified = e.Time; e.ObservedAt.IsZero() {
			p.unnotified = time.Time{}
		}
	default: // nothing says that the alert was notified
	}
	p.record(grouping.Episode{StartsAt: p.StartsAt, EndsAt: p.EndsAt, Stamp: p.stamp})
}

// maxEpisodes is the maximum number of episodes of an alert, as in grouping.
const maxEpisodes = 16

// record records the current episode of the alert. Most often it is the last one, or a new one.
func (p *pastAlert) record(current grouping.Episode) {
	byStart := func(x, y grouping.Episode) int { return x.StartsAt.Compare(y.StartsAt) }
	if !p.owned {
		p.recorded, p.owned = slices.Clone(p.recorded), true
	}
	i, known := len(p.recorded), false
	if i > 0 && !p.recorded[i-1].StartsAt.Before(current.StartsAt) {
		i, known = slices.BinarySearchFunc(p.recorded, current, byStart)
	}
	if known {
		if current.EndsAt.IsZero() {
			current.EndsAt = p.recorded[i].EndsAt // as grouping does for an alert that fires again
		}
		p.recorded[i] = current
		return
	}
	if len(p.recorded) >= maxEpisodes {
		p.recorded, i = slices.Delete(p.recorded, 0, 1), max(0, i-1)
	}
	p.recorded = slices.Insert(p.recorded, i, current)
}

// alert returns the alert, and what mutes it, or nil.
func (p *pastAlert) alert(fp grouping.Fingerprint, contents map[string]grouping.Content) (*grouping.Alert, *grouping.AlertMutes) {
	var a grouping.Alert
	if p.base != nil {
		a = *p.base
	}
	a.Fingerprint, a.Labels, a.Status, a.StartsAt, a.EndsAt = fp, p.Labels, p.Status, p.StartsAt, p.EndsAt
	a.GoneFrom, a.GoneBy, a.ChangedAt = p.GoneFrom, p.GoneBy, p.ChangedAt
	a.RecordedAt = p.RecordedAt
	a.FirstSeenAt, a.LastSeenAt, a.Stamp, a.Recorded = p.firstSeen, p.seen, p.stamp, p.recorded
	if c, ok := p.content.lookUp(contents); ok {
		a.Annotations, a.GeneratorURL = c.Annotations, c.GeneratorURL
	}
	if len(p.Mutes) == 0 {
		return &a, nil
	}
	return &a, &grouping.AlertMutes{Fingerprint: fp, Mutes: p.Mutes, Stamp: p.stamp}
}

// alertGroup returns the group.
func (g *pastGroup) alertGroup(contents map[string]grouping.Content) *grouping.AlertGroup {
	if !g.changed && !g.base.Settling {
		return g.base
	}
	next := grouping.AlertGroup{ID: g.id, Meta: g.meta}
	if c, ok := g.common.lookUp(contents); ok {
		next.CommonLabels, next.CommonAnnotations, next.RouteLabels = c.Labels, c.Annotations, c.RouteLabels
	}
	next.SetPastPeople(g.people)
	g.addUnchanged(&next)
	for fp, p := range g.alerts {
		if p == nil {
			continue
		}
		a, mutes := p.alert(fp, contents)
		a.Unnotified = !p.unnotified.IsZero() && !g.notifiedAt.After(p.unnotified)
		if next.Alerts = append(next.Alerts, a); mutes != nil {
			next.Mutes = append(next.Mutes, mutes)
		}
	}
	slices.SortFunc(next.Mutes, func(x, y *grouping.AlertMutes) int { return cmp.Compare(x.Fingerprint, y.Fingerprint) })
	return grouping.NewAlertGroup(next)
}

// addUnchanged adds the alerts of the base that have no event since then, with their mutes.
func (g *pastGroup) addUnchanged(next *grouping.AlertGroup) {
	if g.base == nil {
		return
	}
	for _, a := range g.base.Alerts {
		if _, changed := g.alerts[a.Fingerprint]; changed {
			continue
		}
		if a.Unnotified && !g.notifiedAt.IsZero() {
			notified := *a
			notified.Unnotified = false
			a = &notified
		}
		next.Alerts = append(next.Alerts, a)
	}
	for _, m := range g.base.Mutes {
		if _, changed := g.alerts[m.Fingerprint]; !changed {
			next.Mutes = append(next.Mutes, m)
		}
	}
}
