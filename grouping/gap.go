package grouping

import "time"

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
