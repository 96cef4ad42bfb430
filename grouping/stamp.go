package grouping

import (
	"fmt"
	"strconv"
	"time"
)

// Stamp says when a record was written, and by whom: a hybrid logical clock
// (48 bits of Unix milliseconds, 16 bits of counter) and the random id of the
// writing process, as 32 hex digits. Text order is time order, and no two
// writes share a stamp. The empty stamp is before every other.
type Stamp string

const (
	stampLen  = 32
	writerLen = 16

	// maxSkew is how far a stamp may lie ahead of the clock before it is held
	// to come from a broken one. Clocks are corrected against Redis TIME, so a
	// healthy replica is within milliseconds.
	maxSkew = 10 * time.Second
)

// NewStamp returns the stamp of the given time, counter and writer (16 hex
// digits).
func NewStamp(t time.Time, counter uint16, writer string) Stamp {
	return stampOfReading(clockReading(t)|uint64(counter), writer)
}

func stampOfReading(reading uint64, writer string) Stamp {
	return Stamp(fmt.Sprintf("%016x%s", reading, writer))
}

func clockReading(t time.Time) uint64 {
	return uint64(min(max(t.UnixMilli(), 0), 1<<48-1)) << 16
}

// Valid reports whether the stamp is well formed.
func (s Stamp) Valid() bool { return len(s) == stampLen && isLowerHex(string(s)) }

// Time returns the stamp's time, in whole milliseconds, UTC.
func (s Stamp) Time() time.Time {
	if s == "" {
		return time.Time{}
	}
	return time.UnixMilli(int64(s.reading() >> 16)).UTC()
}

// Writer returns the id of the process that took the stamp.
func (s Stamp) Writer() string {
	if !s.Valid() {
		return ""
	}
	return string(s[stampLen-writerLen:])
}

func (s Stamp) reading() uint64 {
	if !s.Valid() {
		return 0
	}
	n, err := strconv.ParseUint(string(s[:stampLen-writerLen]), 16, 64)
	if err != nil {
		return 0
	}
	return n
}

// supersedes returns the stamp that a write stamped s gives to a record that
// carries old: s itself, or, where old lies in the far future, the first stamp
// after old. So a replica whose clock stood in 2036 loses to the next write
// instead of winning for good.
func (s Stamp) supersedes(old Stamp) Stamp {
	if s > old {
		return s
	}
	return stampOfReading(old.reading()+1, s.Writer())
}

// isLate reports whether a write stamped s arrived before what is already
// recorded under old, by clocks that can be believed.
func (s Stamp) precedes(old Stamp) bool {
	return s <= old && old.Time().Sub(s.Time()) <= maxSkew
}

// deletion returns the stamp of a removal at s from the group: after all that
// it removes, even where that carries stamps of a clock that ran ahead.
func deletionStamp(g *AlertGroup, s Stamp) Stamp {
	s = s.supersedes(g.Stamp)
	for _, a := range g.Alerts {
		s = s.supersedes(a.Stamp)
	}
	return s
}
