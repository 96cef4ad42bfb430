package redis

import (
	"context"
	"strings"

	"github.com/redis/go-redis/v9"

	"muster/grouping"
)

// The timeline of a document names its writes by their stamps. The events of a write are
// in the history of the shard, because their IDs begin with its stamp. So each text is
// stored once, and a write adds one short member to the timeline.

func (r *Storage) timelineKey(id grouping.ID) string {
	return r.shards[r.shard(id)].tag + "t:" + string(id)
}

// writesChunk is the number of writes whose events are read at once.
const writesChunk = 100

// newestOfGroup is newest for the events of a group. If it stops because of MaxRead, it
// returns the stamp of the last write that it read.
func (r *Storage) newestOfGroup(ctx context.Context, q *grouping.EventQuery) (events []grouping.Event, stopped string, err error) {
	to, from := bounds(q)
	filter := q.Filter()
	for read := 0; ; {
		members, err := r.client.ZRangeArgs(ctx, redis.ZRangeArgs{
			Key: r.timelineKey(q.Group), Start: to, Stop: from, ByLex: true, Rev: true, Count: writesChunk,
		}).Result()
		if err != nil {
			return nil, "", err
		}
		part, n, err := r.eventsOf(ctx, r.shard(q.Group), members, filter)
		if err != nil {
			return nil, "", err
		}
		for i := range part {
			if e := part[i]; q.Cursor == "" || e.ID < q.Cursor {
				if events = append(events, e); len(events) > q.Limit {
					return events, "", nil
				}
			}
		}
		if len(members) < writesChunk {
			return events, "", nil
		}
		last := members[len(members)-1]
		if read += n; q.MaxRead > 0 && read >= q.MaxRead {
			return events, firstID([]byte(last)), nil
		}
		to = "(" + last
	}
}

// eventsOf returns the selected events of members of a timeline, the newest first, and the
// number of events that it read.
func (r *Storage) eventsOf(ctx context.Context, shard int, members []string, filter *grouping.EventFilter) (
	events []grouping.Event, read int, err error,
) {
	stamps := make([]string, 0, len(members))
	for _, m := range members {
		if !strings.Contains(m, "{") {
			stamps = append(stamps, m)
		} else if e, ok := filter.Select([]byte(m)); ok {
			events = append(events, e) // an earlier version wrote it
		}
	}
	entries, err := r.entriesOf(ctx, r.historyKeys(shard).events, stamps)
	if err != nil {
		return nil, 0, err
	}
	texts := splitEntries(entries)
	for _, text := range texts {
		if e, ok := filter.Select([]byte(text)); ok {
			events = append(events, e)
		}
	}
	// The repair of a timeline of an earlier version has added stamps of events in it.
	return distinct(events, newestFirst), len(texts) + len(members) - len(stamps), nil
}

// entriesOf returns the entries of writes.
func (r *Storage) entriesOf(ctx context.Context, key string, stamps []string) (entries []string, err error) {
	if len(stamps) == 0 {
		return nil, nil
	}
	pipe := r.client.Pipeline()
	parts := make([]*redis.StringSliceCmd, len(stamps))
	for i, stamp := range stamps {
		parts[i] = pipe.ZRangeArgs(ctx, rangeOfWrite(key, stamp, stamp))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	for i, part := range parts {
		read := part.Val()
		for entries = append(entries, read...); len(read) == historyChunk; entries = append(entries, read...) {
			if read, err = r.client.ZRangeArgs(ctx, rangeOfWrite(key, stamps[i], read[len(read)-1])).Result(); err != nil {
				return nil, err
			}
		}
	}
	return entries, nil
}

// rangeOfWrite is the range of the next entries of a write after this one.
func rangeOfWrite(key, stamp, after string) redis.ZRangeArgs {
	return redis.ZRangeArgs{Key: key, Start: "(" + after, Stop: "[" + stamp + "g", ByLex: true, Count: historyChunk}
}
