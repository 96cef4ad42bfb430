package templates

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"muster/grouping"
	"muster/internal/query"
)

// GroupView is the query of a group's page.
type GroupView struct {
	Range  string // of the timeline: 1h, 6h, 24h, 7d, or episode (the default)
	Offset int    // index of the first alert on the page
}

// ParseGroupView reads the query of a group's URL: range and offset.
func ParseGroupView(p *query.Params) GroupView {
	var names []string
	for _, r := range timelineRanges {
		names = append(names, r.name)
	}
	return GroupView{Range: cmp.Or(p.Choice("range", names), rangeEpisode), Offset: p.Number("offset", 0, math.MaxInt32)}
}

// Page returns a function that returns the page of a group in the view.
func (v GroupView) Page(id grouping.ID) func(Links) string {
	return func(l Links) string { return l.GroupOf(id, v) }
}

func (v GroupView) encode() string {
	q := make(parameters, 0, 2)
	if v.Range != rangeEpisode {
		q.add("range", v.Range)
	}
	if v.Offset > 0 {
		q.add("offset", strconv.Itoa(v.Offset))
	}
	return q.String()
}

// GroupPage is one group.
type GroupPage struct {
	Frame

	Severity Severity
	Name     string
	Origin   []Chip // source and receiver, if there are several
	Labels   []Chip
	Marks    []Mark
	Count    string
	Counted  string
	Mix      string
	Since    Moment
	Verb     Verb
	Oldest   Moment // start of the oldest firing alert, if it is not at Since
	Summary  Long   // summary that is equal on all alerts
	Before   *BeforeLine
	Note     string  // warnings about the data on the page
	Setup    string  // leads to how Muster hears of causes; empty if it does
	Why      Phrases // what mutes all alerts that did not end
	Silence  string  // page of the only silence that mutes them
	AsOf     string  // since when the causes may have changed
	Remark   string  // explanation of the marks that are not warnings

	Closed  Phrases // who closed the group
	Ack     *AckSection
	Actions []Action
	JSON    string
	// Postmortem is the address of a report about the last episode.
	Postmortem string
	Link       string // permalink
	Markdown   string // for the copy button

	Timeline      Timeline
	Shared        []Chip // labels that are equal on all alerts
	Alerts        []AlertRow
	AlertCount    string
	AlertNumber   string
	Pager         *Pager
	Notes         []NoteRow
	NoteCount     string
	NotesRemark   string // why the notes have no form
	NoteForm      *NoteForm
	Close         *CloseForm
	Notifications []NotificationRow
	Recorder      bool     // the event recorder tells of other receivers
	Failures      []string // sentences about failed notifications
	Episodes      []EpisodeRow
	History       []EventRow
	HistoryURL    string
	Facts         Facts
}

// Action is a link to something that a reader can do about a group or an alert.
type Action struct {
	Text, Href string
	Key        string // keyboard shortcut
	Primary    bool
	Outside    bool // leads to another site
}

// Facts are the details at the end of a group's page.
type Facts struct {
	Receiver, Source, GroupKey string
	Annotations                []Pair
	Routes                     []Pair
	FirstSeen, LastNotified    Moment
	Reason                     string
	Alertmanagers              []TextLink
	Notifications, Version     string
	KeptUntil                  string
}

// Pair is a name and a value that may be a link.
type Pair struct {
	Name  string
	Value TextLink
}

// TextLink is a text. Href is empty if the text is not a safe link.
type TextLink struct{ Text, Href string }

func newTextLink(s string) TextLink {
	href, _ := webLink(s)
	return TextLink{Text: s, Href: href}
}

// EpisodeRow is a row of a table of episodes.
type EpisodeRow struct {
	From, To Moment
	Lasted   string
	Source   string // empty if there is one source only
}

// alertsPerPage is the maximum number of alerts on a page, so that the page of a
// group of 10,000 alerts stays small.
const alertsPerPage = 100

// NewGroupPage makes a group's page. events are the group's newest events.
func NewGroupPage(s *Site, v GroupView, g *grouping.AlertGroup, events []grouping.Event) *GroupPage {
	name := title(g, grouping.Labels{})
	p := &GroupPage{
		Frame: s.newFrame("group", titleWithSource(name, s.sourceOf(g))), Name: name, Severity: groupLook(g),
	}
	p.setPage(s, v.Page(g.ID))
	muted := s.groupCauses(g)
	p.Marks = groupMarks(g, s, muted)
	p.setCauses(s, g, muted)
	all := allGroups()
	if g.GroupLabels.Get("alertname") != "" {
		p.Labels = labelChips(g.GroupLabels, all, s.Links, func(n string) bool { return n == "alertname" })
	}
	p.Origin = s.originChips(g.Source, g.Receiver, all)
	p.Count, p.Counted, p.Mix = groupCounts(g, true)
	p.Since, p.Verb = groupSince(g, s.Now)
	p.Note, p.Remark = groupNote(g, s), groupRemark(g, s)
	p.Oldest = oldestFiring(g, s.Now)

	shared, annotations := grouping.SharedByAlerts(g.Alerts)
	p.Shared = labelChips(shared, all, s.Links, nil)
	p.Summary = Long(cmp.Or(annotations.Get("summary"), annotations.Get("message")))
	if len(g.Alerts) == 1 {
		p.Summary = Long(cmp.Or(annotations.Get("description"), annotations.Get("message"), annotations.Get("summary")))
	}
	p.Closed, p.Ack, p.Close = closedNote(s, g), newAckSection(s, g), newCloseForm(s, g)
	p.setNotes(s, g)
	p.Link = s.Links.Absolute(s.Links.Group(g.ID))
	p.Actions = groupActions(s, g, annotations)
	p.JSON, p.Postmortem = s.Links.GroupJSON(g.ID), s.Links.Postmortem(g.ID)

	sorted := grouping.SortByUrgency(g.Alerts)
	p.Markdown = markdown(s, p, g, sorted, shared)
	episodes := g.Episodes()
	p.Timeline = newTimeline(s, v, g, sorted, shared, episodes, events)
	offset := min(v.Offset, max(0, len(sorted)-1)) / alertsPerPage * alertsPerPage
	rows := alertRows{site: s, group: g, shared: shared, annotations: annotations, query: queryOf(p.Actions), head: p.Actions}
	for _, a := range sorted[offset:min(len(sorted), offset+alertsPerPage)] {
		p.Alerts = append(p.Alerts, rows.row(a))
	}
	p.AlertCount, p.AlertNumber = plural(len(sorted), "alert", "alerts"), formatCount(len(sorted))
	p.Pager = alertPager(s, v, g.ID, offset, len(sorted))
	p.setNotifications(s, g, events)
	p.Episodes = pastEpisodes(episodes, s.Now)
	p.History = transitions(s, events, shared)
	s.setThen(p.History, GroupView{Range: rangeEpisode}.Page(g.ID))
	p.HistoryURL = s.historyOf(query.Events{Group: g.ID})
	p.Facts = newFacts(s, g, shared, annotations, events)
	return p
}

// setCauses sets what the head of the page says about the causes of the suppressed alerts.
func (p *GroupPage) setCauses(s *Site, g *grouping.AlertGroup, all []causes) {
	if g.Counts.Unreported > 0 && g.ClosedBy == nil && !s.knowsCauses(g.Source) && !s.isPast() {
		p.Setup = s.Links.Word("sources")
	}
	if len(all) == 0 {
		return
	}
	if since, names := s.failing(g.Source); len(names) > 0 {
		p.AsOf = "The causes are as of " + formatClock(since, s.Now) + " UTC: " + listAnd(names) + " " + plainly(len(names), "does", "do") +
			" not answer."
	}
	if g.State != grouping.StateSuppressed {
		return
	}
	p.Why = s.groupWhy(g, all)
	if only := all[0]; len(all) == 1 && len(only.silences) > 0 {
		p.Silence = s.Links.SilenceOf(only.silences[0].ID, s.manySource(g.Source))
	}
}

// allGroups returns the view that the chips of a group's or an alert's page lead
// to. It has every state, so that a label of a resolved alert finds that alert.
func allGroups() View { return viewOfState(query.StateAll) }

func groupNote(g *grouping.AlertGroup, s *Site) string {
	var notes []string
	if g.Truncated > 0 {
		notes = append(notes, plural(truncatedCount(g.Truncated), "alert was", "alerts were")+
			" truncated from the last notification by Alertmanager's max_alerts or by a limit of Muster. The counts are minimums.")
	}
	switch n := plural(g.Counts.Unreported, "alert is", "alerts are"); {
	case g.Counts.Unreported == 0, g.ClosedBy != nil: // the page says who closed it
	case s.knowsCauses(g.Source):
		notes = append(notes, n+" unreported: no mute is known for "+plainly(g.Counts.Unreported, "it", "them")+
			" and nobody reported "+plainly(g.Counts.Unreported, "its", "their")+" end.")
	default:
		notes = append(notes, n+" unreported: a notification omitted what was firing before and is not resolved. "+
			"Possible causes: a silence, an inhibition, or lost data in Alertmanager.")
	}
	if g.Stale {
		notes = append(notes, "No notification about this group since "+formatClock(g.LastNotifiedAt, s.Now)+
			" UTC. Its firing alerts may be over.")
	}
	if n := g.Disputed(); n > 0 {
		notes = append(notes, "The Alertmanagers of this cluster disagree about "+plural(n, "alert", "alerts")+
			": one reports firing, another reports resolved. Muster shows firing.")
	}
	return strings.Join(notes, " ")
}

// groupRemark explains in sentences the marks that are not warnings.
func groupRemark(g *grouping.AlertGroup, s *Site) string {
	var remarks []string
	if n, flaps := grouping.Flapping(g.Alerts, s.Now); flaps {
		remarks = append(remarks, fmt.Sprintf("Flapping: an alert started firing %d times within the last hour.", n))
	}
	if g.Settling {
		remarks = append(remarks, "Settling: this group is new. Alertmanager reports further alerts after group_interval.")
	}
	if beforeRestart(g, s) {
		remarks = append(remarks, "No notification about this group has arrived since Muster started at "+formatClock(s.StartedAt, s.Now)+" UTC.")
	}
	return strings.Join(remarks, " ")
}

// oldestFiring returns the start of the oldest firing alert. It is zero if the
// age of the group already counts from there.
func oldestFiring(g *grouping.AlertGroup, now time.Time) Moment {
	at := g.OldestFiring()
	if g.Counts.Firing < 2 || g.NewestAt.Sub(at) < time.Second {
		return Moment{}
	}
	return newMoment(at, now)
}

func queryOf(actions []Action) string {
	for _, a := range actions {
		if a.Text == queryText {
			return a.Href
		}
	}
	return ""
}

// Texts by which other functions recognize an action.
const (
	queryText   = "Query"    // leads to the query of the alert's rule
	silenceText = "Silence…" // leads to the form for a new silence
	historyText = "History"  // leads to the alert's page
)

// dashboards are annotations that commonly hold the URL of a dashboard.
var dashboards = []string{"dashboard_url", "dashboard", "grafana_url", "dashboardURL"}

func annotationActions(annotations grouping.Labels) []Action {
	var out []Action
	for _, name := range []string{"runbook_url", "runbook"} {
		if href, ok := webLink(annotations.Get(name)); ok {
			out = append(out, Action{Text: "Runbook", Href: href, Key: "o", Primary: true, Outside: true})
			break
		}
	}
	for _, name := range dashboards {
		if href, ok := webLink(annotations.Get(name)); ok {
			out = append(out, Action{Text: "Dashboard", Href: href, Outside: true})
			break
		}
	}
	return out
}

func groupActions(s *Site, g *grouping.AlertGroup, annotations grouping.Labels) []Action {
	out := annotationActions(annotations)
	if len(g.Alerts) > 0 {
		generator := g.Alerts[0].GeneratorURL
		same := !slices.ContainsFunc(g.Alerts, func(a *grouping.Alert) bool { return a.GeneratorURL != generator })
		if href, ok := webLink(generator); ok && same {
			out = append(out, Action{Text: queryText, Href: href, Outside: true})
		}
	}
	if g.FromGrafana() {
		return append(out, grafanaActions(s.offered(sharedGrafana(g.Alerts)), out)...)
	}
	if s.isPast() {
		return out
	}
	a := s.silenceAction(g, g.GroupLabels, s.Links.Group(g.ID))
	if a.Key = "s"; a.Href != "" && !g.GroupLabels.IsZero() {
		out = append(out, a)
	}
	return out
}

func alertPager(s *Site, v GroupView, id grouping.ID, offset, total int) *Pager {
	if total <= alertsPerPage {
		return nil
	}
	end := min(total, offset+alertsPerPage)
	p := &Pager{Text: formatCount(offset+1) + "–" + formatCount(end) + " of " + formatCount(total) + " alerts, most urgent first"}
	at := func(offset int) string {
		v.Offset = offset
		return s.Links.GroupOf(id, v)
	}
	if offset > 0 {
		p.First = at(0)
	}
	if end < total {
		p.Next = at(end)
	}
	return p
}

func pastEpisodes(eps []grouping.Episode, now time.Time) []EpisodeRow {
	const maximum = 20 // the history has the rest
	var out []EpisodeRow
	for _, e := range slices.Backward(eps) {
		if !e.EndsAt.IsZero() && len(out) < maximum {
			out = append(out, newEpisodeRow(e, now))
		}
	}
	return out
}

func newEpisodeRow(e grouping.Episode, now time.Time) EpisodeRow {
	end := e.EndsAt
	if end.IsZero() {
		end = now
	}
	return EpisodeRow{From: newMoment(e.StartsAt, now), To: newMoment(e.EndsAt, now), Lasted: Age(end.Sub(e.StartsAt))}
}

func newFacts(s *Site, g *grouping.AlertGroup, shared, annotations grouping.Labels, events []grouping.Event) Facts {
	f := Facts{
		Receiver: g.Receiver, Source: g.Source, GroupKey: g.GroupKey, Reason: g.LastReason,
		Annotations: append(pairs(annotations), longLabels(shared)...), Routes: pairs(g.RouteLabels),
		FirstSeen: newMoment(g.CreatedAt, s.Now), LastNotified: newMoment(g.LastNotifiedAt, s.Now),
	}
	if !s.isPast() { // a past state has no counters
		f.Notifications, f.Version = formatCount(int(g.Notifications)), formatCount(int(g.Version))
	}
	if at := g.ResolvedAt(); !at.IsZero() && s.Retention > 0 {
		f.KeptUntil = formatClock(at.Add(s.Retention), s.Now) + " UTC"
	}
	seen := map[string]struct{}{}
	add := func(external string) {
		if external != "" {
			seen[external] = struct{}{}
		}
	}
	add(g.ExternalURL)
	for i := range events {
		add(events[i].Notification().ExternalURL)
	}
	for _, external := range sortedKeys(seen) {
		f.Alertmanagers = append(f.Alertmanagers, newTextLink(external))
	}
	return f
}

func pairs(l grouping.Labels) []Pair {
	out := make([]Pair, 0, l.Len())
	for name, value := range l.All() {
		out = append(out, Pair{name, newTextLink(value)})
	}
	return out
}
