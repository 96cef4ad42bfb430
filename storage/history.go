package storage

import (
	"context"
	"errors"
	"iter"
	"maps"
	"time"

	"muster/grouping"
)

// StreamEvents implements grouping.GroupStorage. It reads from the backend. If the
// backend fails, it continues from the copy, which has only the newest events.
func (t *Tiered) StreamEvents(ctx context.Context, from time.Time) iter.Seq2[grouping.Event, error] {
	return func(yield func(grouping.Event, error) bool) {
		last, complete := t.streamBackend(ctx, from, yield)
		if complete {
			return
		}
		for e, err := range t.memory.StreamEvents(ctx, from) {
			if (err != nil || e.ID > last) && !yield(e, err) {
				return
			}
		}
	}
}

// streamBackend streams the events of the backend. It returns the ID of the last one,
// and false if the backend failed.
func (t *Tiered) streamBackend(ctx context.Context, from time.Time, yield func(grouping.Event, error) bool) (last string, complete bool) {
	if _, reason := t.breaker.state(); reason != "" {
		return "", false
	}
	for e, err := range t.backend.StreamEvents(ctx, from) {
		if err != nil && ctx.Err() == nil && errors.Is(err, grouping.ErrStorage) {
			return last, false
		}
		if !yield(e, err) {
			return last, true
		}
		last = e.ID
	}
	return last, true
}

// Events implements grouping.GroupStorage. It reads from the backend, which has the
// longer history. If the backend fails, it answers from the copy, which has only
// the newest events.
func (t *Tiered) Events(ctx context.Context, q grouping.EventQuery) (grouping.EventPage, error) {
	if _, reason := t.breaker.state(); reason == "" {
		page, err := t.backend.Events(ctx, q)
		if err == nil || ctx.Err() != nil || !errors.Is(err, grouping.ErrStorage) {
			return page, err
		}
	}
	page, err := t.memory.Events(ctx, q)
	page.CopySince = t.memory.eventsSince()
	return page, err
}

// Contents implements grouping.GroupStorage. The copy has the contents of the newest
// events, including those that the backend does not have yet. The backend has older
// ones.
func (t *Tiered) Contents(ctx context.Context, events []grouping.Event) (map[string]grouping.Content, error) {
	contents, err := t.memory.Contents(ctx, events)
	if err != nil {
		return nil, err
	}
	var unknown []grouping.Event
	for _, e := range events {
		if _, known := contents[e.Content]; e.Content != "" && !known {
			unknown = append(unknown, e)
		}
	}
	if _, reason := t.breaker.state(); reason != "" || len(unknown) == 0 {
		return contents, nil
	}
	older, err := t.backend.Contents(ctx, unknown)
	switch {
	case err == nil:
		maps.Copy(contents, older)
	case ctx.Err() != nil, !errors.Is(err, grouping.ErrStorage):
		return nil, err
	}
	return contents, nil
}

// HistorySince implements grouping.GroupStorage. If the backend fails, it answers for the copy.
func (t *Tiered) HistorySince(ctx context.Context) (time.Time, error) {
	if _, reason := t.breaker.state(); reason == "" {
		since, err := t.backend.HistorySince(ctx)
		if err == nil || ctx.Err() != nil || !errors.Is(err, grouping.ErrStorage) {
			return since, err
		}
	}
	return t.memory.HistorySince(ctx)
}
