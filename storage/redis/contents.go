package redis

import (
	"context"
	"maps"
	"slices"

	"github.com/redis/go-redis/v9"

	"muster/grouping"
)

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
	shards := make([]map[string]bool, r.opts.Shards)
	for i := range events {
		e := &events[i]
		if e.Content == "" {
			continue
		}
		shard := r.shard(e.DocumentID())
		if shards[shard] == nil {
			shards[shard] = map[string]bool{}
		}
		shards[shard][e.Content] = true
	}
	texts := grouping.ContentTexts{}
	for shard, hashes := range shards {
		for part := range slices.Chunk(slices.Collect(maps.Keys(hashes)), indexCount) {
			values, err := r.client.HMGet(ctx, r.key(shard, "c"), part...).Result()
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
func (p *contentPush) add(ctx context.Context, pipe redis.Pipeliner, contents, uses string, e *grouping.Event) (bytes int) {
	text, ok := p.texts[e.Content]
	if !ok {
		return 0
	}
	if name := contents + e.Content; !p.pushed[name] {
		p.pushed[name] = true
		pipe.HSet(ctx, contents, e.Content, text)
		bytes += len(text)
	}
	pipe.ZAddGT(ctx, uses, redis.Z{Score: float64(e.Stamp().Time().UnixMilli()), Member: e.Content})
	return bytes + len(e.Content)
}
