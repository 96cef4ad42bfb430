package templates

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"muster/grouping"
)

// AlertRow is a row of a group's table of alerts.
type AlertRow struct {
	Key, Version string

	Severity Severity
	Name     string  // empty if all alerts of the group have the same name
	Labels   []Chip  // labels that other alerts of the group do not have
	Text     Long    // its description, if other alerts have another one
	Why      Phrases // what mutes it, or why it is not reported
	Marks    []Mark
	Since    Moment
	Ended    Moment  // time of the resolution or of the last report
	Left     bool    // unreported: a notification omitted it
	Muted    Phrases // since when it is suppressed
	Gone     string  // how long it is gone from Alertmanager: 8m to 16m
	Lasted   string
	Page     string
	Actions  []Action
}

// alertRows makes the rows of one group.
type alertRows struct {
	site                *Site
	group               *grouping.AlertGroup
	shared, annotations grouping.Labels
	query               string   // the query link of the group's head
	head                []Action // the actions of the group's head
}

// row makes the row of an alert.
func (r *alertRows) row(a *grouping.Alert) AlertRow {
	s := r.site
	row := AlertRow{
		Key: string(a.Fingerprint), Severity: alertLook(a), Since: newMoment(a.Began(), s.Now), Page: s.alertLink(a.Fingerprint, r.group.Source),
		Labels: labelChips(a.Labels, allGroups(), s.Links, func(name string) bool {
			return name == "alertname" ||
				name == grouping.SeverityLabel() && (a.ShownStatus() == grouping.StatusFiring || a.ShownStatus() == grouping.StatusSuppressed) ||
				r.shared.Get(name) == a.Labels.Get(name) && r.shared.Get(name) != ""
		}),
	}
	if _, same := r.shared.Lookup("alertname"); !same {
		row.Name = cmp.Or(visible(a.Name()), "(no alertname)")
	}
	for _, name := range []string{"description", "message", "summary"} {
		text := a.Annotations.Get(name)
		if _, same := r.annotations.Lookup(name); text != "" && !same {
			row.Text = Long(text)
			break
		}
	}
	row.Why = s.why(r.group, a)
	row.setTimes(s, r.group, a)
	if ack := r.group.Ack(s.Now); ack != nil && ack.Precedes(a) {
		row.Marks = append(row.Marks, Mark{
			Text: "new since acknowledged", Title: "It began after somebody acknowledged the group", Href: s.Links.Word("new-since"), Loud: true,
		})
	}
	if a.Unnotified && a.Status != grouping.StatusResolved {
		row.Marks = append(row.Marks, s.notNotifiedMark())
	}
	if m, ok := s.silenceEndMark(s.causesOfSuppressed(r.group.Source, a)); ok {
		row.Marks = append(row.Marks, m)
	}
	if a.Disputed {
		row.Marks = append(row.Marks, Mark{
			Text: "Alertmanagers disagree", Title: "One Alertmanager reports firing, another reports resolved",
			Href: s.Links.Word("disagree"), Loud: true,
		})
	}
	if m, ok := futureMark(s, []*grouping.Alert{a}); ok {
		row.Marks = append(row.Marks, m)
	}
	if n, flaps := grouping.Flapping([]*grouping.Alert{a}, s.Now); flaps {
		row.Marks = append(row.Marks, Mark{
			Text: fmt.Sprintf("flapping ×%d/h", n), Title: "Number of times that it started firing within the last hour",
			Href: s.Links.Word("flapping"),
		})
	}
	row.Actions = r.actions(a)
	h := fnv.New32a()
	fmt.Fprintf(h, "%q %q %q %q %s %s %q %q %v",
		row.Severity.Word+row.Severity.Shape, row.Text, row.Why.identity(), row.Muted.identity()+row.Gone, row.Since.ISO, row.Ended.ISO,
		row.Labels, markTexts(row.Marks), row.Actions)
	row.Version = fmt.Sprintf("%08x", h.Sum32())
	return row
}

// setTimes sets the times of the row.
func (row *AlertRow) setTimes(s *Site, g *grouping.AlertGroup, a *grouping.Alert) {
	switch a.ShownStatus() {
	case grouping.StatusResolved:
		row.Ended = newMoment(a.EndsAt, s.Now)
		row.Lasted = Age(a.EndsAt.Sub(a.StartsAt))
	case grouping.StatusSuppressed:
		var since time.Time
		for _, m := range a.Mutes() {
			since = earlier(since, m.Since)
		}
		row.Muted.say("suppressed since ")
		row.Muted.clock(since, s.Now)
	case grouping.StatusUnreported:
		if !a.GoneBy.IsZero() {
			row.Gone = between(s.Now.Sub(a.GoneBy), s.Now.Sub(a.GoneFrom))
			row.Lasted = between(a.GoneFrom.Sub(a.StartsAt), a.GoneBy.Sub(a.StartsAt))
			return
		}
		last, _ := g.LastSeen(a)
		row.Ended, row.Left = newMoment(last, s.Now), true
	default:
	}
}

// between writes two durations between which one is: 8m to 16m.
func between(shortest, longest time.Duration) string {
	from, to := roughAge(shortest), roughAge(longest)
	if from == to {
		return from
	}
	return from + " to " + to
}

// roughAge writes a duration without seconds, because it is not known exactly.
func roughAge(d time.Duration) string {
	if d >= time.Minute && d < time.Hour {
		return minutesLeft(d)
	}
	return Age(d)
}

// actions returns the alert's actions, without those in the head of its group.
func (r *alertRows) actions(a *grouping.Alert) []Action {
	var out []Action
	for _, x := range annotationActions(a.Annotations.Without(r.annotations)) {
		x.Key, x.Primary = "", false
		out = append(out, x)
	}
	if href, ok := webLink(a.GeneratorURL); ok && href != r.query {
		out = append(out, Action{Text: queryText, Href: href, Outside: true})
	}
	page := r.site.alertLink(a.Fingerprint, r.group.Source)
	if a.Grafana != nil {
		links := *a.Grafana
		if a.Status == grouping.StatusResolved {
			links.SilenceURL = ""
		}
		out = append(out, grafanaActions(r.site.offered(links), slices.Concat(r.head, out))...)
		return append(out, Action{Text: historyText, Href: page})
	}
	if id := r.onlySilence(a); id != "" {
		silence := r.site.Links.SilenceOf(id, r.site.manySource(r.group.Source))
		return append(out, Action{Text: "Silence", Href: silence}, Action{Text: historyText, Href: page})
	}
	over := a.Status == grouping.StatusResolved || !a.GoneBy.IsZero() || r.site.isPast()
	if silence := r.site.silenceAction(r.group, a.Labels, page); silence.Href != "" && !over {
		out = append(out, silence)
	}
	return append(out, Action{Text: historyText, Href: page})
}

// onlySilence returns the silence that mutes the alert and ends last, or "" if the alert is
// not silenced.
func (r *alertRows) onlySilence(a *grouping.Alert) string {
	if a.ShownStatus() != grouping.StatusSuppressed {
		return ""
	}
	if known := r.site.causesOf(r.group.Source, a).silences; len(known) > 0 {
		return known[0].ID
	}
	return ""
}

func markTexts(marks []Mark) []string {
	out := make([]string, len(marks))
	for i, m := range marks {
		out[i] = m.Text
	}
	return out
}

// maxMarkdownAlerts is the maximum number of alerts in a chat message.
const maxMarkdownAlerts = 20

// maxMarkdownNotes is the maximum number of notes in a chat message.
const maxMarkdownNotes = 5

// markdown returns the group as Markdown, to paste into a chat.
func markdown(s *Site, p *GroupPage, g *grouping.AlertGroup, alerts []*grouping.Alert, shared grouping.Labels) string {
	var b strings.Builder
	origin := s.origin(g.Source, g.Receiver)
	fmt.Fprintf(&b, "**[%s] %s**: %s %s", markdownText(p.Severity.Word), markdownText(p.Name), p.Count, p.Counted)
	if p.Mix != "" {
		b.WriteString(" (" + strings.ReplaceAll(p.Mix, "\u00a0", " ") + ")")
	}
	if origin != "" {
		b.WriteString(", " + markdownText(origin))
	}
	b.WriteByte('\n')
	for i, c := range p.Labels {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(markdownCode(c.Text))
	}
	if len(p.Labels) > 0 {
		b.WriteByte('\n')
	}
	if p.Summary != "" {
		b.WriteString(markdownText(string(p.Summary)) + "\n")
	}
	if p.Since.Known() {
		fmt.Fprintf(&b, "Since %s UTC (%s)\n", p.Since.At.Format("2006-01-02 15:04"), p.Since.Age)
	}
	b.WriteString(markdownPeople(s, g))
	for i, a := range alerts {
		if i == maxMarkdownAlerts {
			fmt.Fprintf(&b, "- and %s more\n", formatCount(len(alerts)-i))
			break
		}
		b.WriteString("- ")
		if status := a.ShownStatus(); status != grouping.StatusFiring {
			b.WriteString(string(status) + " ")
		}
		own := a.Labels.Without(shared)
		for _, name := range own.Names() {
			b.WriteString(markdownCode(name+"="+own.Get(name)) + " ")
		}
		if own.IsZero() {
			b.WriteString(markdownCode(cmp.Or(a.Name(), string(a.Fingerprint))))
		}
		if why := s.why(g, a); len(why) > 0 {
			b.WriteString(" " + markdownText(why.String()))
		}
		b.WriteByte('\n')
	}
	if s.isPast() {
		b.WriteString("As it was at " + s.Now.UTC().Format("2006-01-02 15:04:05") + " UTC\n")
	}
	b.WriteString(p.Link + "\n")
	return b.String()
}

// markdownPeople says who acknowledged the group, and has the newest notes.
func markdownPeople(s *Site, g *grouping.AlertGroup) string {
	var b strings.Builder
	if a := g.Ack(s.Now); a != nil {
		fmt.Fprintf(&b, "Acknowledged by %s at %s UTC", markdownText(personText(a.Person)), a.At.UTC().Format("2006-01-02 15:04"))
		if !a.Until.IsZero() {
			b.WriteString(" until " + a.Until.UTC().Format("2006-01-02 15:04") + " UTC")
		}
		if a.Note != "" {
			b.WriteString(": " + markdownText(a.Note))
		}
		if n := g.NewSince(a); n > 0 {
			b.WriteString(" (" + formatCount(n) + " new since)")
		}
		b.WriteByte('\n')
	}
	for _, n := range g.Notes[max(0, len(g.Notes)-maxMarkdownNotes):] {
		at := n.At.UTC().Format("2006-01-02 15:04")
		fmt.Fprintf(&b, "Note by %s at %s UTC: %s\n", markdownText(personText(n.Person)), at, markdownText(n.Text))
	}
	return b.String()
}

// markdownText returns s on one line. It replaces the characters that a chat
// program reads as a mention, a link or the end of a format.
func markdownText(s string) string {
	return strings.NewReplacer(
		"\r", " ", "\n", " ", "*", "∗", "`", "'", "@", "@\u200b", "<", "‹", ">", "›", "[", "(", "]", ")",
	).Replace(s)
}

// markdownCode returns s on one line as Markdown code.
func markdownCode(s string) string {
	return "`" + strings.NewReplacer("`", "'", "\r", " ", "\n", " ").Replace(s) + "`"
}
