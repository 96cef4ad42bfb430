package durable

import (
	"context"
	"iter"
	"time"

	"muster/grouping"
)

// StreamChunk is the number of events of a stream that are read at once: some
// hundred kilobytes.
const StreamChunk = 1000

// EventReader reads parts of a history for StreamEvents.
type EventReader struct {
	// Newest returns the ID of the newest event, or "" if there are no events.
	Newest func(ctx context.Context) (string, error)
	// After reads the next events of each place in which events are kept.
	After []ReadAfter
}

// ReadAfter returns the next events with greater IDs than after, oldest first. last is
// the greatest ID that was read, or "" if nothing is left. An event that cannot be
// decoded is left out, but counts for last. The result may use the memory.
type ReadAfter func(ctx context.Context, after string, memory Memory) (events []grouping.Event, last string, err error)

// Memory is what one part of a stream leaves to the next one.
type Memory struct {
	Decoder *grouping.EventDecoder
	Events  []grouping.Event // may be overwritten
}

// StreamEvents implements StreamEvents of grouping.GroupStorage. It merges the places by
// the IDs of their events.
func (r EventReader) StreamEvents(ctx context.Context, from time.Time) iter.Seq2[grouping.Event, error] {
	return func(yield func(grouping.Event, error) bool) {
		if ctx.Err() != nil {
			yield(grouping.Event{}, context.Cause(ctx))
			return
		}
		newest, err := r.Newest(ctx)
		if err != nil {
			yield(grouping.Event{}, err)
			return
		}
		ctx, cancel := context.WithCancel(ctx)
		places := make([]place, len(r.After))
		for i, read := range r.After {
			places[i] = place{read: read, memory: Memory{Decoder: &grouping.EventDecoder{}}, after: FirstID(from)}
		}
		defer func() {
			cancel()
			for i := range places {
				places[i].stop()
			}
		}()
		for {
			e, err := nextEvent(ctx, places, newest)
			if err != nil {
				yield(grouping.Event{}, err)
				return
			}
			if e == nil || !e.Time.Before(from) && !yield(*e, nil) {
				return
			}
		}
	}
}

// place is a place in which events are kept, and how far it was read.
type place struct {
	read   ReadAfter
	memory Memory
	after  string
	part   []grouping.Event // what was read last
	next   []grouping.Event // of part, what was not yet returned
	ended  bool
	long   bool // there was a part before this one
	// ahead gets the next part. It is nil if that is not being read.
	ahead chan readPart
}

// readPart is what a ReadAfter returned.
type readPart struct {
	events []grouping.Event
	last   string
	err    error
}

// nextEvent returns the oldest event of all places that was not returned yet. It returns
// nil if no place has an event that is not after the newest one.
func nextEvent(ctx context.Context, places []place, newest string) (*grouping.Event, error) {
	var oldest *place
	for i := range places {
		p := &places[i]
		if err := p.fill(ctx, newest); err != nil {
			return nil, err
		}
		if len(p.next) > 0 && (oldest == nil || p.next[0].ID < oldest.next[0].ID) {
			oldest = p
		}
	}
	if oldest == nil || oldest.next[0].ID > newest {
		return nil, nil
	}
	e := &oldest.next[0]
	oldest.next = oldest.next[1:]
	return e, nil
}

// fill reads until there is a next event, or until nothing is left. While the events of a part are
// used, the next part is read. A short stream is spared that.
func (p *place) fill(ctx context.Context, newest string) error {
	more := func() bool { return !p.ended && p.after < newest }
	for len(p.next) == 0 && more() {
		if p.ahead == nil {
			p.readAhead(ctx)
		}
		got := <-p.ahead
		if p.ahead = nil; got.err != nil {
			return got.err
		}
		p.ended = got.last <= p.after
		p.memory.Events = p.part
		p.part, p.next, p.after = got.events, got.events, max(p.after, got.last)
		if p.long && more() {
			p.readAhead(ctx)
		}
		p.long = true
	}
	return nil
}

// readAhead begins to read the next part. It uses the memory, which must not be used meanwhile.
func (p *place) readAhead(ctx context.Context) {
	ahead, after, memory := make(chan readPart, 1), p.after, p.memory
	p.ahead = ahead
	go func() {
		events, last, err := p.read(ctx, after, memory)
		ahead <- readPart{events, last, err}
	}()
}

// stop waits until nothing is being read.
func (p *place) stop() {
	if p.ahead != nil {
		<-p.ahead
	}
}
