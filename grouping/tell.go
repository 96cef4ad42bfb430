package grouping

import (
	"cmp"
	"slices"
	"sync"
)

// The events of a write tell the whole change of what is shown of a group, so that the state at
// any time follows from them. Most events say it all. The functions below add the rest: the
// contents of alerts, what is common to alerts, and changes that have no event of their own.

// toldAlert is what the events of a write say about one alert.
type toldAlert struct {
	PastAlert

	last int  // the index of the last event, or -1
	said bool // an event has the content of the alert
}

// tellRest completes the events of the transition to the group g.
func (tr *transition) tellRest(g *AlertGroup, replaced []alertPair) {
	if n := len(tr.log.events); n > 0 && tr.log.events[n-1].Kind == EventExpired && tr.log.events[n-1].Fingerprint == "" {
		return // the group is removed
	}
	memory := toldLists.Get().(*toldList) //nolint:forcetypeassert // the pool holds nothing else
	told := tr.toldAlerts(memory.alerts, replaced)
	for i := range replaced {
		if replaced[i].after != nil {
			tr.tellAlert(replaced[i], &told[i])
		}
	}
	tr.tellGroup(g)
	memory.put(told)
}

// toldList is the memory of what the events of a write say, which is used again: it has some
// hundred bytes for each alert.
type toldList struct{ alerts []toldAlert }

// maxPooledTold is the maximum number of alerts whose memory is used again.
const maxPooledTold = 256

var toldLists = sync.Pool{New: func() any { return new(toldList) }}

func (l *toldList) put(told []toldAlert) {
	clear(told)
	if l.alerts = told[:0]; cap(told) <= maxPooledTold {
		toldLists.Put(l)
	}
}

// toldAlerts returns what the events say about each of the alerts, which are sorted by
// fingerprint. It gives the events that begin an episode the content of their alert. The result
// uses the memory.
func (tr *transition) toldAlerts(memory []toldAlert, replaced []alertPair) []toldAlert {
	told := slices.Grow(memory, len(replaced))
	for i := range replaced {
		told = append(told, toldAlert{PastAlert: replaced[i].before.Past(), last: -1})
	}
	at := -1
	for i := range tr.log.events {
		e := &tr.log.events[i]
		if e.Fingerprint == "" || e.Kind == EventExpired {
			continue
		}
		if at = findPair(replaced, at+1, e.Fingerprint); at < 0 {
			continue // it was removed again
		}
		t := &told[at]
		t.Apply(e)
		t.last = i
		if after := replaced[at].after; after != nil && (e.Kind == EventFired || e.Kind == EventRefired) {
			t.said = true
			tr.log.addContent(e, after.content())
		}
	}
	return told
}

// findPair returns the index of the alert with the fingerprint, or -1. It looks first at next:
// events mostly have the order of the alerts.
func findPair(sorted []alertPair, next int, fp Fingerprint) int {
	if next < len(sorted) && sorted[next].fingerprint() == fp {
		return next
	}
	i, ok := slices.BinarySearchFunc(sorted, fp, func(p alertPair, fp Fingerprint) int { return cmp.Compare(p.fingerprint(), fp) })
	if !ok {
		return -1
	}
	return i
}

// tellAlert adds what the events do not say about an alert to its last event. If it has none, or
// if that has another episode, it adds a changed event.
func (tr *transition) tellAlert(p alertPair, told *toldAlert) {
	is := p.after.Past()
	lacks := told.lacks(&is)
	says := p.before == nil || p.before.GeneratorURL != p.after.GeneratorURL || !p.before.Annotations.Equal(p.after.Annotations)
	if told.last >= 0 && told.sameEpisode(&is) {
		e := &tr.log.events[told.last]
		if e.Alert = lacks; says && !told.said {
			tr.log.addContent(e, p.after.content())
		}
		return
	}
	if lacks == nil && !says && told.sameEpisode(&is) {
		return
	}
	e := alertEvent(EventChanged, p.before, p.after)
	if e.Alert = lacks; lacks == nil || says {
		tr.log.addContent(&e, p.after.content())
	}
	tr.log.changed = append(tr.log.changed, e)
}

// tellGroup adds what the events do not say about the group itself: its key, if it is new and not
// opened, and what is common to its alerts.
func (tr *transition) tellGroup(g *AlertGroup) {
	common := Content{Annotations: g.CommonAnnotations, Labels: g.CommonLabels, RouteLabels: g.RouteLabels}
	says, isNew := !common.isEmpty(), tr.before == nil
	if b := tr.before; b != nil {
		says = !b.CommonAnnotations.Equal(common.Annotations) || !b.CommonLabels.Equal(common.Labels) || !b.RouteLabels.Equal(common.RouteLabels)
	}
	var last *Event
	var opened *Opened
	for i := range tr.log.events {
		e := &tr.log.events[i]
		opened = cmp.Or(opened, e.Opened)
		if e.Fingerprint == "" && e.Kind != EventDelivered {
			last = e
		}
	}
	isNew = isNew && opened == nil
	if !says && !isNew {
		return
	}
	if last == nil || isNew && last.Kind == EventNotified {
		tr.log.changed = append(tr.log.changed, Event{Kind: EventChanged, Labels: g.GroupLabels})
		last = &tr.log.changed[len(tr.log.changed)-1]
	}
	if isNew {
		opened = &Opened{GroupKey: g.GroupKey, ExternalURL: g.ExternalURL}
		last.Opened = opened
	}
	switch {
	case !says:
	case opened != nil && g.isCommonShared():
		opened.Shared = true
	default:
		tr.log.addContent(last, common)
	}
}

// isCommonShared reports whether what is common to the alerts, by the last notification, is what
// the alerts of the group share.
func (g *AlertGroup) isCommonShared() bool {
	ls, annotations := SharedByAlerts(g.Alerts)
	return g.RouteLabels.IsZero() && g.CommonLabels.Equal(ls) && g.CommonAnnotations.Equal(annotations)
}
