package templates

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/history"
	"muster/internal/query"
	"muster/templates/internal/fixture"
)

// exampleReport is a report of a week with the rows, of which one has the name.
func exampleReport(rows int, name string) *history.Report {
	window := history.Window{Since: night.AddDate(0, 0, -7), Until: night}
	r := &history.Report{
		Window: window, Before: &history.Window{Since: window.Since.AddDate(0, 0, -7), Until: window.Since}, By: "alertname",
		Totals: history.Row{
			Firings: 412, FiringsBefore: 349, Firing: 318 * time.Hour, Ended: 400, SelfResolved: 152, Suppressed: 48, Median: 724 * time.Second,
			P90: 64 * time.Minute, Acknowledged: 90, AckMedian: time.Minute, Critical: 100, CriticalAcknowledged: 64,
			CriticalAckMedian: 250 * time.Second, UnknownEnds: 90, Flaps: 60, Flapped: 9, Notifications: 231,
		},
		TotalsBefore: history.Row{
			Firings: 349, Firing: 340 * time.Hour, Ended: 100, SelfResolved: 32, Suppressed: 15, Flapped: 7, Notifications: 245,
		},
		Receivers: []history.ReceiverCount{{
			Receiver: name, Notifications: 96, ByReason: map[string]int{"first notification": 21, "": 5, "new alerts added": 70},
		}},
		Gaps: []grouping.Gap{{From: night.Add(-time.Hour), To: night.Add(-38 * time.Minute)}},
	}
	for i := range rows {
		row := history.Row{
			Key: fmt.Sprint(name, i), Firings: 96 - i%90, FiringsBefore: 50 - i%50, Firing: 21 * time.Hour,
			Ended: 90, SelfResolved: 37, Suppressed: 8,
			Median: 9 * time.Minute, P90: time.Hour, Flaps: 3, Flapped: 2, Notifications: 48,
			Severity: grouping.Severity(i % history.Severities), SeverityWord: name,
		}
		r.Rows = append(r.Rows, row)
	}
	for i := range 8 {
		day := history.Day{Day: window.Since.Truncate(24*time.Hour).AddDate(0, 0, i), Firings: 40 + i}
		day.BySeverity = [history.Severities]int{9, 20, 11 + i}
		r.Days = append(r.Days, day)
		r.Heat[i%7][i] = i * i
	}
	return r
}

func reportStates(t testing.TB, groups []*grouping.AlertGroup) map[string]Page {
	t.Helper()
	page := func(raw string, r *history.Report) Page {
		return NewReportPage(newSite(groups), ParseReportView(params(t, raw), night), r, func(View) bool { return true })
	}
	quiet := &history.Report{Window: history.Window{Since: night.AddDate(0, 0, -1), Until: night}, KnownSince: night.Add(-time.Hour)}
	long := exampleReport(3, "Long")
	for i := range 60 {
		long.Days = append(long.Days, history.Day{Day: night.AddDate(0, 0, i), Firings: 1})
	}
	return map[string]Page{
		"report":       page("", exampleReport(31, "KubePodCrashLooping")),
		"reportby":     page("by=receiver&sort=time&since=2026-11-01&until=2026-11-20", long),
		"reportfilter": page(`filter=namespace="payments"&all=true&since=24h`, exampleReport(31, "Down")),
		"reportquiet":  page("since=24h", quiet),
		"reportbad":    page(`filter=a=="b"`, exampleReport(3, "Down")),
	}
}

func TestReportPage(t *testing.T) {
	r := newRenderer(t)
	pages := reportStates(t, fixture.Groups(night))
	for name, want := range map[string][]string{
		"report": {
			"Nov 16 03:02 to Nov 23 03:02 UTC, compared with the 7 days before.", "No data for 22m 0s of it (1 gap): the numbers are lower bounds.",
			"firings412 ↑ 63, before 349", "median time to resolve12m 4s 90 % within 1h 4m", "over within 5m by itself38 % ↑ 6 points: 152 firings",
			"90 firings without a known end are left out", "20 of 31, by firings", "Show all 31", "flapped9 alerts ↑ 2", "now",
			"acknowledged64 % of critical, median after 4m 10s",
		},
		"reportby":     {"Receiver", "Week by week", "by time firing"},
		"reportfilter": {`namespace="payments"`, "31 of 31", "last 24 hours"},
		"reportquiet":  {"Nothing fired in this time", "The 24 hours before are not in the history. The history begins Nov 23 02:02."},
		"reportbad":    {"Invalid filter", "Noisiest"},
	} {
		shown := text(t, renderPage(t, r, pages[name]))
		for _, w := range want {
			require.Contains(t, shown, w, name)
		}
	}
	require.Equal(t, codeBadRequest, pages["reportbad"].Code())
	page := renderPage(t, r, pages["report"])
	require.NotContains(t, page, "data-live", "it does not follow live updates")
	require.Contains(t, page, "weekday=tue&amp;hour=1", "a cell leads to its firings")
	require.Less(t, zipped([]byte(page)), 25_000)
}

// A number that counts nothing is not a link: the list behind it is empty.
func TestZerosOfAReportAreNotLinks(t *testing.T) {
	r := exampleReport(2, "Down")
	r.Totals = history.Row{Notifications: 1}
	r.Rows = []history.Row{{Key: "Down", Notifications: 1}}
	r.Days[3].Firings, r.Days[3].BySeverity = 0, [history.Severities]int{}
	page := renderPage(t, newRenderer(t), NewReportPage(newSite(nil), ParseReportView(params(t, ""), night), r, nil))
	numbers := regexp.MustCompile(`<a [^>]*href="[^"]*/report/list[^"]*"[^>]*>([^<]*)<`).FindAllStringSubmatch(page, -1)
	require.Greater(t, len(numbers), 10)
	for _, n := range numbers {
		require.Regexp(t, `^[1-9]`, n[1])
	}
	require.Contains(t, text(t, page), "Thu Nov 190", "the day is listed")
	require.Contains(t, text(t, page), "median time to resolvenone ended")
}

// The links of a report keep its filter and its time.
func TestLinksOfReports(t *testing.T) {
	l := NewLinks("", "/m")
	v := ParseReportView(params(t, `filter=namespace="payments"&since=7d&by=pod`), night)
	const times = "since=2026-11-16T03%3A02%3A14Z&until=2026-11-23T03%3A02%3A14Z"
	require.Equal(t, "/m/report?filter=namespace%3D%22payments%22&since=7d&by=pod", l.Report(v))
	require.Equal(t, "/m/api/v1/report?filter=namespace%3D%22payments%22&"+times+"&by=pod&format=csv", l.ReportData(v, "csv"))
	v = ParseReportView(params(t, "since=7d&since=2026-11-01T10:00&until=2026-11-02"), night)
	require.Equal(t, "/m/report?since=2026-11-01T10%3A00%3A00Z&until=2026-11-02T00%3A00%3A00Z", l.Report(v))
	const list = "/m/report/list?since=2026-11-01T10%3A00%3A00Z&until=2026-11-02T00%3A00%3A00Z&number="
	require.Equal(t, list+"flaps", l.Counted(v.counted(history.NumberFlaps)))
	require.Equal(t, "/m/report?since=2026-10-31T20%3A00%3A00Z&until=2026-11-01T10%3A00%3A00Z", l.Report(v.before()))
	all := list + "firings&receiver=a&reason=other&weekday=sun&hour=3&severity=critical&from=100"
	_, raw, _ := strings.Cut(all, "?")
	require.Equal(t, all, l.Counted(ParseCountedView(query.Parse(raw), night)), "what a link says is read again")
	// The window until now has what happened in this millisecond.
	exact := night.Add(1234567 * time.Nanosecond)
	require.Equal(t, night.Add(2*time.Millisecond), ParseReportView(params(t, ""), exact).Until)
	require.Contains(t, l.Counted(ParseReportView(params(t, ""), exact).counted(history.NumberFirings)), "until=2026-11-23T03%3A02%3A14.002Z")
}

// A list has the rows that its number counts, and says how many there are.
func TestReportListPage(t *testing.T) {
	r := newRenderer(t)
	pages := reportListStates(t, fixture.Groups(night))
	for name, want := range map[string][]string{
		"reportlist": {
			"← Report300 firings, 9h 0m in this timeNov 16 03:02 to Nov 23 03:02 UTC, newest first", "Down", "namespace=payments",
			"Nov 23 02:02Nov 23 02:1412m 0s3m 0sevents",
			"was suppressed acknowledged after 10m 0s flapped", "still firing", "end not known", "101 to 103 of 300",
		},
		"reportlistflaps": {
			"2 alerts flapped: 3 firings within an hour after the last end", "severity: critical", "began Sun 23:00 to 00:00 UTC",
		},
		"reportlistnotes":  {"2 notifications", "pager", "first notification", "Down, Up, +4", "not known", "its group", "receiver: pager"},
		"reportlistgaps":   {"1 gap without data", "Nov 23 02:02Nov 23 02:2422m 0s"},
		"reportlistnone":   {"0 firings without a known end", "Nothing is counted here"},
		"reportlistbadfil": {"Invalid filter", "3 firings were over within 5m"},
	} {
		shown := text(t, renderPage(t, r, pages[name]))
		for _, w := range want {
			require.Contains(t, shown, w, name)
		}
	}
	require.Equal(t, codeBadRequest, pages["reportlistbadfil"].Code())
	page := renderPage(t, r, pages["reportlist"])
	require.Contains(t, page, "/am/history?alert=", "a firing leads to its events")
	require.Contains(t, page, "until=2026-11-23T03%3A14%3A14Z", "its end can be written late")
	require.Contains(t, page, "from=103", "the next page")
}

func reportListStates(t testing.TB, groups []*grouping.AlertGroup) map[string]Page {
	t.Helper()
	page := func(raw string, c *history.Counted) Page {
		return NewReportListPage(newSite(groups), ParseCountedView(params(t, raw), night), c)
	}
	return map[string]Page{
		"reportlist":       page("number=firing&from=100", exampleCounted(history.NumberFiring, "Down")),
		"reportlistflaps":  page("number=flaps&severity=critical&weekday=sun&hour=23", exampleCounted(history.NumberFlaps, "Down")),
		"reportlistnotes":  page("number=notifications&receiver=pager", exampleCounted(history.NumberNotifications, "Down")),
		"reportlistgaps":   page("number=gaps", exampleCounted(history.NumberGaps, "")),
		"reportlistnone":   page("number=unknownEnds", &history.Counted{}),
		"reportlistbadfil": page(`number=selfResolved&filter=a=="b"`, exampleCounted(history.NumberFlaps, "Down")),
	}
}

// exampleCounted is a list with the name in all its texts.
func exampleCounted(number history.Number, name string) *history.Counted {
	labels := grouping.NewLabels(map[string]string{"alertname": name, "namespace": "payments", "severity": "critical"})
	up := grouping.NewLabels(map[string]string{"alertname": "Up"})
	switch number {
	case history.NumberGaps:
		return &history.Counted{Total: 1, Gaps: []grouping.Gap{{From: night.Add(-time.Hour), To: night.Add(-38 * time.Minute)}}}
	case history.NumberNotifications:
		return &history.Counted{Total: 2, Notifications: []history.CountedNotification{
			{At: night, Receiver: "pager", Reason: "first notification", Group: "g", Alerts: []grouping.Labels{labels, up}, Listed: 6},
			{At: night, Receiver: name, Group: "h"},
		}}
	default:
	}
	id := grouping.SourceAlert{Source: name, Fingerprint: labels.Fingerprint()}
	counted := &history.Counted{Total: 3, Alerts: 2, Firing: 9 * time.Hour, Firings: []history.CountedFiring{
		{
			SourceAlert: id, Labels: labels, BeganAt: night.Add(-time.Hour), EndsAt: night.Add(-48 * time.Minute), EndKnown: true,
			AcknowledgedAt: night.Add(-50 * time.Minute), Suppressed: true, Flap: true, Inside: 3 * time.Minute,
		},
		{SourceAlert: id, Labels: labels, BeganAt: night.Add(-2 * time.Hour)},
		{SourceAlert: id, Labels: up, BeganAt: night.Add(-3 * time.Hour), EndsAt: night.Add(-2 * time.Hour)},
	}}
	if number == history.NumberFiring {
		counted.Total = 300
	}
	return counted
}
