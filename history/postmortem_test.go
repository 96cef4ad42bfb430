package history_test

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"

	"muster/grouping"
	"muster/history"
)

// outage returns the events of an outage: two alerts, of which the first fires twice.
func outage(name string) []grouping.Event {
	at := func(minutes int) time.Time { return time.Date(2026, 11, 26, 2, minutes, 0, 0, time.UTC) }
	one, two := grouping.NewLabels(map[string]string{"alertname": name, "pod": "a"}), grouping.NewLabels(map[string]string{"pod": "b"})
	alert := func(minutes int, kind grouping.EventKind, fp grouping.Fingerprint, l grouping.Labels, start, end int) grouping.Event {
		e := grouping.Event{Time: at(minutes), Kind: kind, Fingerprint: fp, Labels: l, StartsAt: at(start), Source: "prod", Receiver: name}
		if end > 0 {
			e.EndsAt = at(end)
		}
		return e
	}
	mute := alert(12, grouping.EventSuppressed, "b", two, 10, 0)
	mute.Mute = &grouping.Mute{Kind: grouping.MuteSilence, ID: name}
	return []grouping.Event{
		{Time: at(1), Kind: grouping.EventOpened, Opened: &grouping.Opened{GroupKey: name}},
		alert(1, grouping.EventFired, "a", one, 0, 0),
		{Time: at(1), Kind: grouping.EventNotified, Notified: &grouping.Notified{Reason: name, ExternalURL: name, Firing: 1}},
		{Time: at(2), Kind: grouping.EventDelivered, Delivery: &grouping.Delivery{Receiver: name, Integration: "slack", Reason: name, Firing: 1}},
		alert(6, grouping.EventResolved, "a", one, 0, 5),
		alert(11, grouping.EventFired, "b", two, 10, 0),
		mute,
		{Time: at(13), Kind: grouping.EventAcknowledged, People: &grouping.PeopleDetail{
			Person: grouping.Person{Name: name}, Text: name, Until: at(50),
		}},
		{Time: at(14), Kind: grouping.EventNoted, People: &grouping.PeopleDetail{
			Person: grouping.Person{Name: "mira", Verified: true}, Text: name,
		}},
		alert(21, grouping.EventRefired, "a", one, 20, 0),
		alert(31, grouping.EventResolved, "a", one, 20, 30),
	}
}

func postmortem(name string) *history.Postmortem {
	day := time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)
	return &history.Postmortem{
		ID: "225777a52aa9d7901520", Since: day.Add(2 * time.Hour), Until: day.Add(3 * time.Hour), Events: outage(name),
		Gaps: []grouping.Gap{{From: day.Add(150 * time.Minute), To: day.Add(151 * time.Minute)}},
	}
}

// asHTML returns the HTML of a Markdown text. Raw HTML in the text stays HTML.
func asHTML(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, goldmark.New(goldmark.WithExtensions(extension.GFM)).Convert([]byte(text), &b))
	return b.String()
}

var cellPattern = regexp.MustCompile(`<t[dh][^>]*>`)

func TestPostmortem(t *testing.T) {
	text := postmortem("Down").Markdown()
	for _, line := range []string{
		"# Post-mortem: Down",
		"- Time: 2026-11-26 02:00:00 UTC to 2026-11-26 03:00:00 UTC (1h0m0s)",
		"- Source: `prod`", "- Receiver: `Down`", "- Group key: `Down`",
		"- Alerts: 2, which fired 3 times",
		"- State now: the group was removed",
		"| `{alertname=\"Down\", pod=\"a\"}` | 2 | 2026-11-26 02:00:00 UTC | 2026-11-26 02:30:00 UTC | 15m0s |",
		"| `{pod=\"b\"}` | 1 | 2026-11-26 02:10:00 UTC | still firing | 50m0s |",
		"| 2026-11-26 02:01:00 UTC | Down | 1 | 0 | 0 | `Down` |",
		"| 2026-11-26 02:02:00 UTC | `Down` | `slack` | Down | 1 | 0 |",
		"| 2026-11-26 02:13:00 UTC | acknowledged | Down (not verified) | 2026-11-26 02:50:00 UTC | Down |",
		"| 2026-11-26 02:14:00 UTC | noted | mira |  | Down |",
		"| 2026-11-26 02:12:00 UTC | suppressed | `{pod=\"b\"}` | silence | `Down` |",
		"| 2026-11-26 02:30:00 UTC | 2026-11-26 02:31:00 UTC |",
		"| 2026-11-26 02:21:00 UTC | refired | `{alertname=\"Down\", pod=\"a\"}` |",
	} {
		require.Contains(t, "\n"+text, "\n"+line+"\n", line)
	}
	html := asHTML(t, text)
	require.Equal(t, 7, strings.Count(html, "<table>"))
	require.Equal(t, 8, strings.Count(html, "<h2"))
	empty := (&history.Postmortem{ID: "225777a52aa9d7901520", Cut: true}).Markdown()
	require.Equal(t, 7, strings.Count(empty, "None."))
	require.Contains(t, empty, "- Not complete: only the last 0 events are listed\n")
}

// Texts of any origin cannot break the report.
func TestPostmortemWithHostileTexts(t *testing.T) {
	plain := asHTML(t, postmortem("Down").Markdown())
	tag := regexp.MustCompile(`<(\w+)`)
	want := tag.FindAllString(plain, -1)
	for _, text := range []string{
		"<script>alert(1)</script>", "a|b|c", `a\|b`, "|", "`code`", "``", "[x](https://evil.example)", "![x](https://evil.example/i.png)",
		"https://evil.example", "www.evil.example", "me@evil.example", "<https://evil.example>", "two\nlines", "two\r\n\r\n# Title",
		"\n\n| a | b |\n| --- | --- |", "**bold** _it_ ~~no~~", "# Title", "- item", "> quote", "&lt;b&gt;", "[a]: https://evil.example",
		"\\", "a\\", "\u2028# Title", "x\x00y", "<!-- ", "~~~", "$x$", "mailto:a@b.example", "ftp://evil.example", "`|`",
	} {
		html := asHTML(t, postmortem(text).Markdown())
		require.Equal(t, want, tag.FindAllString(html, -1), "%q\n%s", text, html)
		require.Len(t, cellPattern.FindAllString(html, -1), len(cellPattern.FindAllString(plain, -1)), "%q", text)
		require.NotContains(t, html, "href", "%q", text)
	}
}

func TestLastEpisode(t *testing.T) {
	now := time.Date(2026, 11, 26, 3, 0, 0, 0, time.UTC)
	opened := grouping.Event{Kind: grouping.EventOpened, Time: now.Add(-2 * time.Hour)}
	closed := grouping.Event{Kind: grouping.EventClosed, Time: now.Add(-time.Hour)}
	for _, tc := range []struct {
		events []grouping.Event
		want   string
	}{
		{nil, "00:00 03:00 false"},
		{[]grouping.Event{opened}, "01:00 03:00 true"},
		{[]grouping.Event{closed, opened}, "01:00 02:01 true"},
		{[]grouping.Event{closed}, "00:00 02:01 false"},
	} {
		since, until, ok := history.LastEpisode(tc.events, now)
		require.Equal(t, tc.want, fmt.Sprint(since.Format("15:04"), " ", until.Format("15:04"), " ", ok))
	}
}
