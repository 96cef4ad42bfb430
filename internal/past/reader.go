package past

import (
	"context"
	"iter"
	"time"

	"muster/grouping"
	"muster/history"
)

// maxConcurrent is the maximum number of questions that read the history at the same time.
// Others wait. Each needs memory for the groups of that time, and keeps one core busy.
const maxConcurrent = 2

// events is what a Reader needs from the manager. It is safe for concurrent use.
type events interface {
	Events(ctx context.Context, q grouping.EventQuery) (grouping.EventPage, error)
	// StreamEvents and Contents are those of grouping.History and grouping.ContentLoader.
	StreamEvents(ctx context.Context, from time.Time) iter.Seq2[grouping.Event, error]
	Contents(ctx context.Context, events []grouping.Event) (map[string]grouping.Content, error)
	// Gaps returns the gaps that have any moment from since until before until, oldest first.
	Gaps(ctx context.Context, since, until time.Time) ([]grouping.Gap, error)
}

// Reader answers questions about the past. It is safe for concurrent use.
type Reader struct {
	events events
	slots  chan struct{}

	tracks  tracks
	digests digests
}

// New returns a reader of the manager's history.
func New(events events) *Reader {
	return &Reader{events: events, slots: make(chan struct{}, maxConcurrent)}
}

// At returns the state of all groups at time t, by the time of the writes. If t is before
// the history begins, it returns a *history.BeforeError.
func (r *Reader) At(ctx context.Context, t time.Time) (*history.Wall, error) {
	if err := r.acquire(ctx); err != nil {
		return nil, err
	}
	defer r.release()
	since, err := r.knownSince(ctx)
	if err != nil {
		return nil, err
	}
	if t.Before(since) {
		return nil, &history.BeforeError{At: t, KnownSince: since}
	}
	wall, err := history.At(history.Base{}, r.events.StreamEvents(ctx, since), t, func(events []grouping.Event) (map[string]grouping.Content, error) {
		return r.events.Contents(ctx, events)
	})
	if err != nil {
		return nil, err
	}
	wall.KnownSince = since
	wall.Gap, err = r.gapAt(ctx, t)
	return wall, err
}

// gapAt returns the gap that contains the time, or nil. Its event was written at its end, so it is
// the first one after the time.
func (r *Reader) gapAt(ctx context.Context, t time.Time) (*grouping.Gap, error) {
	q := grouping.EventQuery{Kinds: []grouping.EventKind{grouping.EventGap}, Since: t, Limit: grouping.MaxLimit}
	for {
		page, err := r.events.Events(ctx, q)
		if err != nil {
			return nil, err
		}
		for i := range page.Events {
			if g := page.Events[i].Gap; g != nil && g.Contains(t) {
				return g, nil
			}
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return nil, nil
		}
	}
}

// knownSince returns the earliest time of which the state is known. Without any event it is
// now.
func (r *Reader) knownSince(ctx context.Context) (time.Time, error) {
	for e, err := range r.events.StreamEvents(ctx, time.Time{}) {
		return e.Time, err
	}
	return time.Now(), nil
}

// acquire takes a slot, or waits for one until the context ends.
func (r *Reader) acquire(ctx context.Context) error {
	select {
	case r.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (r *Reader) release() { <-r.slots }
