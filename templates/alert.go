package templates

import (
	"cmp"
	"slices"
	"strings"

	"muster/grouping"
	"muster/internal/query"
)

// AlertView is the query of an alert's page. An empty field selects every source
// or every receiver.
type AlertView struct{ Source, Receiver string }

// ParseAlertView reads the query of an alert's URL: source and receiver.
func ParseAlertView(p *query.Params) AlertView {
	return AlertView{Source: p.Text("source"), Receiver: p.Text("receiver")}
}

// Page returns a function that returns the page of an alert in the view.
func (v AlertView) Page(fp grouping.Fingerprint) func(Links) string {
	return func(l Links) string { return l.AlertView(fp, v) }
}

func (v AlertView) encode() string {
	q := make(parameters, 0, 2)
	q.add("source", v.Source)
	q.add("receiver", v.Receiver)
	return q.String()
}

// AlertPage is one alert across groups and time.
type AlertPage struct {
	Frame

	Severity    Severity
	Name        string
	Fingerprint string
	Since       Moment
	Verb        Verb
	Where       string // "in prod; resolved in staging"
	Summary     Long
	Before      []BeforeLine // one for each source
	Why         Phrases
	Narrowed    []Chip // active filters; each leads to the page without it
	Labels      []Chip
	Annotations []Pair
	Actions     []Action
	Marks       []Mark
	Link        string
	Groups      []AlertGroupRow
	Episodes    []EpisodeRow
	History     []EventRow
	HistoryURL  string
	FirstSeen   Moment
	LastSeen    Moment
	SeenBy      TextLink
	Of          string // the source of the facts, if there are several sources
}

// AlertGroupRow is a group that holds the alert.
type AlertGroupRow struct {
	Key, Title, Href, Receiver, Source string
	Severity                           Severity // of the alert in this group
	Chips                              []Chip
	Since                              Moment
}

// NewAlertPage makes an alert's page. groups are the groups that hold the alert,
// and must not be empty. events are the alert's newest events.
//
// Sources and receivers can report different states of one alert. The head of
// the page shows the worst state, and the sources that report it.
func NewAlertPage(s *Site, v AlertView, fp grouping.Fingerprint, groups []*grouping.AlertGroup, events []grouping.Event) *AlertPage {
	said := grouping.WorstReports(fp, groups)
	at := grouping.WorstReport(fp, said)
	a := at.Alert(fp)
	name := cmp.Or(visible(a.Name()), "Alert "+string(fp))
	p := &AlertPage{
		Frame: s.newFrame("alert", titleWithSource(name, v.Source)), Name: name, Fingerprint: string(fp), Severity: alertLook(a),
		Summary:     Long(cmp.Or(a.Annotations.Get("description"), a.Annotations.Get("message"), a.Annotations.Get("summary"))),
		Labels:      labelChips(a.Labels, allGroups(), s.Links, nil),
		Annotations: slices.Concat(pairs(a.Annotations), grafanaPairs(a.Grafana), longLabels(a.Labels)),
		Link:        s.Links.Absolute(s.Links.AlertOf(fp, v.Source)),
		HistoryURL:  s.historyOf(query.Events{Fingerprint: fp, Source: v.Source, Receiver: v.Receiver}),
		FirstSeen:   newMoment(a.FirstSeenAt, s.Now), Of: s.sourceOf(at), Where: sourcesText(s, fp, said),
	}
	p.setPage(s, v.Page(fp))
	p.Why = s.why(at, a)
	switch a.ShownStatus() {
	case grouping.StatusFiring, grouping.StatusSuppressed:
		p.Since, p.Verb = newMoment(a.Began(), s.Now), "firing for"
	case grouping.StatusUnreported:
		p.Since, p.Verb = newMoment(a.ChangedAt, s.Now), verbUnreported
	default:
		p.Since, p.Verb = newMoment(cmp.Or(a.EndsAt, a.ChangedAt), s.Now), verbResolved
	}
	seen, by := at.LastSeen(a)
	p.LastSeen, p.SeenBy = newMoment(seen, s.Now), newTextLink(by)
	p.Marks = (&alertRows{site: s, group: at}).row(a).Marks
	p.Actions = append(alertActions(s, fp, at, said), Action{Text: "JSON", Href: s.Links.AlertJSON(fp, v.Source)})
	p.Narrowed = v.filterChips(s, fp)
	for _, g := range groups {
		own := g.Alert(fp)
		p.Groups = append(p.Groups, AlertGroupRow{
			Key: string(g.ID), Title: title(g, grouping.Labels{}), Href: s.Links.Group(g.ID), Receiver: g.Receiver, Source: g.Source,
			Severity: alertLook(own), Since: newMoment(own.ChangedAt, s.Now),
			Chips: labelChips(g.GroupLabels, allGroups(), s.Links, func(n string) bool { return n == "alertname" }),
		})
	}
	p.Episodes = alertEpisodes(s, fp, said)
	p.History = newEventRows(s, events, func(grouping.Labels) grouping.Labels { return grouping.Labels{} })
	s.setThen(p.History, v.Page(fp))
	return p
}

// sourcesText lists the sources by the status that they report, the worst status
// first: "in prod; resolved in staging". It is empty if there is one source.
func sourcesText(s *Site, fp grouping.Fingerprint, said []*grouping.AlertGroup) string {
	if !s.manySources() {
		return ""
	}
	var parts []string
	for _, status := range grouping.Statuses() {
		var names []string
		for _, g := range said {
			if g.Alert(fp).ShownStatus() == status {
				names = append(names, g.Source)
			}
		}
		switch {
		case len(names) == 0:
		case len(parts) == 0: // the head of the page shows this status
			parts = append(parts, "in "+strings.Join(names, ", "))
		default:
			parts = append(parts, string(status)+" in "+strings.Join(names, ", "))
		}
	}
	return strings.Join(parts, "; ")
}

// alertActions returns the actions for an alert. Query and silence links exist
// per source, because each source has its own Prometheus and Alertmanager.
func alertActions(s *Site, fp grouping.Fingerprint, at *grouping.AlertGroup, said []*grouping.AlertGroup) []Action {
	var own, ofSources []Action
	for _, g := range said {
		row := alertRows{site: s, group: g}
		for _, x := range row.actions(g.Alert(fp)) {
			switch {
			case x.Text == historyText: // this page shows it
			case x.Text != queryText && x.Text != silenceText:
				if g == at {
					x.Primary = x.Text == "Runbook"
					own = append(own, x)
				}
			case len(said) == 1:
				own = append(own, x)
			default:
				word, more := strings.CutSuffix(x.Text, "…")
				x.Text = word + " in " + g.Source
				if more {
					x.Text += "…"
				}
				ofSources = append(ofSources, x)
			}
		}
	}
	return append(own, ofSources...)
}

// alertEpisodes returns the alert's episodes of every source, the newest first.
func alertEpisodes(s *Site, fp grouping.Fingerprint, said []*grouping.AlertGroup) []EpisodeRow {
	var rows []EpisodeRow
	for _, g := range said {
		for _, e := range slices.Backward(g.Alert(fp).Episodes()) {
			row := newEpisodeRow(e, s.Now)
			if len(said) > 1 {
				row.Source = g.Source
			}
			rows = append(rows, row)
		}
	}
	slices.SortStableFunc(rows, func(x, y EpisodeRow) int { return y.From.At.Compare(x.From.At) })
	return rows
}

// filterChips returns the active filters of the page.
func (v AlertView) filterChips(s *Site, fp grouping.Fingerprint) []Chip {
	var out []Chip
	if v.Source != "" {
		out = append(out, Chip{Text: "source: " + v.Source, Href: s.Links.Alert(fp)})
	}
	if v.Receiver != "" {
		out = append(out, Chip{Text: "receiver: " + v.Receiver, Href: s.Links.AlertOf(fp, v.Source)})
	}
	return out
}
