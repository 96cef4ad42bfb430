package redis

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"time"

	"muster/grouping"
	"muster/storage/durable"

	"github.com/redis/go-redis/v9"
)

// Events implements grouping.GroupStorage.
func (r *Storage) Events(ctx context.Context, q grouping.EventQuery) (grouping.EventPage, error) {
	var page grouping.EventPage
	if ctx.Err() != nil {
		return page, context.Cause(ctx)
	}
	q.Limit = cmp.Or(q.Limit, grouping.DefaultLimit)
	var err error
	switch {
	case q.Group == "":
		for shard := 0; shard < r.opts.Shards && err == nil; shard++ {
			var events []grouping.Event
			events, err = r.newest(ctx, r.historyKeys(shard).events, &q)
			page.Events = append(page.Events, events...)
		}
	case q.Group.Valid(): // only a valid ID may become part of a key
		page.Events, page.Next, err = r.newestOfGroup(ctx, &q)
	}
	if err != nil {
		return grouping.EventPage{}, r.fault(ctx, "events", err)
	}
	slices.SortFunc(page.Events, newestFirst)
	if len(page.Events) > q.Limit {
		page.Events = page.Events[:q.Limit]
		page.Next = page.Events[q.Limit-1].ID
	}
	return page, nil
}

func newestFirst(a, b grouping.Event) int { return cmp.Compare(b.ID, a.ID) }
func oldestFirst(a, b grouping.Event) int { return cmp.Compare(a.ID, b.ID) }

// bounds returns the range of texts in which the query selects events, from the newest to
// the oldest.
func bounds(q *grouping.EventQuery) (newest, oldest string) {
	newest, oldest = "+", "-"
	if !q.Since.IsZero() {
		oldest = "[" + durable.FirstID(q.Since)
	}
	if !q.Until.IsZero() {
		newest = "(" + durable.FirstID(durable.RoundUp(q.Until))
	}
	if q.Cursor != "" && (newest == "+" || q.Cursor < newest[1:]) {
		newest = "(" + q.Cursor
	}
	return newest, oldest
}

// newest returns the newest events of one key that match the query. It returns some more
// events than a page has, which show that there is a next page.
func (r *Storage) newest(ctx context.Context, key string, q *grouping.EventQuery) (events []grouping.Event, err error) {
	found := foundEvents{query: q, filter: q.Filter()}
	for entries, err := range r.members(ctx, key, q) {
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			if found.enough(entry) {
				return found.events, nil
			}
			found.add(entry)
		}
	}
	return distinct(found.events, newestFirst), nil
}

// foundEvents are the events of entries that a query selects.
type foundEvents struct {
	query  *grouping.EventQuery
	filter *grouping.EventFilter
	events []grouping.Event
	stamp  [grouping.StampLen]byte // of the last entry
}

// enough reports whether the events are more than a page has, before the next entry. It
// waits for the end of a write, because the entries of one write may overlap.
func (f *foundEvents) enough(entry []byte) bool {
	if bytes.HasPrefix(entry, f.stamp[:]) {
		return false
	}
	copy(f.stamp[:], entry)
	if len(f.events) > f.query.Limit {
		f.events = distinct(f.events, newestFirst)
	}
	return len(f.events) > f.query.Limit
}

// add adds the selected events of an entry. The cursor may be in the middle of the entry.
func (f *foundEvents) add(entry []byte) {
	for text := range bytes.SplitSeq(entry, []byte(entrySeparator)) {
		if e, ok := f.filter.Select(text); ok && (f.query.Cursor == "" || e.ID < f.query.Cursor) {
			f.events = append(f.events, e)
		}
	}
}

// PushEvents implements durable.Backend.
func (r *Storage) PushEvents(ctx context.Context, events []grouping.Event, contents grouping.ContentTexts) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for len(events) > 0 {
		n, err := r.pushBatch(ctx, events, contents)
		if err != nil && (n == 1 || faultReason(err) != reasonStalled) {
			return r.fault(ctx, "push events", err)
		}
		if err == nil {
			events = events[n:]
		}
	}
	return nil
}

// pushBatch pushes as many events as the pace allows, and at least one. It returns
// the number of events that it tried to push.
func (r *Storage) pushBatch(ctx context.Context, events []grouping.Event, contents grouping.ContentTexts) (n int, err error) {
	var (
		maxBytes  = r.pace.size()
		bytes     int
		pipe      = r.writer.Pipeline()
		push      = contentPush{contents, map[string]bool{}}
		limited   = map[eventKeys]bool{}
		timelines = map[string]bool{}
	)
	for n < len(events) && n < indexCount && bytes < maxBytes {
		e := &events[n]
		n++
		text, err := e.Encode()
		if err != nil || !durable.Storable(e) {
			continue // it could not be encoded when it happened either
		}
		id, member := e.DocumentID(), redis.Z{Member: text}
		keys := r.keysOf(e)
		bytes += push.add(ctx, pipe, keys, e) + len(text)
		limited[keys] = true
		pipe.ZAdd(ctx, keys.events, member)
		if e.Kind == grouping.EventChanged {
			continue
		}
		timeline := r.timelineKey(id)
		timelines[timeline] = true
		pipe.ZAdd(ctx, timeline, redis.Z{Member: string(e.Stamp())})
	}
	for keys := range limited {
		limitScript.Eval(ctx, pipe, []string{keys.meta, keys.events}, keys.extra, keys.maximum)
	}
	for key := range timelines {
		pipe.ZRemRangeByRank(ctx, key, 0, int64(-r.opts.MaxTimeline-1))
		// The document may be deleted. If it is not, its next write sets the right expiry.
		pipe.Expire(ctx, key, r.opts.HistoryRetention)
	}
	if pipe.Len() == 0 {
		return n, nil
	}
	err = r.limiter.runWrite(ctx, bytes, func() error {
		started := time.Now()
		_, err := pipe.Exec(ctx)
		r.pace.sent(bytes, time.Since(started), err)
		return err
	})
	return n, err
}
