package templates

import (
	"math"
	"strconv"
	"time"
)

// Moment is a point in time as pages show it: how long ago, and when.
type Moment struct {
	At    time.Time
	ISO   string // machine readable, for the script
	Age   string // 14m 41s
	Clock string // Nov 22 23:32
	Skew  bool   // lies ahead of the server's clock
}

// Known reports whether there is such a moment.
func (m Moment) Known() bool { return !m.At.IsZero() }

// moment shows t as seen at now. The zero time gives the zero Moment.
func newMoment(t, now time.Time) Moment {
	if t.IsZero() {
		return Moment{}
	}
	t = t.UTC()
	return Moment{
		At: t, ISO: t.Format("2006-01-02T15:04:05Z"), Age: Age(now.Sub(t)), Clock: formatClock(t, now),
		// A second of skew is every machine's.
		Skew: t.Sub(now) > time.Second,
	}
}

// clock leaves out the year while it is the reader's.
func formatClock(t, now time.Time) string {
	if t.Year() != now.UTC().Year() {
		return t.UTC().Format("2006 Jan 2 15:04")
	}
	return t.UTC().Format("Jan 2 15:04")
}

// Age writes a duration in two units, the largest that it has: 48s, 14m 41s,
// 1h 7m, 3d 0h. Below an hour it always tells seconds: the trend matters at
// 3 am. A negative one is 0s: clocks differ, and -3m helps nobody.
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

// count writes n with thin groups of three digits: 1 442.
func formatCount(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

// cut is a number of truncated alerts, which comes from the wire, as an int.
func truncatedCount(n uint64) int {
	return int(min(n, math.MaxInt32))
}

// plural joins a count with its word.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return formatCount(n) + " " + many
}
