package templates

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"muster/grouping"
)

// TimelineRow is one alert on the timeline. The paths are SVG: of the times when the alert
// fired, when it was suppressed, within which it ended, and when it was not reported.
type TimelineRow struct {
	Label, Class                string
	Far                         bool // a small screen hides it
	Bars, Muted, Wedge, Unknown string
}

// TimelineEntry is a row of the table with the same data.
type TimelineEntry struct {
	Label      string
	Fired      Moment
	Suppressed Phrases
	Ended      Phrases
	Lasted     string
}

// firing is one episode of an alert as the timeline shows it.
type firing struct {
	from  time.Time
	to    time.Time // as far as it is known, at most now
	muted []span    // within the episode, in their order
	// ended is the reported end, or zero. Without it, the episode goes on, or the alert is
	// gone, or it is unreported since to.
	ended        time.Time
	goneBy       time.Time
	isUnreported bool
}

// firingsOf returns the episodes of an alert, the oldest first.
func firingsOf(a *grouping.Alert, now time.Time) []firing {
	eps := a.Episodes()
	out := make([]firing, 0, len(eps))
	for i, e := range eps {
		f := firing{from: e.StartsAt, to: e.EndsAt, ended: e.EndsAt}
		if i == len(eps)-1 {
			f.to = a.KnownEnd()
			if status := a.ShownStatus(); status == grouping.StatusUnreported && a.EndsAt.IsZero() {
				f.goneBy, f.isUnreported = a.GoneBy, a.GoneBy.IsZero()
			}
		}
		if f.to.IsZero() || f.to.After(now) {
			f.to = now
		}
		f.muted = mutedSpans(a, span{f.from, f.to})
		out = append(out, f)
	}
	return out
}

// mutedSpans returns the times within a span at which something muted the alert.
func mutedSpans(a *grouping.Alert, within span) []span {
	var all []span
	for _, m := range append(a.Mutes(), a.EndedMutes()...) {
		one := span{latest(m.Since, within.from), within.to}
		if !m.Active() && m.Ended.Before(within.to) {
			one.to = m.Ended
		}
		if one.from.Before(one.to) {
			all = append(all, one)
		}
	}
	return mergeSpans(all)
}

// mergeSpans returns the spans in their order, without overlaps. It changes the list.
func mergeSpans(all []span) []span {
	slices.SortFunc(all, func(x, y span) int { return x.from.Compare(y.from) })
	merged := all[:0]
	for _, one := range all {
		if n := len(merged); n > 0 && !one.from.After(merged[n-1].to) {
			merged[n-1].to = latest(merged[n-1].to, one.to)
			continue
		}
		merged = append(merged, one)
	}
	return merged
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// newTimelineRow draws an alert. It also returns the alert's episodes within the range.
func newTimelineRow(a *grouping.Alert, sp span, now time.Time) (TimelineRow, []firing) {
	row := TimelineRow{Class: severities[a.Severity()].Class}
	var d drawing
	var seen []firing
	for _, f := range firingsOf(a, now) {
		if f.from.After(sp.to) || f.to.Before(sp.from) && !f.isUnreported && f.goneBy.Before(sp.from) {
			continue
		}
		seen = append(seen, f)
		d.draw(f, sp)
	}
	row.Bars, row.Muted, row.Wedge, row.Unknown = d.bars.String(), d.muted.String(), d.wedge.String(), d.unknown.String()
	return row, seen
}

// drawing collects the paths of a row.
type drawing struct{ bars, muted, wedge, unknown strings.Builder }

func (d *drawing) draw(f firing, sp span) {
	end := sp.x(f.to)
	if end > 0 {
		at := f.from
		for _, m := range f.muted {
			if m.from.After(at) {
				bar(&d.bars, sp, span{at, m.from})
			}
			if x := sp.x(m.from); sp.x(m.to) > 0 {
				w := max(sp.x(m.to)-x, minBarWidth)
				fmt.Fprintf(&d.muted, "M%s 3h%sv4h-%sz", formatNumber(min(x, timelineWidth-minBarWidth)), formatNumber(w), formatNumber(w))
			}
			at = m.to
		}
		if at.Before(f.to) || len(f.muted) == 0 {
			bar(&d.bars, sp, span{at, f.to})
		}
	}
	switch {
	case !f.goneBy.IsZero():
		if by := max(sp.x(f.goneBy), end+minBarWidth); by > 0 {
			fmt.Fprintf(&d.wedge, "M%s 0L%s 10H%sz", formatNumber(end), formatNumber(by), formatNumber(end))
		}
	case f.isUnreported: // a hatched bar: it may have continued
		for x := end; x < timelineWidth; x += 12 {
			rectangle(&d.unknown, x, 4)
		}
	}
}

// bar draws a time at which an alert fired.
func bar(b *strings.Builder, sp, of span) {
	x := sp.x(of.from)
	if end := sp.x(of.to); end > 0 {
		rectangle(b, x, max(end-x, minBarWidth))
	}
}

func rectangle(b *strings.Builder, x, w float64) {
	x = min(x, timelineWidth-minBarWidth)
	fmt.Fprintf(b, "M%s 0h%sv10h-%sz", formatNumber(x), formatNumber(w), formatNumber(w))
}

func formatNumber(x float64) string { return strconv.FormatFloat(x, 'f', -1, 32) }

// entry returns the row of the table about an episode.
func (f firing) entry(label string, now time.Time) TimelineEntry {
	e := TimelineEntry{Label: label, Fired: newMoment(f.from, now), Lasted: Age(f.to.Sub(f.from))}
	for i, m := range f.muted {
		if i > 0 {
			e.Suppressed.say(", ")
		}
		if m.to.Equal(now) {
			e.Suppressed.say("since ")
			e.Suppressed.clock(m.from, now)
			continue
		}
		e.Suppressed.clock(m.from, now)
		e.Suppressed.say(" to ")
		e.Suppressed.clock(m.to, now)
	}
	switch {
	case !f.ended.IsZero():
		e.Ended = Phrases{{Text: formatClock(f.ended, now), ISO: f.ended.UTC().Format(time.RFC3339)}}
	case !f.goneBy.IsZero():
		e.Ended.say("between ")
		e.Ended.clock(f.to, now)
		e.Ended.say(" and ")
		e.Ended.clock(f.goneBy, now)
		e.Ended.say(", not reported")
		e.Lasted = between(f.to.Sub(f.from), f.goneBy.Sub(f.from))
	case f.isUnreported:
		e.Ended.say("unreported since ")
		e.Ended.clock(f.to, now)
	default:
		e.Ended.say("fires")
	}
	return e
}
