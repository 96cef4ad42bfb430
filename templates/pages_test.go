package templates

import (
	"bytes"
	"compress/gzip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"muster/grouping"
	"muster/internal/query"
	"muster/templates/internal/fixture"
)

func params(t testing.TB, text string) *query.Params {
	t.Helper()
	q := url.Values{}
	for pair := range strings.SplitSeq(text, "&") {
		if name, value, ok := strings.Cut(pair, "="); ok {
			q.Add(name, value)
		}
	}
	return query.Of(q)
}

// Each state of a page shows its texts.
func TestStates(t *testing.T) {
	r := newRenderer(t)
	pages := states(t)
	for name, want := range map[string][]string{
		"list": {
			"14 groups firing", "KubePodCrashLooping", "1 critical · 3 warning · 1 info", "truncated +37",
			"Alertmanagers disagree", "flapping", "settling", "stale", "Shared by all groups: cluster=prod-eu1", "receiver: catch-all",
			"Not listed: 1 unreported group: no longer listed, cause unknown. Show", "major",
		},
		"silences": {
			"5 active 1 pending 1 expired", "7 alerts are silenced · read from alertmanager-0.example.net:9093 14s ago",
			`alertname="PostgresReplicationLag" namespace="databases"`, "dana: deploying db 14.2 ends in 8m, 2 critical alerts come back",
			"mutes 2 alerts now 2 critical · 1 group", "8m 10s left until 03:10", `pod=~"shop-.*-x[026]k2l"`,
			"2 critical · 1 group · 2 more before", "kim: data centre move mutes nothing", "mutes nothing",
			"rob: known, new disks ordered", "until Dec 21 08:02", "would mute 1 alert now", "in 18h 45m", "21:47 to 23:17",
			"Expired", "4h 0m", "nothing",
		},
		"silencesbad":      {"Invalid filter"},
		"silencesactive":   {"mira ×, remove", "5 active"},
		"silencesunknown":  {"Silences are not known yet", "--alertmanager.url=default=http://alertmanager:9093", "Set up all sources"},
		"silencesrecorder": {"Only the silences that the event recorder reported are known", "at the latest"},
		"silencesfail": {
			"Silences as of 02:57 UTC (5m 0s ago): alertmanager-1.example.net:9093 does not answer.",
			"The oldest expired silences were removed (limit 10 000).",
		},
		"silencesstored": {
			"no Alertmanager has answered since then", "5 active 1 pending 1 expired", "dana: deploying db 14.2", "mutes 2 alerts now",
			"mira: OPS-398",
		},
		"silencesnone": {"No silence is active"},
		"silence": {
			"●active Silence by mira2h 45m left, until 05:47 · made 22m 0s ago",
			"canary pods, being rolled back, see https://tickets.example.net/OPS-412",
			"Mutes now 2 alerts, 2 critical, in 1 group", "Muted before 2 alerts", "gone between 02:46 and 02:54", "Change in Alertmanager",
			"as typed in Alertmanager", "silence created", "until 03:02: canary pods", "until 03:02, before 02:02", "silence ended",
			"the event recorder",
		},
		"silencepending": {"○pending Silence by ops-bot", "in 18h 45m", "Expected to mute They match, but were not seen muted"},
		"silenceexpired": {"✓expired Silence by mira", "lasted 4h 0m", "In Alertmanager"},
		"nosilence":      {"No silence s1", "All silences"},
		"listmuted": {
			"21 suppressed", "inhibits 12 alerts", "4 firing 2 suppressed · 2 unreported", "not notified",
			"Not listed: 5 suppressed groups with 3 critical alerts: 3 silenced, 1 inhibited, 2 by time interval. Show",
			"1 unreported group: no longer listed, cause unknown. Show",
		},
		"listunset": {"Let Muster know the causes"},
		"suppressed": {
			"every cause silenced 7 inhibited 12 time interval 2", "All silences", "△critical, suppressed PostgresReplicationLag",
			"silence ends in 8m", "Silenced by dana until 03:10 (8m 10s left): deploying db 14.2", "2 suppressed 4 firing",
			"Silenced by rob until Dec 21 08:02 (28d 5h left): known, new disks ordered",
			"Inhibited by ClusterDown cluster=prod-us2 region=us-east since 02:42", "Muted by time interval nights since Nov 22 20:02",
			"2 silenced by kim until 05:47 (2h 45m left): nightly import; 1 muted by time interval nights",
			"These alerts fire, but Alertmanager sends no notifications about them.",
		},
		"bysilence": {"silence: c1300000-0000-4000-8000-000000000003 ×, remove"},
		"onlymuted": {
			"Nothing is firing that is not suppressed", "5 groups with 3 critical alerts are suppressed. Show them",
		},
		"nomuted":    {"No alert is suppressed", "every cause"},
		"nocause":    {"No alert is known to be suppressed", "Source default has no API configured.", "Let Muster know the causes"},
		"nointerval": {"No alert is suppressed for this cause"},
		"bymuted":    {"namespace batch", "3 suppressed", "△critical, suppressed namespace logging"},
		"groupmuted": {
			"4 firing · 2 suppressed · 2 unreported · 1 resolved", "to muster", "to chat", "to pager", "suppressed since 02:40",
			"Silenced by mira until 05:47 (2h 45m left): canary pods", "fires suppressed ended within this time unreported",
			"9 alerts fired between Nov 23 02:02 and Nov 23 03:02 UTC; 18 notifications to muster, 9 to chat, 8 to pager.",
			"2 alerts are unreported: no mute is known for them and nobody reported their end.",
			"Not in Alertmanager since 02:46 to 02:54, nobody reported its end. It was silenced by mira from 02:40",
			"8m to 16m fired Nov 23 02:40, for 6m to 14m", "between 02:46 and 02:54, not reported",
			"Resolved while silenced, so without a notification.", "Cause unknown: the notification of 02:52 left it out",
			"muster (from alertmanager-0.example.net:9093, alertmanager-1.example.net:9093), chat, pager",
			"Other receivers: from the event recorder, which reports successful deliveries only.",
			"Alertmanager counts 12 failed pagerduty notifications in the last 10m (of all groups).",
			"suppressed: silenced by mira until 05:47: canary pods", "is resolved, without a notification",
		},
		"groupgaps": {
			"fires suppressed ended within this time unreported no data",
			"9 to chat, 8 to pager. No data from 02:20 to 02:28: Muster was not running.",
		},
		"statusgaps": {
			"Gaps FromToLastedWhyNov 23 02:20Nov 23 02:288m 0sMuster was not runningNov 21 01:02Nov 21 03:422h 40m",
		},
		"groupbefore": {
			"longer than usual", "4th time in 7 days, 6th in 30 days.", "It usually ends within 12m 0s, the longest took 1h 4m.",
			"The last one was on Nov 21 22:10, for 9m 0s.",
		},
		"alertbefore": {"prod-eu1: 4th time in 7 days", "staging: First time in the 4 days that are known."},
		"groupsilenced": {
			"Silenced by dana until 03:10 (8m 10s left): deploying db 14.2. Alertmanager sends nothing about this group meanwhile. Silence",
		},
		"groupunset": {
			"Possible causes: a silence", "Let Muster know the causes", "Silenced by a silence that Muster does not know, since 02:40",
		},
		"groupfails": {"The causes are as of Nov 23 02:57 UTC: alertmanager-1.example.net:9093 does not answer."},
		"alertmuted": {"△critical, suppressed", "Silenced by dana until 03:10"},
		"all":        {"resolved 3h 0m ago", "not reported for"},
		"filtered":   {"KubePodCrashLooping", "remove", "Clear"},
		"help":       {"Set up all sources", "required, done", "no delivery seen"},
		"first": {
			"Read Alertmanager’s API optional, read-only", "--alertmanager.url=http://alertmanager:9093", "--enable-feature=event-recorder",
			"0.33 and 0.34: leave this line out", "url: https://muster.example.net/am/events", "workers: 1 max_retries: 10",
			"Send a heartbeat recommended",
			"No webhook has arrived yet", "url: https://muster.example.net/am/webhook", "webhook_configs:",
		},
		"quiet":     {"Nothing is firing", "48s ago. The heartbeat Watchdog arrives"},
		"nobeat":    {"Nothing is firing", "No heartbeat alert such as Watchdog"},
		"badfilter": {`Invalid filter: unexpected "=" at column 11, expected label value`, "KubePodCrashLooping"},
		"nomatch":   {"No matching groups", "Without this filter, 14 groups are firing."},
		"near":      {"No matching groups", "Did you mean", `namespace="payments"`},
		"storm":     {"501 groups firing", "KubePodNotReady"},
		"degraded":  {"Redis has not answered since 02:58:14 UTC (4m 0s)", "would lose changes in 3 groups"},
		"partial":   {"Partial: Muster restarted"},
		"restored":  {"Restored 17 groups from Redis", "before restart", "Redis is available since 03:01:14 UTC. 3 groups were written back"},
		"source": {
			"No notification for 47m 0s", "The heartbeat Watchdog is late: last seen 46m 0s ago, usually every 5m 0s.",
			"Watchdog missing, last seen",
		},
		"demo": {"Demo data"},
		"by":   {"namespace payments, cluster prod-eu1", "no namespace", "in 2 groups"},
		"group": {
			"6 firing · 2 resolved", "the oldest for 14m 0s", "Pod is crash looping.", "Runbook", "Silence…", "Past episodes",
			"first notification", "alertmanager-0.example.net:9093, alertmanager-1.example.net:9093",
		},
		"burn":     {"api-gateway burns its 30d error budget", "Dashboard"},
		"disputed": {"disagree about 1 alert"},
		"truncated": {
			"37 alerts were truncated from the last notification by Alertmanager's max_alerts", "The counts are minimums.",
			"+40 more alerts",
		},
		"stale": {"No notification about this group since Nov 22 01:02 UTC"},
		"unreported": {
			"2 alerts are unreported: no mute is known for them and nobody reported their end.", "fired Nov 22", "last reported Nov 2",
		},
		"resolved":   {"resolved 3h 0m ago", "Kept until"},
		"big":        {"201–300 of 10\u202f000 alerts", "Next page"},
		"alert":      {"In these groups", "Episodes", "Fingerprint"},
		"history":    {"fired", "Show notifications", "Monday, November 23 2026", "Next page"},
		"historybad": {"Invalid filter"},
		"status": {
			"What Muster receives Set up all sources", "default 24 groups",
			"✓receiving 6s ago alertmanager-0.example.net:9093 6s ago, alertmanager-1",
			"✓receiving 2s ago 412 events in the last hour, 3 known to be lost alertmanager-1: clock 1.4s ahead",
			"◆1 of 2 answers 14s ago", "alertmanager-1.example.net:9093: connection refused for 4m 2s. Data that only alertmanager-1",
			"healthy", "Gaps No times without data are known.", "groupKey is missing", "2 times",
		},
		"statusunset": {
			"2 of 4 steps done · Set up all sources", "○not set up deliveries and exact ends are unknown", "○not set up silences are unknown",
		},
		"statusbad": {"degraded", "timeout"},
		"gone":      {"No group 00000000000000000000", "kept for 7d", "Last seen"},
		"gonealert": {"No alert 0000000000000000"},
		"notfound":  {"Page not found"},
		"error":     {"01JD8Z6Q3V"},
	} {
		require.Contains(t, pages, name)
		got := text(t, renderPage(t, r, pages[name]))
		for _, w := range want {
			require.Contains(t, got, strings.ReplaceAll(w, "\u202f", " "), name)
		}
	}
	for name, p := range pages {
		code := map[string]int{
			"badfilter": 400, "historybad": 400, "silencesbad": 400, "reportbad": 400, "reportlistbadfil": 400, "nosilence": 404,
			"gone": 404, "gonealert": 404, "notfound": 404, "error": 503, "busy": 503, "whoareyou": 400, "longnote": 400, "ackallagain": 400,
			"notwriter": 403, "ackconflict": 409, "longform": 413,
		}[name]
		require.Equal(t, max(code, 200), p.Code(), name)
	}
}

// Screen readers and keyboard users need this structure.
func TestStructure(t *testing.T) {
	r := newRenderer(t)
	for name, p := range states(t) {
		checkStructure(t, name, renderPage(t, r, p))
	}
}

func checkStructure(t *testing.T, name, page string) {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(page))
	require.NoError(t, err)
	count, ids, labelled := map[string]int{}, map[string]int{}, map[string]bool{}
	var focusable, controls []*html.Node
	level := 0
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode || n.Namespace == "svg" && n.Data == "title" {
			continue
		}
		count[n.Data]++
		if id := attr(n, "id"); id != "" {
			ids[id]++
		}
		switch n.Data {
		case "a", "button":
			focusable = append(focusable, n)
			if href := attr(n, "href"); strings.HasPrefix(href, "/") {
				require.True(t, strings.HasPrefix(href, "/am/"), "%s: %s is outside the prefix", name, href)
			}
		case "label":
			labelled[attr(n, "for")] = true
		case "input", "select":
			if attr(n, "type") != "hidden" {
				controls = append(controls, n)
			}
		case "h1", "h2", "h3":
			if n.Parent.Data != "dialog" {
				now := int(n.Data[1] - '0')
				require.LessOrEqual(t, now, level+1, "%s: a heading level is missing", name)
				level = now
			}
		case "svg":
			require.Equal(t, "true", attr(n, "aria-hidden"), name)
		case "style":
			t.Errorf("%s: a style element", name)
		}
	}
	for _, one := range []string{"h1", "main", "header", "footer", "title", "dialog"} {
		require.Equal(t, 1, count[one], "%s: %s", name, one)
	}
	for id, n := range ids {
		require.Equal(t, 1, n, "%s: id %s", name, id)
	}
	require.Equal(t, "#main", attr(focusable[0], "href"), name)
	for _, c := range controls {
		require.True(t, labelled[attr(c, "id")], "%s: %s has no label", name, attr(c, "id"))
	}
	// A report does not change by itself, and neither does a page that keeps what somebody typed.
	still := strings.HasPrefix(name, "report") || slices.Contains([]string{
		"whoareyou", "longnote", "notwriter", "ackconflict", "ackall", "ackallagain", "ackallnone", "ackedsome", "longform", "ackpast",
	}, name)
	require.Equal(t, !still, strings.Contains(page, `data-live="/am/api/v1/live?after=`), name)
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func zipped(b []byte) int {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Len()
}

func TestWeights(t *testing.T) {
	r := newRenderer(t)
	for name, maximum := range map[string]int{"app.css": 7 << 10, "app.js": 6 << 10, "favicon.svg": 1 << 10} {
		require.LessOrEqual(t, len(r.assets[name].Gzipped()), maximum, name)
	}
	storm := states(t)["storm"]
	require.Len(t, storm.(*GroupsPage).Rows, 100)
	page, err := r.Render(storm)
	require.NoError(t, err)
	t.Logf("100 rows: %d bytes, %d zipped; css %d, js %d", len(page), zipped(page), len(r.assets["app.css"].Gzipped()),
		len(r.assets["app.js"].Gzipped()))
	require.LessOrEqual(t, zipped(page), 10<<10)

	doc, err := html.Parse(bytes.NewReader(page))
	require.NoError(t, err)
	nodes := 0
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode {
			nodes++
		}
	}
	t.Logf("100 rows: %d elements", nodes)
	require.LessOrEqual(t, nodes, 3000)

	big, err := r.Render(states(t)["big"])
	require.NoError(t, err)
	t.Logf("100 of 10,000 alerts: %d bytes, %d zipped", len(big), zipped(big))
	require.LessOrEqual(t, len(big), 512<<10)
	require.LessOrEqual(t, zipped(big), 25<<10)
}

func BenchmarkList(b *testing.B) {
	r := newRenderer(b)
	groups := fixture.Storm(night, 100)
	s := newSite(groups)
	for b.Loop() {
		if _, err := r.Render(NewGroupsPage(s, parseView(b, ""), grouping.GroupPage{Groups: groups, Total: 10000, Next: "x"})); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBigGroup(b *testing.B) {
	r := newRenderer(b)
	g := fixture.Big(night, 10000)
	s := newSite(nil)
	for b.Loop() {
		if _, err := r.Render(NewGroupPage(s, GroupView{Range: rangeEpisode}, g, nil)); err != nil {
			b.Fatal(err)
		}
	}
}

// A live update highlights rows with a new Change. It must not change with time
// alone, as the spark does.
func TestRowVersions(t *testing.T) {
	groups := fixture.Groups(night)
	row := func(g *grouping.AlertGroup, s *Site, shared grouping.Labels) GroupRow {
		return NewGroupRow(g, parseView(t, ""), s, shared)
	}
	s := newSite(groups)
	a := row(groups[2], s, grouping.Labels{})
	s.Now = s.Now.Add(time.Second)
	require.Equal(t, a.Version, row(groups[2], s, grouping.Labels{}).Version, "a second does not change the version")
	b := row(groups[2], s, grouping.NewLabels(map[string]string{"cluster": "prod-eu1"}))
	require.NotEqual(t, a.Version, b.Version)
	require.Equal(t, a.Change, b.Change, "shared labels do not change the row")
	s.Now = s.Now.Add(time.Hour)
	require.Equal(t, a.Change, row(groups[2], s, grouping.Labels{}).Change)
	require.NotEqual(t, a.Version, row(groups[2], s, grouping.Labels{}).Version, "the spark changes with time")
}

// Of several Musters one asks the API of a source. The others say so, until it is silent for long.
func TestAnotherMusterAsksTheAPI(t *testing.T) {
	r, groups := newRenderer(t), fixture.Groups(night)
	status := func(ago time.Duration) string {
		s := newSite(groups)
		s.Sources[0].Pollers, s.Sources[0].PolledElsewhereAt = nil, s.Now.Add(-ago)
		return text(t, renderPage(t, r, NewStatusPage(s, exampleStatusInput())))
	}
	require.Contains(t, status(40*time.Second), "○another Muster asks 40s ago")
	require.NotContains(t, status(40*time.Second), "silences are unknown")
	require.NotContains(t, status(40*time.Second), "steps done")
	require.Contains(t, status(10*time.Minute), "○not set up silences are unknown")
}
