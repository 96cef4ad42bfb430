package templates

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"muster/grouping"
	"muster/internal/query"
)

// gapReason ends a sentence about a gap.
const gapReason = ": Muster was not running"

// gapSpan says when a gap was: "from 01:28 to 01:36". Times of another day than now have the
// day, and those of a short gap have seconds.
func gapSpan(g grouping.Gap, now time.Time) string {
	write := func(t time.Time) string { return clockPhrase(t, now).Text }
	if g.To.Sub(g.From) < 2*time.Minute {
		write = func(t time.Time) string { return clockPhrase(t, now).Text + t.UTC().Format(":05") }
	}
	return "from " + write(g.From) + " to " + write(g.To)
}

// The limits of gaps. Each row of a timeline has all strokes once more.
const (
	maxGapStrokes = 12
	gapStroke     = 9 // width of a stroke, and the least distance between two
	maxGapsSaid   = 3
	maxGapRows    = 20
)

// addGaps hatches the gaps within the span in every row, and says when they were.
func (t *Timeline) addGaps(all []grouping.Gap, sp span, now time.Time) {
	var said []string
	var drawn []span
	for _, g := range all {
		if !g.Overlaps(sp.from, sp.to) {
			continue
		}
		drawn = append(drawn, span{g.From, g.To})
		if len(said) < maxGapsSaid {
			said = append(said, gapSpan(g, now))
		}
	}
	if len(drawn) == 0 {
		return
	}
	t.Says += " No data " + strings.Join(said, ", ")
	if more := len(drawn) - len(said); more > 0 {
		t.Says += " and " + plural(more, "other time", "other times")
	}
	t.Says += gapReason + "."
	t.Gaps = gapsPath(drawn, sp)
}

// gapsPath draws gaps as hatched rectangles. If there are more than a row may have, it leaves
// out the shortest ones.
func gapsPath(gaps []span, sp span) string {
	if len(gaps) > maxGapStrokes {
		slices.SortFunc(gaps, func(a, b span) int { return cmp.Compare(b.to.Sub(b.from), a.to.Sub(a.from)) })
		gaps = gaps[:maxGapStrokes]
	}
	// The strokes move apart until there are few enough.
	step := float64(gapStroke)
	strokes := func() (n int) {
		for _, g := range gaps {
			n += strokesOf(sp.x(g.to)-sp.x(g.from), step)
		}
		return n
	}
	for strokes() > maxGapStrokes {
		step *= 1.25
	}
	var b strings.Builder
	for _, g := range gaps {
		x, w := sp.x(g.from), max(sp.x(g.to)-sp.x(g.from), minBarWidth)
		rectangle(&b, x, w)
		x = min(x, timelineWidth-minBarWidth)
		for i := range strokesOf(w, step) {
			fmt.Fprintf(&b, "M%s 10l%s-10", formatNumber(x+float64(i)*step), formatNumber(min(w, gapStroke)))
		}
	}
	return b.String()
}

// strokesOf returns the number of strokes in a gap of a width. Each gap has at least one.
func strokesOf(width, step float64) int { return 1 + int(max(0, width-gapStroke)/step) }

// addGaps adds the table of gaps, newest first.
func (p *StatusPage) addGaps(s *Site) {
	for _, g := range slices.Backward(s.Gaps) {
		if len(p.Gaps) == maxGapRows {
			p.MoreGaps = s.Links.History(HistoryView{query.Events{Kinds: []grouping.EventKind{grouping.EventGap}}})
			return
		}
		p.Gaps = append(p.Gaps, newGapRow(g, s.Now))
	}
}

func newGapRow(g grouping.Gap, now time.Time) GapRow {
	return GapRow{From: newMoment(g.From, now), To: newMoment(g.To, now), Lasted: Age(g.To.Sub(g.From)), Why: "Muster was not running"}
}
