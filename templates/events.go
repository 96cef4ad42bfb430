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
	Key   string
	At    Moment
	Time  string // 23:34:12
	Kind  string
	Class string
	What  string // the group's or the alert's name
	Href  string
	Says  string
	Chips []Chip
	Group string // the group's page, where Href is the alert's
}

// eventLooks is how a kind of event looks and what it means.
var eventLooks = map[grouping.EventKind][2]string{
	grouping.EventOpened:     {"crit", "the group has its first firing alert"},
	grouping.EventFired:      {"crit", "fires"},
	grouping.EventRefired:    {"crit", "fires again"},
	grouping.EventReopened:   {"crit", "fires again, as if it had not been resolved"},
	grouping.EventReturned:   {"crit", "is reported again"},
	grouping.EventResolved:   {"ok", "is resolved"},
	grouping.EventClosed:     {"ok", "the group's last alert is resolved"},
	grouping.EventUnreported: {"unrep", "is no longer reported"},
	grouping.EventStale:      {"warn", "no word of this group for long"},
	grouping.EventExpired:    {"other", "is forgotten"},
	grouping.EventNotified:   {"info", ""},
}

// newEventRow makes a line of history, with those of its labels that show says.
func newEventRow(s *Site, e *grouping.Event, show func(grouping.Labels) grouping.Labels) EventRow {
	looks := eventLooks[e.Kind]
	r := EventRow{
		Key: e.ID, At: moment(e.Time, s.Now), Time: e.Time.UTC().Format("15:04:05"), Kind: string(e.Kind), Class: looks[0], Says: looks[1],
		What: cmp.Or(e.Labels["alertname"], e.Receiver, "group"), Href: s.Links.Group(e.GroupID),
	}
	if e.Fingerprint != "" {
		r.Group, r.Href = r.Href, s.Links.Alert(e.Fingerprint)
	}
	if e.Kind == grouping.EventNotified {
		r.Says = reason(e) + ": " + notifiedCounts(e)
		if e.ExternalURL != "" {
			r.Says += ", from " + host(e.ExternalURL)
		}
	}
	r.Chips = chips(show(e.Labels), everything(), s.Links, func(name string) bool { return name == "alertname" })
	return r
}

// without returns the labels that are not in the other set.
func without(l, other grouping.Labels) grouping.Labels {
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
func briefly(l grouping.Labels) grouping.Labels {
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
	for _, name := range telling {
		take(name)
	}
	take("severity")
	for _, name := range l.Names() {
		take(name)
	}
	return few
}

func notifiedCounts(e *grouping.Event) string {
	parts := []string{count(e.Firing) + " firing"}
	if e.Resolved > 0 {
		parts = append(parts, count(e.Resolved)+" resolved")
	}
	if e.Truncated > 0 {
		parts = append(parts, count(cut(e.Truncated))+" cut")
	}
	return strings.Join(parts, ", ")
}

// reason is why Alertmanager notified. Before 0.32 it does not say.
func reason(e *grouping.Event) string { return cmp.Or(e.Reason, "notification") }

// host is the short name of an Alertmanager.
func host(external string) string {
	if u, err := url.Parse(external); err == nil && u.Host != "" {
		return u.Host
	}
	return external
}

// transitions are a group's events but for its notifications.
func transitions(s *Site, events []grouping.Event, shared grouping.Labels) []EventRow {
	const most = 15 // the history page has the rest
	var out []EventRow
	for i := range events {
		if events[i].Kind != grouping.EventNotified && len(out) < most {
			r := newEventRow(s, &events[i], func(l grouping.Labels) grouping.Labels { return without(l, shared) })
			r.Group = ""
			out = append(out, r)
		}
	}
	return out
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

// foldWithin is how far apart the copies of one notification arrive: replicas
// wait their turn, 15 s each.
const foldWithin = time.Minute

// newNotifications lists the notifications among the events, which are newest
// first, and folds the copies that replicas sent.
func newNotifications(events []grouping.Event, s *Site) []NotificationRow {
	const most = 15
	type moves struct{ joined, left int }
	byWrite := map[string]moves{}
	for i := range events {
		m := byWrite[writeOf(&events[i])]
		switch events[i].Kind {
		case grouping.EventFired, grouping.EventRefired, grouping.EventReopened, grouping.EventReturned:
			m.joined++
		case grouping.EventResolved, grouping.EventUnreported:
			m.left++
		default:
			continue
		}
		byWrite[writeOf(&events[i])] = m
	}
	var out []NotificationRow
	var last *grouping.Event
	for i := range events {
		e := &events[i]
		if e.Kind != grouping.EventNotified {
			continue
		}
		m := byWrite[writeOf(e)]
		from := host(cmp.Or(e.ExternalURL, "unknown"))
		if n := len(out) - 1; last != nil && last.Reason == e.Reason && last.Firing == e.Firing && last.Resolved == e.Resolved &&
			last.Time.Sub(e.Time) < foldWithin && !slices.Contains(out[n].From, from) {
			r := &out[n]
			r.From = append(r.From, from)
			slices.Sort(r.From)
			r.Joined, r.Left = r.Joined+m.joined, r.Left+m.left
			r.At, r.Time, r.Key = moment(e.Time, s.Now), e.Time.UTC().Format("15:04:05"), e.ID
			continue
		}
		if len(out) == most {
			break
		}
		last = e
		out = append(out, NotificationRow{
			Key: e.ID, At: moment(e.Time, s.Now), Time: e.Time.UTC().Format("15:04:05"), Why: reason(e), Counts: notifiedCounts(e),
			Joined: m.joined, Left: m.left, From: []string{from},
		})
	}
	return out
}

// writeOf is the part of an event's ID that all events of one write share.
func writeOf(e *grouping.Event) string {
	const number = 6
	return e.ID[:max(0, len(e.ID)-number)]
}
