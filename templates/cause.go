package templates

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"muster/grouping"
)

// Phrase is a part of a sentence. At most one of Href, ISO and Foreign is set. Spaces and
// punctuation are in the texts.
type Phrase struct {
	Text string
	Href string
	// Foreign says that somebody else wrote the text, so that it may change the direction
	// of writing.
	Foreign bool
	Name    bool // it stands out, as a name does
	// ISO is the time that the text says. Left says that the text is the duration until
	// then, and Form is the form of an absolute time for the script.
	ISO, Form string
	Left      bool
	Age       bool // the text is the duration since then
}

// Phrases are a sentence about what mutes alerts.
type Phrases []Phrase

// String returns the sentence as text.
func (ps Phrases) String() string {
	var b strings.Builder
	for _, p := range ps {
		b.WriteString(p.Text)
	}
	return b.String()
}

// identity returns what the sentence says, without what changes with time alone.
func (ps Phrases) identity() string {
	var b strings.Builder
	for _, p := range ps {
		if !p.Left && !p.Age {
			b.WriteString(p.Text)
		}
		b.WriteString(p.Href + p.ISO)
	}
	return b.String()
}

func (ps *Phrases) say(text string) { *ps = append(*ps, Phrase{Text: text}) }

// name adds a name that somebody else chose.
func (ps *Phrases) name(text string) {
	*ps = append(*ps, Phrase{Text: text, Foreign: true, Name: true})
}

// strong adds a text that stands out.
func (ps *Phrases) strong(text string) { *ps = append(*ps, Phrase{Text: text, Name: true}) }

// quote adds a text of somebody else.
func (ps *Phrases) quote(text string) { *ps = append(*ps, Phrase{Text: text, Foreign: true}) }

func (ps *Phrases) link(text, href string) { *ps = append(*ps, Phrase{Text: text, Href: href}) }

// clock adds an absolute time. It has no date if the day is that of now.
func (ps *Phrases) clock(at, now time.Time) { *ps = append(*ps, clockPhrase(at, now)) }

func clockPhrase(at, now time.Time) Phrase {
	at = at.UTC()
	p := Phrase{ISO: at.Format(time.RFC3339), Text: formatClock(at, now)}
	if at.Truncate(24 * time.Hour).Equal(now.UTC().Truncate(24 * time.Hour)) {
		p.Text, p.Form = at.Format("15:04"), "m"
	}
	return p
}

// left adds the duration until a time.
func (ps *Phrases) left(at, now time.Time) {
	*ps = append(*ps, Phrase{ISO: at.UTC().Format(time.RFC3339), Text: Age(at.Sub(now)), Left: true})
}

// maxQuoted is the maximum number of characters of a name or a comment in a list.
const maxQuoted = 120

// visible returns a name so that a reader sees it, also in a link. A name without a visible
// character is quoted.
func visible(name string) string {
	seen := func(r rune) bool { return unicode.IsGraphic(r) && !unicode.IsSpace(r) && !unicode.IsMark(r) }
	if name == "" || strings.ContainsFunc(name, seen) {
		return name
	}
	return strconv.QuoteToASCII(name)
}

// shorten cuts a text of somebody else for a list.
func shorten(s string) string { return shortenTo(s, maxQuoted) }

// shortenTo cuts a text after a number of characters.
func shortenTo(s string, maximum int) string {
	if utf8.RuneCountInString(s) <= maximum {
		return s
	}
	return string([]rune(s)[:maximum]) + "…"
}

// causes are the active mutes of one alert, or of several that have the same ones.
type causes struct {
	source string
	alert  *grouping.Alert // one of them
	alerts int             // their number

	silences               []*grouping.Silence // those that are known, the one that ends last first
	unknown                int                 // number of the other silences
	inhibitions, intervals []grouping.Mute

	silencedAt, inhibitedAt, intervalAt time.Time // the first sightings
}

func (s *Site) causesOf(source string, a *grouping.Alert) causes {
	c := causes{source: source, alert: a, alerts: 1}
	c.addSightings(a)
	for _, m := range a.Mutes() {
		switch m.Kind {
		case grouping.MuteSilence:
			if known := s.silence(source, m.ID); known != nil {
				c.silences = append(c.silences, known)
			} else {
				c.unknown++
			}
		case grouping.MuteInhibition:
			c.inhibitions = append(c.inhibitions, m)
		case grouping.MuteInterval:
			c.intervals = append(c.intervals, m)
		}
	}
	slices.SortStableFunc(c.silences, func(x, y *grouping.Silence) int { return y.EndsAt.Compare(x.EndsAt) })
	return c
}

// causesOfSuppressed is causesOf for an alert that may not be suppressed.
func (s *Site) causesOfSuppressed(source string, a *grouping.Alert) []causes {
	if a.ShownStatus() != grouping.StatusSuppressed {
		return nil
	}
	return []causes{s.causesOf(source, a)}
}

// addSightings makes the first sightings include those of an alert.
func (c *causes) addSightings(a *grouping.Alert) {
	for _, m := range a.Mutes() {
		switch m.Kind {
		case grouping.MuteSilence:
			c.silencedAt = earlier(c.silencedAt, m.Since)
		case grouping.MuteInhibition:
			c.inhibitedAt = earlier(c.inhibitedAt, m.Since)
		case grouping.MuteInterval:
			c.intervalAt = earlier(c.intervalAt, m.Since)
		}
	}
}

// groupCauses returns the different causes of the suppressed alerts of a group, those of the
// most alerts first.
func (s *Site) groupCauses(g *grouping.AlertGroup) []causes {
	if g.Counts.Suppressed == 0 {
		return nil
	}
	var all []causes
	var key []byte
	at := map[string]int{}
	for _, a := range g.Alerts {
		if a.ShownStatus() != grouping.StatusSuppressed {
			continue
		}
		key = key[:0]
		for _, m := range a.Mutes() {
			key = append(append(append(append(key, m.Kind...), ' '), m.ID...), 0)
		}
		if i, known := at[string(key)]; known {
			all[i].alerts++
			all[i].addSightings(a)
			continue
		}
		at[string(key)] = len(all)
		all = append(all, s.causesOf(g.Source, a))
	}
	slices.SortStableFunc(all, func(x, y causes) int { return cmp.Compare(y.alerts, x.alerts) })
	return all
}

// earlier returns the earlier time. Zero is not a time.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// why says what mutes an alert, or why it is not reported. It is empty if the alert fires
// or is resolved as usual.
func (s *Site) why(g *grouping.AlertGroup, a *grouping.Alert) Phrases {
	switch a.ShownStatus() {
	case grouping.StatusSuppressed:
		return s.causeSentence(s.causesOf(g.Source, a), "")
	case grouping.StatusUnreported:
		return s.unreportedSentence(g, a)
	case grouping.StatusResolved:
		if m, ok := a.EndedUnder(); ok {
			return Phrases{{Text: "Resolved while " + mutedWords[m.Kind] + ", so without a notification."}}
		}
	case grouping.StatusFiring:
	}
	return nil
}

var mutedWords = map[grouping.MuteKind]string{
	grouping.MuteSilence: "silenced", grouping.MuteInhibition: "inhibited", grouping.MuteInterval: "muted by a time interval",
}

// causeSentence says what mutes alerts. count is the number of the alerts, or "" if the
// sentence is about all that are meant.
func (s *Site) causeSentence(c causes, count string) Phrases {
	var ps Phrases
	for _, part := range []Phrases{s.silencedBy(c), s.inhibitedBy(c, count == ""), s.mutedBy(c, count == "")} {
		if len(part) == 0 {
			continue
		}
		if len(ps) > 0 {
			ps.say("; ")
		}
		if len(ps) > 0 || count != "" {
			part[0].Text = strings.ToLower(part[0].Text[:1]) + part[0].Text[1:]
		}
		ps = append(ps, part...)
	}
	if count != "" && len(ps) > 0 {
		ps = append(Phrases{{Text: count + " "}}, ps...)
	}
	return ps
}

func (s *Site) silencedBy(c causes) Phrases {
	n := len(c.silences) + c.unknown
	if n == 0 {
		return nil
	}
	var ps Phrases
	if len(c.silences) == 0 {
		ps.say("Silenced by a silence that Muster does not know, since ")
		ps.clock(c.silencedAt, s.Now)
	} else {
		ps.say("Silenced")
		ps = append(ps, s.silenceSentence(c.source, c.silences[0], true)...)
	}
	if n > 1 {
		ps.say(" +" + plural(n-1, "more silence", "more silences"))
	}
	return ps
}

// silenceSentence says who silences until when and why: " by dana until 14:00 (2h 45m
// left): deploying db". It begins with a space.
func (s *Site) silenceSentence(source string, of *grouping.Silence, left bool) Phrases {
	var ps Phrases
	if of.CreatedBy != "" {
		ps.say(" by ")
		ps.name(shorten(of.CreatedBy))
	}
	if !of.EndsAt.IsZero() {
		ps.say(" until ")
		ps.clock(of.EndsAt, s.Now)
		if !s.polled(source) {
			ps.say(" at the latest")
		}
		if left && of.EndsAt.After(s.Now) {
			ps.say(" (")
			ps.left(of.EndsAt, s.Now)
			ps.say(" left)")
		}
	}
	if of.Comment != "" {
		ps.say(": ")
		ps.quote(shorten(of.Comment))
	}
	return ps
}

func (s *Site) inhibitedBy(c causes, since bool) Phrases {
	if len(c.inhibitions) == 0 {
		return nil
	}
	var ps Phrases
	fp := grouping.Fingerprint(c.inhibitions[0].ID)
	if by := s.alert(c.source, fp); by == nil {
		ps.say("Inhibited by an alert that Muster does not know")
		if since {
			ps.say(",")
		}
	} else {
		ps.say("Inhibited by ")
		ps.link(cmp.Or(by.Name(), string(fp)), s.alertLink(fp, c.source))
		for _, l := range tellingLabels(by.Labels, c.alert.Labels) {
			ps.say(" ")
			ps.quote(l.Name + "=" + shorten(l.Value))
		}
	}
	if since {
		ps.say(" since ")
		ps.clock(c.inhibitedAt, s.Now)
	}
	if n := len(c.inhibitions) - 1; n > 0 {
		ps.say(" +" + plural(n, "more alert", "more alerts"))
	}
	return ps
}

// tellingLabels returns at most two labels of an inhibiting alert. Those that the inhibited
// alert has too come first, because they are why it is inhibited.
func tellingLabels(of, inhibited grouping.Labels) []grouping.Label {
	const maximum = 2
	var shared, own []grouping.Label
	for _, name := range of.Names() {
		switch value := of.Get(name); {
		case name == "alertname" || name == grouping.SeverityLabel():
		case inhibited.Has(name, value):
			shared = append(shared, grouping.Label{Name: name, Value: value})
		default:
			own = append(own, grouping.Label{Name: name, Value: value})
		}
	}
	all := append(shared, own...)
	return all[:min(len(all), maximum)]
}

func (s *Site) mutedBy(c causes, since bool) Phrases {
	if len(c.intervals) == 0 {
		return nil
	}
	var ps Phrases
	ps.say("Muted by time interval ")
	if len(c.intervals) > 1 {
		ps[0].Text = "Muted by time intervals "
	}
	for i, m := range c.intervals {
		if i > 0 {
			ps.say(", ")
		}
		ps.name(shorten(m.ID))
	}
	if since {
		ps.say(" since ")
		ps.clock(c.intervalAt, s.Now)
	}
	return ps
}

func (s *Site) unreportedSentence(g *grouping.AlertGroup, a *grouping.Alert) Phrases {
	var ps Phrases
	source := g.Source
	if a.GoneBy.IsZero() && g.ClosedBy != nil {
		ps.say("Closed by ")
		ps.person(g.ClosedBy.Person)
		ps.say(" at ")
		ps.clock(g.ClosedBy.At, s.Now)
		return ps
	}
	if a.GoneBy.IsZero() {
		ps.say("Cause unknown: the notification of ")
		ps.clock(a.ChangedAt, s.Now)
		ps.say(" left it out")
		if s.ListedBy == nil {
			return ps
		}
		if by := s.ListedBy(source, a.Fingerprint); by != "" {
			ps.say(", but ")
			ps.name(shorten(hostOf(by)))
			ps.say(" still lists it as active")
		}
		return ps
	}
	ps.say("Not in Alertmanager since ")
	ps.clock(a.GoneFrom, s.Now)
	ps.say(" to ")
	ps.clock(a.GoneBy, s.Now)
	ps.say(", nobody reported its end")
	if m, ok := a.LastMute(); ok {
		ps.say(". It was " + mutedWords[m.Kind])
		if of := s.silence(source, m.ID); m.Kind == grouping.MuteSilence && of != nil && of.CreatedBy != "" {
			ps.say(" by ")
			ps.name(shorten(of.CreatedBy))
		}
		ps.say(" from ")
		ps.clock(m.Since, s.Now)
	}
	return ps
}

// maxCauseParts is the maximum number of different causes that the sentence about a group
// names.
const maxCauseParts = 2

// groupWhy says what mutes the suppressed alerts of a group, or why its unreported alerts
// are not reported if no alert is suppressed. all are its causes.
func (s *Site) groupWhy(g *grouping.AlertGroup, all []causes) Phrases {
	switch len(all) {
	case 0:
		return s.groupUnreported(g)
	case 1:
		return s.causeSentence(all[0], "")
	}
	var ps Phrases
	rest := 0
	for i, c := range all {
		if i >= maxCauseParts {
			rest += c.alerts
			continue
		}
		if i > 0 {
			ps.say("; ")
		}
		ps = append(ps, s.causeSentence(c, formatCount(c.alerts))...)
	}
	if rest > 0 {
		ps.say("; and " + formatCount(rest) + " more")
	}
	return ps
}

// groupUnreported says why the unreported alerts of a group are not reported.
func (s *Site) groupUnreported(g *grouping.AlertGroup) Phrases {
	unreported := withStatus(g.Alerts, grouping.StatusUnreported)
	if len(unreported) == 0 {
		return nil
	}
	newest := slices.MaxFunc(unreported, func(x, y *grouping.Alert) int { return x.ChangedAt.Compare(y.ChangedAt) })
	ps := s.unreportedSentence(g, newest)
	if newest.GoneBy.IsZero() && g.ClosedBy == nil && len(unreported) > 1 {
		ps[len(ps)-1].Text = " left them out"
	}
	return ps
}

// endsSoon is how long before its end a silence has a mark.
const endsSoon = 15 * time.Minute

// silenceEnd returns the time at which the first of the alerts is notified again, because
// its last silence ends, and whether that is soon.
func (s *Site) silenceEnd(all []causes) (at time.Time, soon bool) {
	for _, c := range all {
		if len(c.silences) > 0 && c.unknown+len(c.inhibitions)+len(c.intervals) == 0 {
			at = earlier(at, c.silences[0].EndsAt)
		}
	}
	return at, at.After(s.Now) && at.Sub(s.Now) <= endsSoon
}

// silence returns a silence of a source, or nil if it is not known.
func (s *Site) silence(source, id string) *grouping.Silence {
	if s.SilenceOf == nil {
		return nil
	}
	return s.SilenceOf(source, id)
}

// alert returns an alert of a source, or nil if it is not known.
func (s *Site) alert(source string, fp grouping.Fingerprint) *grouping.Alert {
	if s.AlertOf == nil || fp == "" {
		return nil
	}
	return s.AlertOf(source, fp)
}
