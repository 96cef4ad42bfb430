package grouping

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

// SilenceWrite is the last change of a silence that a person made through Muster.
type SilenceWrite struct {
	By Person `json:",embed"`

	// ID names the write, so that the history has it once. Request is a hash of what the person
	// asked for, so that the same question again finds the silence. It can be "".
	ID      string `json:"id"`
	Request string `json:"request,omitempty"`
	// Kind says what the person did: EventSilenceCreated, EventSilenceChanged or
	// EventSilenceExpired. At is when Alertmanager answered, in Muster's clock.
	Kind EventKind `json:"kind"`
	At   time.Time `json:"at"`
	// Confirmed is true if Alertmanager told of the silence after that.
	Confirmed bool `json:"confirmed,omitzero"`
}

func (w *SilenceWrite) equal(o *SilenceWrite) bool {
	if w == nil || o == nil {
		return w == o
	}
	return w.By == o.By && w.ID == o.ID && w.Request == o.Request && w.Kind == o.Kind && w.At.Equal(o.At) && w.Confirmed == o.Confirmed
}

// confirmed returns the write after Alertmanager told of it.
func (w *SilenceWrite) confirmed() *SilenceWrite {
	if w == nil || w.Confirmed {
		return w
	}
	next := *w
	next.Confirmed = true
	return &next
}

// Unconfirmed returns the last change through Muster if Alertmanager did not tell of it yet, or
// nil.
func (s *Silence) Unconfirmed() *SilenceWrite {
	if s.Write == nil || s.Write.Confirmed {
		return nil
	}
	return s.Write
}

// maxUnconfirmed is how long a change through Muster outweighs an older state that Alertmanager
// tells of late. Its clock can differ, so it is not for ever.
const maxUnconfirmed = time.Minute

// yieldsTo reports whether a state that Alertmanager tells of replaces the unconfirmed change of s.
// The event recorder can tell of the state before the change only after it.
func (s *Silence) yieldsTo(told *Silence, now time.Time) bool {
	agrees := s.IsSame(told)
	if s.Write.Kind == EventSilenceExpired {
		agrees = told.endedEarly()
	}
	return agrees || told.UpdatedAt.After(s.Write.At) || now.Sub(s.Write.At) > maxUnconfirmed
}

// ChangedAt returns when the silence was last changed, as far as it is known.
func (s *Silence) ChangedAt() time.Time {
	if w := s.Unconfirmed(); w != nil {
		return w.At
	}
	return s.UpdatedAt
}

// silenceWrites are the changes of silences that are on their way to an Alertmanager. The event
// recorder and the poller can tell of a change before its answer arrives. With this list the
// history still has who made it, and has it once.
type silenceWrites struct {
	mu  sync.Mutex
	all []plannedWrite // guarded by mu
}

type plannedWrite struct {
	source  string
	silence Silence // with the Write
}

// PlanSilence announces a change of a silence through Muster, which its Write describes. end ends
// the announcement, after RecordSilence.
func (m *Manager) PlanSilence(source string, s Silence) (end func()) {
	w := &m.silenceWrites
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, plannedWrite{source, s})
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.all = slices.DeleteFunc(w.all, func(p plannedWrite) bool { return p.silence.Write.ID == s.Write.ID })
	}
}

// find returns the write that made the change from old to s, or nil.
func (w *silenceWrites) find(source string, old, s *Silence, now time.Time) *SilenceWrite {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.all {
		if p := &w.all[i]; p.source == source && p.silence.explains(old, s, now) {
			return p.silence.Write
		}
	}
	return nil
}

// explains reports whether the planned silence made the change from old to is. If old is nil,
// the silence has an ID that the plan could not know.
func (s *Silence) explains(old, is *Silence, now time.Time) bool {
	ended := is.StateAt(now) == SilenceExpired
	switch {
	case s.Write.Kind == EventSilenceExpired:
		return s.ID == is.ID && is.endedEarly()
	case ended:
		return false
	case old != nil:
		return s.ID == is.ID && sameMillisecond(s.EndsAt, is.EndsAt)
	default:
		return s.IsSame(is)
	}
}

// IsSame reports whether two silences mute the same, until the same time, by the same creator
// for the same reason. Their IDs may differ.
func (s *Silence) IsSame(o *Silence) bool {
	return s.CreatedBy == o.CreatedBy && s.Comment == o.Comment && sameMillisecond(s.EndsAt, o.EndsAt) &&
		slices.EqualFunc(s.MatcherSets, o.MatcherSets, func(a, b []SilenceMatcher) bool {
			return slices.Equal(sortedMatchers(a), sortedMatchers(b))
		})
}

// sortedMatchers returns the matchers in one order. Alertmanager sorts those that it gets.
func sortedMatchers(all []SilenceMatcher) []SilenceMatcher {
	return slices.SortedFunc(slices.Values(all), func(a, b SilenceMatcher) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Value, b.Value))
	})
}

// RecordSilence records a silence as a person changed it through Muster, which its Write says.
// Alertmanager accepted the change. Until it tells of the silence, the change is not confirmed.
func (m *Manager) RecordSilence(ctx context.Context, source string, s Silence) error {
	if err := m.startOperation(ctx, "record_silence"); err != nil {
		return err
	}
	err := m.writeSource(ctx, source, func(base *SourceDocument, log *eventLog) *SourceDocument {
		next, ok := s.written(base.Silences[s.ID], m.clock.Now(), log)
		if !ok {
			return nil
		}
		return base.WithSilences(log.stamp, next)
	})
	if err != nil {
		return err
	}
	return m.unmuteEnded(ctx, source)
}

// written returns the silence after the write, and adds its event. It returns false if the history
// has the write already. old may be nil.
func (s *Silence) written(old *Silence, now time.Time, log *eventLog) (next Silence, ok bool) {
	if old == nil {
		next = *s
		next.UpdatedAt = time.Time{} // whatever Alertmanager says is newer
		if s.Write.Kind == EventSilenceExpired {
			next.EndedAt, next.End = s.EndsAt, EndEarly
		}
		log.addForSilence(s.Write.Kind, &next, time.Time{}, &s.Write.By)
		return next, true
	}
	if old.Write != nil && old.Write.ID == s.Write.ID {
		return next, false
	}
	next = *old
	if old.IsSame(s) || s.Write.Kind == EventSilenceExpired && old.StateAt(now) == SilenceExpired {
		// Another replica knew it first, and could not know who did it.
		next.Write = s.Write.confirmed()
		log.addForSilence(EventSilenceChanged, &next, next.EndsAt, &s.Write.By)
		return next, true
	}
	next.Write, next.EndsAt, next.EndedAt, next.End = s.Write, s.EndsAt, time.Time{}, EndNone
	if s.Write.Kind == EventSilenceExpired {
		next.EndedAt, next.End = s.EndsAt, EndEarly
	} else {
		next.MatcherSets, next.StartsAt, next.CreatedBy, next.Comment = s.MatcherSets, s.StartsAt, s.CreatedBy, s.Comment
	}
	log.addForSilence(s.Write.Kind, &next, old.EndsAt, &s.Write.By)
	return next, true
}
