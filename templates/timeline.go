package templates

import (
	"fmt"
	"slices"
	"strconv"
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
	Ticks    []Tick     // notifications
	Rows     []TimelineRow
	Shared   string // common prefix of the labels of all rows
	Narrow   string // note about rows that a small screen hides
	More     string // number of rows that are not drawn
	Table    []EpisodeRow
	TableCut bool
}

// AxisMark is a time on the axis of the timeline. Format tells the script how to
// write it in local time: "m" is hours and minutes, "" also has the day.
type AxisMark struct{ Text, ISO, Format string }

// RangeLink leads to the timeline with another range.
type RangeLink struct {
	Text, Href string
	Current    bool
}

// Tick is a notification on the timeline.
type Tick struct {
	X     string
	Title string
}

// TimelineRow is one alert on the timeline. Bars and Unknown are SVG paths: of the
// times when the alert fired, and of the times when it was not reported.
type TimelineRow struct {
	Label, Class  string
	Bars, Unknown string
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
	t := Timeline{Axis: axis(sp), Ranges: rangeLinks(s.Links.Group(g.ID), v)}
	notified := t.addTicks(events, sp)
	inRange := t.addAlerts(sorted, rowLabel(sorted, shared), sp, s.Now)
	t.shortenLabels()
	if len(t.Rows) > maxNarrowRows {
		t.Narrow = fmt.Sprintf("A small screen shows the first %d alerts. The table below shows all alerts.", maxNarrowRows)
	}
	if left := inRange - len(t.Rows); left > 0 {
		t.More = "+" + formatCount(left) + " more alerts"
		t.TableCut = true
	}
	t.Says = fmt.Sprintf("%s fired between %s and %s UTC. %s in that time.", plural(inRange, "alert", "alerts"),
		formatClock(sp.from, s.Now), formatClock(sp.to, s.Now), plural(notified, "notification", "notifications"))
	return t
}

// rangeLinks returns the links to the other ranges of a group's page.
func rangeLinks(page string, v GroupView) []RangeLink {
	links := make([]RangeLink, 0, len(timelineRanges))
	for _, r := range timelineRanges {
		to := v
		to.Range = r.name
		links = append(links, RangeLink{Text: r.name, Href: page + to.encode(), Current: v.Range == r.name})
	}
	return links
}

// addTicks adds the notifications. It returns the number of those within the range,
// which can be more than the timeline shows.
func (t *Timeline) addTicks(events []grouping.Event, sp span) (inRange int) {
	for i := range events {
		e := &events[i]
		if e.Kind != grouping.EventNotified || e.Time.Before(sp.from) || e.Time.After(sp.to) {
			continue
		}
		if inRange++; inRange <= maxTimelineTicks {
			t.Ticks = append(t.Ticks, Tick{
				X:     formatNumber(min(sp.x(e.Time), timelineWidth-minBarWidth)),
				Title: e.Time.UTC().Format("15:04:05") + " " + notificationReason(e),
			})
		}
	}
	return inRange
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
		row, episodes := newTimelineRow(a, sp, now)
		if len(episodes) == 0 {
			continue
		}
		inRange++
		if !full {
			row.Label = label(a)
			t.Rows = append(t.Rows, row)
			t.addToTable(row.Label, episodes, now)
		}
	}
	return inRange
}

func (t *Timeline) addToTable(label string, episodes []grouping.Episode, now time.Time) {
	for _, e := range slices.Backward(episodes) {
		if len(t.Table) == maxTimelineTable {
			t.TableCut = true
			return
		}
		row := newEpisodeRow(e, now)
		row.Label = label
		t.Table = append(t.Table, row)
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
	if g.Counts.Firing > 0 {
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

func axis(sp span) []AxisMark {
	const marks = 5
	layout, format := "15:04", "m"
	if sp.to.Sub(sp.from) > 24*time.Hour {
		layout, format = "Jan 2 15:04", ""
	}
	out := make([]AxisMark, marks)
	for i := range out {
		at := sp.from.Add(sp.to.Sub(sp.from) * time.Duration(i) / (marks - 1)).UTC()
		out[i] = AxisMark{Text: at.Format(layout), ISO: at.Format(time.RFC3339), Format: format}
	}
	return out
}

// newTimelineRow draws an alert. It also returns the alert's episodes within the
// range.
func newTimelineRow(a *grouping.Alert, sp span, now time.Time) (TimelineRow, []grouping.Episode) {
	row := TimelineRow{Class: severities[a.Severity()].Class}
	var bars, unknown strings.Builder
	var seen []grouping.Episode
	eps := a.Episodes()
	for i, e := range eps {
		end := e.EndsAt
		last := i == len(eps)-1
		if last {
			end = a.KnownEnd()
		}
		if end.IsZero() || end.After(now) {
			end = now
		}
		lost := last && a.Status == grouping.StatusUnreported && a.EndsAt.IsZero()
		if e.StartsAt.After(sp.to) || end.Before(sp.from) && !lost {
			continue
		}
		seen = append(seen, e)
		from, to := sp.x(e.StartsAt), sp.x(end)
		if to > 0 {
			bar(&bars, from, max(to-from, minBarWidth))
		}
		if lost { // a hatched bar: it may have continued
			for x := to; x < timelineWidth; x += 12 {
				bar(&unknown, x, 4)
			}
		}
	}
	row.Bars, row.Unknown = bars.String(), unknown.String()
	return row, seen
}

func bar(b *strings.Builder, x, w float64) {
	x = min(x, timelineWidth-minBarWidth)
	fmt.Fprintf(b, "M%s 0h%sv10h-%sz", formatNumber(x), formatNumber(w), formatNumber(w))
}

func formatNumber(x float64) string { return strconv.FormatFloat(x, 'f', -1, 32) }

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
