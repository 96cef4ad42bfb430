package templates

import (
	"math"
	"strconv"
	"time"
)

// Moment is a point in time as pages show it: its age and its clock time.
type Moment struct {
	At    time.Time
	ISO   string // for the script
	Age   string // 14m 41s
	Clock string // Nov 22 23:32
	Skew  bool   // it is ahead of the server's clock
}

// Known reports whether the moment is set.
func (m Moment) Known() bool { return !m.At.IsZero() }

// newMoment returns t as a page made at now shows it. A zero t gives a zero
// Moment.
func newMoment(t, now time.Time) Moment {
	if t.IsZero() {
		return Moment{}
	}
	t = t.UTC()
	return Moment{
		At: t, ISO: t.Format("2006-01-02T15:04:05Z"), Age: Age(now.Sub(t)), Clock: formatClock(t, now),
		// Clocks of different machines always differ a little.
		Skew: t.Sub(now) > time.Second,
	}
}

// formatClock writes t in UTC. It omits the year if it is the year of now.
func formatClock(t, now time.Time) string {
	if t.Year() != now.UTC().Year() {
		return t.UTC().Format("2006 Jan 2 15:04")
	}
	return t.UTC().Format("Jan 2 15:04")
}

// Age writes a duration in its two largest units: 48s, 14m 41s, 1h 7m, 3d 0h.
// Below an hour it always has seconds, so that a reader sees it change. A
// negative duration is written as 0s, because it comes from clock skew only.
func Age(d time.Duration) string {
	const day = 24 * time.Hour
	two := func(big time.Duration, b string, small time.Duration, s string) string {
		return strconv.FormatInt(int64(d/big), 10) + b + " " + strconv.FormatInt(int64(d%big/small), 10) + s
	}
	switch {
	case d < 0:
		return "0s"
	case d < time.Minute:
		return strconv.FormatInt(int64(d/time.Second), 10) + "s"
	case d < time.Hour:
		return two(time.Minute, "m", time.Second, "s")
	case d < day:
		return two(time.Hour, "h", time.Minute, "m")
	default:
		return two(day, "d", time.Hour, "h")
	}
}

// formatCount writes n with a narrow space between groups of three digits:
// 1 442.
func formatCount(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

// truncatedCount returns a number of truncated alerts as an int. The number comes
// from the network and can be too large for an int.
func truncatedCount(n uint64) int {
	return int(min(n, math.MaxInt32))
}

// plainly returns the word that fits n, without n.
func plainly(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// plural writes n and the word that fits it: "1 group", "3 groups".
func plural(n int, one, many string) string {
	return formatCount(n) + " " + plainly(n, one, many)
}
