package history

import (
	"maps"
	"time"

	"muster/grouping"
)

// replay applies events to the groups of the past.
type replay struct {
	groups      map[grouping.ID]*pastGroup
	silences    Silences
	causesKnown bool
}

func newReplay(base Base) *replay {
	r := &replay{groups: make(map[grouping.ID]*pastGroup, len(base.Groups)), causesKnown: base.CausesKnown, silences: Silences{}}
	maps.Copy(r.silences, base.Silences)
	for _, g := range base.Groups {
		meta := g.Meta
		meta.Settling = false // no event tells when it ends
		r.groups[g.ID] = &pastGroup{id: g.ID, base: g, meta: meta, people: g.PastPeople()}
	}
	return r
}

func (r *replay) apply(e *grouping.Event) {
	switch {
	case e.Kind == grouping.EventGap:
		return
	case e.GroupID == "", e.Mute != nil, e.Delivery != nil, !e.ObservedAt.IsZero():
		// Only the event recorder and polls tell of silences, of mutes and of deliveries.
		r.causesKnown = true
	}
	if e.GroupID == "" {
		r.silences.apply(e)
		return
	}
	g := r.groups[e.GroupID]
	if g.has(e) {
		return
	}
	if e.Kind == grouping.EventExpired && e.Fingerprint == "" {
		delete(r.groups, e.GroupID)
		return
	}
	if g == nil {
		g = &pastGroup{id: e.GroupID, meta: grouping.Meta{
			Key: grouping.Key{Source: e.Source, Receiver: e.Receiver}, CreatedAt: e.Time,
		}}
		r.groups[e.GroupID] = g
	}
	g.apply(e)
}

// wanted returns events that have the contents which the groups need.
func (r *replay) wanted() []grouping.Event {
	n := 0
	for _, g := range r.groups {
		n += 1 + len(g.alerts)
	}
	events := make([]grouping.Event, 0, n)
	for _, g := range r.groups {
		g.common.take(g, "")
		events = g.common.wanted(events, g)
		for _, p := range g.alerts {
			if p != nil {
				events = p.content.wanted(events, g)
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

// contentRef names a content by an event that has it. An empty hash means that the content of the
// base is the last one.
type contentRef struct {
	hash string
	kind grouping.EventKind
}

func (c contentRef) wanted(events []grouping.Event, g *pastGroup) []grouping.Event {
	if c.hash == "" {
		return events
	}
	return append(events, grouping.Event{Kind: c.kind, GroupID: g.id, Source: g.meta.Source, Content: c.hash})
}

// lookUp returns the content, if it is known.
func (c contentRef) lookUp(contents map[string]grouping.Content) (grouping.Content, bool) {
	if c.hash == "" {
		return grouping.Content{}, false
	}
	content, ok := contents[c.hash]
	return content, ok
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
