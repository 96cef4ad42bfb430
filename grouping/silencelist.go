package grouping

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/alertmanager/pkg/labels"
)

// SilenceOf returns what is known of a silence, or nil.
func (m *Manager) SilenceOf(source, id string) *Silence { return m.sources.get(source).Silences[id] }

// MuteSeen returns when a mute of an alert was last seen, in the clock of the source. It is
// zero if it was not seen since the start of this process.
func (m *Manager) MuteSeen(source string, fp Fingerprint, mute Mute) time.Time {
	memory := m.observed.known(source)
	if memory == nil {
		return time.Time{}
	}
	return memory.lastSeen(fp, mute)
}

// Silence returns a silence with what it mutes, or a *SilenceNotFoundError. If the source is "",
// it is looked for in all sources.
func (m *Manager) Silence(ctx context.Context, source, id string) (SilenceInfo, error) {
	if err := m.startOperation(ctx, "silence"); err != nil {
		return SilenceInfo{}, err
	}
	for _, d := range m.sortedSources() {
		if s := d.Silences[id]; s != nil && (source == "" || source == d.Source) {
			all := []SilenceInfo{s.info(d.Source, m.clock.Now())}
			m.addMuted(all)
			return all[0], nil
		}
	}
	return SilenceInfo{}, &SilenceNotFoundError{Source: source, ID: id}
}

// sortedSources returns the documents of the sources in the order of their names.
func (m *Manager) sortedSources() []*SourceDocument {
	all := m.sources.all()
	slices.SortFunc(all, func(a, b *SourceDocument) int { return cmp.Compare(a.Source, b.Source) })
	return all
}

// Silences returns a page of the silences that the query selects. If the query is not valid, it
// returns an error that wraps ErrBadQuery.
func (m *Manager) Silences(ctx context.Context, q SilenceQuery) (SilencePage, error) {
	if err := m.startOperation(ctx, "silences"); err != nil {
		return SilencePage{}, err
	}
	if err := validateLimit(q.Limit); err != nil {
		return SilencePage{}, err
	}
	from, err := parseSilenceCursor(q.Cursor)
	if err != nil {
		return SilencePage{}, err
	}
	page := SilencePage{Silences: []SilenceInfo{}, States: map[SilenceState]int{}}
	var selected []SilenceInfo
	for _, info := range m.silencesOf(q.Source) {
		if !q.selects(info.Silence) {
			continue
		}
		page.States[info.State]++
		if len(q.States) == 0 || slices.Contains(q.States, info.State) {
			selected = append(selected, info)
		}
	}
	page.Total = len(selected)
	slices.SortFunc(selected, func(a, b SilenceInfo) int { return a.position().compare(b.position()) })
	first := 0
	for from != nil && first < len(selected) && selected[first].position().compare(*from) <= 0 {
		first++
	}
	selected = selected[first:]
	if limit := cmp.Or(q.Limit, DefaultLimit); len(selected) > limit {
		selected = selected[:limit]
		page.Next = selected[limit-1].position().cursor()
	}
	page.Silences = append(page.Silences, selected...)
	m.addMuted(page.Silences)
	return page, nil
}

// AllSilences returns the silences of a source, in no particular order and without what they
// mute. An empty source means all.
func (m *Manager) AllSilences(ctx context.Context, source string) ([]SilenceInfo, error) {
	if err := m.startOperation(ctx, "all_silences"); err != nil {
		return nil, err
	}
	return m.silencesOf(source), nil
}

func (m *Manager) silencesOf(source string) (all []SilenceInfo) {
	now := m.clock.Now()
	for _, d := range m.sources.all() {
		if source != "" && source != d.Source {
			continue
		}
		for _, s := range d.Silences {
			all = append(all, s.info(d.Source, now))
		}
	}
	return all
}

// selects reports whether the query selects a silence, whatever its state.
func (q *SilenceQuery) selects(s *Silence) bool {
	for _, m := range q.Matchers {
		if !slices.ContainsFunc(slices.Concat(s.MatcherSets...), func(o SilenceMatcher) bool { return o.Name == m.Name && m.Matches(o.Value) }) {
			return false
		}
	}
	return !slices.ContainsFunc(q.Words, func(word string) bool { return !s.mentions(strings.ToLower(word)) })
}

// mentions reports whether the silence contains the word, which is in lower case.
func (s *Silence) mentions(word string) bool {
	has := func(text string) bool { return strings.Contains(strings.ToLower(text), word) }
	return has(s.CreatedBy) || has(s.Comment) || slices.ContainsFunc(slices.Concat(s.MatcherSets...), func(m SilenceMatcher) bool {
		return has(m.Name) || has(m.Value)
	})
}

// info returns the silence without what it mutes.
func (s *Silence) info(source string, now time.Time) SilenceInfo {
	info := SilenceInfo{Silence: s, Source: source, State: s.StateAt(now), End: s.End}
	if info.State == SilenceExpired && info.End == EndNone {
		info.End = EndTime // its end is written soon
	}
	return info
}

// silencePosition is the position of a silence in a list.
type silencePosition struct {
	state, number int64
	source, id    string
}

func (i *SilenceInfo) position() silencePosition {
	p := silencePosition{int64(slices.Index(SilenceStates(), i.State)), i.EndsAt.UnixMilli(), i.Source, i.ID}
	switch i.State {
	case SilencePending:
		p.number = i.StartsAt.UnixMilli()
	case SilenceExpired:
		p.number = -p.number
	case SilenceActive:
	}
	return p
}

func (p silencePosition) compare(o silencePosition) int {
	return cmp.Or(cmp.Compare(p.state, o.state), cmp.Compare(p.number, o.number), cmp.Compare(p.source, o.source), cmp.Compare(p.id, o.id))
}

func (p silencePosition) cursor() string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %d %s %s", p.state, p.number, p.source, p.id))
}

func parseSilenceCursor(cursor string) (*silencePosition, error) {
	if cursor == "" {
		return nil, nil //nolint:nilnil // the first page has no position
	}
	var p silencePosition
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil {
		_, err = fmt.Sscanf(string(text), "%d %d %s %s", &p.state, &p.number, &p.source, &p.id)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: cursor: not a cursor from an earlier response", ErrBadQuery)
	}
	return &p, nil
}

// addMuted adds to each silence the alerts that it mutes and muted, and the others that it
// matches.
func (m *Manager) addMuted(all []SilenceInfo) {
	type key struct{ source, id string }
	byID := make(map[key]*SilenceInfo, len(all))
	matchers := make([]silenceMatchers, len(all))
	for i := range all {
		byID[key{all[i].Source, all[i].ID}] = &all[i]
		if all[i].State != SilenceExpired {
			matchers[i] = compileMatchers(all[i].MatcherSets)
		}
	}
	groups := m.index.all()
	slices.SortFunc(groups, func(a, b *AlertGroup) int { return cmp.Compare(a.ID, b.ID) })
	for _, g := range groups {
		memory := m.observed.known(g.Source)
		for _, muted := range g.Mutes {
			a := g.Alert(muted.Fingerprint)
			if a == nil {
				continue
			}
			for _, mute := range muted.Mutes {
				s := byID[key{g.Source, mute.ID}]
				if s == nil || mute.Kind != MuteSilence {
					continue
				}
				sa := SilencedAlert{ExpectedAlert: ExpectedAlert{g, a}, Mute: mute}
				if memory != nil {
					sa.LastSeen = memory.lastSeen(a.Fingerprint, mute)
				}
				s.Muted = append(s.Muted, sa)
			}
		}
		for i := range all {
			all[i].addExpected(matchers[i], g)
		}
	}
	for i := range all {
		slices.SortStableFunc(all[i].Muted, func(a, b SilencedAlert) int {
			return cmp.Or(-compareBools(a.Mute.Active(), b.Mute.Active()), a.Mute.Since.Compare(b.Mute.Since))
		})
	}
}

func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// addExpected adds the alerts of a group that the silence matches and does not mute yet.
func (i *SilenceInfo) addExpected(matchers silenceMatchers, g *AlertGroup) {
	if len(matchers) == 0 || g.Source != i.Source || g.Counts.Resolved == len(g.Alerts) {
		return
	}
	for _, a := range g.Alerts {
		if a.Status == StatusResolved || !matchers.match(a.Labels) {
			continue
		}
		if m := a.muted.find(Mute{Kind: MuteSilence, ID: i.ID}); m == nil || !m.Active() {
			i.Expected = append(i.Expected, ExpectedAlert{g, a})
		}
	}
}

// silenceMatchers are the matchers of a silence: an alert must match all of one set.
type silenceMatchers []labels.Matchers

// compileMatchers returns the matchers. A set that cannot be compiled is left out: it matches
// nothing here, and Alertmanager decides what it mutes.
func compileMatchers(sets [][]SilenceMatcher) (compiled silenceMatchers) {
	types := map[string]labels.MatchType{
		"=": labels.MatchEqual, "!=": labels.MatchNotEqual, "=~": labels.MatchRegexp, "!~": labels.MatchNotRegexp,
	}
	for _, set := range sets {
		ms := make(labels.Matchers, 0, len(set))
		for _, sm := range set {
			t, ok := types[sm.Type]
			if !ok {
				break
			}
			m, err := labels.NewMatcher(t, sm.Name, sm.Value)
			if err != nil {
				break
			}
			ms = append(ms, m)
		}
		if len(ms) == len(set) && len(ms) > 0 {
			compiled = append(compiled, ms)
		}
	}
	return compiled
}

func (sm silenceMatchers) match(l Labels) bool {
	return slices.ContainsFunc(sm, func(ms labels.Matchers) bool { return AllMatch(ms, l) })
}
