package storage

import (
	"cmp"
	"context"
	"iter"
	"math"
	"slices"
	"time"

	"muster/grouping"
	"muster/storage/durable"
)

// This file has the history of a Memory. A reader copies what it needs, and holds no
// lock while it filters events.

// PutEvents adds events and their contents to the history. Events that are already
// stored do not change.
func (m *Memory) PutEvents(events []grouping.Event, contents grouping.ContentTexts) {
	history, changed := durable.SplitEvents(events)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.addEvents(history, changed, contents)
}

// addEvents is PutEvents for callers that hold mu.
func (m *Memory) addEvents(history, changed []grouping.Event, contents grouping.ContentTexts) {
	m.history.add(history, contents)
	m.changed.add(changed, contents)
}

// EventsSince returns the events with this ID and with greater IDs, oldest first.
func (m *Memory) EventsSince(id string) []grouping.Event {
	m.mu.RLock()
	defer m.mu.RUnlock()
	history, changed := m.history.from(id, math.MaxInt, nil), m.changed.from(id, math.MaxInt, nil)
	if len(changed) == 0 {
		return history
	}
	all := slices.Concat(history, changed)
	slices.SortFunc(all, func(a, b grouping.Event) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// EventsOf returns the events of the documents, oldest first.
func (m *Memory) EventsOf(ids []grouping.ID) (events []grouping.Event) {
	if len(ids) == 0 {
		return nil
	}
	wanted := make(map[grouping.ID]bool, len(ids))
	for _, id := range ids {
		wanted[id] = true
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, kept := range m.history.events {
		if e := kept.Event(); wanted[e.DocumentID()] {
			events = append(events, e)
		}
	}
	return events
}

// hasContent reports whether the content of an event is known, because another event has it.
func (m *Memory) hasContent(e *grouping.Event) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	store := &m.history
	if e.Kind == grouping.EventChanged {
		store = &m.changed
	}
	c := store.contents[e.Content]
	return c != nil && c.text != ""
}

// ContentTexts returns the contents of the events, as far as they are known.
func (m *Memory) ContentTexts(events []grouping.Event) grouping.ContentTexts {
	texts := grouping.ContentTexts{}
	m.mu.RLock()
	defer m.mu.RUnlock()
	m.history.texts(events, texts)
	m.changed.texts(events, texts)
	return texts
}

// Contents implements grouping.GroupStorage.
func (m *Memory) Contents(ctx context.Context, events []grouping.Event) (map[string]grouping.Content, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return m.ContentTexts(events).Decode(), nil
}

// StreamEvents implements grouping.GroupStorage.
func (m *Memory) StreamEvents(ctx context.Context, from time.Time) iter.Seq2[grouping.Event, error] {
	return durable.EventReader{
		Newest: m.newestEvent, After: []durable.ReadAfter{m.readAfter(&m.history), m.readAfter(&m.changed)},
	}.StreamEvents(ctx, from)
}

func (m *Memory) newestEvent(context.Context) (string, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return max(m.history.newest(), m.changed.newest()), nil
}

// readAfter returns a function that reads the next events of a store.
func (m *Memory) readAfter(store *eventStore) durable.ReadAfter {
	return func(ctx context.Context, after string, memory durable.Memory) (events []grouping.Event, last string, err error) {
		if ctx.Err() != nil {
			return nil, "", context.Cause(ctx)
		}
		m.mu.RLock()
		defer m.mu.RUnlock()
		// No ID is between an ID and the same one with a zero byte.
		events = store.from(after+"\x00", durable.StreamChunk, memory.Events[:0])
		if len(events) > 0 {
			last = events[len(events)-1].ID
		}
		return events, last, nil
	}
}

// eventsSince returns the time of the oldest event, or now.
func (m *Memory) eventsSince() time.Time {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if len(m.history.events) == 0 {
		return time.Now()
	}
	return m.history.events[0].Time()
}

// eventsBetween returns the events before the cursor of a query and between its times. The
// caller holds mu.
func (m *Memory) eventsBetween(q *grouping.EventQuery) []*grouping.PackedEvent {
	first, end := 0, len(m.history.events)
	if q.Cursor != "" {
		end, _ = m.history.find(q.Cursor)
	}
	if !q.Until.IsZero() {
		i, _ := m.history.find(durable.FirstID(durable.RoundUp(q.Until)))
		end = min(end, i)
	}
	if !q.Since.IsZero() {
		first, _ = m.history.find(durable.FirstID(q.Since))
	}
	return m.history.events[min(first, end):end]
}

// Events implements grouping.GroupStorage.
func (m *Memory) Events(ctx context.Context, q grouping.EventQuery) (grouping.EventPage, error) {
	var page grouping.EventPage
	if ctx.Err() != nil {
		return page, context.Cause(ctx)
	}
	m.mu.RLock()
	events := slices.Clone(m.eventsBetween(&q))
	m.mu.RUnlock()
	limit := cmp.Or(q.Limit, grouping.DefaultLimit)
	last, read := "", 0 // of the group's events
	for _, kept := range slices.Backward(events) {
		if !q.Since.IsZero() && kept.Time().Before(q.Since) {
			break
		}
		if q.Group != "" && kept.GroupID() != q.Group {
			continue // most events
		}
		if q.Group != "" && q.MaxRead > 0 && read == q.MaxRead {
			page.Next = last
			break
		}
		last, read = kept.ID, read+1
		e := kept.Event()
		if !q.Matches(&e) {
			continue
		}
		if len(page.Events) == limit {
			page.Next = page.Events[limit-1].ID
			break
		}
		page.Events = append(page.Events, e)
	}
	return page, nil
}

// HistorySince implements grouping.GroupStorage.
func (m *Memory) HistorySince(ctx context.Context) (time.Time, error) {
	if ctx.Err() != nil {
		return time.Time{}, context.Cause(ctx)
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return durable.HistorySince(time.Now(), m.history.retention, m.history.evicted), nil
}
