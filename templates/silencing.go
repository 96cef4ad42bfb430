package templates

import (
	"slices"
	"strings"
	"time"

	"muster/grouping"
	"muster/internal/query"
)

// Silencing says whose silences people may change through Muster.
type Silencing struct {
	// Sources are the sources whose Alertmanagers can be asked. It is empty if nobody may.
	Sources []string
	// AsksName is true if people type their names, because nobody verifies them.
	AsksName bool
}

// canSilence reports whether people may silence alerts of a source through Muster.
func (s *Site) canSilence(source string) bool {
	return !s.isPast() && slices.Contains(s.Silencing.Sources, source)
}

// newSilence leads to the form for a new silence, filled with matchers for the labels. group is the
// group that it is about, or "".
func (s *Site) newSilence(source string, of grouping.Labels, group grouping.ID) string {
	f := query.SilenceForm{Group: group}
	for _, name := range of.Names() {
		f.Matchers = append(f.Matchers, equals(name, of.Get(name)))
	}
	return s.silenceForm(source, f)
}

// copySilence leads to the form, filled with what a silence has. It is "" if the form has no place
// for its matchers.
func (s *Site) copySilence(of *grouping.SilenceInfo) string {
	if len(of.MatcherSets) != 1 || !s.canSilence(of.Source) {
		return ""
	}
	texts := make([]string, 0, len(of.MatcherSets[0]))
	for _, m := range of.MatcherSets[0] {
		texts = append(texts, m.String())
	}
	f := query.SilenceForm{Filter: query.ParseFilter([]string{strings.Join(texts, ", ")}), Comment: of.Comment}
	return s.silenceForm(of.Source, f)
}

// silenceForm leads to the form for a new silence.
func (s *Site) silenceForm(source string, f query.SilenceForm) string {
	if len(s.Silencing.Sources) < 2 {
		source = ""
	}
	q := make(parameters, 0, 4)
	q.addFilter(f.Filter)
	q.add("source", source)
	q.add("group", string(f.Group))
	q.add("comment", f.Comment)
	if href := s.Links.NewSilence() + q.String(); len(href) <= maxLinkLength {
		return href
	}
	return s.Links.NewSilence()
}

// silenceAction returns the action that leads to the form for a new silence, here or in the
// Alertmanager of the group. It has no address if there is no such form.
func (s *Site) silenceAction(g *grouping.AlertGroup, of grouping.Labels, page string) Action {
	a := Action{Text: silenceText}
	if s.canSilence(g.Source) {
		a.Href = s.newSilence(g.Source, of, g.ID)
		return a
	}
	a.Href, a.Outside = s.Links.Silence(g.ExternalURL, of, s.silenceComment(page, g.Source, g.Receiver)), true
	return a
}

// SilenceChanges are the forms of a silence's page.
type SilenceChanges struct {
	Extend, Expire string // the targets of the forms
	Source         string
	Ends           []Option
	Length, At     string // what the person typed
	BadEnd         string // what is wrong with that
	AsksName       bool
	Strong, Says   string // what the end of the silence does
}

// extensions are the times from now at which a silence can be made to end.
func extensions() []time.Duration {
	const day = 24 * time.Hour
	return []time.Duration{30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour, day, 3 * day, 7 * day}
}

// newSilenceChanges returns the forms, or nil if nobody can change the silence through Muster.
func (s *Site) newSilenceChanges(of *grouping.SilenceInfo, n mutedCounts) *SilenceChanges {
	if !s.canSilence(of.Source) || of.State == grouping.SilenceExpired || len(of.MatcherSets) != 1 || s.cannotAsk(of.Source) != "" {
		return nil
	}
	c := &SilenceChanges{
		Extend: s.Links.ExtendSilence(of.ID), Expire: s.Links.ExpireSilence(of.ID), Source: of.Source, AsksName: s.Silencing.AsksName,
	}
	add := func(text string, at time.Time) {
		at = at.UTC().Truncate(time.Minute)
		c.Ends = append(c.Ends, Option{Value: at.Format(time.RFC3339), Text: text + ", " + clockPhrase(at, s.Now).Text})
	}
	for _, d := range extensions() {
		if at := s.Now.Add(d); at.After(of.EndsAt.Add(time.Minute)) {
			add("in "+formatDuration(d), at)
		}
	}
	if len(c.Ends) == 0 {
		add("a day later", of.EndsAt.Add(24*time.Hour))
		add("a week later", of.EndsAt.Add(7*24*time.Hour))
	}
	switch {
	case of.State == grouping.SilencePending:
		c.Says = "It has not begun, so it mutes nothing."
	case n.alerts == 0:
		c.Says = "No alert is known that it mutes now."
	default:
		c.Strong = plural(n.alerts, "alert", "alerts")
		switch {
		case n.critical == n.alerts:
			c.Strong = plural(n.alerts, "critical alert", "critical alerts")
		case n.critical > 0:
			c.Strong += ", " + formatCount(n.critical) + " of them critical,"
		}
		c.Says = "will be notified again, within the group interval (" + formatDuration(s.GroupInterval) + ")."
	}
	return c
}

// cannotAsk says in a sentence that no Alertmanager of the source answers, or is "".
func (s *Site) cannotAsk(source string) string {
	last, failing := s.failing(source)
	if len(failing) == 0 {
		return ""
	}
	return "Silences as of " + clockPhrase(last, s.Now).Text + " UTC (" + Age(s.Now.Sub(last)) + " ago): " +
		listAnd(failing) + " " + plainly(len(failing), "does", "do") + " not answer."
}

// unconfirmedWords are the words for a change that Alertmanager has not confirmed.
var unconfirmedWords = map[grouping.EventKind]string{
	grouping.EventSilenceCreated: "Created", grouping.EventSilenceChanged: "Changed", grouping.EventSilenceExpired: "Ended",
}

// through says who made a change through Muster.
func through(by grouping.Person) string {
	text := "by " + isolate(shorten(by.Name))
	if !by.Verified {
		text += " (not verified)"
	}
	return text
}
