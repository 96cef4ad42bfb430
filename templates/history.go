package templates

import (
	"slices"
	"strconv"
	"time"

	"muster/grouping"
	"muster/internal/query"
)

// HistoryView is the query of the history page.
type HistoryView struct{ query.Events }

// ParseHistoryView reads the query of the history's URL: the query of events, and
// group and at. It collects the errors in p.
func ParseHistoryView(p *query.Params, now time.Time) HistoryView {
	v := HistoryView{p.Events(now)}
	v.At, v.Group = p.At(now), p.GroupID("group")
	return v
}

// EventQuery returns the query for the manager.
func (v HistoryView) EventQuery() grouping.EventQuery { return v.Query(grouping.TransitionKinds()) }

func (v HistoryView) encode() string {
	q := make(parameters, 0, 6)
	q.addFilter(v.Filter)
	if v.Everything {
		q.add("kind", query.KindAll)
	}
	for _, k := range v.Kinds {
		q.add("kind", string(k))
	}
	q.add("group", string(v.Group))
	q.add("alert", string(v.Fingerprint))
	if !v.At.IsZero() {
		q.add("at", v.At.Format("2006-01-02T15:04"))
	}
	if !v.Since.IsZero() {
		q.add("since", v.Since.Format(time.RFC3339Nano))
	}
	if !v.Until.IsZero() {
		q.add("until", v.Until.Format(time.RFC3339Nano))
	}
	q.add("source", v.Source)
	q.add("receiver", v.Receiver)
	if v.Limit > 0 {
		q.add("limit", strconv.Itoa(v.Limit))
	}
	q.add("cursor", v.Cursor)
	return q.String()
}

// historyOf is the history of a group or of an alert, up to the time of the page.
func (s *Site) historyOf(of query.Events) string {
	if s.isPast() {
		of.At = s.Now
	}
	return s.Links.History(HistoryView{Events: of})
}

// groups returns the view of the groups with the same filter.
func (v HistoryView) groups() View {
	to := viewOfState(query.StateFiring)
	to.Filter, to.Source, to.Receiver = v.Filter, v.Source, v.Receiver
	return to
}

// HistoryPage is the list of events, newest first.
type HistoryPage struct {
	Frame

	Action             string
	Text               string
	Err                *query.FilterError
	Kinds              []Option
	Sources, Receivers []Option // empty if there is one only
	At                 string
	Group              string
	Alert              string
	Chips              []Chip // active filters; each leads to the history without it
	Clear              string
	Days               []HistoryDay
	Empty              *Empty
	Pager              *Pager
	Files              []File

	Since, Until      string // hidden fields of the form
	WithNotifications string // leads to the history with notifications
}

// HistoryDay holds the events of one day in UTC.
type HistoryDay struct {
	Day    string
	Events []EventRow
}

// NewHistoryPage makes the history. If v.Err is set, events must be the history
// without the filter.
func NewHistoryPage(s *Site, v HistoryView, events grouping.EventPage) *HistoryPage {
	p := &HistoryPage{
		Frame:  s.newFrame("history", titleWithSource("History", v.Source)),
		Action: s.Links.History(HistoryView{}), Text: v.Text(), Err: v.Err,
		Group: string(v.Group), Alert: string(v.Fingerprint), Files: v.files(s.Links),
	}
	if v.Err != nil {
		p.status = codeBadRequest
	}
	if !v.Since.IsZero() {
		p.Since = v.Since.Format(time.RFC3339Nano)
	}
	if !v.Until.IsZero() {
		p.Until = v.Until.Format(time.RFC3339Nano)
	}
	if !v.At.IsZero() {
		p.At = v.At.Format("2006-01-02T15:04")
	}
	p.Kinds = append(p.Kinds, Option{"", "transitions", len(v.Kinds) == 0 && !v.Everything},
		Option{query.KindAll, "with notifications", v.Everything})
	for _, k := range grouping.EventKinds() {
		p.Kinds = append(p.Kinds, Option{string(k), eventLooks[k].word, slices.Contains(v.Kinds, k)})
	}
	if len(v.Kinds) == 0 && !v.Everything {
		to := v
		to.Everything, to.Cursor = true, ""
		p.WithNotifications = s.Links.History(to)
	}
	p.Sources = selectOptions(s.Totals.Sources, v.Source, "all sources")
	p.Receivers = selectOptions(s.Totals.WithoutHeartbeats.Receivers, v.Receiver, "all receivers")
	p.setChips(s, v)
	rows := newEventRows(s, events.Events, grouping.Labels.MainLabels)
	s.setThen(rows, func(l Links) string { return l.Groups(v.groups()) })
	for _, row := range rows {
		day := row.At.At.Format("Monday, January 2 2006")
		if n := len(p.Days); n == 0 || p.Days[n-1].Day != day {
			p.Days = append(p.Days, HistoryDay{Day: day})
		}
		d := &p.Days[len(p.Days)-1]
		d.Events = append(d.Events, row)
	}
	if len(p.Days) == 0 {
		p.Empty = &Empty{Title: "No matching events", Href: p.Action, Link: "Show all"}
	}
	if events.Next != "" || v.Cursor != "" {
		p.Pager = &Pager{Text: plural(len(events.Events), "event", "events") + ", newest first"}
		to := v
		if to.Cursor = ""; v.Cursor != "" {
			p.Pager.First = s.Links.History(to)
		}
		if to.Cursor = events.Next; events.Next != "" {
			p.Pager.Next = s.Links.History(to)
		}
	}
	return p
}

func (p *HistoryPage) setChips(s *Site, v HistoryView) {
	v.Cursor = ""
	c := chips[HistoryView]{view: v, href: s.Links.History}
	c.addFilter(func(to *HistoryView) *query.Filter { return &to.Filter })
	c.addNamed("source: ", v.Source, func(to *HistoryView) { to.Source = "" })
	c.addNamed("receiver: ", v.Receiver, func(to *HistoryView) { to.Receiver = "" })
	c.addNamed("group ", string(v.Group), func(to *HistoryView) { to.Group = "" })
	c.addNamed("alert ", string(v.Fingerprint), func(to *HistoryView) { to.Fingerprint = "" })
	if !v.Since.IsZero() {
		c.add("since "+v.Since.Format("Jan 2 15:04:05")+" UTC", func(to *HistoryView) { to.Since = time.Time{} })
	}
	if !v.Until.IsZero() {
		c.add("before "+v.Until.Format("Jan 2 15:04:05")+" UTC", func(to *HistoryView) { to.Until = time.Time{} })
	}
	if !v.At.IsZero() {
		c.add("up to "+v.At.Format("Jan 2 15:04")+" UTC", func(to *HistoryView) { to.At = time.Time{} })
	}
	p.Chips = c.list
	if len(p.Chips) > 0 || v.Err != nil {
		p.Clear = p.Action
	}
}
