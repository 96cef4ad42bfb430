package templates

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"muster/grouping"
)

// AlertRow is a row of a group's table of alerts.
type AlertRow struct {
	Key, Version string

	Severity Severity
	Name     string // empty if all alerts of the group have the same name
	Labels   []Chip // labels that other alerts of the group do not have
	Text     string // its description, if other alerts have another one
	Marks    []Mark
	Since    Moment
	Ended    Moment // time of the resolution or of the last report
	Left     bool   // unreported: a notification omitted it
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
				name == grouping.SeverityLabel() && a.Status == grouping.StatusFiring ||
				r.shared.Get(name) == a.Labels.Get(name) && r.shared.Get(name) != ""
		}),
	}
	if _, same := r.shared.Lookup("alertname"); !same {
		row.Name = cmp.Or(a.Name(), "(no alertname)")
	}
	for _, name := range []string{"description", "message", "summary"} {
		text := a.Annotations.Get(name)
		if _, same := r.annotations.Lookup(name); text != "" && !same {
			row.Text = text
			break
		}
	}
	switch a.Status {
	case grouping.StatusResolved:
		row.Ended = newMoment(a.EndsAt, s.Now)
		row.Lasted = Age(a.EndsAt.Sub(a.StartsAt))
	case grouping.StatusUnreported:
		last, _ := r.group.LastSeen(a)
		row.Ended, row.Left = newMoment(last, s.Now), true
	default:
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
	fmt.Fprintf(h, "%q %q %s %s %q %q %v",
		row.Severity.Word, row.Text, row.Since.ISO, row.Ended.ISO, row.Labels, markTexts(row.Marks), row.Actions)
	row.Version = fmt.Sprintf("%08x", h.Sum32())
	return row
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
		out = append(out, grafanaActions(links, slices.Concat(r.head, out))...)
		return append(out, Action{Text: historyText, Href: page})
	}
	comment := r.site.silenceComment(page, r.group.Source, r.group.Receiver)
	if href := r.site.Links.Silence(r.group.ExternalURL, a.Labels, comment); href != "" && a.Status != grouping.StatusResolved {
		out = append(out, Action{Text: silenceText, Href: href, Outside: true})
	}
	return append(out, Action{Text: historyText, Href: page})
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

// markdown returns the group as Markdown, to paste into a chat.
func markdown(p *GroupPage, origin string, alerts []*grouping.Alert, shared grouping.Labels) string {
	var b strings.Builder
	fmt.Fprintf(&b, "**[%s] %s**: %s %s", markdownText(p.Severity.Word), markdownText(p.Name), p.Count, p.Counted)
	if p.Mix != "" {
		b.WriteString(" (" + p.Mix + ")")
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
		b.WriteString(markdownText(p.Summary) + "\n")
	}
	if p.Since.Known() {
		fmt.Fprintf(&b, "Since %s UTC (%s)\n", p.Since.At.Format("2006-01-02 15:04"), p.Since.Age)
	}
	for i, a := range alerts {
		if i == maxMarkdownAlerts {
			fmt.Fprintf(&b, "- and %s more\n", formatCount(len(alerts)-i))
			break
		}
		b.WriteString("- ")
		if a.Status != grouping.StatusFiring {
			b.WriteString(string(a.Status) + " ")
		}
		own := a.Labels.Without(shared)
		for _, name := range own.Names() {
			b.WriteString(markdownCode(name+"="+own.Get(name)) + " ")
		}
		if len(own) == 0 {
			b.WriteString(markdownCode(cmp.Or(a.Name(), string(a.Fingerprint))))
		}
		b.WriteByte('\n')
	}
	b.WriteString(p.Link + "\n")
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
