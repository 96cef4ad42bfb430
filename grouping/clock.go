package grouping

import (
	"crypto/rand"
	"encoding/hex"
	"sync"
	"time"
)

// Clock hands out stamps that strictly increase. It is safe for concurrent use.
//
// Before the first Sync, a Clock shows the host's time. Sync compares it with the
// clock that all replicas share. From then on, the monotonic clock advances it. So
// if somebody sets the host's clock, this process still does not write stamps that
// are older than those of the other replicas.
type Clock struct {
	host   func() time.Time     // the time of day, which may step
	uptime func() time.Duration // never steps
	writer string

	mu        sync.Mutex
	last      uint64        // guarded by mu; the reading of the newest stamp
	followed  Stamp         // guarded by mu; the newest stamp to which the clock was advanced
	hostStart time.Time     // guarded by mu; the host's time at uptime zero; zero before the first Sync
	offset    time.Duration // guarded by mu; the shared clock minus the host's clock
}

const (
	// maxSuccessors is how many stamps after its own newest one a clock still
	// follows, even if they are ahead of the time. Replicas wrote them to
	// supersede that stamp, and the next stamp must supersede theirs.
	maxSuccessors = 1 << 15
	// maxRestored is how far a stored stamp may be ahead of a clock that is not
	// synchronized. It is larger than the error of a wrong time zone.
	maxRestored = 24 * time.Hour
)

// NewClock returns a clock of this host with a new random writer ID.
func NewClock() *Clock { return NewClockOf(hostTime, uptime) }

// NewClockOf returns a clock that reads the time of day from host, and the time
// since a fixed moment from uptime. uptime must never step.
func NewClockOf(host func() time.Time, uptime func() time.Duration) *Clock {
	var b [writerLen / 2]byte
	_, _ = rand.Read(b[:]) // documented never to fail
	return &Clock{host: host, uptime: uptime, writer: hex.EncodeToString(b[:])}
}

// Writer returns the ID of this process, which ends all its stamps.
func (c *Clock) Writer() string { return c.writer }

// Stamp returns the next stamp.
func (c *Clock) Stamp() Stamp {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = max(c.last+1, clockReading(c.nowLocked()))
	return stampOfReading(c.last, c.writer)
}

// Now returns the corrected time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nowLocked()
}

// nowLocked does the work of Now. The caller holds mu.
func (c *Clock) nowLocked() time.Time {
	if c.hostStart.IsZero() {
		return c.host()
	}
	return c.hostStart.Add(c.uptime() + c.offset)
}

// Observe advances the clock to a stamp of another process, so that the next stamp
// of this process is greater. It ignores a stamp from the far future and returns
// false.
func (c *Clock) Observe(s Stamp) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.advanceLocked(s, maxSkew)
}

// advanceLocked advances the clock to the stamp. It returns false, and changes nothing, if
// the stamp is more than skew ahead. The caller holds mu.
func (c *Clock) advanceLocked(s Stamp, skew time.Duration) bool {
	if s <= c.followed {
		return true // without decoding it: a restore has many stamps
	}
	if reading := s.reading(); reading > c.last {
		if reading > max(clockReading(c.nowLocked().Add(skew)), c.last+maxSuccessors) {
			return false
		}
		c.last, c.followed = reading, s
	}
	return true
}

// ObserveGroup advances the clock to the newest stamp of the group, which may be
// nil. It does not look at the alerts, because no alert is newer than its group's
// own fields.
func (c *Clock) ObserveGroup(g *AlertGroup) {
	if g != nil {
		c.Observe(g.Stamp)
		c.Observe(g.Deleted)
	}
}

// restore advances the clock to a stamp that was stored before this process
// started. Without a shared clock, only this host wrote stamps. If they are ahead,
// the host's clock was set back since, so restore accepts a larger difference.
func (c *Clock) restore(s Stamp) {
	c.mu.Lock()
	defer c.mu.Unlock()
	skew := maxSkew
	if c.hostStart.IsZero() {
		skew = maxRestored
	}
	c.advanceLocked(s, skew)
}

// Sync corrects the clock by the clock that all replicas share. read returns the
// time of that clock, or a zero time if there is no such clock.
func (c *Clock) Sync(read func() (time.Time, error)) error {
	sent := c.uptime()
	reading, err := read()
	if err != nil || reading.IsZero() {
		return err
	}
	c.adjust(c.uptime()-sent, reading)
	return nil
}

// adjust corrects the offset by a reading of the shared clock. The reading was made
// at an unknown moment of the round trip that ends now, so it only limits the
// offset. adjust changes the offset by no more than these limits require: after a
// long round trip, a reading says little.
func (c *Clock) adjust(roundTrip time.Duration, reading time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hostStart.IsZero() {
		c.hostStart = c.host().Add(-c.uptime())
	}
	received := c.hostStart.Add(c.uptime())
	c.offset = min(max(c.offset, reading.Sub(received)), reading.Sub(received.Add(-roundTrip)))
}
