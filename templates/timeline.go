package templates

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"muster/grouping"
)

const rangeEpisode = "episode"

var timelineRanges = []struct {
	name string
	d    time.Duration // 0: from the start of the episode
}{{"1h", time.Hour}, {"6h", 6 * time.Hour}, {"24h", 24 * time.Hour}, {"7d", 7 * 24 * time.Hour}, {rangeEpisode, 0}}

// Timeline shows when each alert fired within a range of time. Each row is a picture
// of 1000 × 10. The page also has the same data as text.
type Timeline struct {
	Ranges   []RangeLink
	Says     string
	Axis     []AxisMark // times at equal distances; the last is the right edge
	Sent     []SentRow  // notifications by receiver
	MoreSent string     // number of receivers that are not drawn
	People   []Tick     // acknowledgements and notes
	Gaps     string     // SVG path of the times without data, in every row
	Rows     []TimelineRow
	Key      []TimelineKey // what the pictures mean
	KeyClass string        // the colours of the pictures
	Shared   string        // common prefix of the labels of all rows
	Narrow   string        // note about rows that a small screen hides
	More     string        // number of rows that are not drawn
	Table    []TimelineEntry
	TableCut bool
}

// AxisMark is a time on the axis of the timeline. Format tells the script how to
// write it in local time: "m" is hours and minutes, "" also has the day. Then leads to the state
// at that time.
type AxisMark struct{ Text, ISO, Format, Then string }

// RangeLink leads to the timeline with another range.
type RangeLink struct {
	Text, Href string
	Current    bool
}

// TimelineKey explains a picture of the timeline, which has a class of the style sheet.
type TimelineKey struct{ Class, Path, Text string }

// Tick is a notification on the timeline.
type Tick struct {
	X     string
	Title string
}

// The limits of the timeline.
const (
	maxTimelineRows  = 60
	maxTimelineTicks = 120
	maxTimelineTable = 100
	timelineWidth    = 1000
	maxNarrowRows    = 6 // on a small screen; the style sheet hides the others
	minBarWidth      = 3 // so that a short episode is visible
)

// span is a range of time.
type span struct{ from, to time.Time }

func (s span) x(t time.Time) float64 {
	return min(max(float64(t.Sub(s.from))/float64(s.to.Sub(s.from)), 0), 1) * timelineWidth
}

func newTimeline(
	s *Site, v GroupView, g *grouping.AlertGroup, sorted []*grouping.Alert, shared grouping.Labels,
	episodes []grouping.Episode, events []grouping.Event,
) Timeline {
	sp := timelineSpan(v, g, episodes, s.Now)
	t := Timeline{
		Axis:   axis(sp, func(at time.Time) string { return s.Links.Then(at.Truncate(time.Second)).Group(g.ID) }),
		Ranges: rangeLinks(func(to GroupView) string { return s.Links.GroupOf(g.ID, to) }, v),
	}
	sent, more, counts := sentRows(g, events, sp)
	if t.Sent = sent; more > 0 {
		t.MoreSent = "+" + plural(more, "receiver", "receivers")
	}
	t.People = peopleTicks(g, sp)
	inRange := t.addAlerts(sorted, rowLabel(sorted, shared), sp, s.Now)
	t.shortenLabels()
	if left := inRange - len(t.Rows); left > 0 {
		t.More = "+" + plural(left, "more alert", "more alerts")
		t.TableCut = true
	}
	if len(t.Rows) > maxNarrowRows {
		t.Narrow = fmt.Sprintf("A small screen shows the first %d alerts.", maxNarrowRows)
		if !t.TableCut {
			t.Narrow += " The table below shows all alerts."
		}
	}
	t.Says = fmt.Sprintf("%s fired between %s and %s UTC; %s", plural(inRange, "alert", "alerts"),
		formatClock(sp.from, s.Now), formatClock(sp.to, s.Now), counts)
	if n := len(t.People); n > 0 {
		t.Says += "; " + plural(n, "acknowledgement or note", "acknowledgements and notes")
	}
	t.Says += "."
	t.addGaps(s.Gaps, sp, s.Now)
	t.addKey()
	return t
}

// addKey explains the pictures if there is another one than the bar of a firing alert.
func (t *Timeline) addKey() {
	var class string
	has := map[string]bool{"no data": t.Gaps != ""}
	for _, r := range t.Rows {
		has["fires"], has["suppressed"] = has["fires"] || r.Bars != "", has["suppressed"] || r.Muted != ""
		has["ended within this time"], has["unreported"] = has["ended within this time"] || r.Wedge != "", has["unreported"] || r.Unknown != ""
		class = cmp.Or(class, r.Class)
	}
	for _, k := range []TimelineKey{
		{"", "M0 0h40v10h-40z", "fires"},
		{"mut", "M0 3h40v4h-40z", "suppressed"},
		{"wed", "M0 0L40 10H0z", "ended within this time"},
		{"unk", "M0 0h4v10h-4zM12 0h4v10h-4zM24 0h4v10h-4zM36 0h4v10h-4z", "unreported"},
		{"gap", "M0 0h40v10h-40zM0 10l9-10M10 10l9-10M20 10l9-10M30 10l9-10", "no data"},
	} {
		if has[k.Text] {
			t.Key = append(t.Key, k)
		}
	}
	if len(t.Key) == 1 && has["fires"] {
		t.Key = nil
	}
	t.KeyClass = class
}

// rangeLinks returns the links to the other ranges of a group's page.
func rangeLinks(page func(GroupView) string, v GroupView) []RangeLink {
	links := make([]RangeLink, 0, len(timelineRanges))
	for _, r := range timelineRanges {
		to := v
		to.Range = r.name
		links = append(links, RangeLink{Text: r.name, Href: page(to), Current: v.Range == r.name})
	}
	return links
}

// addAlerts adds the rows, and the table with the same data. It returns the number of
// alerts that fired within the range, which can be more than the timeline shows.
func (t *Timeline) addAlerts(alerts []*grouping.Alert, label func(*grouping.Alert) string, sp span, now time.Time) (inRange int) {
	for _, a := range alerts {
		full := len(t.Rows) == maxTimelineRows
		if full && len(a.Recorded) <= 1 { // count it without drawing it
			if end := a.KnownEnd(); !a.StartsAt.After(sp.to) && (end.IsZero() || !end.Before(sp.from)) {
				inRange++
			}
			continue
		}
		row, firings := newTimelineRow(a, sp, now)
		if len(firings) == 0 {
			continue
		}
		inRange++
		if !full {
			row.Label, row.Far = label(a), len(t.Rows) >= maxNarrowRows
			t.Rows = append(t.Rows, row)
			t.addToTable(row.Label, firings, now)
		}
	}
	return inRange
}

func (t *Timeline) addToTable(label string, firings []firing, now time.Time) {
	for _, f := range slices.Backward(firings) {
		if len(t.Table) == maxTimelineTable {
			t.TableCut = true
			return
		}
		t.Table = append(t.Table, f.entry(label, now))
	}
}

// shortenLabels moves the common prefix of all labels to Shared, so that the labels
// fit beside their bars on a phone.
func (t *Timeline) shortenLabels() {
	labels := make([]string, len(t.Rows))
	for i := range t.Rows {
		labels[i] = t.Rows[i].Label
	}
	head := sharedPrefix(labels)
	if head == "" {
		return
	}
	t.Shared = head + "…"
	for i := range t.Rows {
		t.Rows[i].Label = "…" + strings.TrimPrefix(t.Rows[i].Label, head)
	}
}

// timelineSpan returns the range of the timeline. It ends now, or shortly after the
// last episode of a group that is not firing.
func timelineSpan(v GroupView, g *grouping.AlertGroup, eps []grouping.Episode, now time.Time) span {
	for _, r := range timelineRanges {
		if r.name == v.Range && r.d > 0 {
			return span{now.Add(-r.d), now}
		}
	}
	sp := span{now.Add(-time.Hour), now}
	if len(eps) == 0 {
		return sp
	}
	last := eps[len(eps)-1]
	if !last.EndsAt.IsZero() && last.EndsAt.Before(now) {
		sp.to = last.EndsAt.Add(max(last.EndsAt.Sub(last.StartsAt)/4, 10*time.Minute))
		if sp.to.After(now) {
			sp.to = now
		}
	}
	start := last.StartsAt
	if g.Counts.Firing+g.Counts.Suppressed > 0 {
		// The start of an info alert would make the bar of a new critical alert too small.
		start = g.WorstSince()
	}
	lasted := max(sp.to.Sub(start), 0)
	sp.from = start.Add(-lasted / 4)
	if sp.to.Sub(sp.from) < time.Hour {
		sp.from = sp.to.Add(-time.Hour)
	}
	return sp
}

func axis(sp span, then func(time.Time) string) []AxisMark {
	const marks = 5
	layout, format := "15:04", "m"
	if sp.to.Sub(sp.from) > 24*time.Hour {
		layout, format = "Jan 2 15:04", ""
	}
	out := make([]AxisMark, marks)
	for i := range out {
		at := sp.from.Add(sp.to.Sub(sp.from) * time.Duration(i) / (marks - 1)).UTC()
		out[i] = AxisMark{Text: at.Format(layout), ISO: at.Format(time.RFC3339), Format: format, Then: then(at)}
	}
	return out
}

// rowLabel returns a function that names an alert by the labels that distinguish it
// within the group.
func rowLabel(alerts []*grouping.Alert, shared grouping.Labels) func(*grouping.Alert) string {
	label := grouping.DistinguishingLabel(alerts)
	_, sameName := shared.Lookup("alertname")
	return func(a *grouping.Alert) string {
		value := a.IdentifyingValue(label, shared)
		switch {
		case value == "" && a.Name() == "":
			return string(a.Fingerprint)
		case value == "":
			return a.Name()
		case sameName || a.Name() == "":
			return value
		default:
			return a.Name() + " " + value
		}
	}
}
