package templates

import (
	"maps"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/matcher/parse"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"muster/grouping"
	"muster/internal/query"
	"muster/templates/internal/fixture"
)

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", -time.Hour: "0s", 999 * time.Millisecond: "0s", 48 * time.Second: "48s", time.Minute: "1m 0s",
		14*time.Minute + 41*time.Second: "14m 41s", time.Hour - time.Nanosecond: "59m 59s", time.Hour: "1h 0m",
		67 * time.Minute: "1h 7m", 24*time.Hour - time.Second: "23h 59m", 72 * time.Hour: "3d 0h", 9*24*time.Hour + 5*time.Hour: "9d 5h",
		400 * 24 * time.Hour: "400d 0h",
	} {
		require.Equal(t, want, Age(d), d.String())
	}
}

func TestMoment(t *testing.T) {
	m := newMoment(night.Add(time.Minute), night)
	require.Equal(t, "0s", m.Age)
	require.True(t, m.Skew, "the sender's clock is ahead")
	require.False(t, newMoment(time.Time{}, night).Known())
	require.Equal(t, "2025 Nov 23 03:02", newMoment(night.AddDate(-1, 0, 0), night).Clock)
}

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1442: "1\u202f442", 1234567: "1\u202f234\u202f567"} {
		require.Equal(t, want, formatCount(n))
	}
}

func TestTitle(t *testing.T) {
	cluster := grouping.LabelsOf([]grouping.Label{{Name: "cluster", Value: "eu"}})
	for _, c := range []struct {
		name   string
		group  fixture.L
		shared grouping.Labels
		want   string
	}{
		{"alertname", fixture.L{"alertname": "A", "namespace": "x"}, grouping.Labels{}, "A"},
		{"no alertname", fixture.L{"namespace": "payments"}, grouping.Labels{}, "namespace payments"},
		{"several", fixture.L{"namespace": "payments", "cluster": "eu"}, grouping.Labels{}, "cluster eu, namespace payments"},
		{"shared labels are omitted", fixture.L{"namespace": "payments", "cluster": "eu"}, cluster, "namespace payments"},
		{"but not if no label remains", fixture.L{"cluster": "eu"}, cluster, "cluster eu"},
		{"no group labels", fixture.L{}, grouping.Labels{}, "receiver: pager"},
		{"a name that nobody sees is quoted", fixture.L{"alertname": "\u200b\u0301 "}, grouping.Labels{}, `"\u200b\u0301 "`},
		{"an empty alertname is ignored", fixture.L{"alertname": "", "team": "a"}, grouping.Labels{}, "alertname , team a"},
	} {
		require.Equal(t, c.want, title(fixture.Make(night, fixture.Spec{Group: c.group}), c.shared), c.name)
	}
}

func TestSecondLine(t *testing.T) {
	summary := fixture.L{"summary": "Pods crash."}
	alerts := func(notes ...fixture.L) []fixture.Alert {
		var out []fixture.Alert
		for i, n := range notes {
			out = append(out, fixture.Alert{Own: fixture.L{"pod": "pod-" + string(rune('a'+i))}, Notes: n, Ago: time.Minute})
		}
		return out
	}
	named := fixture.L{"alertname": "A"}
	for _, c := range []struct {
		name         string
		spec         fixture.Spec
		says, values string
	}{
		{"one alert: its description", fixture.Spec{Group: named, Alerts: alerts(fixture.L{"summary": "s", "description": "d"})}, "d", ""},
		{"one alert without: its summary", fixture.Spec{Group: named, Alerts: alerts(summary)}, "Pods crash.", ""},
		{"the common summary", fixture.Spec{Group: named, Notes: summary, Alerts: alerts(nil, nil)}, "Pods crash.", "pod-a, pod-b"},
		{
			"no summary if alerts have different ones",
			fixture.Spec{Group: named, Alerts: alerts(fixture.L{"summary": "x"}, fixture.L{"summary": "y"})},
			"",
			"pod-a, pod-b",
		},
		{
			"three values and a count",
			fixture.Spec{Group: named, Notes: summary, Alerts: alerts(nil, nil, nil, nil, nil, nil)},
			"Pods crash.",
			"pod-a, pod-b, pod-c, +3",
		},
		{"firing alerts only", fixture.Spec{
			Group: named,
			Alerts: append(alerts(fixture.L{"description": "d"}),
				fixture.Alert{Own: fixture.L{"pod": "z"}, Ago: time.Hour, Ended: time.Minute}),
		}, "d", ""},
		{"without alertname: the names, worst first", fixture.Spec{Group: fixture.L{"namespace": "x"}, Alerts: []fixture.Alert{
			{Own: fixture.L{"alertname": "W", "severity": "warning", "pod": "a"}, Ago: 1},
			{Own: fixture.L{"alertname": "W", "severity": "warning", "pod": "b"}, Ago: 1},
			{Own: fixture.L{"alertname": "C", "severity": "critical"}, Ago: 1},
		}}, "", "C, W ×2"},
		{"no alerts", fixture.Spec{Group: named}, "", ""},
	} {
		says, values := secondLine(fixture.Make(night, c.spec))
		require.Equal(t, c.says, says, c.name)
		require.Equal(t, c.values, values, c.name)
	}
}

func TestListValues(t *testing.T) {
	for _, c := range []struct {
		values []string
		want   string
	}{
		{nil, ""},
		{[]string{"a-0"}, "a-0"},
		{[]string{"short-a", "short-b"}, "short-a, short-b"},
		{[]string{"db-a", "db-b"}, "db-a, db-b"},
		{
			[]string{"checkout-6d5f9c7b8-x0k2l", "checkout-6d5f9c7b8-x1k2l", "ledger-0"},
			"checkout-6d5f9c7b8-x0k2l, checkout-6d5f9c7b8-x1k2l, ledger-0",
		},
		{
			[]string{"checkout-6d5f9c7b8-x0k2l", "checkout-6d5f9c7b8-x1k2l", "checkout-6d5f9c7b8-x2k2l", "checkout-6d5f9c7b8-y", "other"},
			"checkout-6d5f9c7b8-x0k2l, …x1k2l, …x2k2l, +2",
		},
		{[]string{"node-00.prod:9100", "node-01.prod:9100"}, "node-00.prod:9100, node-01.prod:9100"},
		{[]string{"10.0.0.10:9100", "10.0.0.11:9100"}, "10.0.0.10:9100, 10.0.0.11:9100"},
		{[]string{"payments", "payments-api"}, "payments, payments-api"},
		{[]string{"payments-eu-", "payments-eu-api"}, "payments-eu-, payments-eu-api"},
		{[]string{"payments-in-europe-", "payments-in-europe-api"}, "payments-in-europe-, …api"},
		{[]string{"größe/äöü/eins-und-eins", "größe/äöü/zwei"}, "größe/äöü/eins-und-eins, …zwei"},
		{[]string{"/var/lib/postgres", "/var/lib/postgres/wal"}, "/var/lib/postgres, /var/lib/postgres/wal"},
	} {
		require.Equal(t, c.want, listValues(c.values))
	}
}

// The age of a group counts from its newest alert of the worst severity.
func TestRowAge(t *testing.T) {
	g := fixture.Make(night, fixture.Spec{Group: fixture.L{"namespace": "x"}, Alerts: []fixture.Alert{
		{Own: fixture.L{"severity": "info"}, Ago: 9 * 24 * time.Hour},
		{Own: fixture.L{"severity": "critical", "a": "1"}, Ago: 2 * time.Hour},
		{Own: fixture.L{"severity": "critical", "a": "2"}, Ago: 44 * time.Minute},
		{Own: fixture.L{"severity": "warning"}, Ago: time.Minute},
	}})
	r := NewGroupRow(g, View{}, newSite(nil), grouping.Labels{})
	require.Equal(t, "44m 0s", r.Since.Age)
	require.Equal(t, "critical", r.Severity.Word)
	require.Equal(t, "2\u00a0critical · 1\u00a0warning · 1\u00a0info", r.Mix)
}

// decodeURIComponent does the same as the function in JavaScript: it does not
// change +.
func decodeURIComponent(t *testing.T, s string) string {
	t.Helper()
	out, err := url.PathUnescape(s)
	require.NoError(t, err)
	return out
}

func TestSilence(t *testing.T) {
	l := NewLinks("https://muster.example.net", "/am/")
	of := grouping.NewLabels(map[string]string{"a": "b c", "d": `e&f"g`, "plus": "1+1=2%", "path": `C:\x`, "uni": "ü\n"})
	link := l.Silence("http://am.example.net:9093/base/", of, "https://muster.example.net/am/groups/x y")
	rest, ok := strings.CutPrefix(link, "http://am.example.net:9093/base/#/silences/new?filter=")
	require.True(t, ok, link)
	require.NotContains(t, rest, "+")
	require.NotContains(t, rest, " ")
	filter, comment, ok := strings.Cut(rest, "&comment=")
	require.True(t, ok)
	require.Equal(t, "https://muster.example.net/am/groups/x y", decodeURIComponent(t, comment))
	ms, err := parse.Matchers(decodeURIComponent(t, filter))
	require.NoError(t, err)
	got := map[string]string{}
	for _, m := range ms {
		got[m.Name] = m.Value
	}
	require.Equal(t, of, grouping.NewLabels(got))

	for _, bad := range []string{"", "javascript:alert(1)", "//am", "am:9093"} {
		require.Empty(t, l.Silence(bad, of, "x"), bad)
	}

	// The template must not escape the link again.
	s := newSite(nil)
	g := fixture.Make(night, fixture.Spec{Group: maps.Collect(of.All()), Alerts: []fixture.Alert{{Ago: time.Minute}}})
	doc, err := html.Parse(strings.NewReader(renderPage(t, newRenderer(t), NewGroupPage(s, GroupView{}, g, nil))))
	require.NoError(t, err)
	found := 0
	for n := range doc.Descendants() {
		if n.Data == "a" && n.FirstChild != nil && n.FirstChild.Data == "Silence…" {
			href, _, _ := strings.Cut(attr(n, "href"), "&comment=")
			_, filter, _ := strings.Cut(href, "filter=")
			_, err := parse.Matchers(decodeURIComponent(t, filter))
			require.NoError(t, err, href)
			require.NotContains(t, href, "+")
			found++
		}
	}
	require.Equal(t, 2, found)
}

// A view that is read from a URL gives the same URL again.
func TestViewRoundTrip(t *testing.T) {
	l := NewLinks("", "")
	for _, q := range []string{
		"", "?filter=a%3D%22b%20c%22%2C%20word", "?state=resolved", "?receiver=x%20y&source=s", "?sort=name", "?by=namespace%2Cteam",
		"?view=wall",
		"?cursor=abc&from=100", "?filter=a%3D%3D%22b%22", "?filter=a%3D%3D%22b%22&filter=c%3D%22d%22", "?state=firing%2Cunreported",
		"?state=mixed&limit=7",
	} {
		u, err := url.Parse("/" + q)
		require.NoError(t, err)
		p := query.Parse(u.RawQuery)
		require.Equal(t, "/"+q, l.Groups(ParseView(p)))
		require.NoError(t, p.Err(), q)
	}
	for _, q := range []string{
		"", "?filter=a%3D%22b%22&kind=fired&kind=resolved", "?group=0123456789abcdef0123&alert=0123456789abcdef&at=2026-11-23T03%3A02",
		"?kind=all&since=2026-11-23T01%3A00%3A00Z&until=2026-11-23T02%3A00%3A00Z&source=prod&receiver=team" +
			"&limit=7&cursor=0123456789abcdef0123456789abcdef012345",
	} {
		u, err := url.Parse("/history" + q)
		require.NoError(t, err)
		p := query.Parse(u.RawQuery)
		require.Equal(t, "/history"+q, l.History(ParseHistoryView(p, night)))
		require.NoError(t, p.Err(), q)
	}
	v := ParseView(query.Of(url.Values{"filter": {`a="b"`}, "cursor": {"x"}, "from": {"100"}}))
	added := v.with(equals("c", "d"))
	require.Equal(t, `/?filter=a%3D%22b%22%2C%20c%3D%22d%22`, l.Groups(added), "a new matcher leads to the first page")
	require.Equal(t, added, added.with(equals("c", "d")), "a matcher is added once")
	require.Equal(t, `/?filter=c%3D%22d%22`, l.Groups(added.without(0)))
}

func TestNotificationsFold(t *testing.T) {
	e := func(ago time.Duration, from string, kind grouping.EventKind, id string) grouping.Event {
		n := &grouping.Notified{Reason: "new alerts added", Firing: 2, ExternalURL: from}
		return grouping.Event{ID: id, Time: night.Add(-ago), Kind: kind, Notified: n}
	}
	w1, w2, w3 := strings.Repeat("3", 32), strings.Repeat("2", 32), strings.Repeat("1", 32)
	var p GroupPage
	p.setNotifications(newSite(nil), &grouping.AlertGroup{}, []grouping.Event{
		e(1*time.Minute, fixture.AM1, grouping.EventNotified, w1+"000000"),
		e(75*time.Second, fixture.AM0, grouping.EventNotified, w2+"000001"),
		e(75*time.Second, fixture.AM0, grouping.EventFired, w2+"000000"),
		e(time.Hour, fixture.AM0, grouping.EventNotified, w3+"000000"),
	})
	rows := p.Notifications
	require.Len(t, rows, 2)
	require.Equal(t, []string{"alertmanager-0.example.net:9093", "alertmanager-1.example.net:9093"}, rows[0].From)
	require.Equal(t, 1, rows[0].Joined)
	require.Equal(t, "1m 15s", rows[0].At.Age, "the age counts from the first copy")
}

func TestMarkdown(t *testing.T) {
	groups := fixture.Groups(night)
	p := NewGroupPage(newSite(groups), GroupView{}, groups[2], nil)
	require.True(t, strings.HasPrefix(p.Markdown, "**[critical] KubePodCrashLooping**: 6 firing (2 resolved), receiver pager\n"+
		"`cluster=prod-eu1` `namespace=payments`\nPod is crash looping.\n"+
		"Since 2026-11-23 02:58 UTC (4m 0s)\n- `pod=checkout-7c9d6f5b8-100`"), p.Markdown)
}
