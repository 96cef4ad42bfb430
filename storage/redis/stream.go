package redis

import (
	"cmp"
	"context"
	"iter"
	"slices"
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

// newestEvent returns the greatest ID that an event of the newest write of all shards can
// have.
func (r *Storage) newestEvent(ctx context.Context) (newest string, err error) {
	for shard := range r.opts.Shards {
		for _, keys := range []eventKeys{r.historyKeys(shard), r.changedKeys(shard)} {
			members, err := r.client.ZRevRange(ctx, keys.events, 0, 0).Result()
			if err != nil {
				return "", r.fault(ctx, "stream events", err)
			}
			for _, m := range members {
				newest = max(newest, endOfWrite(m))
			}
		}
	}
	return newest, nil
}

// readAfter returns a function that reads the next events of these keys of all shards.
func (r *Storage) readAfter(keys func(shard int) eventKeys) durable.ReadAfter {
	return func(ctx context.Context, after string, memory durable.Memory) ([]grouping.Event, string, error) {
		return r.eventsAfter(ctx, keys, after, memory)
	}
}

// endOfWrite returns an ID after those of all events of the write of an entry.
func endOfWrite(entry string) string {
	return entry[:min(len(entry), grouping.StampLen)] + "g"
}

// entryChunk is the number of entries of a stream that are read at once. An entry has up to
// maxEntryEvents, so that these are at most twice as many events as in another storage.
const entryChunk = durable.StreamChunk / 8

// eventsAfter returns the next events with greater IDs of all shards, and the last ID
// up to which all shards were read. What was read beyond it is read again.
func (r *Storage) eventsAfter(
	ctx context.Context, keys func(shard int) eventKeys, after string, memory durable.Memory,
) (events []grouping.Event, last string, err error) {
	chunk := max(entryChunk/r.opts.Shards, 50)
	var all [][]byte
	end := "" // the least ID at which a shard has more
	for shard := range r.opts.Shards {
		entries, err := r.readMembers(ctx, redis.ZRangeArgs{
			Key: keys(shard).events, Start: "(" + after, Stop: "+", ByLex: true, Count: int64(chunk),
		})
		if err != nil {
			return nil, "", r.fault(ctx, "stream events", err)
		}
		defer entries.put() // all are decoded before
		if len(entries.texts) == chunk {
			id := lastID(entries.texts[chunk-1])
			end = min(cmp.Or(end, id), id)
		}
		all = append(all, entries.texts...)
	}
	all = slices.DeleteFunc(all, func(entry []byte) bool { return end != "" && firstID(entry) > end })
	for _, entry := range all {
		last = max(last, lastID(entry))
	}
	// An entry of one event begins with its ID, so it is greater than the ID alone.
	read := func(e grouping.Event) bool { return e.ID <= after }
	return slices.DeleteFunc(decodeEntries(all, memory), read), last, nil
}
