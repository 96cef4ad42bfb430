package templates

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/prometheus/alertmanager/pkg/labels"

	"muster/grouping"
)

// HistoryView is what a reader asked the history to show.
type HistoryView struct {
	Text        string
	Matchers    labels.Matchers
	Err         *FilterError
	Kinds       []grouping.EventKind // empty: transitions, or everything
	Everything  bool                 // notifications too
	Group       grouping.ID
	Fingerprint grouping.Fingerprint
	At          time.Time // what happened up to then; zero: up to now
	Cursor      string
}

// atLayouts are how a moment can be written: by a browser's field, by a program.
var atLayouts = []string{"2006-01-02T15:04", "2006-01-02T15:04:05", time.RFC3339, "2006-01-02 15:04", "2006-01-02"}

// ParseHistoryView reads the query of the history's URL: filter (repeatable),
// kind (repeatable), group, alert, at and cursor.
func ParseHistoryView(q url.Values) HistoryView {
	v := HistoryView{Text: joinFilters(q["filter"]), Cursor: q.Get("cursor")}
	var words []string
	if v.Matchers, words, v.Err = ParseFilter(v.Text); len(words) > 0 {
		// Events are selected by matchers alone: the word is a name.
		for _, w := range words {
			v.Matchers = append(v.Matchers, equals("alertname", w))
		}
	}
	for _, k := range q["kind"] {
		v.Everything = v.Everything || k == kindEverything
		if kind := grouping.EventKind(k); slices.Contains(grouping.EventKinds(), kind) && !slices.Contains(v.Kinds, kind) {
			v.Kinds = append(v.Kinds, kind)
		}
	}
	if id := grouping.ID(q.Get("group")); id.Valid() {
		v.Group = id
	}
	if fp := grouping.Fingerprint(q.Get("alert")); fp.Valid() {
		v.Fingerprint = fp
	}
	for _, layout := range atLayouts {
		if t, err := time.Parse(layout, q.Get("at")); err == nil {
			v.At = t.UTC()
			break
		}
	}
	return v
}

// kindEverything is the kind that stands for all of them. Without a kind the
// history shows transitions: most events are notifications that change nothing.
const kindEverything = "all"

// transitionKinds are all kinds of events but notifications.
func transitionKinds() []grouping.EventKind {
	return slices.DeleteFunc(grouping.EventKinds(), func(k grouping.EventKind) bool { return k == grouping.EventNotified })
}

// EventQuery is what to ask the manager for.
func (v HistoryView) EventQuery() grouping.EventQuery {
	kinds := v.Kinds
	switch {
	case v.Everything:
		kinds = nil
	case len(kinds) == 0:
		kinds = transitionKinds()
	}
	q := grouping.EventQuery{Matchers: v.Matchers, Kinds: kinds, Group: v.Group, Fingerprint: v.Fingerprint, Cursor: v.Cursor}
	if !v.At.IsZero() {
		q.Until = v.At.Add(time.Minute) // the field knows minutes: the asked one is included
	}
	return q
}

func (v HistoryView) filterText() string {
	if v.Err != nil {
		return v.Text
	}
	return filterText(v.Matchers, nil)
}

func (v HistoryView) encode() string {
	q := make(query, 0, 6)
	q.add("filter", v.filterText())
	if v.Everything {
		q.add("kind", kindEverything)
	}
	for _, k := range v.Kinds {
		q.add("kind", string(k))
	}
	q.add("group", string(v.Group))
	q.add("alert", string(v.Fingerprint))
	if !v.At.IsZero() {
		q.add("at", v.At.Format("2006-01-02T15:04"))
	}
	q.add("cursor", v.Cursor)
	return q.String()
}

// HistoryPage is what happened, newest first.
type HistoryPage struct {
	Frame

	Action string
	Text   string
	Err    *FilterError
	Kinds  []Option
	At     string
	Group  string
	Alert  string
	Chips  []Chip // what narrows the history down; each leads to it without
	Clear  string
	Days   []HistoryDay
	Empty  *Empty
	Pager  *Pager

	WithNotifications string // leads to the history with notifications
}

// HistoryDay is the events of one day, UTC.
type HistoryDay struct {
	Day    string
	Events []EventRow
}

// NewHistoryPage makes the history. Where v.Err is set, events is the history
// without the filter.
func NewHistoryPage(s *Site, v HistoryView, events grouping.EventPage) *HistoryPage {
	p := &HistoryPage{
		Frame: s.newFrame("history", "History"), Action: s.Links.History(HistoryView{}), Text: v.filterText(), Err: v.Err,
		Group: string(v.Group), Alert: string(v.Fingerprint),
	}
	if v.Err != nil {
		p.code = http.StatusBadRequest
	}
	if !v.At.IsZero() {
		p.At = v.At.Format("2006-01-02T15:04")
	}
	p.Kinds = append(p.Kinds, Option{"", "transitions", len(v.Kinds) == 0 && !v.Everything},
		Option{kindEverything, "with notifications", v.Everything})
	for _, k := range grouping.EventKinds() {
		p.Kinds = append(p.Kinds, Option{string(k), eventLooks[k].word, slices.Contains(v.Kinds, k)})
	}
	if len(v.Kinds) == 0 && !v.Everything {
		to := v
		to.Everything, to.Cursor = true, ""
		p.WithNotifications = s.Links.History(to)
	}
	p.setChips(s, v)
	for _, row := range newEventRows(s, events.Events, briefly) {
		day := row.At.At.Format("Monday, January 2 2006")
		if n := len(p.Days); n == 0 || p.Days[n-1].Day != day {
			p.Days = append(p.Days, HistoryDay{Day: day})
		}
		d := &p.Days[len(p.Days)-1]
		d.Events = append(d.Events, row)
	}
	if len(p.Days) == 0 {
		p.Empty = &Empty{Title: "Nothing happened", Text: "No event is kept that this asks for. ", Href: p.Action, Link: "Show all"}
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
	without := func(text string, change func(*HistoryView)) {
		to := v
		change(&to)
		p.Chips = append(p.Chips, Chip{Text: text, Href: s.Links.History(to)})
	}
	for i, m := range v.Matchers {
		without(m.String(), func(to *HistoryView) { to.Matchers = slices.Delete(slices.Clone(v.Matchers), i, i+1) })
	}
	if v.Group != "" {
		without("group "+string(v.Group), func(to *HistoryView) { to.Group = "" })
	}
	if v.Fingerprint != "" {
		without("alert "+string(v.Fingerprint), func(to *HistoryView) { to.Fingerprint = "" })
	}
	if !v.At.IsZero() {
		without("up to "+v.At.Format("Jan 2 15:04")+" UTC", func(to *HistoryView) { to.At = time.Time{} })
	}
	if len(p.Chips) > 0 || v.Err != nil {
		p.Clear = p.Action
	}
}
