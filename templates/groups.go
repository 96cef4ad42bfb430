package templates

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"muster/grouping"
	"muster/internal/query"
)

// GroupsPage is the list of groups.
type GroupsPage struct {
	Frame

	Counts []CountLink
	Groups string // 16 groups firing
	Last   Moment // notification
	Beat   string // a heartbeat
	Quiet  bool   // it is missing
	BeatAt Moment

	Form   FilterForm
	Shared []Chip // labels that all rows share
	Rows   []GroupRow
	ByRows []ByRow
	Other  *OtherGroups // groups that the view's state leaves out
	Empty  *Empty
	Setup  *Setup
	Pager  *Pager
	Rest   int // groups on the pages after this one
}

// CountLink is a number of alerts that leads to them.
type CountLink struct {
	Class, Word, Count, Href string
	Current                  bool
}

// FilterForm is the form that makes a View.
type FilterForm struct {
	Action    string
	Text      string
	Err       *query.FilterError
	States    []Option
	Sources   []Option // none if there is only one
	Receivers []Option // likewise
	Sorts     []Option
	By        string
	Wall      bool
	Chips     []Chip // the matchers in force; each leads to the view without it
	Clear     string // leads to the view without any
	Open      bool
}

// Option is an entry of a select.
type Option struct {
	Value, Text string
	Selected    bool
}

// Empty is what stands in place of rows.
type Empty struct {
	Title, Text string
	Since       Moment
	After       string
	Good        bool
	Href, Link  string
	Near        []Chip // what may have been meant
}

// Setup is what a new user has to do.
type Setup struct {
	URL, YAML string
	Guessed   bool   // the host is an example: nobody said which one it is
	Refused   string // how many notifications were refused; "": none came
	Status    string // where it is said why
}

// OtherGroups leads to groups that are not listed but not over either.
type OtherGroups struct{ Text, Href string }

// Pager leads through the pages of a list.
type Pager struct {
	Text        string
	First, Next string
}

// NewGroupsPage makes the list of groups. Where v.Err is set, groups is the
// list without the filter.
func NewGroupsPage(s *Site, v View, groups grouping.GroupPage) *GroupsPage {
	p := groupsPageWithoutRows(s, v)
	listed := groups.Groups
	hidden := 0
	if !v.Filtered() {
		listed = slices.DeleteFunc(slices.Clone(listed), s.hides)
		hidden = len(groups.Groups) - len(listed)
	}
	shared := sharedLabels(listed)
	origin, rowView := s.hoistOrigin(listed, v)
	p.Shared = append(origin, labelChips(grouping.Labels(shared), v, s.Links, nil)...)
	p.Rows = make([]GroupRow, 0, len(listed))
	for _, g := range listed {
		p.Rows = append(p.Rows, NewGroupRow(g, rowView, s, shared))
	}
	p.Pager = newPager(s, v, len(listed), groups.Total-hidden, groups.Next)
	if groups.Next != "" {
		p.Rest = max(0, groups.Total-hidden-v.From-len(listed))
	}
	if len(listed) == 0 {
		p.setEmpty(s, v)
	}
	return p
}

// newGroupsPage makes all of the page but its rows.
func groupsPageWithoutRows(s *Site, v View) *GroupsPage {
	p := &GroupsPage{
		Frame: s.newFrame("groups", titleWithSource("Groups", v.Source)), Counts: countLinks(s, v), Form: newFilterForm(s, v),
		Groups: plural(s.Summary.Firing, "group", "groups") + " firing",
		Last:   newMoment(s.Summary.LastNotification, s.Now),
	}
	if h := s.mainHeartbeat(); h != nil {
		p.Beat, p.Quiet, p.BeatAt = s.heartbeatName(h), h.State.IsBroken(), newMoment(h.At, s.Now)
	}
	if v.Err != nil {
		p.status = http.StatusBadRequest
	}
	p.Wall = v.Wall
	return p
}

// LeavesOutUnreported reports whether the view lists firing groups only, and so
// has to say how many unreported groups its filter selects.
func (v View) LeavesOutUnreported() bool { return v.State == query.StateFiring && !v.Wall }

// OfUnreported is the view of unreported groups with the same filter.
func (v View) OfUnreported() View {
	to := v.first()
	to.State = query.StateUnreported
	return to
}

// AddUnreported says how many unreported groups the view's filter selects.
func (p *GroupsPage) AddUnreported(s *Site, v View, n int) {
	if n == 0 {
		return
	}
	p.Other = &OtherGroups{
		Text: plural(n, "group is", "groups are") + " no longer reported and not resolved: silenced, inhibited or lost by Alertmanager.",
		Href: s.Links.Groups(v.OfUnreported()),
	}
}

func countLinks(s *Site, v View) []CountLink {
	sum := &s.Summary
	links := make([]CountLink, 0, 4)
	for _, c := range []struct {
		rank grouping.Severity
		n    int
	}{{grouping.SeverityCritical, sum.Critical}, {grouping.SeverityWarning, sum.Warning}, {grouping.SeverityInfo, sum.Info}, {grouping.SeverityOther, sum.Other}} {
		if c.rank == grouping.SeverityOther && c.n == 0 {
			continue
		}
		looks := severities[c.rank]
		m := sum.severityMatcher(c.rank, looks.Word)
		l := CountLink{Class: looks.Class, Word: looks.Word, Count: formatCount(c.n)}
		if c.rank == grouping.SeverityOther {
			l.Word = "other"
		}
		i := slices.IndexFunc(v.Matchers, func(have *matcher) bool { return have.String() == m.String() })
		if l.Current = i >= 0; l.Current {
			l.Href = s.Links.Groups(v.without(i))
		} else {
			l.Href = s.Links.Groups(v.with(m))
		}
		links = append(links, l)
	}
	return links
}

func newFilterForm(s *Site, v View) FilterForm {
	f := FilterForm{
		Action: s.Links.Home(), Text: v.Text(), Err: v.Err, By: joinBy(v.By), Wall: v.Wall,
		Sources: selectOptions(s.Summary.Sources, v.Source, "every source"), Receivers: selectOptions(s.Summary.Receivers, v.Receiver, "every receiver"),
		Open: v.Source != "" || v.Receiver != "" || v.State != query.StateFiring || v.Sort != grouping.SortSeverity || len(v.By) > 0,
	}
	for _, o := range [][2]string{{query.StateFiring, "firing"}, {query.StateUnreported, "unreported"}, {query.StateResolved, "resolved"}, {query.StateAll, "all"}} {
		f.States = append(f.States, Option{o[0], o[1], v.State == o[0]})
	}
	if !slices.ContainsFunc(f.States, func(o Option) bool { return o.Selected }) {
		f.States = append(f.States, Option{v.State, strings.ReplaceAll(v.State, ",", ", "), true})
	}
	for _, o := range [][2]string{
		{string(grouping.SortSeverity), "worst first"},
		{string(grouping.SortNewest), "newest first"},
		{string(grouping.SortName), "by name"},
		{string(grouping.SortCount), "most alerts"},
		{string(grouping.SortUpdated), "last changed"},
	} {
		f.Sorts = append(f.Sorts, Option{o[0], o[1], string(v.Sort) == o[0]})
	}
	for i, m := range v.Matchers {
		f.Chips = append(f.Chips, Chip{Text: m.String(), Href: s.Links.Groups(v.without(i))})
	}
	for i, w := range v.Words {
		to := v.first()
		to.Words = slices.Delete(slices.Clone(v.Words), i, i+1)
		f.Chips = append(f.Chips, Chip{Text: w, Href: s.Links.Groups(to)})
	}
	if v.Source != "" {
		to := v.first()
		to.Source = ""
		f.Chips = append(f.Chips, Chip{Text: "source: " + v.Source, Href: s.Links.Groups(to)})
	}
	if v.Receiver != "" {
		to := v.first()
		to.Receiver = ""
		f.Chips = append(f.Chips, Chip{Text: "receiver: " + v.Receiver, Href: s.Links.Groups(to)})
	}
	if len(f.Chips) > 0 || v.Err != nil {
		to := v.first()
		to.Filter, to.Source, to.Receiver = query.Filter{}, "", ""
		f.Clear = s.Links.Groups(to)
	}
	return f
}

func newPager(s *Site, v View, shown, total int, next string) *Pager {
	if next == "" && v.Cursor == "" {
		return nil
	}
	p := &Pager{Text: fmt.Sprintf("%s–%s of %s", formatCount(min(v.From+1, v.From+shown)), formatCount(v.From+shown), formatCount(max(total, v.From+shown)))}
	if v.Cursor != "" {
		p.First = s.Links.Groups(v.first())
	}
	if next != "" {
		to := v
		to.Cursor, to.From = next, v.From+shown
		p.Next = s.Links.Groups(to)
	}
	return p
}

// setEmpty says why there is nothing to see: that no webhook ever arrived,
// that the filter leaves nothing, or that nothing fires, and how we know.
func (p *GroupsPage) setEmpty(s *Site, v View) {
	sum := &s.Summary
	switch {
	case sum.Groups() == 0 && sum.LastNotification.IsZero() && !s.Storage.Partial:
		p.Setup = newSetup(s.Links)
		if s.Refused > 0 {
			p.Setup.Refused, p.Setup.Status = plural(s.Refused, "notification was", "notifications were"), s.Links.Status()
		}
	case v.Filtered() && v.Err == nil:
		p.Empty = &Empty{
			Title: "No group matches",
			Text:  unfilteredCount(sum, v.State),
			Href:  p.Form.Clear, Link: "Show all",
		}
	case v.Cursor != "":
		p.Empty = &Empty{Title: "No more groups", Text: "The list is shorter than it was. ", Href: s.Links.Groups(v.first()), Link: "First page"}
	case v.State == query.StateResolved:
		p.Empty = &Empty{Title: "No resolved group", Text: "Resolved groups stay here for " + formatDuration(s.Retention) + "."}
	case v.State == query.StateUnreported:
		p.Empty = &Empty{Title: "Every firing alert is reported", Text: "No alert has silently disappeared from Alertmanager's notifications.", Good: true}
	case v.State == query.StateFiring, v.State == query.StateAll:
		p.Empty = nothingFiring(s)
	default:
		p.Empty = &Empty{Title: "No group is " + strings.ReplaceAll(v.State, ",", " or ")}
	}
}

// withoutFilter counts the groups of the view's state that no filter leaves out.
func unfilteredCount(sum *Summary, state string) string {
	n, word := sum.Firing, "firing"
	switch state {
	case query.StateUnreported:
		n, word = sum.Unreported, "unreported"
	case query.StateResolved:
		n, word = sum.Resolved, "resolved"
	case query.StateAll:
		n, word = sum.Groups(), "there"
	case query.StateFiring:
	default:
		return "" // such groups are not counted
	}
	return plural(n, "group is", "groups are") + " " + word + " without this filter. "
}

func nothingFiring(s *Site) *Empty {
	e := &Empty{Title: "Nothing is firing", Good: true, Since: newMoment(s.Summary.LastNotification, s.Now), Text: "Last notification "}
	switch {
	case s.Storage.Partial:
		e.Title, e.Good = "Nothing is known to be firing", false
		e.Text, e.Since = "Muster restarted without its storage: an empty list proves nothing until the groups are back.", Moment{}
	case !e.Since.Known():
		e.Text = "No notification has arrived since the start: an empty list proves nothing yet."
		if s.Refused > 0 {
			e.Good = false
			e.Text = plural(s.Refused, "notification was", "notifications were") + " refused since the start, and none accepted: an empty list proves nothing. "
			e.Href, e.Link = s.Links.Status()+"#rejected", "See why"
		}
	default:
		e.After, e.Good = s.heartbeatSummary()
		e.After = " ago. " + e.After
	}
	return e
}

func newSetup(l Links) *Setup {
	return &Setup{URL: l.Webhook(), Guessed: !l.Known(), YAML: "receivers:\n  - name: muster\n    webhook_configs:\n      - url: " + l.Webhook() + "\n"}
}
