package templates

import (
	"cmp"
	"slices"

	"muster/grouping"
	"muster/internal/query"
)

// AlertPage is one alert across groups and time.
type AlertPage struct {
	Frame

	Severity    Severity
	Name        string
	Fingerprint string
	Since       Moment
	Verb        Verb
	Summary     string
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
}

// AlertGroupRow is a group that holds the alert.
type AlertGroupRow struct {
	Key, Title, Href, Receiver, Source string
	Severity                           Severity // of the alert in this group
	Chips                              []Chip
	Since                              Moment
}

// NewAlertPage makes an alert's page from the groups that hold it, at least
// one, and the newest of its events.
func NewAlertPage(s *Site, fp grouping.Fingerprint, groups []*grouping.AlertGroup, events []grouping.Event) *AlertPage {
	// Groups can differ: one may have been told what another was not.
	at := slices.MaxFunc(groups, func(x, y *grouping.AlertGroup) int { return cmp.Compare(x.Alert(fp).Stamp, y.Alert(fp).Stamp) })
	a := at.Alert(fp)
	name := cmp.Or(a.Name(), "Alert "+string(fp))
	p := &AlertPage{
		Frame: s.newFrame("alert", name), Name: name, Fingerprint: string(fp), Severity: alertLooks(a),
		Summary:     cmp.Or(a.Annotations["description"], a.Annotations["message"], a.Annotations["summary"]),
		Labels:      chips(a.Labels, everything(), s.Links, nil),
		Annotations: pairs(a.Annotations), Link: s.Links.Absolute(s.Links.Alert(fp)),
		HistoryURL: s.Links.History(HistoryView{Events: query.Events{Fingerprint: fp}}), FirstSeen: moment(a.FirstSeenAt, s.Now),
	}
	switch a.Status {
	case grouping.StatusFiring:
		p.Since, p.Verb = moment(a.StartsAt, s.Now), "firing for"
	case grouping.StatusUnreported:
		p.Since, p.Verb = moment(a.ChangedAt, s.Now), verbUnreported
	default:
		p.Since, p.Verb = moment(cmp.Or(a.EndsAt, a.ChangedAt), s.Now), verbResolved
	}
	seen, by := at.LastSeen(a)
	p.LastSeen, p.SeenBy = moment(seen, s.Now), textLink(by)
	row := alertRows{site: s, group: at}
	for _, x := range row.actions(a) {
		if x.Text != "History" {
			x.Primary = x.Text == "Runbook"
			p.Actions = append(p.Actions, x)
		}
	}
	p.Actions = append(p.Actions, Action{Text: "JSON", Href: s.Links.AlertJSON(fp)})
	p.Marks = row.new(a).Marks
	for _, g := range groups {
		own := g.Alert(fp)
		p.Groups = append(p.Groups, AlertGroupRow{
			Key: string(g.ID), Title: title(g, nil), Href: s.Links.Group(g.ID), Receiver: g.Receiver, Source: g.Source,
			Severity: alertLooks(own), Since: moment(own.ChangedAt, s.Now),
			Chips: chips(g.GroupLabels, everything(), s.Links, func(n string) bool { return n == "alertname" }),
		})
	}
	for _, e := range slices.Backward(a.Episodes()) {
		p.Episodes = append(p.Episodes, episodeRow(e, s.Now))
	}
	p.History = newEventRows(s, events, func(grouping.Labels) grouping.Labels { return nil })
	return p
}
