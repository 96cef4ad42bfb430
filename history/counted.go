package history

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"muster/grouping"
)

// Number names a number of a report.
type Number string

// The numbers of a report. Those of episodes that ended are Ended, SelfResolved,
// Suppressed and Acknowledged.
const (
	NumberFirings       Number = "firings"
	NumberFiring        Number = "firing" // the time firing: each episode with any part inside
	NumberEnded         Number = "ended"
	NumberSelfResolved  Number = "selfResolved"
	NumberSuppressed    Number = "suppressed"
	NumberAcknowledged  Number = "acknowledged"
	NumberUnknownEnds   Number = "unknownEnds"
	NumberFlaps         Number = "flaps"
	NumberNotifications Number = "notifications"
	NumberGaps          Number = "gaps"
)

// Numbers lists all numbers.
func Numbers() []Number {
	return []Number{
		NumberFirings, NumberFiring, NumberEnded, NumberSelfResolved, NumberSuppressed, NumberAcknowledged, NumberUnknownEnds,
		NumberFlaps, NumberNotifications, NumberGaps,
	}
}

// OtherReasons selects the notifications whose reason is not one of KnownReasons.
const OtherReasons = "other"

// KnownReasons lists the reasons that Alertmanager sends.
func KnownReasons() []string {
	return []string{"first notification", "new alerts added", "some alerts resolved", "all alerts resolved", "repeat interval elapsed"}
}

// CountedQuery selects what a number of a report counts. Empty fields select everything.
type CountedQuery struct {
	ReportQuery

	Number   Number
	Receiver string
	// Hour selects the firings that began in an hour of a weekday in UTC, and Severity those
	// of alerts with a severity.
	Hour     *WeekHour
	Severity *grouping.Severity
	// Reason selects notifications. It can be OtherReasons.
	Reason string
	// The newest ones are first. Offset of them are left out, and then at most Limit returned.
	Offset, Limit int
}

// WeekHour is an hour of a weekday in UTC. Monday is 0.
type WeekHour struct{ Day, Hour int }

func weekHour(t time.Time) WeekHour { return WeekHour{(int(t.Weekday()) + 6) % 7, t.Hour()} }

// Counted is what a number of a report counts, the newest first.
type Counted struct {
	Total      int
	KnownSince time.Time // that of the report
	// Alerts is the number of alerts of all these firings. Firing is how long they fired in the
	// window, together.
	Alerts        int
	Firing        time.Duration
	Firings       []CountedFiring
	Notifications []CountedNotification
	Gaps          []grouping.Gap // the parts inside the window
}

// CountedFiring is an episode that is counted.
type CountedFiring struct {
	grouping.SourceAlert

	Labels grouping.Labels
	// EndsAt is zero if the episode goes on. EndKnown reports whether the end was reported.
	BeganAt, EndsAt  time.Time
	EndKnown         bool
	AcknowledgedAt   time.Time // or zero
	Suppressed, Flap bool
	Inside           time.Duration // the part in the window
}

// CountedNotification is a notification that is counted. The group is one of those that it is
// about. Alerts are the labels of those that the group listed then, at most maxCountedAlerts
// of Listed. An empty reason is not known.
type CountedNotification struct {
	At               time.Time
	Receiver, Reason string
	Group            grouping.ID
	Alerts           []grouping.Labels
	Listed           int
}

// maxCountedAlerts is the number of alerts that a row of a list has room for.
const maxCountedAlerts = 3

// Counted returns what a number of the report counts: as many as the number says.
func (d *Digest) Counted(q CountedQuery) *Counted {
	q.By = "" // rows do not matter
	c := counting{tally: d.newTally(q.ReportQuery), query: q}
	switch q.Number {
	case NumberGaps:
		c.addGaps()
		slices.Reverse(c.report.Gaps)
		return &Counted{Total: len(c.report.Gaps), KnownSince: c.report.KnownSince, Gaps: pageOf(c.report.Gaps, &q)}
	case NumberNotifications:
		c.visit, c.visitNote = func(*occurrence) {}, c.addNotification
		c.addAlerts()
		c.addNotes()
		return c.notifications()
	default:
		c.visit = c.addFiring
		c.addAlerts()
		return c.firings()
	}
}

// counting collects what a number counts.
type counting struct {
	tally

	query     CountedQuery
	found     []foundFiring
	notes     []foundNote
	alerts    int
	lastAlert int32 // plus 1
	inside    millis
}

type foundFiring struct {
	alert                       int32
	begin, end, inside, ackedAt millis
	known, muted, flapping      bool
}

type foundNote struct {
	note  *note
	group int
}

func (c *counting) addFiring(o *occurrence) {
	q := &c.query
	is := o.in(c.window)
	has := false
	switch q.Number {
	case NumberFirings:
		has = is.began
	case NumberFiring:
		has = is.inside > 0
	case NumberEnded:
		has = is.ended
	case NumberSelfResolved:
		has = is.selfResolved
	case NumberSuppressed:
		has = is.suppressed
	case NumberAcknowledged:
		has = is.acknowledged
	case NumberUnknownEnds:
		has = is.lost
	case NumberFlaps:
		has = is.flap
	default: // it counts no firing
	}
	switch {
	case !has,
		q.Severity != nil && *q.Severity != o.severity,
		q.Hour != nil && weekHour(o.begin.time()) != *q.Hour,
		q.Receiver != "" && !c.isOf(o.receivers, q.Receiver):
		return
	}
	c.inside += is.inside
	if c.lastAlert != o.alert+1 {
		c.lastAlert = o.alert + 1
		c.alerts++
	}
	c.found = append(c.found, foundFiring{o.alert, o.begin, o.end, is.inside, o.ackedAt, o.endsAt != 0, o.suppressed, o.flap})
}

// isOf reports whether a set of receivers has one.
func (c *counting) isOf(set int32, receiver string) bool {
	return slices.ContainsFunc(c.d.receivers.sets[set], func(r int32) bool { return c.d.receivers.names.list[r] == receiver })
}

func (c *counting) firings() *Counted {
	answer := &Counted{
		Total: len(c.found), KnownSince: c.report.KnownSince, Alerts: c.alerts, Firing: time.Duration(c.inside) * time.Millisecond,
	}
	slices.SortStableFunc(c.found, func(a, b foundFiring) int {
		return cmp.Or(cmp.Compare(b.begin, a.begin), cmp.Compare(b.alert, a.alert))
	})
	for _, f := range pageOf(c.found, &c.query) {
		a := &c.d.alerts[f.alert]
		one := CountedFiring{
			SourceAlert: a.id, Labels: a.labels, BeganAt: f.begin.time(), EndKnown: f.known, Suppressed: f.muted, Flap: f.flapping,
			Inside: time.Duration(f.inside) * time.Millisecond,
		}
		if f.ackedAt != 0 {
			one.AcknowledgedAt = f.ackedAt.time()
		}
		if f.end != endless {
			one.EndsAt = f.end.time()
		}
		answer.Firings = append(answer.Firings, one)
	}
	return answer
}

func (c *counting) addNotification(group int, n *note) {
	q := &c.query
	if q.Receiver != "" && c.d.receivers.names.list[n.receiver] != q.Receiver {
		return
	}
	reason := c.d.reasons.list[n.reason]
	switch {
	case q.Reason == "", q.Reason == reason, q.Reason == OtherReasons && !slices.Contains(KnownReasons(), reason):
		c.notes = append(c.notes, foundNote{n, group})
	}
}

func (c *counting) notifications() *Counted {
	answer := &Counted{Total: len(c.notes), KnownSince: c.report.KnownSince}
	ids := make(map[int]grouping.ID, len(c.d.groupOf))
	for id, i := range c.d.groupOf {
		ids[int(i)] = id
	}
	slices.SortFunc(c.notes, func(a, b foundNote) int {
		return cmp.Or(cmp.Compare(b.note.at, a.note.at), strings.Compare(string(ids[a.group]), string(ids[b.group])))
	})
	for _, f := range pageOf(c.notes, &c.query) {
		one := CountedNotification{
			At: f.note.at.time(), Receiver: c.d.receivers.names.list[f.note.receiver], Reason: c.d.reasons.list[f.note.reason],
			Group: ids[f.group],
		}
		c.addListed(&one, f)
		answer.Notifications = append(answer.Notifications, one)
	}
	return answer
}

// addListed adds the alerts that the group listed at the time of a notification.
func (c *counting) addListed(one *CountedNotification, f foundNote) {
	for _, s := range c.d.groups[f.group].spans {
		to := s.to
		if f.note.delivered && to != endless {
			to += late
		}
		if c.selected[s.alert] == notSelected || f.note.at < s.from || f.note.at > to {
			continue
		}
		if one.Listed++; len(one.Alerts) < maxCountedAlerts {
			one.Alerts = append(one.Alerts, c.d.alerts[s.alert].labels)
		}
	}
}

// pageOf returns the part of a list that the query asks for.
func pageOf[T any](all []T, q *CountedQuery) []T {
	all = all[min(q.Offset, len(all)):]
	return all[:min(q.Limit, len(all))]
}
