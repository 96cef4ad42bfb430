package templates

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"muster/grouping"
	"muster/templates/internal/fixture"
)

// night is the time at which tests make pages.
var night = time.Date(2026, 11, 23, 3, 2, 14, 0, time.UTC)

func newRenderer(t testing.TB) *Renderer {
	t.Helper()
	r, err := New("/am")
	require.NoError(t, err)
	return r
}

func newSite(groups []*grouping.AlertGroup) *Site {
	s := &Site{
		Links: NewLinks("https://muster.example.net", "am"), Now: night, StartedAt: night.Add(-50 * time.Hour),
		Storage: grouping.StorageStatus{Mode: "redis", Healthy: true}, Retention: 7 * 24 * time.Hour, Version: "0.1.0",
	}
	s.PollInterval = time.Minute
	s.SilenceOf, s.AlertOf, s.Sources = fixture.SilenceOf(night), fixture.AlertOf(groups), fixture.Sources(night)
	s.HeartbeatMatchers = grouping.DefaultHeartbeats()
	s.Totals = grouping.TotalsOf(groups, s.HeartbeatMatchers, s.Now)
	s.Heartbeats = grouping.HeartbeatsOf(slices.DeleteFunc(slices.Clone(groups), func(g *grouping.AlertGroup) bool {
		return !grouping.IsHeartbeatGroup(s.HeartbeatMatchers, g)
	}), time.Time{}, s.Now)
	return s
}

func parseView(t testing.TB, text string) View {
	t.Helper()
	return ParseView(params(t, text))
}

// selected returns the answer of a manager to the view, except for the order.
func selected(groups []*grouping.AlertGroup, v View) grouping.GroupPage {
	q := v.ListQuery()
	q.Now = night
	var page grouping.GroupPage
	for _, g := range groups {
		if q.Selects(g) {
			page.Groups = append(page.Groups, g)
		}
	}
	page.Total = len(page.Groups)
	page.Groups = page.Groups[:min(page.Total, grouping.DefaultLimit)]
	return page
}

// countSelected counts the groups that a view selects at a time.
func countSelected(groups []*grouping.AlertGroup, v View, now time.Time) int {
	q := v.ListQuery()
	q.Now = now
	return len(q.Select(groups))
}

func renderPage(t testing.TB, r *Renderer, p Page) string {
	t.Helper()
	b, err := r.Render(p)
	require.NoError(t, err)
	return string(b)
}

// text returns the text of a page with single spaces.
func text(t testing.TB, page string) string {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(page))
	require.NoError(t, err)
	var b strings.Builder
	for n := range doc.Descendants() {
		if n.Type == html.TextNode && n.Parent.Data != "script" && n.Parent.Data != "style" {
			b.WriteString(n.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// listPage makes the list of the groups that the query selects.
func listPage(t testing.TB, groups []*grouping.AlertGroup, query string, change func(*Site)) Page {
	t.Helper()
	s, v := newSite(groups), parseView(t, query)
	if change != nil {
		change(s)
	}
	s.Mutes = grouping.SummarizeMutes(groups, v.OfSuppressed().ListQuery())
	p := NewGroupsPage(s, v, selected(groups, v))
	acked := v
	acked.Ack = grouping.AckYes
	p.SetAcknowledged(s, v, selected(groups, v).Total, countSelected(groups, acked, s.Now))
	if v.LeavesOutOthers() {
		of := v.OfUnreported().ListQuery()
		unreported := of.Select(groups)
		of.Closed = true
		p.AddOthers(s, v, len(unreported), len(of.Select(groups)))
	}
	p.Suggest(s, v, knownOf(groups))
	return p
}

// states returns every page in each of its states.
func states(t testing.TB) map[string]Page {
	t.Helper()
	groups := fixture.Groups(night)
	byName := func(name string) *grouping.AlertGroup {
		for _, g := range groups {
			if g.Name == name {
				return g
			}
		}
		t.Fatalf("no group %s", name)
		return nil
	}
	list := func(groups []*grouping.AlertGroup, query string, change func(*Site)) Page {
		return listPage(t, groups, query, change)
	}
	one := func(name string) Page {
		g := byName(name)
		return NewGroupPage(newSite(groups), GroupView{Range: rangeEpisode}, g, fixture.Events(g))
	}
	watchdog := []*grouping.AlertGroup{fixture.Make(night, fixture.Watchdog)}
	crash := byName("KubePodCrashLooping")
	events := fixture.Events(crash)
	storm := append(fixture.Storm(night, 500), fixture.Big(night, 10000))
	history := func(query string) Page {
		v := ParseHistoryView(params(t, query), night)
		var page grouping.EventPage
		q := v.EventQuery()
		for _, e := range events {
			if q.Matches(&e) {
				page.Events = append(page.Events, e)
			}
		}
		page.Next = "more"
		return NewHistoryPage(newSite(groups), v, page)
	}
	degraded := func(s *Site) {
		s.Storage = grouping.StorageStatus{Mode: "redis", Reason: "timeout", DegradedSince: night.Add(-4 * time.Minute), DirtyGroups: 3}
	}
	broken := newSite(groups)
	degraded(broken)
	pages := map[string]Page{
		"list":      list(groups, "", nil),
		"all":       list(groups, "state=all", nil),
		"filtered":  list(groups, `filter=namespace="payments"&filter=checkout`, nil),
		"unrep":     list(groups, "state=unreported", nil),
		"wall":      list(groups, "view=wall", nil),
		"first":     list(nil, "", without),
		"quiet":     list(watchdog, "", nil),
		"nobeat":    list([]*grouping.AlertGroup{byName("RedisDown")}, "", nil),
		"badfilter": list(groups, `filter=namespace=="payments"`, nil),
		"nomatch":   list(groups, `filter=namespace="nope"`, nil),
		"near":      list(groups, `filter=namespace="paymets"`, nil),
		"storm":     list(storm, "", nil),
		"degraded":  list(groups, "", degraded),
		"partial": list(groups[:3], "", func(s *Site) {
			s.Storage = grouping.StorageStatus{Mode: "redis", DegradedSince: night.Add(-time.Minute), Partial: true}
		}),
		"restored": list(groups, "", func(s *Site) {
			s.StartedAt, s.Storage.Restored, s.Storage.RecoveredAt, s.Storage.WrittenBack = night.Add(-3*time.Minute), 17, night.Add(-time.Minute), 3
		}),
		"source": list(groups, "", func(s *Site) {
			s.StaleAfter, s.Totals.LastNotification = 40*time.Minute, night.Add(-47*time.Minute)
			for name, source := range s.Totals.Sources {
				source.LastNotification = night.Add(-47 * time.Minute)
				s.Totals.Sources[name] = source
			}
			s.Heartbeats[0].State, s.Heartbeats[0].At, s.Heartbeats[0].Every = grouping.HeartbeatLate, night.Add(-46*time.Minute), 5*time.Minute
		}),
		"demo":        list(groups, "", func(s *Site) { s.Demo = true }),
		"by":          NewByPage(newSite(groups), parseView(t, "by=namespace,cluster"), groups),
		"group":       one("KubePodCrashLooping"),
		"burn":        one("HTTPErrorBudgetBurn"),
		"mixed":       NewGroupPage(newSite(groups), ParseGroupView(params(t, "range=7d")), groups[4], fixture.Events(groups[4])),
		"disputed":    one("TargetDown"),
		"flapping":    one("NodeNetworkInterfaceFlapping"),
		"truncated":   one("KubeContainerWaiting"),
		"stale":       one("NodeFilesystemSpaceFillingUp"),
		"unreported":  one("KubeJobFailed"),
		"resolved":    one("RedisDown"),
		"noalertname": NewGroupPage(newSite(groups), GroupView{}, groups[13], nil),
		"big":         NewGroupPage(newSite(storm), GroupView{Offset: 200}, storm[len(storm)-1], nil),
		"alert":       NewAlertPage(newSite(groups), AlertView{}, crash.Alerts[0].Fingerprint, []*grouping.AlertGroup{crash}, events),
		"history":     history(""),
		"historyat":   history("at=2026-11-23T02:00&kind=fired&group=" + string(crash.ID)),
		"historybad":  history(`filter=a=="b"`),
		"status":      NewStatusPage(newSite(groups), exampleStatusInput()),
		"statusunset": NewStatusPage(siteWith(groups, without), exampleStatusInput()),
		"statusbad":   NewStatusPage(broken, StatusInput{}),
		"statusgaps":  NewStatusPage(siteWith(groups, withGaps), exampleStatusInput()),
		"help":        NewHelpPage(newSite(groups)),
		"gone":        NewGonePage(newSite(groups), "00000000000000000000", "", events[:1]),
		"gonealert":   NewGonePage(newSite(groups), "", "0000000000000000", nil),
		"notfound":    NewNotFoundPage(newSite(groups)),
		"error":       NewErrorPage(newSite(groups), 503, "01JD8Z6Q3V"),
		"busy":        NewBusyPage(newSite(groups), 503),
	}
	maps.Copy(pages, peopleStates(t))
	maps.Copy(pages, mutedStates(t, groups))
	maps.Copy(pages, reportStates(t, groups))
	maps.Copy(pages, reportListStates(t, groups))
	maps.Copy(pages, beforeStates(groups, crash))
	return pages
}

func siteWith(groups []*grouping.AlertGroup, change func(*Site)) *Site {
	s := newSite(groups)
	change(s)
	return s
}

func withGaps(s *Site) { s.Gaps = fixture.Gaps(s.Now) }

func exampleStatusInput() StatusInput {
	return StatusInput{
		Build: []Fact{{"Version", "0.1.0"}}, Settings: []Fact{{"group wait", "30s"}},
		Limits:   []Limit{{"body", "64 MiB", 2}},
		Rejected: []Rejection{{At: night.Add(-time.Minute), From: "10.0.3.7", Status: 400, Reason: "groupKey is missing"}},
	}
}
