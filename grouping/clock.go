package grouping

import (
	"crypto/rand"
	"encoding/hex"
	"sync"
	"time"
)

// Clock hands out stamps that strictly increase. It is safe for concurrent use.
//
// A Clock that knows no other clock shows the host's time. After it was first
// held against the clock that all replicas share, it counts on from there with
// the monotonic clock. So a host whose clock is set does not write stamps that
// are older than those of the other replicas.
type Clock struct {
	host   func() time.Time     // the time of day, which may step
	uptime func() time.Duration // never steps
	writer string

	mu        sync.Mutex
	last      uint64        // guarded by mu; the reading of the newest stamp
	hostStart time.Time     // guarded by mu; the host's time at uptime zero, once shared
	offset    time.Duration // guarded by mu; from the host's clock to the shared one
}

const (
	// maxSuccessors is how many stamps after its own newest one a clock follows,
	// even if that one is ahead of the time. They were written by replicas that
	// superseded it, and the next stamp must supersede theirs.
	maxSuccessors = 1 << 15
	// maxRestored is how far a stored stamp may be ahead of a clock that knows
	// no other clock. It is more than a wrong time zone.
	maxRestored = 24 * time.Hour
)

// NewClock returns a clock of this host with a new random writer id.
func NewClock() *Clock { return NewClockOf(hostTime, uptime) }

// NewClockOf returns a clock over the given time of day and the given time since
// some fixed moment. The second one must never step.
func NewClockOf(host func() time.Time, uptime func() time.Duration) *Clock {
	var b [writerLen / 2]byte
	_, _ = rand.Read(b[:]) // documented never to fail
	return &Clock{host: host, uptime: uptime, writer: hex.EncodeToString(b[:])}
}

// Writer returns this process's id, the tail of its stamps.
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

// now is Now for callers that hold mu.
func (c *Clock) nowLocked() time.Time {
	if c.hostStart.IsZero() {
		return c.host()
	}
	return c.hostStart.Add(c.uptime() + c.offset)
}

// Observe moves the clock past a stamp seen from elsewhere, so that what this
// process writes next is ordered after it. A stamp from the far future is not
// followed; Observe reports false.
func (c *Clock) Observe(s Stamp) bool { return c.advance(s, maxSkew) }

func (c *Clock) advance(s Stamp, skew time.Duration) bool {
	reading := s.reading()
	c.mu.Lock()
	defer c.mu.Unlock()
	if reading > max(clockReading(c.nowLocked().Add(skew)), c.last+maxSuccessors) {
		return false
	}
	c.last = max(c.last, reading)
	return true
}

// ObserveGroup moves the clock past everything that the group, which may be
// nil, says. No alert is newer than its group's own fields.
func (c *Clock) ObserveGroup(g *AlertGroup) {
	if g != nil {
		c.Observe(g.Stamp)
		c.Observe(g.Deleted)
	}
}

// restore moves the clock past a stamp that was stored before this process
// began. If no clock is shared, the writer was on this host and the host's clock
// was set back since: its stamps are followed further.
func (c *Clock) restore(s Stamp) {
	c.mu.Lock()
	shared := !c.hostStart.IsZero()
	c.mu.Unlock()
	if shared {
		c.advance(s, maxSkew)
	} else {
		c.advance(s, maxRestored)
	}
}

// Sync holds the clock against the one that all replicas share, which read
// asks for its time. A zero time means that there is no such clock.
func (c *Clock) Sync(read func() (time.Time, error)) error {
	sent := c.uptime()
	reading, err := read()
	if err != nil || reading.IsZero() {
		return err
	}
	c.adjust(c.uptime()-sent, reading)
	return nil
}

// adjust takes in a reading of the shared clock that was made at some moment of
// the trip that ends now. It moves no further than the reading demands: one
// that was long on its way tells little.
func (c *Clock) adjust(trip time.Duration, reading time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hostStart.IsZero() {
		c.hostStart = c.host().Add(-c.uptime())
	}
	received := c.hostStart.Add(c.uptime())
	c.offset = min(max(c.offset, reading.Sub(received)), reading.Sub(received.Add(-trip)))
}
