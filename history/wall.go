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
	// last-seen times, and what is disputed, may differ from those of that time.
	Groups []*grouping.AlertGroup
	// Gap is the gap that contains the time, or nil. Then the state is that before the gap.
	Gap *grouping.Gap
	// CausesKnown is false if nothing was heard of causes until then: no event recorder and
	// no poll told what mutes alerts.
	CausesKnown bool
}

// BeforeError means that a question is about a time before the history begins. It is an
// answer, not a fault.
type BeforeError struct{ At, KnownSince time.Time }

func (e *BeforeError) Error() string {
	text := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	return fmt.Sprintf("nothing is known of %s: the history begins at %s", text(e.At), text(e.KnownSince))
}
