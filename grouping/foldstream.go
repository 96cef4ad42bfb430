package grouping

import (
	"maps"
	"slices"
	"time"
)

// Sent finds which events of a stream are about one notification to one receiver: the
// copies of it that several Alertmanagers sent to Muster, and its deliveries. Several
// integrations of one receiver are one notification. The events are oldest first.
type Sent struct {
	total  int
	recent map[ID][]sentRecently // by group
	// flushes has what a flush sent to a receiver. One flush can touch several groups.
	flushes map[flushTarget]sentRecently
	// forgetAt is the number of flushes at which old ones are forgotten.
	forgetAt int
}

// flushTarget is a receiver that a flush notified.
type flushTarget struct{ flush, receiver string }

// sentRecently is a notification that can have more copies or deliveries.
type sentRecently struct {
	number           int
	at               time.Time // of the last copy
	receiver, reason string
	firing, resolved int
	from             []string // external URLs of the Alertmanagers that sent copies to Muster
}

// maxFlushes is the number of flushes from which on old ones are forgotten. If many are recent,
// they are looked at again only after their number doubled.
const maxFlushes = 1024

// NewSent returns a Sent for the beginning of a stream.
func NewSent() *Sent {
	return &Sent{recent: map[ID][]sentRecently{}, flushes: map[flushTarget]sentRecently{}, forgetAt: maxFlushes}
}

// Add returns the number of the notification that a notified or delivered event is about,
// and whether no earlier event was about it. Numbers count from 0.
func (s *Sent) Add(e *Event) (number int, isNew bool) {
	add := sentRecently{at: e.Time, receiver: e.Receiver}
	var target flushTarget
	if d := e.Delivery; d != nil {
		add.receiver, add.reason, add.firing, add.resolved = d.Receiver, d.Reason, d.Firing, d.Resolved
		if target = (flushTarget{d.Flush, d.Receiver}); d.Flush != "" {
			if known, ok := s.flushes[target]; ok && isSoonAfter(e.Time, known.at) {
				return known.number, false
			}
		}
	} else {
		n := e.Notification()
		add.reason, add.firing, add.resolved, add.from = n.Reason, n.Firing, n.Resolved, []string{n.ExternalURL}
	}
	recent := slices.DeleteFunc(s.recent[e.GroupID], func(r sentRecently) bool { return !isSoonAfter(e.Time, r.at) })
	i := slices.IndexFunc(recent, func(r sentRecently) bool { return r.isSame(&add) })
	if isNew = i < 0; isNew {
		add.number, s.total = s.total, s.total+1
		i, recent = len(recent), append(recent, add)
	} else {
		recent[i].at, recent[i].from = e.Time, append(recent[i].from, add.from...)
	}
	s.recent[e.GroupID] = recent
	if target.flush != "" {
		s.rememberFlush(target, recent[i])
	}
	return recent[i].number, isNew
}

func isSoonAfter(later, earlier time.Time) bool { return later.Sub(earlier) < maxCopyInterval }

// isSame reports whether an event about the same group can be about the same notification.
func (s *sentRecently) isSame(o *sentRecently) bool {
	return s.receiver == o.receiver && s.firing == o.firing && s.resolved == o.resolved &&
		(s.reason == o.reason || s.reason == "" || o.reason == "") &&
		!slices.ContainsFunc(o.from, func(url string) bool { return slices.Contains(s.from, url) })
}

func (s *Sent) rememberFlush(target flushTarget, sent sentRecently) {
	if len(s.flushes) >= s.forgetAt {
		maps.DeleteFunc(s.flushes, func(_ flushTarget, r sentRecently) bool { return !isSoonAfter(sent.at, r.at) })
		s.forgetAt = max(maxFlushes, 2*len(s.flushes))
	}
	s.flushes[target] = sent
}
