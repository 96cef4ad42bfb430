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
	What   string // the group's or the alert's name
	Href   string
	Says   string
	Origin []Chip // source and receiver, if there are several
	Chips  []Chip
	Group  string // the group's page, where Href is the alert's
}

// eventLook is how a kind of event looks and what it means.
type eventLook struct{ class, word, says string }

var eventLooks = map[grouping.EventKind]eventLook{
	grouping.EventOpened:     {"crit", "opened", "the group has its first firing alert"},
	grouping.EventFired:      {"crit", "fired", "fires"},
	grouping.EventRefired:    {"crit", "fires again", "begins a new episode"},
	grouping.EventReopened:   {"crit", "reopened", "fires again, as if it had not been resolved"},
	grouping.EventReturned:   {"crit", "returned", "is reported again"},
	grouping.EventResolved:   {"ok", "resolved", "is resolved"},
	grouping.EventClosed:     {"ok", "closed", "the group's last alert is resolved"},
	grouping.EventUnreported: {"unrep", "unreported", "is no longer reported"},
	grouping.EventStale:      {"warn", "stale", "no notification for a long time"},
	grouping.EventExpired:    {"other", "expired", "removed"},
	grouping.EventNotified:   {"info", "notified", ""},
}

// firstOfGroup and lastOfGroup are what an alert's line says beside its own
// words, if the same write opened or closed its group.
const (
	firstOfGroup = ", the first of its group"
	lastOfGroup  = ", the last of its group"
)

// newEventRows makes the lines of history of events, which are newest first. The
// copies that several Alertmanagers sent of one notification are one line. The
// line of an alert tells of its group too, if the same write opened or closed it.
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

// groupEdges returns, by write, the index of the first alert that fired in a
// write that opened its group, and of the last that resolved in one that closed
// it.
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
				firstFired[write] = i // the oldest of the write comes last
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

// foldWithin is how far apart the copies of one notification arrive: replicas
// wait their turn, 15 s each.
const maxCopyInterval = time.Minute

// copyOf says which line of a list an event belongs to.
type copyOf struct {
	line int      // the index of the newest copy; its own, if it has no newer one
	from []string // the Alertmanagers that sent the copies; on the newest alone
}

// foldCopies joins the copies that several Alertmanagers sent of one
// notification. The events are newest first.
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

// newEventRow makes a line of history, with those of its labels that show
// returns. from are the Alertmanagers that sent a notification.
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

// without returns the labels that are not in the other set.
func labelsWithout(l, other grouping.Labels) grouping.Labels {
	own := grouping.Labels{}
	for name, value := range l {
		if v, ok := other[name]; !ok || v != value {
			own[name] = value
		}
	}
	return own
}

// briefly returns the few labels that tell most: those by which alerts are told
// apart, then the severity, then any.
func mainLabels(l grouping.Labels) grouping.Labels {
	const most = 4
	few := grouping.Labels{}
	take := func(name string) {
		if value, ok := l[name]; ok && len(few) < most && name != "alertname" {
			few[name] = value
		}
	}
	for _, name := range []string{"namespace", "cluster"} {
		take(name)
	}
	for _, name := range distinguishingLabels {
		take(name)
	}
	take(grouping.SeverityLabel())
	for _, name := range l.Names() {
		take(name)
	}
	return few
}

func notifiedCounts(e *grouping.Event) string {
	parts := []string{formatCount(e.Firing) + " firing"}
	if e.Resolved > 0 {
		parts = append(parts, formatCount(e.Resolved)+" resolved")
	}
	if e.Truncated > 0 {
		parts = append(parts, formatCount(truncatedCount(e.Truncated))+" cut")
	}
	return strings.Join(parts, ", ")
}

// reason is why Alertmanager notified. Before 0.32 it does not say.
func notificationReason(e *grouping.Event) string { return cmp.Or(e.Reason, "notification") }

// host is the short name of an Alertmanager.
func hostOf(external string) string {
	if u, err := url.Parse(external); err == nil && u.Host != "" {
		return u.Host
	}
	return external
}

// transitions are a group's events but for its notifications.
func transitions(s *Site, events []grouping.Event, shared grouping.Labels) []EventRow {
	const maximum = 15 // the history page has the rest
	changes := slices.DeleteFunc(slices.Clone(events), func(e grouping.Event) bool { return e.Kind == grouping.EventNotified })
	rows := newEventRows(s, changes, func(l grouping.Labels) grouping.Labels { return labelsWithout(l, shared) })
	rows = rows[:min(len(rows), maximum)]
	for i := range rows {
		rows[i].Group, rows[i].Origin = "", nil // those of the page
	}
	return rows
}

// NotificationRow is one notification, or several Alertmanagers' copies of it.
type NotificationRow struct {
	Key          string
	At           Moment
	Time         string
	Why          string
	Counts       string
	Joined, Left int
	From         []string
}

// newNotifications lists the notifications among the events, which are newest
// first, and folds the copies that replicas sent.
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
		// The oldest copy says when Alertmanager notified.
		r := &out[at]
		r.Key, r.At, r.Time = e.ID, newMoment(e.Time, s.Now), e.Time.UTC().Format("15:04:05")
		r.Joined, r.Left = r.Joined+m.joined, r.Left+m.left
	}
	return out
}

// writeOf is the part of an event's ID that all events of one write share.
func writeID(e *grouping.Event) string {
	const number = 6
	return e.ID[:max(0, len(e.ID)-number)]
}
