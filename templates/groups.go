package templates

import (
	"fmt"
	"slices"
	"strings"

	"muster/grouping"
	"muster/internal/query"
)

// GroupsPage is the list of groups.
type GroupsPage struct {
	Frame

	Counts []CountLink
	Causes *CauseLinks
	Groups string // 16 groups firing
	Last   Moment // last notification
	Beat   string // name of a heartbeat
	Quiet  bool   // the heartbeat is missing
	BeatAt Moment // last time of the heartbeat

	Form   FilterForm
	Shared []Chip // labels that are equal in all rows
	Rows   []GroupRow
	Acked  []GroupRow // below Rows: those that somebody acknowledged
	// AckedCount is the number of acknowledged groups of the view, on all pages.
	AckedCount string
	CanAck     bool
	List       string // the query of the view, for the forms of the rows
	AckAll     string // leads to the page that acknowledges all groups of the view
	AckAllText string
	ByRows     []ByRow
	Foot       string       // sentence below the rows
	Other      *OtherGroups // groups that are not in the view's state
	Empty      *Empty
	Setup      *Setup
	Pager      *Pager
	Rest       int // groups on the pages after this one
}

// CountLink is a number of alerts and a link to their list.
type CountLink struct {
	Class, Word, Count, Href string
	Current                  bool
}

// CauseLinks are the links to the suppressed alerts by cause.
type CauseLinks struct {
	Causes   []RangeLink
	Silences string
}

// FilterForm is the form for the query of the list.
type FilterForm struct {
	Action    string
	Text      string
	Err       *query.FilterError
	States    []Option
	Sources   []Option // empty if there is one source only
	Receivers []Option // empty if there is one receiver only
	Acks      []Option // empty if nobody acknowledged anything
	Sorts     []Option
	By        string
	At        string // time of a past state, as a field that is not shown has it
	Wall      bool
	Chips     []Chip // active filters; each leads to the view without it
	Clear     string // leads to the view without any filter
	Open      bool   // the options are open
	Files     []File
}

// Option is an entry of a select.
type Option struct {
	Value, Text string
	Selected    bool
}

// Empty is the text in place of an empty list.
type Empty struct {
	Title, Text string
	Since       Moment
	After       string
	Good        bool
	Href, Link  string
	Near        []Chip // filters that the reader may have meant
	More        string // a second sentence, with a link of its own
	MoreHref    string
	MoreLink    string
}

// OtherGroups are suppressed and unreported groups that the list of firing groups does not
// show, each with a link to them.
type OtherGroups struct {
	Suppressed     string // 5 suppressed groups
	Critical       string // 3 critical alerts
	Causes         string // 3 silenced, 1 inhibited, 1 by time interval
	SuppressedHref string
	Unreported     string // 2 unreported groups
	Why            string // no longer listed, cause unknown
	UnreportedHref string
	Setup          string // leads to how Muster hears of causes
}

// Pager leads through the pages of a list.
type Pager struct {
	Text        string
	First, Next string
}

// NewGroupsPage makes the list of groups. If v.Err is set, groups must be the list
// without the filter.
func NewGroupsPage(s *Site, v View, groups grouping.GroupPage) *GroupsPage {
	p := groupsPageWithoutRows(s, v)
	listed := groups.Groups
	hidden := 0
	if !v.Filtered() {
		listed = slices.DeleteFunc(slices.Clone(listed), s.hides)
		hidden = len(groups.Groups) - len(listed)
	}
	shared := sharedLabels(listed)
	origin, rowView := s.sharedOrigin(listed, v)
	p.Shared = append(origin, labelChips(shared, v, s.Links, nil)...)
	p.addRows(s, v, rowView, listed, shared)
	p.Pager = newPager(s, v, len(listed), groups.Total-hidden, groups.Next)
	if groups.Next != "" {
		p.Rest = max(0, groups.Total-hidden-v.From-len(listed))
	}
	if len(listed) == 0 {
		p.setEmpty(s, v)
	} else if v.State == query.StateSuppressed {
		p.Foot = s.was("These alerts fire, but Alertmanager sends no notifications about them.",
			"These alerts fired, but Alertmanager sent no notifications about them.")
	}
	return p
}

// addRows adds the rows. In the default order the acknowledged groups are the last ones, and have a
// heading.
func (p *GroupsPage) addRows(s *Site, v, rowView View, groups []*grouping.AlertGroup, shared grouping.Labels) {
	p.Rows = make([]GroupRow, 0, len(groups))
	apart := v.Sort == grouping.SortSeverity && v.Ack != grouping.AckYes
	for _, g := range groups {
		row := NewGroupRow(g, rowView, s, shared)
		if apart && g.IsAcknowledged(s.Now) {
			p.Acked = append(p.Acked, row)
			continue
		}
		p.Rows = append(p.Rows, row)
	}
	if s.Totals.WithoutHeartbeats.Acknowledged > 0 || v.Ack != "" || slices.ContainsFunc(groups, func(g *grouping.AlertGroup) bool {
		return g.Ack(s.Now) != nil
	}) {
		p.Form.Acks = ackOptions(v.Ack)
	}
	p.CanAck = slices.ContainsFunc(p.Rows, func(r GroupRow) bool { return r.Ack != nil })
	p.List = "?" + strings.TrimPrefix(v.encode(), "?") // never empty: pages that ask again leave out what is
}

// groupsPageWithoutRows makes the page except for its rows.
func groupsPageWithoutRows(s *Site, v View) *GroupsPage {
	firing := s.Totals.WithoutHeartbeats.Firing()
	p := &GroupsPage{
		Frame:  s.newFrame("groups", titleWithSource("Groups", v.Source)),
		Counts: countLinks(s, v), Form: newFilterForm(s, v),
		Groups: plural(firing, "group", "groups") + s.was("", plainly(firing, " was", " were")) + " firing" + acknowledgedCount(s),
		Last:   newMoment(s.Totals.LastNotification, s.Now),
	}
	p.setPage(s, v.Page)
	if v.State == query.StateSuppressed && v.Silence == "" {
		p.Causes = causeLinks(s, v)
	}
	if h := grouping.MainHeartbeat(s.Heartbeats); h != nil {
		p.Beat, p.Quiet, p.BeatAt = s.heartbeatName(h), h.State.IsBroken(), newMoment(h.At, s.Now)
	}
	if v.Err != nil {
		p.status = codeBadRequest
	}
	p.Wall = v.Wall
	return p
}

// LeavesOutOthers reports whether the view lists firing groups only. Such a page also
// shows the numbers of suppressed and unreported groups (see AddOthers).
func (v View) LeavesOutOthers() bool { return v.State == query.StateFiring && !v.Wall }

// OfUnreported returns the view of unreported groups with the same filter.
func (v View) OfUnreported() View { return v.ofState(query.StateUnreported) }

// OfSuppressed returns the view of suppressed alerts with the same filter.
func (v View) OfSuppressed() View { return v.ofState(query.StateSuppressed) }

func (v View) ofState(state string) View {
	to := v.first()
	to.State, to.Cause = state, ""
	return to
}

// AddOthers adds a line with the suppressed groups of the site, and with the number of
// unreported groups that the view's filter selects. People closed some of them.
func (p *GroupsPage) AddOthers(s *Site, v View, unreported, closed int) {
	said := p.Empty != nil && p.Empty.More != ""
	if unreported == 0 && (s.Mutes.Groups == 0 || said) {
		return
	}
	p.Other = &OtherGroups{}
	if m := &s.Mutes; m.Groups > 0 && !said {
		p.Other.Suppressed, p.Other.SuppressedHref = plural(m.Groups, "suppressed group", "suppressed groups"), s.Links.Groups(v.OfSuppressed())
		p.Other.Causes = causeCounts(m.ByCause)
		if m.Critical > 0 {
			p.Other.Critical = plural(m.Critical, "critical alert", "critical alerts")
		}
	}
	if unreported > 0 {
		p.Other.Unreported, p.Other.UnreportedHref = plural(unreported, "unreported group", "unreported groups"), s.Links.Groups(v.OfUnreported())
		p.Other.Why = whyUnreported(unreported, closed)
		if unreported > closed && len(s.withoutCauses()) > 0 {
			p.Other.Setup = s.Links.Word("sources")
		}
	}
}

// whyUnreported says why groups are unreported. People closed some of them.
func whyUnreported(unreported, closed int) string {
	const unknown = "no longer listed, cause unknown"
	byPeople := "closed by " + plainly(closed, "a person", "people")
	switch closed {
	case 0:
		return unknown
	case unreported:
		return byPeople
	}
	return formatCount(unreported-closed) + " " + unknown + "; " + formatCount(closed) + " " + byPeople
}

// causeCounts lists numbers by cause: "3 silenced, 1 by time interval".
func causeCounts(n map[grouping.MuteKind]int) string {
	var parts []string
	for _, of := range []struct {
		kind grouping.MuteKind
		word string
	}{{grouping.MuteSilence, "silenced"}, {grouping.MuteInhibition, "inhibited"}, {grouping.MuteInterval, "by time interval"}} {
		if n[of.kind] > 0 {
			parts = append(parts, formatCount(n[of.kind])+" "+of.word)
		}
	}
	return strings.Join(parts, ", ")
}

// causeLinks returns the links to the suppressed alerts of the view by cause.
func causeLinks(s *Site, v View) *CauseLinks {
	to := v.first()
	to.Cause = ""
	links := &CauseLinks{
		Causes:   []RangeLink{{Text: "every cause", Href: s.Links.Groups(to), Current: v.Cause == ""}},
		Silences: s.Links.Silences(),
	}
	for _, of := range []struct {
		kind grouping.MuteKind
		word string
	}{{grouping.MuteSilence, "silenced"}, {grouping.MuteInhibition, "inhibited"}, {grouping.MuteInterval, "time interval"}} {
		if n := s.Mutes.Alerts[of.kind]; n > 0 || v.Cause == of.kind {
			to.Cause = of.kind
			links.Causes = append(links.Causes, RangeLink{
				Text: of.word + " " + formatCount(n), Href: s.Links.Groups(to), Current: v.Cause == of.kind,
			})
		}
	}
	return links
}

func countLinks(s *Site, v View) []CountLink {
	totals := &s.Totals.WithoutHeartbeats
	links := make([]CountLink, 0, 5)
	for _, severity := range []grouping.Severity{
		grouping.SeverityCritical, grouping.SeverityWarning, grouping.SeverityInfo, grouping.SeverityOther,
	} {
		look, n := severities[severity], totals.FiringAlerts(severity)
		l := CountLink{Class: look.Class, Word: look.Word}
		if severity == grouping.SeverityOther {
			l.Word = "other"
			if n += totals.FiringAlerts(grouping.SeverityNone); n == 0 {
				continue
			}
		}
		l.Count = formatCount(n)
		m := severityMatcher(totals.SeverityWords(severity), look.Word)
		i := slices.IndexFunc(v.Matchers, func(have *matcher) bool { return have.String() == m.String() })
		if l.Current = i >= 0; l.Current {
			l.Href = s.Links.Groups(v.without(i))
		} else {
			l.Href = s.Links.Groups(v.with(m))
		}
		links = append(links, l)
	}
	if n := totals.Alerts[grouping.StatusSuppressed]; n > 0 {
		l := CountLink{Class: "mute", Word: "suppressed", Count: formatCount(n), Current: v.State == query.StateSuppressed}
		if l.Href = s.Links.Groups(causeView("")); l.Current {
			l.Href = s.Links.Groups(v.ofState(query.StateFiring))
		}
		links = append(links, l)
	}
	return links
}

func newFilterForm(s *Site, v View) FilterForm {
	f := FilterForm{
		Action: s.Links.Home(), Text: v.Text(), Err: v.Err, By: joinBy(v.By), Wall: v.Wall, At: s.Links.At, Files: v.files(s.Links),
		Sources:   selectOptions(s.Totals.Sources, v.Source, "all sources"),
		Receivers: selectOptions(s.Totals.WithoutHeartbeats.Receivers, v.Receiver, "all receivers"),
		Open: v.Source != "" || v.Receiver != "" || v.Ack != "" || v.State != query.StateFiring && v.State != query.StateSuppressed ||
			v.Sort != grouping.DefaultSort || len(v.By) > 0,
	}
	for _, o := range [][2]string{
		{query.StateFiring, "firing"},
		{query.StateSuppressed, "suppressed"},
		{query.StateUnreported, "unreported"},
		{query.StateResolved, "resolved"},
		{query.StateAll, "all"},
	} {
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
	c := chips[View]{view: v.first(), href: s.Links.Groups}
	c.addFilter(func(to *View) *query.Filter { return &to.Filter })
	c.addNamed("source: ", v.Source, func(to *View) { to.Source = "" })
	c.addNamed("silence: ", v.Silence, func(to *View) { to.Silence = "" })
	c.addNamed("acknowledged: ", string(v.Ack), func(to *View) { to.Ack = "" })
	c.addNamed("receiver: ", v.Receiver, func(to *View) { to.Receiver = "" })
	f.Chips = c.list
	if len(f.Chips) > 0 || v.Err != nil {
		to := v.first()
		to.Filter, to.Source, to.Receiver, to.Silence, to.Ack = query.Filter{}, "", "", "", ""
		f.Clear = s.Links.Groups(to)
	}
	return f
}

func newPager(s *Site, v View, shown, total int, next string) *Pager {
	if next == "" && v.Cursor == "" {
		return nil
	}
	first, last := min(v.From+1, v.From+shown), v.From+shown
	p := &Pager{Text: fmt.Sprintf("%s–%s of %s", formatCount(first), formatCount(last), formatCount(max(total, last)))}
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

// setEmpty sets the text of an empty list. It gives the reason: no webhook has
// arrived, the filter matches nothing, or nothing is firing.
func (p *GroupsPage) setEmpty(s *Site, v View) {
	switch {
	case s.Totals.WithoutHeartbeats.Size() == 0 && s.Totals.LastNotification.IsZero() && !s.Storage.Partial && !s.isPast():
		p.Setup = newSetup(s)
		if s.RejectedNotifications > 0 {
			p.Setup.Rejected, p.Setup.Status = plural(s.RejectedNotifications, "notification was", "notifications were"), s.Links.Status()
		}
	case v.Filtered() && v.Err == nil:
		p.Empty = &Empty{
			Title: "No matching groups",
			Text:  s.unfilteredCount(v.State),
			Href:  p.Form.Clear, Link: "Show all",
		}
	case v.Cursor != "":
		p.Empty = &Empty{Title: "No more groups", Text: "The list became shorter. ", Href: s.Links.Groups(v.first()), Link: "First page"}
	case v.State == query.StateResolved:
		p.Empty = &Empty{Title: "No resolved groups", Text: "Resolved groups are kept for " + formatDuration(s.Retention) + "."}
	case v.State == query.StateSuppressed:
		p.Empty = nothingSuppressed(s, v)
	case v.State == query.StateUnreported:
		p.Empty = &Empty{Title: "No unreported groups", Text: "Alertmanager's notifications contain every firing alert.", Good: true}
	case v.State == query.StateFiring, v.State == query.StateAll:
		p.Empty = nothingFiring(s)
	default:
		p.Empty = &Empty{Title: "No groups are " + strings.ReplaceAll(v.State, ",", " or ")}
	}
}

// unfilteredCount returns a sentence with the number of all groups in the state.
func (s *Site) unfilteredCount(state string) string {
	totals := &s.Totals.WithoutHeartbeats
	n, word := totals.Firing(), " firing"
	switch state {
	case query.StateSuppressed:
		n, word = totals.Groups[grouping.StateSuppressed], " suppressed"
	case query.StateUnreported:
		n, word = totals.Groups[grouping.StateUnreported], " unreported"
	case query.StateResolved:
		n, word = totals.Groups[grouping.StateResolved], " resolved"
	case query.StateAll:
		n, word = totals.Size(), " stored"
	case query.StateFiring:
	default:
		return "" // other states have no sentence
	}
	verb := s.was(plainly(n, "is", "are"), plainly(n, "was", "were"))
	return "Without this filter, " + plural(n, "group", "groups") + " " + verb + word + ". "
}

// nothingFiring returns the text of a list without firing groups. It is good news
// only if Muster would know about a firing alert.
func nothingFiring(s *Site) *Empty {
	if s.isPast() {
		return nothingFired(s)
	}
	e := &Empty{Title: "Nothing is firing", Good: true, Since: newMoment(s.Totals.LastNotification, s.Now), Text: "Last notification "}
	switch {
	case s.Storage.Partial:
		e.Title, e.Good = "No known firing groups", false
		e.Text, e.Since = "Muster restarted without its storage. The list is incomplete until the storage is available again.", Moment{}
	case !e.Since.Known():
		e.Text = "No notification has arrived since Muster started. The list may be incomplete."
		if s.RejectedNotifications > 0 {
			e.Good = false
			e.Text = "Muster has rejected " + plural(s.RejectedNotifications, "notification", "notifications") +
				" and accepted 0 since it started. The list may be incomplete. "
			e.Href, e.Link = s.Links.Status()+"#rejected", "Show reasons"
		}
	default:
		e.After, e.Good = s.heartbeatSummary()
		e.After = " ago. " + e.After
	}
	if s.Mutes.Groups > 0 && !s.Storage.Partial {
		e.Title = "Nothing is firing that is not suppressed"
		e.addSuppressed(s)
	}
	return e
}

// nothingFired is nothingFiring for a past state.
func nothingFired(s *Site) *Empty {
	e := &Empty{Title: "Nothing was firing", Good: s.Past.Gap == nil, Since: newMoment(s.Totals.LastNotification, s.Now)}
	if e.Text = "Muster knew no group at that time."; e.Since.Known() {
		e.Text, e.After = "Last notification ", " before."
	}
	if s.Mutes.Groups > 0 {
		e.Title = "Nothing was firing that was not suppressed"
		e.addSuppressed(s)
	}
	return e
}

// addSuppressed says that groups are suppressed, which is not good.
func (e *Empty) addSuppressed(s *Site) {
	m := &s.Mutes
	e.Good, e.More = false, plural(m.Groups, "group", "groups")
	if m.Critical > 0 {
		e.More += " with " + plural(m.Critical, "critical alert", "critical alerts")
	}
	e.More += " " + s.was(plainly(m.Groups, "is", "are"), plainly(m.Groups, "was", "were")) + " suppressed."
	e.MoreHref, e.MoreLink = s.Links.Groups(causeView("")), "Show "+plainly(m.Groups, "it", "them")
}

// nothingSuppressed returns the text of a list without suppressed alerts. It is good news
// only if Muster would know about one.
func nothingSuppressed(s *Site, v View) *Empty {
	if v.Cause != "" && s.Totals.WithoutHeartbeats.Alerts[grouping.StatusSuppressed] > 0 {
		return &Empty{Title: "No alert is suppressed for this cause", Href: s.Links.Groups(causeView("")), Link: "Every cause"}
	}
	if s.isPast() && s.Past.CausesKnown {
		return &Empty{Title: "No alert was suppressed", Good: s.Past.Gap == nil}
	}
	if s.isPast() {
		return &Empty{Title: "No alert is known to have been suppressed"}
	}
	var silent []string
	for _, source := range sortedKeys(s.Totals.Sources) {
		if text := s.causesSilent(source); text != "" {
			silent = append(silent, text)
		}
	}
	if len(silent) == 0 {
		return &Empty{Title: "No alert is suppressed", Text: "Alertmanager mutes no alert.", Good: true}
	}
	const maximum = 3
	if more := len(silent) - maximum; more > 0 {
		silent = append(silent[:maximum], "So it is with "+plural(more, "more source", "more sources")+".")
	}
	return &Empty{
		Title: "No alert is known to be suppressed", Text: strings.Join(silent, " ") + " ",
		Href: s.Links.Word("sources"), Link: "Let Muster know the causes",
	}
}
