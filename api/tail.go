package api

import (
	"context"
	"hash/maphash"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"muster/grouping"
)

// A tail is the history as NDJSON, and then every event that is stored later. It reads both
// from the storage. A change of this process or of another replica only says from when to
// read again. So a tail needs no copy of the events, and has those of all replicas.

const (
	// lateness is how much older than the time of a change its first event may be, if another
	// replica made the change. The changes of a group in the last second arrive as one.
	lateness = 5 * time.Second
	// outage is how much older than the time of a late change its first event may be: a replica
	// that cannot reach the storage writes everything later.
	outage = time.Hour
	// maxSeen is the number of written events that a tail remembers, so that it writes none
	// twice. They are those of some seconds in a storm.
	maxSeen = 1 << 15
	// tailShare is the inverse of the share of its time that a tail reads.
	tailShare = 5
)

// followEvents answers with the events that the query selects, and goes on with later ones. The
// query begins now, if it has no other time.
func (d *Door) followEvents(c *gin.Context, q grouping.EventQuery, now time.Time) {
	slot, ok := d.Exports.take(c, kindTail)
	if !ok {
		return
	}
	defer slot.Release()
	if q.Since.IsZero() {
		q.Since = now.Truncate(time.Millisecond) // the time of an event has no smaller unit
	}
	c.Header("X-Accel-Buffering", "no")
	head := answerHead{media: ndjsonMedia, file: fileName("events", "ndjson", now)}
	d.stream(c, 0, head, func(text *textStream) {
		t := &tail{door: d, query: q, out: &jsonStream{text}, seen: newSeenEvents()}
		t.run(c.Request.Context())
		d.Exports.countSlow(kindTail, text)
	})
}

// tail is one client that follows the history.
type tail struct {
	door    *Door
	query   grouping.EventQuery
	out     *jsonStream
	seen    *seenEvents
	written int
	quiet   bool // nothing was written since the last keep-alive
}

// run writes events until the client disconnects, the hub closes, or the limit is reached.
func (t *tail) run(ctx context.Context) {
	hub, opts := t.door.Hub, t.door.Exports.opts
	news := hub.watchNews()
	defer hub.unwatchNews(news)
	keepAlive := time.NewTicker(opts.KeepAlive)
	defer keepAlive.Stop()
	pause := time.NewTimer(0)
	defer pause.Stop()
	var changed <-chan struct{} // nil during a pause
	t.read(ctx, t.query.Since)
	for t.out.flush(); !t.ended(); {
		select {
		case <-ctx.Done():
			t.out.disconnect(context.Cause(ctx))
			return
		case <-hub.done:
			return
		case <-changed:
			changed = nil
			started := time.Now()
			t.read(ctx, news.take())
			pause.Reset(max(opts.TailInterval, (tailShare-1)*time.Since(started)))
		case <-pause.C:
			changed = news.changed
		case <-keepAlive.C:
			// What no change told of is read here, such as what was written back after a fault.
			t.read(ctx, time.Now().Add(-opts.KeepAlive-lateness))
			t.keepAlive()
		}
	}
}

// ended reports whether the tail writes nothing any more.
func (t *tail) ended() bool {
	return t.out.failed() || t.query.Limit > 0 && t.written >= t.query.Limit
}

// read writes the events since a time that the client does not have.
func (t *tail) read(ctx context.Context, from time.Time) {
	q, before := t.query, t.written
	q.Limit = 0
	if from.After(q.Since) {
		q.Since = from
	}
	t.out.fail(t.door.eachEvent(ctx, q, func(e *grouping.Event) bool {
		if t.seen.add(e.ID) {
			t.out.writeEventLine(e)
			t.written++
		}
		return !t.ended()
	}))
	if t.written > before {
		t.quiet = false
		t.out.flush()
	}
}

// keepAlive writes an empty line if no event was written for a while.
func (t *tail) keepAlive() {
	if t.quiet {
		t.out.writeRaw("\n")
		t.out.flush()
	}
	t.quiet = true
}

// seenEvents remembers the last events that a tail wrote.
type seenEvents struct {
	seed   maphash.Seed
	known  map[uint64]bool // the hashes of the IDs in last
	last   []seenEvent     // a ring; if it is full, the oldest is at next
	next   int
	newest string // the greatest ID
	// floor is the greatest time of a forgotten event. An event that is not newer may have
	// been written.
	floor uint64
}

type seenEvent struct{ hash, time uint64 }

func newSeenEvents() *seenEvents {
	return &seenEvents{seed: maphash.MakeSeed(), known: map[uint64]bool{}}
}

// add remembers an event. It returns false if the event is known, or so old that it may be.
func (s *seenEvents) add(id string) bool {
	added := seenEvent{maphash.String(s.seed, id), timeOf(id)}
	if id <= s.newest && (s.known[added.hash] || added.time <= s.floor) {
		return false
	}
	if id > s.newest {
		s.newest = strings.Clone(id)
	}
	s.known[added.hash] = true
	if len(s.last) < maxSeen {
		s.last = append(s.last, added)
		return true
	}
	forgotten := &s.last[s.next]
	delete(s.known, forgotten.hash)
	s.floor = max(s.floor, forgotten.time)
	*forgotten = added
	s.next = (s.next + 1) % maxSeen
	return true
}

// timeOf returns the time in the ID of an event as a number.
func timeOf(id string) uint64 {
	const digits = 16
	t, _ := strconv.ParseUint(id[:min(len(id), digits)], 16, 64) // IDs are hexadecimal
	return t
}
