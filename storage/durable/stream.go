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
	// After returns the next events with greater IDs than after, oldest first. last
	// is the greatest ID that was read, or "" if nothing is left. An event that
	// cannot be decoded is left out, but counts for last.
	After func(ctx context.Context, after string) (events []grouping.Event, last string, err error)
}

// StreamEvents implements StreamEvents of grouping.GroupStorage.
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
		for after := FirstID(from); after < newest; {
			events, last, err := r.After(ctx, after)
			if err != nil {
				yield(grouping.Event{}, err)
				return
			}
			for i := range events {
				if events[i].ID > newest || !events[i].Time.Before(from) && !yield(events[i], nil) {
					return
				}
			}
			if last <= after {
				return // nothing is left: the newest event was removed meanwhile
			}
			after = last
		}
	}
}
