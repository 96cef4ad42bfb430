package redis

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"muster/grouping"
	"muster/storage/durable"
)

// StreamEvents implements grouping.GroupStorage. It merges the histories of the
// shards.
func (r *Storage) StreamEvents(ctx context.Context, from time.Time) iter.Seq2[grouping.Event, error] {
	return durable.EventReader{
		Newest: r.newestEvent, After: []durable.ReadAfter{r.readAfter(r.historyKeys), r.readAfter(r.changedKeys)},
	}.StreamEvents(ctx, from)
}

// newestEvent returns the ID of the newest event of all shards.
func (r *Storage) newestEvent(ctx context.Context) (newest string, err error) {
	for shard := range r.opts.Shards {
		for _, keys := range []eventKeys{r.historyKeys(shard), r.changedKeys(shard)} {
			members, err := r.client.ZRevRange(ctx, keys.events, 0, 0).Result()
			if err != nil {
				return "", r.fault(ctx, "stream events", err)
			}
			for _, m := range members {
				newest = max(newest, eventID(m))
			}
		}
	}
	return newest, nil
}

// readAfter returns a function that reads the next events of these keys of all shards.
func (r *Storage) readAfter(keys func(shard int) eventKeys) durable.ReadAfter {
	return func(ctx context.Context, after string) ([]grouping.Event, string, error) {
		return r.eventsAfter(ctx, keys, after)
	}
}

// eventsAfter returns the next events with greater IDs of all shards, and the last ID
// up to which all shards were read. What was read beyond it is read again.
func (r *Storage) eventsAfter(ctx context.Context, keys func(shard int) eventKeys, after string) (
	events []grouping.Event, last string, err error,
) {
	chunk := max(durable.StreamChunk/r.opts.Shards, 50)
	var all []string
	end := "" // the least ID at which a shard has more
	for shard := range r.opts.Shards {
		members, err := r.client.ZRangeArgs(ctx, redis.ZRangeArgs{
			Key: keys(shard).events, Start: "(" + after, Stop: "+", ByLex: true, Count: int64(chunk),
		}).Result()
		if err != nil {
			return nil, "", r.fault(ctx, "stream events", err)
		}
		if len(members) == chunk {
			id := eventID(members[chunk-1])
			end = min(cmp.Or(end, id), id)
		}
		all = append(all, members...)
	}
	slices.Sort(all)
	for _, m := range all {
		id := eventID(m)
		if end != "" && id > end {
			break
		}
		if last = id; id == after {
			continue // its text begins with this ID, so it is greater than the ID alone
		}
		if e, err := grouping.DecodeEvent(m); err == nil {
			events = append(events, e)
		}
	}
	return events, last, nil
}

// eventID returns the ID in the stored text of an event.
func eventID(member string) string {
	id, _, _ := strings.Cut(member, "{")
	return id
}
