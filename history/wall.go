package history

import (
	"fmt"
	"time"

	"muster/grouping"
)

// Wall is the state of all groups at a time of the past, as Muster knew it then.
type Wall struct {
	// At is the time of the state. KnownSince is the earliest time that can be asked for.
	At, KnownSince time.Time
	// Groups are in no particular order. They are immutable. Their versions, counters and
	// last-seen times, and what is disputed, may differ from those of that time. None is
	// settling.
	Groups []*grouping.AlertGroup
	// Gap is the gap that contains the time, or nil. Then the state is that before the gap.
	Gap *grouping.Gap
	// Silences are the silences as they were then, as far as the history tells of them.
	Silences Silences
	// CausesKnown is false if nothing was heard of causes until then: no event recorder and
	// no poll told what mutes alerts.
	CausesKnown bool
}

// Silence returns a silence as it was at that time, or nil if it is not known. now is what is known
// of it today, or nil. If the history does not tell of the silence, and it changed since, its end
// and its comment are left out.
func (w *Wall) Silence(source, id string, now *grouping.Silence) *grouping.Silence {
	switch known := w.Silences[SilenceID{source, id}]; {
	case known != nil:
		return known
	case now == nil || !now.UpdatedAt.After(w.At):
		return now
	}
	then := *now
	then.EndsAt, then.Comment = time.Time{}, ""
	return &then
}

// Silences are silences by their source and ID. They are immutable.
type Silences map[SilenceID]*grouping.Silence

// SilenceID names a silence of a source.
type SilenceID struct{ Source, ID string }

// SilencesOf returns the silences of a checkpoint.
func SilencesOf(list []grouping.SourceSilence) Silences {
	all := make(Silences, len(list))
	for _, s := range list {
		all[SilenceID{s.Source, s.Silence.ID}] = s.Silence
	}
	return all
}

// apply applies what an event says about a silence.
func (all Silences) apply(e *grouping.Event) {
	said := e.Silence
	if said == nil {
		return
	}
	id := SilenceID{e.Source, said.ID}
	next := grouping.Silence{ID: said.ID}
	if known := all[id]; known != nil {
		next = *known
	} else if len(said.Matchers) > 0 {
		next.MatcherSets = [][]grouping.SilenceMatcher{said.Matchers}
	}
	next.CreatedBy, next.Comment, next.StartsAt, next.EndsAt = said.CreatedBy, said.Comment, said.StartsAt, said.EndsAt
	all[id] = &next
}

// BeforeError means that a question is about a time before the history begins. It is an
// answer, not a fault.
type BeforeError struct{ At, KnownSince time.Time }

func (e *BeforeError) Error() string {
	text := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	return fmt.Sprintf("nothing is known of %s: the history begins at %s", text(e.At), text(e.KnownSince))
}
