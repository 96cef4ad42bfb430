package templates

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/templates/internal/fixture"
)

// The history has a line for a gap. It belongs to no group, source or receiver.
func TestTheHistoryNamesGaps(t *testing.T) {
	e := event(1, 0, grouping.EventGap, "")
	e.GroupID, e.Labels = "", grouping.Labels{}
	says := func(from, to string) string {
		e.Gap = &grouping.Gap{From: at(t, from), To: at(t, to)}
		e.Time = e.Gap.To
		row := historyOf(t, "", e).Days[0].Events[0]
		require.Equal(t, "no data", row.What)
		require.Equal(t, []string{"gap", "warn"}, []string{row.Kind, row.Class})
		require.Empty(t, row.Href+row.Group)
		require.Empty(t, row.Chips)
		require.Empty(t, row.Origin)
		return row.Says
	}
	require.Equal(t, "from 01:28 to 01:36: Muster was not running", says("2026-11-23T01:28:40Z", "2026-11-23T01:36:20Z"))
	require.Equal(t, "from 01:28:40 to 01:29:20: Muster was not running", says("2026-11-23T01:28:40Z", "2026-11-23T01:29:20Z"))
	require.Equal(t, "from Nov 22 23:58 to 00:05: Muster was not running", says("2026-11-22T23:58:00Z", "2026-11-23T00:05:00Z"))
}

// A gap is hatched in every row, before its bars. There are at most 12 strokes in a row,
// however many gaps there are.
func TestTimelinesHatchGaps(t *testing.T) {
	groups := fixture.Muted(night)
	page := func(gaps ...grouping.Gap) *GroupPage {
		s := newSite(groups)
		s.Gaps = gaps
		return NewGroupPage(s, GroupView{Range: "1h"}, groups[1], nil)
	}
	gap := func(from, to time.Duration) grouping.Gap {
		return grouping.Gap{From: night.Add(-from), To: night.Add(-to)}
	}
	require.Empty(t, page(gap(3*time.Hour, 2*time.Hour)).Timeline.Gaps)
	require.NotContains(t, page(gap(3*time.Hour, 2*time.Hour)).Timeline.Says, "No data")

	one := page(gap(30*time.Minute, 27*time.Minute))
	require.Equal(t, "M500 0h50v10h-50zM500 10l9-10M509 10l9-10M518 10l9-10M527 10l9-10M536 10l9-10", one.Timeline.Gaps)
	require.Contains(t, one.Timeline.Says, " No data from 02:32 to 02:35: Muster was not running.")
	require.Equal(t, "no data", one.Timeline.Key[len(one.Timeline.Key)-1].Text)
	html := renderPage(t, newRenderer(t), one)
	rows := len(one.Timeline.Rows) + len(one.Timeline.Sent)
	require.Equal(t, rows, strings.Count(html, `preserveAspectRatio="none" aria-hidden="true"`))
	require.Equal(t, rows, strings.Count(html, `<path class="gap" d="M500 `))
	first := regexp.MustCompile(`<svg viewBox="0 0 1000 10"[^>]*>\s*<path class="gap"`)
	require.Len(t, first.FindAllString(html, -1), rows, "it is drawn first")

	short := page(gap(30*time.Minute, 30*time.Minute-time.Second))
	require.Equal(t, "M500 0h3v10h-3zM500 10l3-10", short.Timeline.Gaps)
	require.Contains(t, short.Timeline.Says, "No data from 02:32:14 to 02:32:15: Muster")
	end := page(gap(time.Second, 0))
	require.Equal(t, "M997 0h3v10h-3zM997 10l3-10", end.Timeline.Gaps)

	whole := page(gap(2*time.Hour, 0))
	require.LessOrEqual(t, strings.Count(whole.Timeline.Gaps, "l9-10"), maxGapStrokes)
	require.Greater(t, strings.Count(whole.Timeline.Gaps, "l9-10"), maxGapStrokes/2)
	var many []grouping.Gap
	for i := range 100 {
		many = append(many, gap(time.Duration(i+1)*30*time.Second, time.Duration(i)*30*time.Second+10*time.Second))
	}
	slices.Reverse(many)
	crowd := page(many...)
	require.LessOrEqual(t, strings.Count(crowd.Timeline.Gaps, "l"), maxGapStrokes)
	require.Equal(t, maxGapStrokes, strings.Count(crowd.Timeline.Gaps, "z"))
	require.Contains(t, crowd.Timeline.Says, " and 97 other times: Muster was not running.")
}

// The status page has the newest gaps, and a link to all.
func TestTheStatusPageHasTheNewestGaps(t *testing.T) {
	s := newSite(nil)
	for i := range maxGapRows + 1 {
		from := night.Add(time.Duration(i-100) * time.Hour)
		s.Gaps = append(s.Gaps, grouping.Gap{From: from, To: from.Add(time.Minute)})
	}
	p := NewStatusPage(s, StatusInput{})
	require.Len(t, p.Gaps, maxGapRows)
	require.Equal(t, s.Gaps[maxGapRows].From, p.Gaps[0].From.At)
	require.Equal(t, "/am/history?kind=gap", p.MoreGaps)
	require.Contains(t, renderPage(t, newRenderer(t), p), `<a href="/am/history?kind=gap">Show all</a>`)
	s.Gaps = s.Gaps[1:]
	require.Empty(t, NewStatusPage(s, StatusInput{}).MoreGaps)
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	moment, err := time.Parse(time.RFC3339, text)
	require.NoError(t, err)
	return moment
}
