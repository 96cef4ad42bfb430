package templates

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"muster/grouping"
	"muster/internal/query"
)

// SilencePage is one silence.
type SilencePage struct {
	Frame

	Back    string
	State   Severity
	Name    string // Silence by mira
	When    Phrases
	Made    Moment
	Marks   []Mark
	Sets    [][]Chip
	Comment Linked // the whole comment in parts: its addresses are links
	// Changed says what was changed through Muster and is not confirmed. Problem says why a
	// change was not made, and Answered what Alertmanager said.
	Changed           string
	ChangedAt         Moment
	Problem, Answered string
	Cannot            string // why nothing can be changed now
	Changes           *SilenceChanges
	Actions           []Action
	Tables            []SilencedTable
	History           []EventRow
	Facts             []SilenceFact
}

// SilenceFact is a fact about a silence with a remark.
type SilenceFact struct {
	Name   string
	Value  Long
	Remark string
	Code   bool
}

// SilencedTable are the alerts that a silence mutes, will mute or muted.
type SilencedTable struct {
	ID, Title, Says string
	Rows            []SilencedRow
	More            string
}

// SilencedRow is an alert that a silence mutes or muted.
type SilencedRow struct {
	Key       string
	Severity  Severity
	Name      string
	Href      string
	Chips     []Chip
	Since     Moment
	When      Phrases // in place of Since
	Group     string
	GroupHref string
}

// againText leads to the form for a new silence, filled with what an expired one had.
const againText = "Again…"

// Refuse makes the page say why a change was not made.
func (p *SilencePage) Refuse(status int, problem, answered string) {
	p.status, p.Problem, p.Answered, p.Still = status, problem, answered, true
}

// RefuseEnd makes the page say what is wrong with the end that a person chose.
func (p *SilencePage) RefuseEnd(f query.SilenceForm, sentence string) {
	if p.Changes == nil {
		p.Problem = sentence
		return
	}
	p.Changes.BadEnd, p.Changes.Length = sentence, f.Length
	if f.For == query.SilenceForUntil {
		p.Changes.At = f.Until
	}
}

// maxSilenced is the maximum number of rows of a table of silenced alerts.
const maxSilenced = 100

// SilenceKinds are the kinds of events about silences.
func SilenceKinds() []grouping.EventKind {
	return []grouping.EventKind{grouping.EventSilenceCreated, grouping.EventSilenceChanged, grouping.EventSilenceExpired}
}

// NewSilencePage makes the page of a silence. events are those of its source about silences,
// newest first.
func NewSilencePage(s *Site, of grouping.SilenceInfo, events []grouping.Event) *SilencePage {
	name := "Silence"
	if of.CreatedBy != "" {
		name += " by " + shorten(of.CreatedBy)
	}
	p := &SilencePage{
		Frame: s.newFrame("silence", titleWithSource(name, s.manySource(of.Source))), Name: name, Back: s.Links.Silences(),
		Sets: matcherSets(of.MatcherSets), Comment: splitLinks(of.Comment), State: silenceLooks[of.State],
	}
	p.setTimes(s, &of)
	n := countMuted(&of, s.Now)
	if of.State == grouping.SilenceActive {
		p.Marks = s.silenceMarks(&of, n)
	}
	if w := of.Unconfirmed(); w != nil {
		p.Changed, p.ChangedAt = unconfirmedWords[w.Kind], newMoment(w.At, s.Now)
	}
	p.Changes, p.Cannot = s.newSilenceChanges(&of, n), s.cannotAsk(of.Source)
	if href := s.copySilence(&of); href != "" {
		text := "Copy to a new one…"
		if of.State == grouping.SilenceExpired {
			text = againText
		}
		p.Actions = append(p.Actions, Action{Text: text, Href: href, Primary: of.State == grouping.SilenceExpired})
	}
	if href := s.alertmanagerPage(of.Source, "/#/silences/"+escape(of.ID)); href != "" {
		text := "Change in Alertmanager"
		if of.State == grouping.SilenceExpired || p.Changes != nil {
			text = "In Alertmanager"
		}
		p.Actions = append(p.Actions, Action{Text: text, Href: href, Outside: true})
	}
	p.Actions = append(p.Actions, Action{Text: "JSON", Href: s.Links.SilenceJSON(of.ID, s.manySource(of.Source))})
	p.setTables(s, &of)
	own := slices.DeleteFunc(slices.Clone(events), func(e grouping.Event) bool {
		return e.Silence == nil || e.Silence.ID != of.ID || e.Source != of.Source
	})
	p.History = newEventRows(s, own, grouping.Labels.MainLabels)
	s.setThen(p.History, Links.AllGroups)
	for i := range p.History {
		p.History[i].Href, p.History[i].Chips, p.History[i].Origin = "", nil, nil // this page shows them
	}
	p.setFacts(s, &of)
	return p
}

var silenceLooks = map[grouping.SilenceState]Severity{
	grouping.SilenceActive:  {Class: "info", Shape: "●", Word: "active"},
	grouping.SilencePending: {Class: "other", Shape: "○", Word: "pending"},
	grouping.SilenceExpired: {Class: "ok", Shape: "✓", Word: "expired"},
}

func (p *SilencePage) setTimes(s *Site, of *grouping.SilenceInfo) {
	switch of.State {
	case grouping.SilenceActive:
		p.When.left(of.EndsAt, s.Now)
		p.When.say(" left, until ")
		p.When.clock(of.EndsAt, s.Now)
		if !s.polled(of.Source) {
			p.When.say(" at the latest")
		}
	case grouping.SilencePending:
		p.When.say("in ")
		p.When.left(of.StartsAt, s.Now)
		p.When.say(", ")
		p.When.clock(of.StartsAt, s.Now)
		p.When.say(" to ")
		p.When.clock(of.EndsAt, s.Now)
	case grouping.SilenceExpired:
		p.When.say("lasted " + Age(of.EndsAt.Sub(of.StartsAt)) + ", until ")
		p.When.clock(of.EndsAt, s.Now)
		if of.End == grouping.EndEarly {
			p.When.say(", ended early")
		}
	}
	if of.StartsAt.Before(s.Now) {
		p.Made = newMoment(of.StartsAt, s.Now)
	}
}

func (p *SilencePage) setTables(s *Site, of *grouping.SilenceInfo) {
	var now, before []SilencedRow
	n := countMuted(of, s.Now)
	for _, m := range of.Muted {
		row := s.silencedRow(of.Source, m.Group, m.Alert)
		if m.Mute.Active() && m.Alert.Status != grouping.StatusResolved {
			row.Since = newMoment(m.Alert.Began(), s.Now)
			now = append(now, row)
			continue
		}
		row.When = mutedTimes(m, s.Now)
		before = append(before, row)
	}
	if of.State == grouping.SilenceActive || len(now) > 0 {
		says := "nothing"
		if n.alerts > 0 {
			says = plural(n.alerts, "alert", "alerts") + ", " + formatCount(n.critical) + " critical, in " + plural(n.groups, "group", "groups")
		}
		p.addTable("now", "Mutes now", says, now)
	}
	var expected []SilencedRow
	for _, e := range of.Expected {
		row := s.silencedRow(of.Source, e.Group, e.Alert)
		row.Since = newMoment(e.Alert.Began(), s.Now)
		expected = append(expected, row)
	}
	if len(expected) > 0 {
		p.addTable("expected", "Expected to mute", "They match, but were not seen muted", expected)
	}
	if len(before) > 0 {
		p.addTable("before", "Muted before", plural(n.before, "alert", "alerts"), before)
	}
}

func (p *SilencePage) addTable(id, title, says string, rows []SilencedRow) {
	t := SilencedTable{ID: id, Title: title, Says: says, Rows: rows}
	if more := len(rows) - maxSilenced; more > 0 {
		t.Rows, t.More = rows[:maxSilenced], "and "+formatCount(more)+" more"
	}
	p.Tables = append(p.Tables, t)
}

// mutedTimes says when a silence muted an alert that it mutes no more.
func mutedTimes(m grouping.SilencedAlert, now time.Time) Phrases {
	var ps Phrases
	if a := m.Alert; !a.GoneBy.IsZero() && !m.Mute.Ended.Before(a.GoneFrom) {
		ps.say("gone between ")
		ps.clock(a.GoneFrom, now)
		ps.say(" and ")
		ps.clock(a.GoneBy, now)
		return ps
	}
	ps.clock(m.Mute.Since, now)
	if !m.Mute.Ended.IsZero() {
		ps.say(" to ")
		ps.clock(m.Mute.Ended, now)
	}
	return ps
}

func (s *Site) silencedRow(source string, g *grouping.AlertGroup, a *grouping.Alert) SilencedRow {
	row := SilencedRow{
		Key: string(g.ID) + string(a.Fingerprint), Severity: alertLook(a), Name: cmp.Or(visible(a.Name()), "(no alertname)"),
		Href: s.alertLink(a.Fingerprint, source), Group: title(g, grouping.Labels{}), GroupHref: s.Links.Group(g.ID),
		Chips: labelChips(a.Labels.MainLabels(), allGroups(), s.Links, func(name string) bool { return name == grouping.SeverityLabel() }),
	}
	return row
}

func (p *SilencePage) setFacts(s *Site, of *grouping.SilenceInfo) {
	add := func(name, value string) { p.Facts = append(p.Facts, SilenceFact{Name: name, Value: Long(value)}) }
	creator := SilenceFact{Name: "Creator", Value: Long(cmp.Or(of.CreatedBy, "unknown")), Remark: "as typed in Alertmanager"}
	if w := of.Write; w != nil && w.By.Verified && w.By.Name == of.CreatedBy {
		creator.Remark = "" // Muster verified the name
	}
	p.Facts = append(p.Facts, creator)
	add("Source", of.Source)
	p.Facts = append(p.Facts, SilenceFact{Name: "ID", Value: Long(of.ID), Code: true})
	for _, m := range slices.Concat(of.MatcherSets...) {
		if text := m.String(); shorten(text) != text { // the chip shows its beginning
			p.Facts = append(p.Facts, SilenceFact{Name: "Matcher", Value: Long(text), Code: true})
		}
	}
	add("Starts", formatClock(of.StartsAt, s.Now)+" UTC")
	add("Ends", formatClock(of.EndsAt, s.Now)+" UTC")
	add("Last changed", formatClock(of.ChangedAt(), s.Now)+" UTC")
	if w := of.Write; w != nil {
		add("Through Muster", strings.ToLower(unconfirmedWords[w.Kind])+" "+through(w.By)+", "+formatClock(w.At, s.Now)+" UTC")
	}
	var from []string
	if r := s.report(of.Source); !r.Recorder.LastAt.IsZero() {
		from = append(from, "the event recorder")
	}
	if of.FromAPI {
		var hosts []string
		for _, poll := range s.report(of.Source).Pollers {
			hosts = append(hosts, isolate(hostOf(poll.URL)))
		}
		from = append(from, strings.TrimSpace("the API of "+cmp.Or(listAnd(hosts), "Alertmanager")))
	}
	if len(from) > 0 {
		add("Known from", listAnd(from))
	}
	for _, name := range of.Annotations.Names() {
		p.Facts = append(p.Facts, SilenceFact{Name: "Annotation " + name, Value: Long(of.Annotations.Get(name))})
	}
}

// splitLinks splits a text into parts. Those that are http or https addresses are links.
func splitLinks(text string) Linked {
	var out Linked
	plain := ""
	for _, word := range splitWords(text) {
		href, ok := webLink(strings.TrimRight(word, ".,;:!?)"))
		if !ok || strings.TrimSpace(word) != word {
			plain += word
			continue
		}
		if plain != "" {
			out = append(out, TextLink{Text: plain})
		}
		out = append(out, TextLink{Text: href, Href: href})
		plain = word[len(href):]
	}
	if plain != "" {
		out = append(out, TextLink{Text: plain})
	}
	return out
}

// splitWords splits a text into words and the white space between them.
func splitWords(text string) []string {
	var out []string
	start, inSpace := 0, false
	for i, r := range text {
		space := r == ' ' || r == '\n' || r == '\t' || r == '\r'
		if i > 0 && space != inSpace {
			out, start = append(out, text[start:i]), i
		}
		inSpace = space
	}
	return append(out, text[start:])
}
