package storage

import (
	"cmp"
	"context"
	"slices"
	"time"

	"muster/grouping"

	"github.com/redis/go-redis/v9"
)

// Events implements grouping.GroupStorage.
func (r *Redis) Events(ctx context.Context, q grouping.EventQuery) (grouping.EventPage, error) {
	var page grouping.EventPage
	if ctx.Err() != nil {
		return page, context.Cause(ctx)
	}
	orDefault(&q.Limit, grouping.DefaultLimit)
	var keys []string
	if q.Group != "" {
		keys = []string{r.key(r.shard(q.Group), "t:"+string(q.Group))}
	} else {
		for shard := range r.opts.Shards {
			keys = append(keys, r.key(shard, "h"))
		}
	}
	for _, key := range keys {
		events, err := r.newest(ctx, key, &q)
		if err != nil {
			return page, err
		}
		page.Events = append(page.Events, events...)
	}
	slices.SortFunc(page.Events, func(a, b grouping.Event) int { return cmp.Compare(b.ID, a.ID) })
	if len(page.Events) > q.Limit {
		page.Events = page.Events[:q.Limit]
		page.Next = page.Events[q.Limit-1].ID
	}
	return page, nil
}

// newest returns the newest events of one key that the query selects: one more
// than a page, to tell whether there is a next one.
func (r *Redis) newest(ctx context.Context, key string, q *grouping.EventQuery) ([]grouping.Event, error) {
	const chunk = 500
	from, to := "-", "+"
	if !q.Since.IsZero() {
		from = "[" + timePrefix(q.Since)
	}
	if !q.Until.IsZero() {
		to = "(" + timePrefix(q.Until)
	}
	if q.Cursor != "" && (to == "+" || q.Cursor < to[1:]) {
		to = "(" + q.Cursor
	}
	var events []grouping.Event
	for {
		members, err := r.client.ZRangeArgs(ctx, redis.ZRangeArgs{
			Key: key, Start: to, Stop: from, ByLex: true, Rev: true, Count: chunk,
		}).Result()
		if err != nil {
			return nil, r.fault("events", err)
		}
		for _, m := range members {
			e, err := decodeEvent(m)
			if err != nil {
				continue // of a later schema, or damaged: the rest can be read
			}
			if q.Matches(&e) {
				if events = append(events, e); len(events) > q.Limit {
					return events, nil
				}
			}
		}
		if len(members) < chunk {
			return events, nil
		}
		to = "(" + members[len(members)-1]
	}
}

// timePrefix returns how the IDs of events at the time begin.
func timePrefix(t time.Time) string {
	return string(grouping.NewStamp(t, 0, ""))
}

// PushEvents implements Durable.
func (r *Redis) PushEvents(ctx context.Context, events []grouping.Event) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	pipe := r.client.Pipeline()
	for i := range events {
		e := &events[i]
		text, err := encodeEvent(e)
		if err != nil {
			continue // it was not encodable when it happened either
		}
		shard, member := r.shard(e.GroupID), redis.Z{Member: text}
		pipe.ZAdd(ctx, r.key(shard, "h"), member)
		pipe.ZAdd(ctx, r.key(shard, "t:"+string(e.GroupID)), member)
	}
	if pipe.Len() == 0 {
		return nil
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return r.fault("push events", err)
	}
	return nil
}
