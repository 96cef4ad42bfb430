package redis

import (
	"context"
	"maps"
	"slices"

	"github.com/redis/go-redis/v9"

	"muster/grouping"
)

// eventKeys are the keys of the events of a shard: those of the history, or those of the
// changed events.
type eventKeys struct {
	events, contents, uses string

	// The field extra of meta is the number of events minus the number of entries.
	meta, extra string

	maximum int // of the number of events
}

func (r *Storage) historyKeys(shard int) eventKeys { return r.shards[shard].history }
func (r *Storage) changedKeys(shard int) eventKeys { return r.shards[shard].changed }

// keysOf returns the keys of an event.
func (r *Storage) keysOf(e *grouping.Event) eventKeys {
	shard := r.shard(e.DocumentID())
	if e.Kind == grouping.EventChanged {
		return r.changedKeys(shard)
	}
	return r.historyKeys(shard)
}

// Contents implements grouping.GroupStorage.
func (r *Storage) Contents(ctx context.Context, events []grouping.Event) (map[string]grouping.Content, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	texts, err := r.contentTexts(ctx, events)
	if err != nil {
		return nil, r.fault(ctx, "contents", err)
	}
	return texts.Decode(), nil
}

// contentTexts returns the contents of the events, as far as they are stored.
func (r *Storage) contentTexts(ctx context.Context, events []grouping.Event) (grouping.ContentTexts, error) {
	hashes := map[string]map[string]bool{} // by the key of the contents
	for i := range events {
		e := &events[i]
		if e.Content == "" {
			continue
		}
		key := r.keysOf(e).contents
		if hashes[key] == nil {
			hashes[key] = map[string]bool{}
		}
		hashes[key][e.Content] = true
	}
	texts := grouping.ContentTexts{}
	for key, set := range hashes {
		for part := range slices.Chunk(slices.Collect(maps.Keys(set)), indexCount) {
			values, err := r.client.HMGet(ctx, key, part...).Result()
			if err != nil {
				return nil, err
			}
			for i, v := range values {
				if text, ok := v.(string); ok {
					texts[part[i]] = text
				}
			}
		}
	}
	return texts, nil
}

// contentPush adds the contents of events to a pipeline, each one once.
type contentPush struct {
	texts  grouping.ContentTexts
	pushed map[string]bool // by key and hash
}

// add adds the content of an event, if it is known. It returns the size of what it adds.
func (p *contentPush) add(ctx context.Context, pipe redis.Pipeliner, keys eventKeys, e *grouping.Event) (bytes int) {
	text, ok := p.texts[e.Content]
	if !ok {
		return 0
	}
	if name := keys.contents + e.Content; !p.pushed[name] {
		p.pushed[name] = true
		pipe.HSet(ctx, keys.contents, e.Content, text)
		bytes += len(text)
	}
	pipe.ZAddGT(ctx, keys.uses, redis.Z{Score: float64(e.Stamp().Time().UnixMilli()), Member: e.Content})
	return bytes + len(e.Content)
}
