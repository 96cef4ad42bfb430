package redis

import (
	"context"
	"slices"

	"github.com/redis/go-redis/v9"

	"muster/grouping"
	"muster/storage/durable"
)

// This file reads what the writes in the log have written. Most of the cost of a few records
// is that of the round trip, so one pipeline reads the records and the events.

// LoadEvents implements durable.Backend. It finds the events of a write by their IDs, which
// begin with the stamps of the write.
func (r *Storage) LoadEvents(ctx context.Context, entries []durable.LogEntry) ([]grouping.Event, grouping.ContentTexts, error) {
	written, err := r.load(ctx, "events of", nil, entries, nil)
	return written.Events, written.Contents, err
}

// LoadWritten implements durable.Backend.
func (r *Storage) LoadWritten(
	ctx context.Context, names map[grouping.ID][]string, entries []durable.LogEntry, known func(*grouping.Event) bool,
) (durable.Written, error) {
	return r.load(ctx, "load", names, entries, known)
}

// load is LoadWritten for an operation with a name. known may be nil.
func (r *Storage) load(
	ctx context.Context, op string, names map[grouping.ID][]string, entries []durable.LogEntry, known func(*grouping.Event) bool,
) (written durable.Written, err error) {
	if ctx.Err() != nil {
		return written, context.Cause(ctx)
	}
	pipe := r.client.Pipeline()
	parts := make(map[grouping.ID]*redis.SliceCmd, len(names))
	for id, records := range names {
		if id.Valid() {
			parts[id] = pipe.HMGet(ctx, r.documentKey(id), slices.Concat(headFields, records)...)
		}
	}
	events := r.queueEvents(ctx, pipe, entries)
	if pipe.Len() == 0 {
		return written, nil
	}
	if _, err := pipe.Exec(ctx); err != nil && !isRedisError(err) {
		return written, r.fault(ctx, op, err)
	}
	if written.Documents, err = decodeParts(names, parts); err != nil {
		return written, r.fault(ctx, op, err)
	}
	if written.Events, err = decodeEvents(events); err != nil {
		return written, r.fault(ctx, op, err)
	}
	unknown := written.Events
	if known != nil {
		unknown = slices.DeleteFunc(slices.Clone(unknown), func(e grouping.Event) bool { return known(&e) })
	}
	if written.Contents, err = r.contentTexts(ctx, unknown); err != nil && !isRedisError(err) {
		return written, r.fault(ctx, op, err)
	}
	return written, nil
}

// headFields are the fields of a document that are not records, and its head.
var headFields = []string{
	grouping.HeadRecord, durable.FieldDeleted, durable.FieldVersion, durable.FieldNotifications, durable.FieldSchema,
}

// decodeParts decodes the head and the named records of documents.
func decodeParts(names map[grouping.ID][]string, parts map[grouping.ID]*redis.SliceCmd) (map[grouping.ID]grouping.Document, error) {
	documents := make(map[grouping.ID]grouping.Document, len(parts))
	for id, part := range parts {
		values, err := part.Result()
		if err != nil && !redis.HasErrorPrefix(err, "WRONGTYPE") {
			return nil, err
		}
		fields, hasHead := make([]grouping.StoredRecord, 0, len(values)), false
		for i, name := range slices.Concat(headFields, names[id])[:len(values)] {
			if text, ok := values[i].(string); ok {
				fields = append(fields, grouping.StoredRecord{Name: name, Text: []byte(text)})
				hasHead = hasHead || name == grouping.HeadRecord && text != ""
			}
		}
		if d, damaged := durable.Decode(id, fields); d != nil && damaged == nil && hasHead {
			documents[id] = d
		}
	}
	return documents, nil
}

// queueEvents adds the commands to a pipeline that read the events of the writes.
func (r *Storage) queueEvents(ctx context.Context, pipe redis.Pipeliner, written []durable.LogEntry) (entries []*redis.StringSliceCmd) {
	for _, e := range written {
		if !e.ID.Valid() || !grouping.Stamp(e.Token).Valid() {
			continue
		}
		for _, stamp := range append([]string{e.Token}, e.Stamps...) {
			for _, key := range r.eventsOfEntry(e) {
				entries = append(entries, pipe.ZRangeArgs(ctx, redis.ZRangeArgs{
					Key: key, Start: "[" + stamp, Stop: "[" + stamp + "g", ByLex: true,
				}))
			}
		}
	}
	return entries
}

// eventsOfEntry returns the keys that may have events of the entry's write.
func (r *Storage) eventsOfEntry(e durable.LogEntry) []string {
	shard := &r.shards[r.shard(e.ID)]
	if e.NoChanged {
		return []string{shard.history.events}
	}
	return []string{shard.history.events, shard.changed.events}
}

// decodeEvents decodes the events. It leaves out those that cannot be read.
func decodeEvents(entries []*redis.StringSliceCmd) (events []grouping.Event, err error) {
	for _, part := range entries {
		if err := part.Err(); err != nil && !redis.HasErrorPrefix(err, "WRONGTYPE") {
			return nil, err
		}
		texts := make([][]byte, 0, len(part.Val()))
		for _, entry := range part.Val() {
			texts = append(texts, []byte(entry))
		}
		events = append(events, decodeEntries(texts, durable.Memory{})...)
	}
	return events, nil
}
