package templates

import (
	"cmp"
	"net/url"
	"slices"
	"strings"

	"muster/grouping"
)

// EventRow is one line of history.
type EventRow struct {
	Key    string
	At     Moment
	Time   string // 23:34:12
	Then   string // leads to the state at that time
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
	grouping.EventDelivered:  {"info", "delivered", ""},

	grouping.EventSuppressed:   {"other", "suppressed", "suppressed"},
	grouping.EventUnsuppressed: {"crit", "unsuppressed", "no longer suppressed, still fires"},

	grouping.EventSilenceCreated: {"info", "silence created", ""},
	grouping.EventSilenceChanged: {"info", "silence changed", ""},
	grouping.EventSilenceExpired: {"info", "silence ended", ""},

	grouping.EventAcknowledged:   {"info", "acknowledged", "acknowledged"},
	grouping.EventUnacknowledged: {"info", "undone", "acknowledgement undone"},
	grouping.EventNoted:          {"info", "note", "note"},

	grouping.EventGap: {"warn", "gap", ""},
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
	turns, copies := grouping.TurnsOf(events), grouping.FoldCopies(events)
	rows := make([]EventRow, 0, len(events))
	for i := range events {
		e := &events[i]
		if copies[i].Newest != i {
			continue
		}
		first, opening := turns.FirstFired[e.WriteID()]
		last, closing := turns.LastResolved[e.WriteID()]
		if e.Kind == grouping.EventOpened && opening || e.Kind == grouping.EventClosed && closing {
			continue
		}
		row := newEventRow(s, e, copies[i].From, show)
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

// setThen makes the times of the lines lead to a page at that time.
func (s *Site) setThen(rows []EventRow, page func(Links) string) {
	for i := range rows {
		rows[i].Then = page(s.Links.Then(rows[i].At.At))
	}
}

// newEventRow makes a line of the history. show selects the labels that the line
// shows. from are the external URLs of the Alertmanagers that sent the notification.
func newEventRow(s *Site, e *grouping.Event, from []string, show func(grouping.Labels) grouping.Labels) EventRow {
	look := eventLooks[e.Kind]
	r := EventRow{
		Key: e.ID, At: newMoment(e.Time, s.Now), Time: e.Time.UTC().Format("15:04:05"), Kind: look.word, Class: look.class, Says: look.says,
		What: shorten(cmp.Or(visible(e.Labels.Get("alertname")), e.Receiver, "group")), Href: s.Links.Group(e.GroupID),
	}
	if e.GroupID == "" {
		r.What, r.Href = shorten(cmp.Or(e.Labels.Get("alertname"), e.Source)), "" // an event of the source
	}
	if e.Fingerprint != "" {
		r.Group, r.Href = r.Href, s.alertLink(e.Fingerprint, e.Source)
	}
	switch {
	case e.Kind == grouping.EventNotified:
		r.Says = notificationReason(e) + ": " + notifiedCounts(e)
		if e.Notification().ExternalURL != "" {
			r.Says += ", from " + strings.Join(hostsOf(from), ", ")
		}
	case e.Delivery != nil:
		r.Says = e.Delivery.Receiver + " (" + integrationName(e.Delivery) + "): " + deliveryTitle(e.Delivery) + ", " +
			deliveredCounts(e.Delivery)
	case e.Gap != nil:
		r.What, r.Says = "no data", gapSpan(*e.Gap, e.Time)+gapReason
		return r
	case e.Silence != nil:
		r.setSilence(s, e)
		return r
	case e.Mute != nil:
		r.setMute(s, e)
	case e.People != nil:
		r.Says = s.peopleSentence(e)
	}
	r.Origin = s.originChips(e.Source, e.Receiver, allGroups())
	r.Chips = labelChips(show(e.Labels), allGroups(), s.Links, func(name string) bool { return name == "alertname" })
	return r
}

// setMute sets what a line says about the mute of an event.
func (r *EventRow) setMute(s *Site, e *grouping.Event) {
	switch e.Kind {
	case grouping.EventSuppressed:
		if why := s.muteSentence(e.Source, *e.Mute); why != "" {
			r.Says += ": " + why
		}
	case grouping.EventResolved:
		r.Says += ", without a notification"
	default:
	}
}

// muteSentence says what mutes an alert: "silenced by mira until 06:00: canary pods".
func (s *Site) muteSentence(source string, m grouping.Mute) string {
	c := causes{source: source, alert: &grouping.Alert{}}
	switch m.Kind {
	case grouping.MuteSilence:
		known := s.silence(source, m.ID)
		if known == nil {
			return "silenced"
		}
		return "silenced" + s.silenceSentence(source, known, false).String()
	case grouping.MuteInhibition:
		c.inhibitions = []grouping.Mute{m}
		ps := s.inhibitedBy(c, false)
		ps[0].Text = strings.ToLower(ps[0].Text[:1]) + ps[0].Text[1:]
		return ps.String()
	case grouping.MuteInterval:
		return "muted by time interval " + shorten(m.ID)
	}
	return ""
}

// setSilence sets the line of an event about a silence.
func (r *EventRow) setSilence(s *Site, e *grouping.Event) {
	c := e.Silence
	r.What, r.Href = "silence", s.Links.SilenceOf(c.ID, s.manySource(e.Source))
	if c.CreatedBy != "" {
		r.What += " by " + shorten(c.CreatedBy)
	}
	switch {
	case e.Kind == grouping.EventSilenceExpired && c.Early:
		r.Says = "ended early"
	case e.Kind == grouping.EventSilenceExpired:
		r.Says = "ended"
	default:
		if !c.EndsAt.IsZero() {
			r.Says = "until " + clockPhrase(c.EndsAt, s.Now).Text
		}
		if !c.OldEndsAt.IsZero() {
			r.Says += ", before " + clockPhrase(c.OldEndsAt, s.Now).Text
		} else if c.Comment != "" {
			r.Says += ": " + shorten(c.Comment)
		}
	}
	if c.By != nil {
		r.Says += ", " + through(*c.By) + " through Muster"
	}
	r.Origin = s.originChips(e.Source, "", allGroups())
	for _, m := range c.Matchers {
		r.Chips = append(r.Chips, Chip{Text: shorten(m.String())})
	}
}

func notifiedCounts(e *grouping.Event) string {
	n := e.Notification()
	parts := []string{formatCount(n.Firing) + " firing"}
	if n.Resolved > 0 {
		parts = append(parts, formatCount(n.Resolved)+" resolved")
	}
	if n.Truncated > 0 {
		parts = append(parts, formatCount(truncatedCount(n.Truncated))+" truncated")
	}
	return strings.Join(parts, ", ")
}

// notificationReason returns why Alertmanager sent the notification. Alertmanager
// before 0.32 does not send a reason.
func notificationReason(e *grouping.Event) string {
	return cmp.Or(e.Notification().Reason, "notification")
}

// hostOf returns the host of an Alertmanager's external URL.
func hostOf(external string) string {
	if u, err := url.Parse(external); err == nil && u.Host != "" {
		return u.Host
	}
	return external
}

// hostsOf returns the sorted hosts of Alertmanagers' external URLs.
func hostsOf(external []string) []string {
	hosts := make([]string, len(external))
	for i, url := range external {
		hosts[i] = hostOf(cmp.Or(url, "unknown"))
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// transitions returns the lines of a group's events without its notifications.
func transitions(s *Site, events []grouping.Event, shared grouping.Labels) []EventRow {
	const maximum = 15 // the history page has the rest
	changes := slices.DeleteFunc(slices.Clone(events), func(e grouping.Event) bool {
		return e.Kind == grouping.EventNotified || e.Kind == grouping.EventDelivered
	})
	rows := newEventRows(s, changes, func(l grouping.Labels) grouping.Labels { return l.Without(shared) })
	rows = rows[:min(len(rows), maximum)]
	for i := range rows {
		rows[i].Group, rows[i].Origin = "", nil // the page shows them once
	}
	return rows
}
