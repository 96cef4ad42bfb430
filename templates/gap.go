package templates

import (
	"time"

	"muster/grouping"
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
