package templates

import (
	"cmp"
	"strings"
	"time"

	"muster/grouping"
	"muster/history"
	"muster/internal/query"
)

// ReportListPage lists what a number of a report counts, the newest first.
type ReportListPage struct {
	Frame

	Back          string
	Heading       string
	Says          string
	Err           *query.FilterError
	Chips         []Chip // each leads to the list without it
	Clear         string
	InWindow      bool // the firings have the column "In this time"
	Firings       []FiringRow
	Notifications []NotifiedRow
	Gaps          []GapRow
	Empty         *Empty
	Pager         *Pager
}

// FiringRow is a firing of an alert.
type FiringRow struct {
	Key        string
	Severity   Severity
	Name, Href string
	Chips      []Chip
	Began      Moment
	Ended      Moment // zero: Still says why
	Still      string
	Lasted     string
	Inside     string
	Marks      []string
	Events     string // href
}

// NotifiedRow is a notification to a receiver.
type NotifiedRow struct {
	Key           string
	At            Moment
	Receiver, Why string
	Alerts        string
	Group, Events string // href
}

// NewReportListPage makes the list. If v.Err is set, counted is that without the filter.
func NewReportListPage(s *Site, v CountedView, counted *history.Counted) *ReportListPage {
	p := &ReportListPage{
		Frame: s.newFrame("report", "Report"), Err: v.Err, InWindow: v.Number == history.NumberFiring,
		Back: s.Links.Report(ReportView{Report: v.Report}), Heading: countedHeading(v, counted),
		Says: formatClock(v.Since, s.Now) + " to " + formatClock(v.Until, s.Now) + " UTC, newest first",
	}
	p.Still = true
	if v.Err != nil {
		p.status = codeBadRequest
	}
	p.setChips(s, v)
	for i := range counted.Firings {
		p.Firings = append(p.Firings, newFiringRow(s, &counted.Firings[i]))
	}
	for i := range counted.Notifications {
		p.Notifications = append(p.Notifications, newNotifiedRow(s, &counted.Notifications[i]))
	}
	for _, g := range counted.Gaps {
		p.Gaps = append(p.Gaps, newGapRow(g, s.Now))
	}
	shown := len(p.Firings) + len(p.Notifications) + len(p.Gaps)
	if shown == 0 {
		p.Empty = &Empty{Title: "Nothing is counted here"}
	}
	if v.From > 0 || v.From+shown < counted.Total {
		p.Pager = &Pager{Text: formatCount(v.From+1) + " to " + formatCount(v.From+shown) + " of " + formatCount(counted.Total)}
		to := v
		if to.From = 0; v.From > 0 {
			p.Pager.First = s.Links.Counted(to)
		}
		if to.From = v.From + shown; shown > 0 && to.From < counted.Total {
			p.Pager.Next = s.Links.Counted(to)
		}
	}
	return p
}

// countedHeading says what is listed, with its number.
func countedHeading(v CountedView, c *history.Counted) string {
	firings := plural(c.Total, "firing", "firings")
	switch v.Number {
	case history.NumberFiring:
		return firings + ", " + Age(c.Firing) + " in this time"
	case history.NumberEnded:
		return firings + " ended"
	case history.NumberSelfResolved:
		return firings + " " + plainly(c.Total, "was", "were") + " over within 5m"
	case history.NumberSuppressed:
		return firings + " ended and " + plainly(c.Total, "was", "were") + " suppressed"
	case history.NumberAcknowledged:
		return firings + " ended and " + plainly(c.Total, "was", "were") + " acknowledged"
	case history.NumberUnknownEnds:
		return firings + " without a known end"
	case history.NumberFlaps:
		return plural(c.Alerts, "alert", "alerts") + " flapped: " + firings + " within an hour after the last end"
	case history.NumberNotifications:
		return plural(c.Total, "notification", "notifications")
	case history.NumberGaps:
		return plural(c.Total, "gap", "gaps") + " without data"
	default:
		return firings
	}
}

func (p *ReportListPage) setChips(s *Site, v CountedView) {
	v.From = 0
	c := chips[CountedView]{view: v, href: s.Links.Counted}
	c.addFilter(func(to *CountedView) *query.Filter { return &to.Filter })
	c.addNamed("receiver: ", v.Receiver, func(to *CountedView) { to.Receiver = "" })
	c.addNamed("why: ", v.Reason, func(to *CountedView) { to.Reason = "" })
	if v.Hour != nil {
		at := time.Date(2026, time.June, 1+v.Hour.Day, v.Hour.Hour, 0, 0, 0, time.UTC) // June 1 is a Monday
		c.add("began "+at.Format("Mon 15:04")+" to "+at.Add(time.Hour).Format("15:04")+" UTC", func(to *CountedView) { to.Hour = nil })
	}
	if v.Severity != nil {
		c.add("severity: "+severities[*v.Severity].Word, func(to *CountedView) { to.Severity = nil })
	}
	if p.Chips = c.list; len(p.Chips) > 0 || v.Err != nil {
		v.Filter, v.Receiver, v.Reason, v.Hour, v.Severity = query.Filter{}, "", "", nil, nil
		p.Clear = s.Links.Counted(v)
	}
}

// eventsLate is how much later than an end its event can be written. A notification waits for
// the group_interval.
const eventsLate = time.Hour

func newFiringRow(s *Site, f *history.CountedFiring) FiringRow {
	look := severities[grouping.SeverityOf(f.Labels.Get(grouping.SeverityLabel()))]
	look.Word = cmp.Or(shorten(f.Labels.Get(grouping.SeverityLabel())), look.Word)
	row := FiringRow{
		Key: string(f.Fingerprint) + f.BeganAt.Format(time.RFC3339Nano), Severity: look,
		Name: cmp.Or(shorten(f.Labels.Get("alertname")), "Alert "+string(f.Fingerprint)), Href: s.alertLink(f.Fingerprint, f.Source),
		Chips: append(s.originChips(f.Source, "", allGroups()), labelChips(f.Labels.MainLabels(), allGroups(), s.Links, isSeverityLabel)...),
		Began: newMoment(f.BeganAt, s.Now), Still: "still firing", Lasted: Age(s.Now.Sub(f.BeganAt)), Inside: Age(f.Inside),
	}
	events := query.Events{
		Fingerprint: f.Fingerprint, Source: f.Source, Since: f.BeganAt.Truncate(time.Second), Until: f.EndsAt.Add(eventsLate),
	}
	if f.EndsAt.IsZero() {
		events.Until = time.Time{}
	} else {
		row.Ended, row.Lasted = newMoment(f.EndsAt, s.Now), Age(f.EndsAt.Sub(f.BeganAt))
	}
	if !f.EndsAt.IsZero() && !f.EndKnown {
		row.Marks = append(row.Marks, "end not known")
	}
	if f.Suppressed {
		row.Marks = append(row.Marks, "was suppressed")
	}
	if !f.AcknowledgedAt.IsZero() {
		row.Marks = append(row.Marks, "acknowledged after "+Age(f.AcknowledgedAt.Sub(f.BeganAt)))
	}
	if f.Flap {
		row.Marks = append(row.Marks, "flapped")
	}
	row.Events = s.Links.History(HistoryView{events})
	return row
}

func isSeverityLabel(name string) bool { return name == grouping.SeverityLabel() }

// notificationSpread is how far apart the copies of one notification are.
const notificationSpread = time.Minute

func newNotifiedRow(s *Site, n *history.CountedNotification) NotifiedRow {
	row := NotifiedRow{
		Key: string(n.Group) + n.Receiver + n.At.Format(time.RFC3339Nano), At: newMoment(n.At, s.Now), Receiver: shorten(n.Receiver),
		Why: cmp.Or(shorten(n.Reason), "not known"), Group: s.Links.Group(n.Group),
	}
	var names []string
	for _, alert := range n.Alerts {
		names = append(names, shorten(cmp.Or(alert.Get("alertname"), "an alert")))
	}
	if more := n.Listed - len(n.Alerts); more > 0 {
		names = append(names, "+"+formatCount(more))
	}
	row.Alerts = cmp.Or(strings.Join(names, ", "), "its group")
	row.Events = s.Links.History(HistoryView{query.Events{
		Group: n.Group, Kinds: []grouping.EventKind{grouping.EventNotified, grouping.EventDelivered}, Since: n.At,
		Until: n.At.Add(notificationSpread),
	}})
	return row
}
