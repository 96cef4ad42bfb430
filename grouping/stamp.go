package grouping

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"
)

// Stamp states when a record was written, and by which process. It has 32 hex
// digits: a hybrid logical timestamp (48 bits of Unix milliseconds, 16 bits of
// counter) and the random ID of the writing process. Text order is time order, and
// no two writes have the same stamp. The empty stamp is less than every other.
type Stamp string

// StampLen is the length of a stamp. It is the start of the text of a record.
const StampLen = 32

const (
	writerLen = 16

	// maxSkew is the maximum time by which a stamp may be ahead of the clock. A
	// stamp that is further ahead comes from a broken clock. Clocks are corrected
	// by Redis TIME, so healthy replicas differ by milliseconds.
	maxSkew = 10 * time.Second
)

// NewStamp returns the stamp of the given time, counter and writer. The writer has
// 16 hex digits.
func NewStamp(t time.Time, counter uint16, writer string) Stamp {
	return stampOfReading(clockReading(t)|uint64(counter), writer)
}

func stampOfReading(reading uint64, writer string) Stamp {
	var memory [StampLen]byte
	var bytes [8]byte
	binary.BigEndian.PutUint64(bytes[:], reading)
	return Stamp(append(hex.AppendEncode(memory[:0], bytes[:]), writer...))
}

func clockReading(t time.Time) uint64 {
	return uint64(min(max(t.UnixMilli(), 0), 1<<48-1)) << 16
}

// Valid reports whether the stamp is well formed.
func (s Stamp) Valid() bool { return len(s) == StampLen && isLowerHex(string(s)) }

// ParseStamp returns the text as a stamp. It returns an error if the text is not a
// valid stamp.
func ParseStamp(text string) (Stamp, error) {
	if s := Stamp(text); s.Valid() {
		return s, nil
	}
	return "", fmt.Errorf("%q is not a stamp", text)
}

// Time returns the stamp's time in UTC, with a precision of milliseconds. It is zero
// for an empty stamp.
func (s Stamp) Time() time.Time {
	if s == "" {
		return time.Time{}
	}
	return time.UnixMilli(int64(s.reading() >> 16)).UTC()
}

// Writer returns the ID of the process that made the stamp, or "" if the stamp is
// not valid.
func (s Stamp) Writer() string {
	if !s.Valid() {
		return ""
	}
	return string(s[StampLen-writerLen:])
}

func (s Stamp) reading() uint64 {
	if !s.Valid() {
		return 0
	}
	n, err := strconv.ParseUint(string(s[:StampLen-writerLen]), 16, 64)
	if err != nil {
		return 0
	}
	return n
}

// supersedes returns the stamp for a record that has the stamp old and is now
// written with stamp s. It returns s if s is greater, otherwise the next stamp after
// old. So a record from a clock that was years ahead loses against the next write,
// instead of winning for years.
func (s Stamp) supersedes(old Stamp) Stamp {
	if s > old {
		return s
	}
	return stampOfReading(old.reading()+1, s.Writer())
}

// precedes reports whether a notification with stamp s arrived no later than the
// recorded stamp old. It returns false if old is so far ahead that a broken clock
// made it.
func (s Stamp) precedes(old Stamp) bool {
	return s <= old && old.Time().Sub(s.Time()) <= maxSkew
}

// deletionStamp returns the stamp of a removal from the group at s. It is greater
// than the stamp of every record that is removed, even if a clock that was ahead
// made that stamp.
func deletionStamp(g *AlertGroup, s Stamp) Stamp {
	s = s.supersedes(g.Stamp)
	for _, a := range g.Alerts {
		s = s.supersedes(a.Stamp)
	}
	for _, m := range g.Mutes {
		s = s.supersedes(m.Stamp)
	}
	for _, a := range g.Acks {
		s = s.supersedes(a.Stamp)
	}
	for _, n := range g.Notes {
		s = s.supersedes(n.Stamp)
	}
	return s
}
