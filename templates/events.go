package templates

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"time"

	"muster/grouping"
)

// EventRow is one line of history.
type EventRow struct {
	Key    string
	At     Moment
	Time   string // 23:34:12
	Kind   string
	Class  string
	What   string // name of the group or of the alert
	Href   string
	Says   string
	Origin []Chip // source and receiver, if there are several
	Chips  []Chip
	Group  string // page of the group; empty if Href leads to it
}

// eventLook is how a page shows a kind of event.
type eventLook struct{ class, word, says string }

var eventLooks = map[grouping.EventKind]eventLook{
	grouping.EventOpened:     {"crit", "opened", "starts with its first firing alert"},
	grouping.EventFired:      {"crit", "fired", "fires"},
	grouping.EventRefired:    {"crit", "fires again", "starts a new episode"},
	grouping.EventReopened:   {"crit", "reopened", "fires again with the same start time"},
	grouping.EventReturned:   {"crit", "returned", "is reported again"},
	grouping.EventResolved:   {"ok", "resolved", "is resolved"},
	grouping.EventClosed:     {"ok", "closed", "ends with its last alert resolved"},
	grouping.EventUnreported: {"unrep", "unreported", "is no longer reported"},
	grouping.EventStale:      {"warn", "stale", "has no notification for a long time"},
	grouping.EventExpired:    {"other", "expired", "is removed"},
	grouping.EventNotified:   {"info", "notified", ""},
}

// An alert's line ends with firstOfGroup or lastOfGroup if the same write opened
// or closed its group.
const (
	firstOfGroup = ", the first of its group"
	lastOfGroup  = ", the last of its group"
)

// newEventRows makes the lines of the history. events are newest first. show
// selects the labels that a line shows.
//
// If several Alertmanagers sent copies of one notification, the copies are one
// line. If one write opened or closed a group together with an alert, the line of
// the alert says so, and the group has no line of its own.
func newEventRows(s *Site, events []grouping.Event, show func(grouping.Labels) grouping.Labels) []EventRow {
	firstFired, lastResolved := openingAndClosing(events)
	copies := foldCopies(events)
	rows := make([]EventRow, 0, len(events))
	for i := range events {
		e := &events[i]
		if copies[i].line != i {
			continue
		}
		first, opening := firstFired[writeID(e)]
		last, closing := lastResolved[writeID(e)]
		if e.Kind == grouping.EventOpened && opening || e.Kind == grouping.EventClosed && closing {
			continue
		}
		row := newEventRow(s, e, copies[i].from, show)
		switch {
		case opening && i == first:
			row.Says += firstOfGroup
		case closing && i == last:
			row.Says += lastOfGroup
		}
		rows = append(rows, row)
	}
	return rows
}

// openingAndClosing returns two maps from a write's ID to the index of an event:
// the first alert that fired in a write that opened a group, and the last alert
// that resolved in a write that closed a group.
func openingAndClosing(events []grouping.Event) (firstFired, lastResolved map[string]int) {
	opened, closed := map[string]bool{}, map[string]bool{}
	for i := range events {
		switch events[i].Kind {
		case grouping.EventOpened:
			opened[writeID(&events[i])] = true
		case grouping.EventClosed:
			closed[writeID(&events[i])] = true
		default:
		}
	}
	firstFired, lastResolved = map[string]int{}, map[string]int{}
	for i := range events {
		write := writeID(&events[i])
		switch events[i].Kind {
		case grouping.EventFired, grouping.EventRefired, grouping.EventReopened:
			if opened[write] {
				firstFired[write] = i // events are newest first, so the last match is the oldest
			}
		case grouping.EventResolved:
			if _, ok := lastResolved[write]; closed[write] && !ok {
				lastResolved[write] = i
			}
		default:
		}
	}
	return firstFired, lastResolved
}

// maxCopyInterval is the maximum time between two copies of one notification.
// Each Alertmanager of a cluster waits 15 s longer than the one before it.
const maxCopyInterval = time.Minute

// copyOf assigns an event to a line of a list.
type copyOf struct {
	line int      // index of the newest copy, which can be the event itself
	from []string // Alertmanagers that sent the copies; set on the newest copy only
}

// foldCopies finds the copies of one notification that several Alertmanagers
// sent. events are newest first. The result has one entry per event.
func foldCopies(events []grouping.Event) []copyOf {
	folded := make([]copyOf, len(events))
	type run struct{ line, last int }
	runs := map[grouping.ID]run{}
	for i := range events {
		e := &events[i]
		folded[i].line = i
		if e.Kind != grouping.EventNotified {
			continue
		}
		from := hostOf(cmp.Or(e.ExternalURL, "unknown"))
		if r, ok := runs[e.GroupID]; ok && sameNotification(&events[r.last], e) && !slices.Contains(folded[r.line].from, from) {
			folded[i].line = r.line
			folded[r.line].from = append(folded[r.line].from, from)
			runs[e.GroupID] = run{r.line, i}
			continue
		}
		folded[i].from = []string{from}
		runs[e.GroupID] = run{i, i}
	}
	for i := range folded {
		slices.Sort(folded[i].from)
	}
	return folded
}

func sameNotification(newer, older *grouping.Event) bool {
	return newer.Reason == older.Reason && newer.Firing == older.Firing && newer.Resolved == older.Resolved &&
		newer.Time.Sub(older.Time) < maxCopyInterval
}

// newEventRow makes a line of the history. show selects the labels that the line
// shows. from are the Alertmanagers that sent the notification.
func newEventRow(s *Site, e *grouping.Event, from []string, show func(grouping.Labels) grouping.Labels) EventRow {
	look := eventLooks[e.Kind]
	r := EventRow{
		Key: e.ID, At: newMoment(e.Time, s.Now), Time: e.Time.UTC().Format("15:04:05"), Kind: look.word, Class: look.class, Says: look.says,
		What: cmp.Or(e.Labels["alertname"], e.Receiver, "group"), Href: s.Links.Group(e.GroupID),
	}
	if e.Fingerprint != "" {
		r.Group, r.Href = r.Href, s.alertLink(e.Fingerprint, e.Source)
	}
	if e.Kind == grouping.EventNotified {
		r.Says = notificationReason(e) + ": " + notifiedCounts(e)
		if e.ExternalURL != "" {
			r.Says += ", from " + strings.Join(from, ", ")
		}
	}
	r.Origin = s.originChips(e.Source, e.Receiver, allGroups())
	r.Chips = labelChips(show(e.Labels), allGroups(), s.Links, func(name string) bool { return name == "alertname" })
	return r
}

// labelsWithout returns the labels of l that other does not have with the same
// value.
func labelsWithout(l, other grouping.Labels) grouping.Labels {
	own := grouping.Labels{}
	for name, value := range l {
		if v, ok := other[name]; !ok || v != value {
			own[name] = value
		}
	}
	return own
}

// mainLabels returns at most four labels that identify an alert best: first those
// that usually differ between alerts, then the severity, then any label.
func mainLabels(l grouping.Labels) grouping.Labels {
	const maximum = 4
	few := grouping.Labels{}
	add := func(name string) {
		if value, ok := l[name]; ok && len(few) < maximum && name != "alertname" {
			few[name] = value
		}
	}
	for _, name := range []string{"namespace", "cluster"} {
		add(name)
	}
	for _, name := range distinguishingLabels {
		add(name)
	}
	add(grouping.SeverityLabel())
	for _, name := range l.Names() {
		add(name)
	}
	return few
}

func notifiedCounts(e *grouping.Event) string {
	parts := []string{formatCount(e.Firing) + " firing"}
	if e.Resolved > 0 {
		parts = append(parts, formatCount(e.Resolved)+" resolved")
	}
	if e.Truncated > 0 {
		parts = append(parts, formatCount(truncatedCount(e.Truncated))+" truncated")
	}
	return strings.Join(parts, ", ")
}

// notificationReason returns why Alertmanager sent the notification. Alertmanager
// before 0.32 does not send a reason.
func notificationReason(e *grouping.Event) string { return cmp.Or(e.Reason, "notification") }

// hostOf returns the host of an Alertmanager's external URL.
func hostOf(external string) string {
	if u, err := url.Parse(external); err == nil && u.Host != "" {
		return u.Host
	}
	return external
}

// transitions returns the lines of a group's events without its notifications.
func transitions(s *Site, events []grouping.Event, shared grouping.Labels) []EventRow {
	const maximum = 15 // the history page has the rest
	changes := slices.DeleteFunc(slices.Clone(events), func(e grouping.Event) bool { return e.Kind == grouping.EventNotified })
	rows := newEventRows(s, changes, func(l grouping.Labels) grouping.Labels { return labelsWithout(l, shared) })
	rows = rows[:min(len(rows), maximum)]
	for i := range rows {
		rows[i].Group, rows[i].Origin = "", nil // the page shows them once
	}
	return rows
}

// NotificationRow is one notification. Copies from several Alertmanagers are one
// row.
type NotificationRow struct {
	Key          string
	At           Moment
	Time         string
	Why          string
	Counts       string
	Joined, Left int
	From         []string
}

// newNotifications makes the rows of the notifications among the events. events
// are newest first.
func newNotifications(events []grouping.Event, s *Site) []NotificationRow {
	const maximum = 15
	type moves struct{ joined, left int }
	byWrite := map[string]moves{}
	for i := range events {
		m := byWrite[writeID(&events[i])]
		switch events[i].Kind {
		case grouping.EventFired, grouping.EventRefired, grouping.EventReopened, grouping.EventReturned:
			m.joined++
		case grouping.EventResolved, grouping.EventUnreported:
			m.left++
		default:
			continue
		}
		byWrite[writeID(&events[i])] = m
	}
	var out []NotificationRow
	row := map[int]int{} // by the index of the newest copy
	for i, c := range foldCopies(events) {
		e := &events[i]
		if e.Kind != grouping.EventNotified {
			continue
		}
		m := byWrite[writeID(e)]
		at, ok := row[c.line]
		if !ok {
			if len(out) == maximum {
				break
			}
			at, row[c.line] = len(out), len(out)
			out = append(out, NotificationRow{Why: notificationReason(e), Counts: notifiedCounts(e), From: c.from})
		}
		// The oldest copy arrived when Alertmanager sent the notification.
		r := &out[at]
		r.Key, r.At, r.Time = e.ID, newMoment(e.Time, s.Now), e.Time.UTC().Format("15:04:05")
		r.Joined, r.Left = r.Joined+m.joined, r.Left+m.left
	}
	return out
}

// writeID returns the part of an event's ID that is equal for all events of one
// write.
func writeID(e *grouping.Event) string {
	const numberDigits = 6 // an ID ends with the number of the event in its write
	return e.ID[:max(0, len(e.ID)-numberDigits)]
}
