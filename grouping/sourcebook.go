package grouping

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// sourceBook has the current documents of sources: all reads of silences and Alertmanagers
// are answered from it. It is safe for concurrent use.
type sourceBook struct {
	mu        sync.RWMutex
	documents map[string]*SourceDocument // guarded by mu; by source
	gaps      []Gap                      // guarded by mu; those of Muster's own document, oldest first; never written again
}

// get returns the document of the source. It is empty if nothing is known.
func (b *sourceBook) get(source string) *SourceDocument {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if d := b.documents[source]; d != nil {
		return d
	}
	return NewSourceDocument(source)
}

// put merges a document into the book. Two changes may arrive in the wrong order.
func (b *sourceBook) put(d *SourceDocument) *SourceDocument {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.documents == nil {
		b.documents = map[string]*SourceDocument{}
	}
	before := b.documents[d.Source]
	d = MergeSources(before, d)
	b.documents[d.Source] = d
	if d.Source == "" && !d.sameGaps(before) {
		b.gaps = d.sortedGaps()
	}
	return d
}

// all returns all documents, in no particular order.
func (b *sourceBook) all() []*SourceDocument {
	b.mu.RLock()
	defer b.mu.RUnlock()
	all := make([]*SourceDocument, 0, len(b.documents))
	for _, d := range b.documents {
		all = append(all, d)
	}
	return all
}

// openSilences returns the silences that have not expired.
func (b *sourceBook) openSilences(now time.Time) (open []SourceSilence) {
	for _, d := range b.all() {
		for _, s := range d.Silences {
			if s.StateAt(now) != SilenceExpired {
				open = append(open, SourceSilence{d.Source, s})
			}
		}
	}
	return open
}

// sourceChanged applies a change of a document to the book and the timers. The events are
// those of the change, if this process made it.
func (m *Manager) sourceChanged(d *SourceDocument, events ...Event) {
	if d == nil || d.IsTombstone() {
		return
	}
	before := m.sources.get(d.Source)
	d = m.sources.put(d)
	// A deadline that has passed is not in the queue any more, also if nothing changed.
	if next := d.nextSilenceEnd(); next.IsZero() {
		m.deadlines.remove(d.ID)
	} else {
		m.deadlines.set(d.ID, next)
	}
	if len(events) == 0 && (before.Equal(d) || d.Source == "" && d.sameGaps(before)) {
		return // a sign of life changes nothing that is shown
	}
	m.watch(Update{ID: d.ID, Source: d, Events: events})
	for _, g := range m.index.all() {
		if g.Source == d.Source && g.isMutedByChanged(before, d) {
			m.watch(Update{ID: g.ID, Before: g, Group: g}) // what is shown of its mutes changed
		}
	}
}

// isMutedByChanged reports whether a silence that mutes an alert of the group differs.
func (g *AlertGroup) isMutedByChanged(before, after *SourceDocument) bool {
	if g.Counts.Suppressed == 0 {
		return false
	}
	return slices.ContainsFunc(g.Mutes, func(am *AlertMutes) bool {
		return slices.ContainsFunc(am.Mutes, func(m Mute) bool {
			return m.Active() && m.Kind == MuteSilence && before.Silences[m.ID] != after.Silences[m.ID]
		})
	})
}

// restoreSources loads Muster's own document, and those of the sources that have groups or
// settings.
func (m *Manager) restoreSources(ctx context.Context) error {
	names := map[string]bool{"": true}
	for name := range m.index.currentTotals().Sources {
		names[name] = true
	}
	for _, r := range m.opts.Receivers {
		names[r.Source] = true
	}
	for name := range names {
		d, err := m.storage.LoadSource(ctx, name)
		if err != nil {
			return err
		}
		m.sourceChanged(d)
	}
	return nil
}

// sourcePlan returns the change of a document and its events. It returns nil if there is
// nothing to write.
type sourcePlan func(base *SourceDocument, log *eventLog) *SourceDocument

// writeSource is write for the document of a source.
func (m *Manager) writeSource(ctx context.Context, source string, plan sourcePlan) error {
	return m.changeSource(ctx, source, false, plan)
}

// changeSource does the work of writeSource. durableOnly is that of the SourceChange.
func (m *Manager) changeSource(ctx context.Context, source string, durableOnly bool, plan sourcePlan) error {
	unlock, err := m.queues.lock(ctx, SourceID(source))
	if err != nil {
		return err
	}
	defer unlock()
	base, err := m.storage.LoadSource(ctx, source)
	if err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		if base.Source != source {
			named := *base // a document is never written again
			named.Source = source
			base = &named
		}
		m.clock.Observe(base.Stamp)
		stamp := m.clock.Stamp()
		log := eventLog{stamp: stamp, key: Key{Source: source}}
		next := plan(base, &log)
		if next == nil {
			m.sourceChanged(base)
			return nil
		}
		c := SourceChange{
			Source: next, Base: base, Stamp: stamp, Events: log.events, Deferred: attempt > maxAttempts, DurableOnly: durableOnly,
		}
		stored, err := m.storage.StoreSource(ctx, c)
		if err == nil {
			m.sourceChanged(stored, c.Events...)
			return nil
		}
		theirs, err := m.afterConflict(ctx, err, c.Deferred, attempt)
		if err != nil {
			return err
		}
		base = MergeSources(base, AsSource(theirs))
	}
}

// nextSilenceEnd returns when the next silence ends whose end is not in the history, or zero.
func (d *SourceDocument) nextSilenceEnd() (next time.Time) {
	for _, s := range d.Silences {
		if s.EndedAt.IsZero() && (next.IsZero() || s.EndsAt.Before(next)) {
			next = s.EndsAt
		}
	}
	return next
}

// silenceEnd returns the end of a silence that ended, or zero.
func (d *SourceDocument) silenceEnd(id string, now time.Time) time.Time {
	if s := d.Silences[id]; s != nil && s.StateAt(now) == SilenceExpired {
		return s.EndsAt
	}
	return time.Time{}
}

// MaxSilences is the maximum number of silences that are kept for a source.
const MaxSilences = 10_000

// putSilences records silences of a source. announced is false if what told of them does not
// say that they are new.
func (m *Manager) putSilences(ctx context.Context, source string, silences []Silence, announced bool) error {
	if !m.sources.get(source).hasNews(silences, m.clock.Now()) {
		return nil
	}
	return m.writeSource(ctx, source, func(base *SourceDocument, log *eventLog) *SourceDocument {
		now := m.clock.Now()
		var news []Silence
		for i := range silences {
			s := silences[i]
			old := base.Silences[s.ID]
			if !isNews(old, &s, now) {
				continue
			}
			s.Write = m.silenceWrites.find(source, old, &s, now).confirmed()
			s.recordChange(old, announced, now, log)
			news = append(news, s)
		}
		if len(news) == 0 {
			return nil
		}
		next := base.WithSilences(log.stamp, news...)
		if old := next.excessSilences(now, m.opts.HistoryRetention); len(old) > 0 {
			next = next.WithoutSilences(log.stamp, old...)
		}
		return next
	})
}

// hasNews reports whether one of the silences says more than the document.
func (d *SourceDocument) hasNews(silences []Silence, now time.Time) bool {
	return slices.ContainsFunc(silences, func(s Silence) bool { return isNews(d.Silences[s.ID], &s, now) })
}

// isNews reports whether a silence says more than the known one, which may be nil. The times
// of the API have milliseconds only.
func isNews(old, s *Silence, now time.Time) bool {
	if old != nil && old.Unconfirmed() != nil {
		return s.UpdatedAt.Truncate(time.Millisecond).After(old.UpdatedAt) && old.yieldsTo(s, now)
	}
	return old == nil || s.UpdatedAt.Truncate(time.Millisecond).After(old.UpdatedAt) || s.FromAPI && !old.FromAPI
}

// recordChange completes a silence from what is known of it, and writes what happened to it
// into the history. old is nil if the silence was not known.
func (s *Silence) recordChange(old *Silence, announced bool, now time.Time, log *eventLog) {
	known := old != nil
	if !known {
		old = &Silence{}
	}
	if s.UpdatedAt.Truncate(time.Millisecond).Equal(old.UpdatedAt.Truncate(time.Millisecond)) {
		// The same from the API, with less exact times.
		s.StartsAt, s.EndsAt, s.UpdatedAt = old.StartsAt, old.EndsAt, old.UpdatedAt
	}
	s.FromAPI = s.FromAPI || old.FromAPI
	s.EndedAt, s.End, s.Unknown = old.EndedAt, old.End, old.Unknown
	var by *Person
	if s.Write != nil {
		by = &s.Write.By
	} else {
		s.Write = old.Write.confirmed()
	}
	// Its clock can be a little ahead, and then the end that a person made is still to come.
	ended := s.StateAt(now) == SilenceExpired || old.Unconfirmed() != nil && old.End == EndEarly && s.endedEarly()
	switch {
	case !known && ended:
		s.setEnd() // it was over at the first word of it
	case !known && (announced || s.Write != nil):
		log.addForSilence(EventSilenceCreated, s, time.Time{}, by)
	case known && ended && s.EndedAt.IsZero():
		s.setEnd()
		log.addForSilence(EventSilenceExpired, s, old.EndsAt, by)
	case known && !ended && (!s.EndsAt.Equal(old.EndsAt) || s.Comment != old.Comment || s.CreatedBy != old.CreatedBy):
		s.EndedAt, s.End = time.Time{}, EndNone
		log.addForSilence(EventSilenceChanged, s, old.EndsAt, by)
	}
}

// setEnd records that the silence ended.
func (s *Silence) setEnd() {
	s.EndedAt, s.End = s.EndsAt, EndTime
	if s.endedEarly() {
		s.End = EndEarly
	}
}

// addForSilence adds an event about a silence. by made the change through Muster, or is nil.
func (l *eventLog) addForSilence(kind EventKind, s *Silence, oldEnd time.Time, by *Person) {
	d := &SilenceChange{
		By: by, ID: s.ID, CreatedBy: s.CreatedBy, Comment: s.Comment, StartsAt: s.StartsAt, EndsAt: s.EndsAt, Early: s.End == EndEarly,
	}
	if len(s.MatcherSets) > 0 {
		d.Matchers = s.MatcherSets[0]
	}
	if !oldEnd.Equal(s.EndsAt) {
		d.OldEndsAt = oldEnd
	}
	l.add(Event{Kind: kind, ObservedAt: s.UpdatedAt, Silence: d})
}

// excessSilences returns the IDs of the silences that exceed their retention, and of the
// oldest expired ones beyond the maximum.
func (d *SourceDocument) excessSilences(now time.Time, retention time.Duration) (ids []string) {
	var expired []*Silence
	for _, s := range d.Silences {
		if s.StateAt(now) == SilenceExpired {
			expired = append(expired, s)
		}
	}
	slices.SortFunc(expired, func(a, b *Silence) int { return a.EndsAt.Compare(b.EndsAt) })
	excess := max(0, len(d.Silences)-MaxSilences)
	for i, s := range expired {
		if i >= excess && (retention <= 0 || now.Sub(s.EndsAt) <= retention) {
			break
		}
		ids = append(ids, s.ID)
	}
	return ids
}

// expireSilences writes the ends of silences into the history, and ends what they mute. If
// several replicas call it at once, only one writes the ends.
func (m *Manager) expireSilences(ctx context.Context, id ID) error {
	d := m.sources.byID(id)
	if d == nil {
		return nil
	}
	err := m.writeSource(ctx, d.Source, func(base *SourceDocument, log *eventLog) *SourceDocument {
		now := m.clock.Now()
		var changed []Silence
		for _, s := range base.Silences {
			if s.EndedAt.IsZero() && s.StateAt(now) == SilenceExpired {
				next := *s
				next.setEnd()
				changed = append(changed, next)
			}
		}
		if len(changed) == 0 {
			return nil
		}
		slices.SortFunc(changed, func(a, b Silence) int { return a.EndsAt.Compare(b.EndsAt) })
		for i := range changed {
			log.addForSilence(EventSilenceExpired, &changed[i], changed[i].EndsAt, nil)
		}
		return base.WithSilences(log.stamp, changed...)
	})
	if err != nil {
		return err
	}
	return m.unmuteEnded(ctx, d.Source)
}

// byID returns the document with the ID, or nil.
func (b *sourceBook) byID(id ID) *SourceDocument {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, d := range b.documents {
		if d.ID == id {
			return d
		}
	}
	return nil
}

// unmuteEnded ends the mutes of silences that ended, in all groups of the source.
func (m *Manager) unmuteEnded(ctx context.Context, source string) error {
	now, d := m.clock.Now(), m.sources.get(source)
	for _, g := range m.index.all() {
		if g.Source != source || len(g.mutesToEnd(d, now)) == 0 {
			continue
		}
		if _, err := m.UpdateGroupState(ctx, g.ID); err != nil && !errors.Is(err, ErrGroupNotFound) {
			return err
		}
	}
	return nil
}

// mutesToEnd returns the observations that end the mutes of silences that ended.
func (g *AlertGroup) mutesToEnd(d *SourceDocument, now time.Time) (ends []Observation) {
	done := map[string]bool{}
	for _, muted := range g.Mutes {
		for _, m := range muted.Mutes {
			if m.Kind != MuteSilence || !m.Active() || done[m.ID] {
				continue
			}
			if end := d.silenceEnd(m.ID, now); !end.IsZero() {
				done[m.ID] = true
				ends = append(ends, Observation{At: end, Unmuted: &m})
			}
		}
	}
	return ends
}
