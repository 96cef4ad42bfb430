package grouping

import (
	"context"
	"maps"
	"slices"
	"time"
)

// Gap is a time in which Muster could not hear of anything, because it was not running. From
// is inclusive and To is exclusive.
type Gap struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// Contains reports whether the time is in the gap.
func (g Gap) Contains(t time.Time) bool { return !t.Before(g.From) && t.Before(g.To) }

// Overlaps reports whether the gap has any moment from since until before until. A zero time
// is no limit.
func (g Gap) Overlaps(since, until time.Time) bool {
	return (until.IsZero() || g.From.Before(until)) && (since.IsZero() || g.To.After(since))
}

func (g Gap) equal(o Gap) bool { return g.From.Equal(o.From) && g.To.Equal(o.To) }

// maxGaps is the maximum number of gaps that are kept. It is more than one a day within the
// usual retention, and so few that every page can look at all. The history has the others.
const maxGaps = 500

// Gaps returns the gaps that have any moment from since until before until, oldest first. A
// zero time is no limit. It returns at most maxGaps, from memory.
func (m *Manager) Gaps(ctx context.Context, since, until time.Time) ([]Gap, error) {
	if err := m.startOperation(ctx, "gaps"); err != nil {
		return nil, err
	}
	m.sources.mu.RLock()
	all := m.sources.gaps
	m.sources.mu.RUnlock()
	var gaps []Gap
	for _, g := range all {
		if g.Overlaps(since, until) {
			gaps = append(gaps, g)
		}
	}
	return gaps, nil
}

// sameGaps reports whether both documents have the same gaps. The other may be nil.
func (d *SourceDocument) sameGaps(o *SourceDocument) bool {
	return o != nil && maps.EqualFunc(d.Gaps, o.Gaps, (*RecordedGap).Equal)
}

// sortedGaps returns the gaps, oldest first.
func (d *SourceDocument) sortedGaps() []Gap {
	gaps := make([]Gap, 0, len(d.Gaps))
	for _, g := range d.Gaps {
		gaps = append(gaps, g.Gap)
	}
	slices.SortFunc(gaps, func(a, b Gap) int { return a.From.Compare(b.From) })
	return gaps
}

// withGaps returns the document with the times between the lives that are longer than minGap,
// and adds an event for each new one. It removes the gaps that exceed their retention, and the
// oldest ones beyond the maximum.
func (d *SourceDocument) withGaps(log *eventLog, now time.Time, retention time.Duration) *SourceDocument {
	all := d.sortedGaps()
	var news []RecordedGap
	for _, g := range gapsBetween(slices.Collect(maps.Values(d.Lives))) {
		known := func(k Gap) bool { return k.Overlaps(g.From, g.To) }
		if g.To.After(now) || retention > 0 && now.Sub(g.To) > retention || slices.ContainsFunc(all, known) {
			continue // the clock was set back, or there is nothing to say
		}
		log.add(Event{Kind: EventGap, Gap: &g})
		news = append(news, RecordedGap{Key: gapKey(g), Gap: g})
	}
	var old []string
	excess := len(all) + len(news) - maxGaps
	for i, g := range all {
		if i < excess || retention > 0 && now.Sub(g.To) > retention {
			old = append(old, gapKey(g))
		}
	}
	if len(news) > 0 {
		d = gapRecords.put(d, log.stamp, news...)
	}
	if len(old) > 0 {
		d = gapRecords.remove(d, log.stamp, old...)
	}
	return d
}

// gapKey returns the key of the record of a gap.
func gapKey(g Gap) string { return g.From.UTC().Format(time.RFC3339Nano) }

// gapsBetween returns the times longer than minGap in which none of the lives was, oldest
// first. Before the first and after the last one nothing is known.
func gapsBetween(lives []*Life) (gaps []Gap) {
	slices.SortFunc(lives, func(a, b *Life) int { return a.StartedAt.Compare(b.StartedAt) })
	var last time.Time // the last sign of life so far
	for _, l := range lives {
		if !last.IsZero() && l.StartedAt.Sub(last) > minGap {
			gaps = append(gaps, Gap{From: last, To: l.StartedAt})
		}
		last = latest(last, l.LastAt)
	}
	return gaps
}
