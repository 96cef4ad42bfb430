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
	causes := map[MuteKind]bool{}
	for _, a := range g.Alerts {
		if a.ShownStatus() != StatusSuppressed {
			continue
		}
		counts, of := selected && s.selector.matchesAlert(a), map[MuteKind]bool{}
		for _, m := range a.muted.Mutes {
			if !m.Active() {
				continue
			}
			if m.Kind == MuteInhibition && m.ID != "" {
				s.Inhibits[SourceAlert{g.Source, Fingerprint(m.ID)}]++
			}
			of[m.Kind] = true
		}
		if !counts {
			continue
		}
		for kind := range of {
			s.Alerts[kind]++
			causes[kind] = true
		}
		if only && a.Severity() == SeverityCritical {
			s.Critical++
		}
	}
	if !selected || !only {
		return
	}
	s.Groups++
	for kind := range causes {
		s.ByCause[kind]++
	}
}
