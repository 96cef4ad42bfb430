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
		var decoder grouping.EventDecoder
		places := make([]place, len(r.After))
		for i, read := range r.After {
			places[i] = place{read: read, memory: Memory{Decoder: &decoder}, after: FirstID(from)}
		}
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
	next   []grouping.Event // read, but not yet returned
	ended  bool
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

// fill reads until there is a next event, or until nothing is left.
func (p *place) fill(ctx context.Context, newest string) error {
	for len(p.next) == 0 && !p.ended && p.after < newest {
		events, last, err := p.read(ctx, p.after, p.memory)
		if err != nil {
			return err
		}
		p.ended = last <= p.after
		p.next, p.memory.Events, p.after = events, events, max(p.after, last)
	}
	return nil
}
