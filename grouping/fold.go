package grouping

import (
	"slices"
	"time"
)

// One thing that happened can make several events: HA replicas send copies of one
// notification, and a write that opens a group also fires its first alert. The functions
// here tell which events belong together. All take events that are newest first.

// maxCopyInterval is the maximum time between two copies of one notification. Each
// Alertmanager of a cluster waits 15 s longer than the one before it.
const maxCopyInterval = time.Minute

// EventCopies says which copy of a notification an event is.
type EventCopies struct {
	// Newest is the index of the newest copy, which can be the event itself.
	Newest int
	// From holds the sorted external URLs of the Alertmanagers that sent the copies. It
	// is set on the newest copy only.
	From []string
}

// FoldCopies finds the copies of one notification that several Alertmanagers sent. The
// result has one element per event.
func FoldCopies(events []Event) []EventCopies {
	folded := make([]EventCopies, len(events))
	type run struct{ newest, last int }
	runs := map[ID]run{}
	for i := range events {
		e := &events[i]
		folded[i].Newest = i
		if e.Kind != EventNotified {
			continue
		}
		r, ok := runs[e.GroupID]
		from := e.Notification().ExternalURL
		if ok && isCopy(&events[r.last], e) && !slices.Contains(folded[r.newest].From, from) {
			folded[i].Newest = r.newest
			folded[r.newest].From = append(folded[r.newest].From, from)
			runs[e.GroupID] = run{r.newest, i}
			continue
		}
		folded[i].From = []string{from}
		runs[e.GroupID] = run{i, i}
	}
	for i := range folded {
		slices.Sort(folded[i].From)
	}
	return folded
}

func isCopy(newer, older *Event) bool {
	n, o := newer.Notification(), older.Notification()
	return n.Reason == o.Reason && n.Firing == o.Firing && n.Resolved == o.Resolved && newer.Time.Sub(older.Time) < maxCopyInterval
}

// Turns names the alerts that opened and closed groups. The keys are IDs of writes, the
// values are indexes of events.
type Turns struct {
	FirstFired   map[string]int // the first alert that fired in a write that opened a group
	LastResolved map[string]int // the last alert that resolved in a write that closed a group
}

// TurnsOf returns the alerts that opened and closed groups.
func TurnsOf(events []Event) Turns {
	opened, closed := map[string]bool{}, map[string]bool{}
	for i := range events {
		switch events[i].Kind {
		case EventOpened:
			opened[events[i].WriteID()] = true
		case EventClosed:
			closed[events[i].WriteID()] = true
		default:
		}
	}
	t := Turns{FirstFired: map[string]int{}, LastResolved: map[string]int{}}
	for i := range events {
		write := events[i].WriteID()
		switch events[i].Kind {
		case EventFired, EventRefired, EventReopened:
			if opened[write] {
				t.FirstFired[write] = i // the last match is the oldest event
			}
		case EventResolved:
			if _, known := t.LastResolved[write]; closed[write] && !known {
				t.LastResolved[write] = i
			}
		default:
		}
	}
	return t
}

// NotificationSummary is one notification. Its copies are counted together.
type NotificationSummary struct {
	Newest, Oldest *Event   // the copies that arrived last and first
	From           []string // sorted external URLs of the Alertmanagers that sent the copies
	Joined, Left   int      // number of alerts that started or stopped firing with it
}

// Notifications returns the newest notifications among the events, at most maximum.
func Notifications(events []Event, maximum int) []NotificationSummary {
	joined, left := map[string]int{}, map[string]int{} // by write
	for i := range events {
		switch events[i].Kind {
		case EventFired, EventRefired, EventReopened, EventReturned:
			joined[events[i].WriteID()]++
		case EventResolved, EventUnreported:
			left[events[i].WriteID()]++
		default:
		}
	}
	var out []NotificationSummary
	at := map[int]int{} // index in out, by the index of the newest copy
	for i, c := range FoldCopies(events) {
		e := &events[i]
		if e.Kind != EventNotified {
			continue
		}
		n, known := at[c.Newest]
		if !known {
			if len(out) == maximum {
				break
			}
			n, at[c.Newest] = len(out), len(out)
			out = append(out, NotificationSummary{Newest: e, From: c.From})
		}
		out[n].Oldest = e
		out[n].Joined += joined[e.WriteID()]
		out[n].Left += left[e.WriteID()]
	}
	return out
}

// WriteID returns the part of the event's ID that is equal for all events of one write.
func (e *Event) WriteID() string { return e.ID[:max(0, len(e.ID)-eventNumberLen)] }
