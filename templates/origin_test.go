package templates

import (
	"maps"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/query"
	"muster/templates/internal/fixture"
)

// clusters returns groups of two sources. Their alert has the same labels. It is
// firing in prod, and resolved in staging, which sent the last notification.
func clusters() (prod, staging *grouping.AlertGroup) {
	spec := func(source string, ended, notified time.Duration) fixture.Spec {
		return fixture.Spec{
			Source: source, External: "https://am." + source + ".example.net", Group: fixture.L{"alertname": "PodCrash", "namespace": "pay"},
			Alerts:      []fixture.Alert{{Own: fixture.L{"pod": "api-0", "severity": "critical"}, Ago: time.Hour, Ended: ended}},
			NotifiedAgo: notified,
		}
	}
	prod, staging = fixture.Make(night, spec("prod", 0, time.Minute)), fixture.Make(night, spec("staging", time.Second, time.Second))
	return prod, staging
}

func TestEveryRowNamesItsSource(t *testing.T) {
	r := newRenderer(t)
	prod, staging := clusters()
	both := []*grouping.AlertGroup{prod, staging}
	s := newSite(both)
	v := parseView(t, "state=all")
	list := text(t, renderPage(t, r, NewGroupsPage(s, v, selected(both, v))))
	require.Contains(t, list, "source: prod")
	require.Contains(t, list, "source: staging")
	require.NotContains(t, list, "receiver: pager", "there is one receiver")
	by := NewByPage(s, parseView(t, "state=all&by=namespace"), both)
	require.Equal(t, "in 2 groups in prod, staging", by.ByRows[0].Groups)

	p := NewGroupPage(s, GroupView{}, prod, fixture.Events(prod))
	require.Equal(t, "(1) PodCrash · prod · Muster", p.Title)
	require.Contains(t, text(t, renderPage(t, r, p)), "source: prod")
	require.Contains(t, p.Markdown, "**[critical] PodCrash**: 1 firing, source prod\n")
	require.Contains(t, decoded(t, silences(p.Actions)[0].Href), "(source prod)")
	require.Equal(t, "/am/alerts/"+string(prod.Alerts[0].Fingerprint)+"?source=prod", p.Alerts[0].Page)

	history := NewHistoryPage(s, HistoryView{}, grouping.EventPage{Events: append(fixture.Events(staging), fixture.Events(prod)...)})
	origins := map[string]int{}
	for _, day := range history.Days {
		for _, e := range day.Events {
			require.Len(t, e.Origin, 1)
			origins[e.Origin[0].Text]++
		}
	}
	require.Positive(t, origins["source: prod"])
	require.Positive(t, origins["source: staging"])
	require.Empty(t, NewGroupPage(s, GroupView{}, prod, fixture.Events(prod)).History[0].Origin, "the page shows it once")

	help := NewHelpPage(s)
	require.Len(t, help.Templates, 2)
	require.Contains(t, help.Templates[0].Text, "/go?receiver={{ .Receiver | urlquery }}&source=prod{{ range")

	// With one source and one receiver, pages do not show them.
	one := newSite(both[:1])
	v = parseView(t, "")
	require.NotContains(t, text(t, renderPage(t, r, NewGroupsPage(one, v, selected(both[:1], v)))), "source")
	alone := NewGroupPage(one, GroupView{}, prod, nil)
	require.Empty(t, alone.Origin)
	require.Equal(t, "(1) PodCrash · Muster", alone.Title)
	require.NotContains(t, alone.Markdown, "source")
	require.Len(t, NewHelpPage(one).Templates, 1)
	require.NotContains(t, NewHelpPage(one).Templates[0].Text, "source")
}

// The page shows once what all rows share.
func TestSharedSourceIsShownOnce(t *testing.T) {
	prod, staging := clusters()
	other := fixture.Make(night, fixture.Spec{
		Source: "prod", Group: fixture.L{"alertname": "Disk"},
		Alerts: []fixture.Alert{{Ago: time.Hour}},
	})
	all := []*grouping.AlertGroup{prod, other, staging}
	s := newSite(all)
	p := NewGroupsPage(s, parseView(t, "state=all"), grouping.GroupPage{Groups: all[:2], Total: 2})
	require.Equal(t, []Chip{{"source: prod", "/am/?state=all&source=prod"}}, p.Shared)
	for _, row := range p.Rows {
		for _, c := range row.Chips {
			require.NotContains(t, c.Text, "source")
		}
	}
	p = NewGroupsPage(s, parseView(t, "state=all"), grouping.GroupPage{Groups: all, Total: 3})
	require.Empty(t, p.Shared)
	p = NewGroupsPage(s, parseView(t, ""), grouping.GroupPage{Groups: all[:1], Total: 1})
	require.Equal(t, "source: prod", p.Rows[0].Chips[0].Text, "one row alone shares no labels")
}

func TestEveryRowNamesItsReceiver(t *testing.T) {
	prod, _ := clusters()
	pager := fixture.Make(night, fixture.Spec{
		Source: "prod", Receiver: "team", Group: maps.Collect(prod.GroupLabels.All()),
		Alerts: []fixture.Alert{{Ago: time.Hour}},
	})
	both := []*grouping.AlertGroup{prod, pager}
	s := newSite(both)
	for _, g := range both {
		row := NewGroupRow(g, parseView(t, ""), s, grouping.Labels{})
		require.Equal(t, Chip{"receiver: " + g.Receiver, "/am/?receiver=" + g.Receiver}, row.Chips[0])
	}
	require.Contains(t, NewGroupPage(s, GroupView{}, pager, nil).Markdown, ", receiver team\n")
}

// The head of an alert's page shows the worst state and its sources. Each source
// has its own link to Alertmanager.
func TestAlertOfSeveralSources(t *testing.T) {
	r := newRenderer(t)
	prod, staging := clusters()
	both := []*grouping.AlertGroup{prod, staging}
	s, fp := newSite(both), prod.Alerts[0].Fingerprint
	p := NewAlertPage(s, AlertView{}, fp, both, nil)
	require.Equal(t, "critical", p.Severity.Word)
	require.Equal(t, Verb("firing for"), p.Verb)
	require.Equal(t, "in prod; resolved in staging", p.Where)
	require.Contains(t, text(t, renderPage(t, r, p)), "firing for 1h 0m in prod; resolved in staging")
	links := silences(p.Actions)
	require.Len(t, links, 1, "a resolved alert has no silence link")
	require.Equal(t, "Silence in prod…", links[0].Text)
	require.True(t, strings.HasPrefix(links[0].Href, "https://am.prod.example.net/#/silences/new?"), links[0].Href)
	require.Contains(t, decoded(t, links[0].Href), "/alerts/"+string(fp)+"?source=prod (source prod)")
	require.Len(t, p.Episodes, 2)
	require.Equal(t, []string{"prod", "staging"}, []string{p.Episodes[0].Source, p.Episodes[1].Source})
	require.Equal(t, "prod", p.Of)

	refired := *staging.Alerts[0]
	refired.Status, refired.EndsAt = grouping.StatusFiring, time.Time{}
	again := *staging
	again.Alerts = []*grouping.Alert{&refired}
	p = NewAlertPage(s, AlertView{}, fp, []*grouping.AlertGroup{prod, grouping.NewAlertGroup(again)}, nil)
	require.Equal(t, "in prod, staging", p.Where)
	links = silences(p.Actions)
	require.Len(t, links, 2)
	require.True(t, strings.HasPrefix(links[1].Href, "https://am.staging.example.net/"), links[1].Href)

	p = NewAlertPage(s, AlertView{Source: "staging"}, fp, both[1:], nil)
	require.Equal(t, "resolved", p.Severity.Word)
	require.Equal(t, "in staging", p.Where)
	require.Equal(t, "(1) PodCrash · staging · Muster", p.Title)
	require.Equal(t, []Chip{{"source: staging", "/am/alerts/" + string(fp)}}, p.Narrowed)
	require.Contains(t, p.HistoryURL, "source=staging")

	p = NewAlertPage(newSite(both[:1]), AlertView{}, fp, both[:1], nil)
	require.Empty(t, p.Where)
	require.Equal(t, "Silence…", silences(p.Actions)[0].Text)
}

// If two receivers of one source report different states, firing wins.
func TestAlertOfSeveralReceivers(t *testing.T) {
	prod, staging := clusters()
	other := *staging
	other.Source, other.Receiver = "prod", "team"
	both := []*grouping.AlertGroup{prod, grouping.NewAlertGroup(other)}
	p := NewAlertPage(newSite(both), AlertView{}, prod.Alerts[0].Fingerprint, both, nil)
	require.Equal(t, Verb("firing for"), p.Verb)
	require.Len(t, p.Groups, 2)
	require.Len(t, p.Episodes, 1, "it is one alert")
}

// The forms offer the known sources and receivers, and show the selected ones.
func TestFormsHaveSourceAndReceiver(t *testing.T) {
	prod, staging := clusters()
	both := []*grouping.AlertGroup{prod, staging}
	s := newSite(both)
	f := NewGroupsPage(s, parseView(t, "source=prod&receiver=nosuch"), grouping.GroupPage{}).Form
	require.Equal(t, []Option{{"", "all sources", false}, {"prod", "prod", true}, {"staging", "staging", false}}, f.Sources)
	require.Equal(t, []Option{{"", "all receivers", false}, {"pager", "pager", false}, {"nosuch", "nosuch", true}}, f.Receivers)
	require.Equal(t, []Chip{{"source: prod", "/am/?receiver=nosuch"}, {"receiver: nosuch", "/am/?source=prod"}}, f.Chips)
	require.Equal(t, "/am/", f.Clear)
	require.True(t, f.Open)
	h := NewHistoryPage(s, ParseHistoryView(query.Parse("source=prod&receiver=nosuch"), night), grouping.EventPage{})
	require.Equal(t, f.Sources, h.Sources)
	require.Equal(t, f.Receivers, h.Receivers)
	require.Equal(t, []Chip{{"source: prod", "/am/history?receiver=nosuch"}, {"receiver: nosuch", "/am/history?source=prod"}}, h.Chips)
	one := newSite(both[:1])
	require.Empty(t, NewGroupsPage(one, parseView(t, ""), grouping.GroupPage{}).Form.Sources)
	require.Empty(t, NewHistoryPage(one, HistoryView{}, grouping.EventPage{}).Sources)
}

func silences(actions []Action) []Action {
	var out []Action
	for _, a := range actions {
		if strings.HasPrefix(a.Text, "Silence") {
			out = append(out, a)
		}
	}
	return out
}

func decoded(t *testing.T, href string) string {
	t.Helper()
	text, err := url.PathUnescape(href)
	require.NoError(t, err)
	return text
}
