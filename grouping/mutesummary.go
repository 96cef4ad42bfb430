package grouping

import "context"

// MuteSummary counts the suppressed alerts that a query selects.
type MuteSummary struct {
	// Groups is the number of selected groups in which no alert fires, and Critical the
	// number of critical ones among their suppressed alerts. ByCause counts these groups
	// by what mutes their alerts: once for each cause.
	Groups   int
	Critical int
	ByCause  map[MuteKind]int
	// Alerts counts all selected alerts by what mutes them, once for each cause. Other
	// alerts of their groups may fire.
	Alerts map[MuteKind]int
	// Inhibits is the number of alerts that an alert inhibits. It ignores the query.
	Inhibits map[SourceAlert]int
}

// SourceAlert identifies an alert of a source.
type SourceAlert struct {
	Source      string
	Fingerprint Fingerprint
}

// SummarizeMutes counts the suppressed alerts of the groups. The query selects suppressed
// alerts.
func SummarizeMutes(groups []*AlertGroup, q ListQuery) MuteSummary {
	s := newSummarizer(&q)
	for _, g := range groups {
		s.add(g)
	}
	return s.MuteSummary
}

// SummarizeMutes counts the suppressed alerts of all groups. The query selects suppressed
// alerts.
func (m *Manager) SummarizeMutes(ctx context.Context, q ListQuery) (MuteSummary, error) {
	if err := m.startOperation(ctx, "summarize_mutes"); err != nil {
		return MuteSummary{}, err
	}
	s := newSummarizer(&q)
	if m.index.currentTotals().Alerts[StatusSuppressed] == 0 {
		return s.MuteSummary, nil
	}
	groups, _ := m.index.sortedSnapshot(DefaultSort)
	groups.Ascend(func(e indexEntry) bool {
		s.add(e.group)
		return true
	})
	return s.MuteSummary, nil
}

type summarizer struct {
	MuteSummary

	selector *selector
}

func newSummarizer(q *ListQuery) *summarizer {
	return &summarizer{
		MuteSummary{ByCause: map[MuteKind]int{}, Alerts: map[MuteKind]int{}, Inhibits: map[SourceAlert]int{}}, newSelector(q),
	}
}

func (s *summarizer) add(g *AlertGroup) {
	if g.Counts.Suppressed == 0 {
		return
	}
	selected, only := s.selector.selects(g), g.Counts.Firing == 0
	var causes muteKinds
	for _, a := range g.Alerts {
		if a.ShownStatus() != StatusSuppressed {
			continue
		}
		of := s.causesOf(g.Source, a)
		if !selected || !s.selector.matchesAlert(a) {
			continue
		}
		of.count(s.Alerts)
		causes.add(of)
		if only && a.Severity() == SeverityCritical {
			s.Critical++
		}
	}
	if selected && only {
		s.Groups++
		causes.count(s.ByCause)
	}
}

// causesOf returns what mutes an alert, and counts it for the alerts that inhibit it.
func (s *summarizer) causesOf(source string, a *Alert) (of muteKinds) {
	for i := range a.muted.Mutes {
		m := &a.muted.Mutes[i]
		if !m.Active() {
			continue
		}
		if m.Kind == MuteInhibition && m.ID != "" {
			s.Inhibits[SourceAlert{source, Fingerprint(m.ID)}]++
		}
		of.silence, of.inhibition = of.silence || m.Kind == MuteSilence, of.inhibition || m.Kind == MuteInhibition
		of.interval = of.interval || m.Kind == MuteInterval
	}
	return of
}

// muteKinds is a set of kinds of mutes.
type muteKinds struct{ silence, inhibition, interval bool }

func (k *muteKinds) add(o muteKinds) {
	k.silence, k.inhibition, k.interval = k.silence || o.silence, k.inhibition || o.inhibition, k.interval || o.interval
}

// count counts each kind of the set once.
func (k *muteKinds) count(n map[MuteKind]int) {
	if k.silence {
		n[MuteSilence]++
	}
	if k.inhibition {
		n[MuteInhibition]++
	}
	if k.interval {
		n[MuteInterval]++
	}
}
