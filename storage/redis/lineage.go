package redis

import (
	"context"
	_ "embed"
	"slices"
	"sync"

	"github.com/redis/go-redis/v9"

	"muster/grouping"
	"muster/storage/durable"
)

//go:embed trace.lua
var traceSource string

//go:embed absent.lua
var absentSource string

//go:embed lacking.lua
var lackingSource string

// traceScript looks up an entry of a log, absentScript looks up events and
// lackingScript looks up documents.
var (
	traceScript   = redis.NewScript(traceSource)
	absentScript  = redis.NewScript(absentSource)
	lackingScript = redis.NewScript(lackingSource)
)

// CheckLineage implements durable.Backend.
func (r *Storage) CheckLineage(ctx context.Context, seen []durable.Position) (durable.Lineage, error) {
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	lineage := durable.LineageHeld
	for shard, p := range seen {
		if p.Token == "" {
			continue // no entry was seen in this log
		}
		answer, err := traceScript.Run(ctx, r.client, []string{r.shards[shard].log}, p.StreamID, p.Token, p.Seq).Text()
		if err != nil {
			return "", r.fault(ctx, "trace", err)
		}
		switch found := durable.Lineage(answer); {
		case found == durable.LineageLost:
			return found, nil
		case found != durable.LineageHeld:
			lineage = durable.LineageUnknown
		}
	}
	return lineage, nil
}

// MissingEvents implements durable.Backend.
func (r *Storage) MissingEvents(ctx context.Context, events []grouping.Event) ([]grouping.Event, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	byKeys := map[eventKeys][]grouping.Event{}
	for _, e := range events {
		if durable.Storable(&e) {
			keys := r.keysOf(&e)
			byKeys[keys] = append(byKeys[keys], e)
		}
	}
	var absent []grouping.Event
	for keys, all := range byKeys {
		for part := range slices.Chunk(all, indexCount) {
			missing, err := r.absentPart(ctx, keys, part)
			if err != nil {
				return nil, r.fault(ctx, "absent", err)
			}
			absent = append(absent, missing...)
		}
	}
	return absent, nil
}

// absentPart returns the absent ones of some events that have the same keys. Changed
// events have no timeline.
func (r *Storage) absentPart(ctx context.Context, eventKeys eventKeys, events []grouping.Event) ([]grouping.Event, error) {
	keys := []string{eventKeys.events, eventKeys.contents, eventKeys.uses, eventKeys.meta}
	args := []any{
		eventKeys.maximum, r.opts.MaxTimeline, int64(r.opts.HistoryRetention.Seconds()), eventKeys.extra, maxEntryEvents,
	}
	keyIndex := map[grouping.ID]int{}
	for i := range events {
		id := events[i].DocumentID()
		if keyIndex[id] == 0 && events[i].Kind != grouping.EventChanged {
			keyIndex[id] = len(keys) + 1 // Lua counts from one
			keys = append(keys, r.documentKey(id), r.timelineKey(id))
		}
		args = append(args, events[i].ID, keyIndex[id], events[i].Content)
	}
	found, err := absentScript.Run(ctx, r.client, keys, args...).Int64Slice()
	if err != nil {
		return nil, err
	}
	absent := make([]grouping.Event, 0, len(found))
	for _, i := range found {
		absent = append(absent, events[i])
	}
	return absent, nil
}

// HasLog implements durable.Backend. Several processes may write to one Redis.
func (r *Storage) HasLog() bool { return true }

// FindLosses implements durable.Backend.
func (r *Storage) FindLosses(ctx context.Context, ids []grouping.ID) (durable.Losses, error) {
	if ctx.Err() != nil {
		return durable.Losses{}, context.Cause(ctx)
	}
	lack := r.evictions.takeAll()
	shards := make([][]grouping.ID, r.opts.Shards)
	for _, id := range ids {
		if id.Valid() {
			shard := r.shard(id)
			shards[shard] = append(shards[shard], id)
		}
	}
	for shard, all := range shards {
		for part := range slices.Chunk(all, indexCount) {
			if err := r.lackingPart(ctx, shard, part, &lack); err != nil {
				return lack, r.fault(ctx, "lacking", err)
			}
		}
	}
	// A source may have no events.
	lack.Timelines = slices.DeleteFunc(lack.Timelines, grouping.ID.IsSource)
	return lack, nil
}

// lackingPart adds to lack what is missing of some documents of one shard.
func (r *Storage) lackingPart(ctx context.Context, shard int, ids []grouping.ID, lack *durable.Losses) error {
	history, changed := r.historyKeys(shard), r.changedKeys(shard)
	keys, args := []string{
		r.shards[shard].index, history.events, history.contents, history.uses, changed.events, changed.contents, changed.uses,
	}, make([]any, 0, len(ids))
	for _, id := range ids {
		keys = append(keys, r.documentKey(id), r.timelineKey(id))
		args = append(args, string(id))
	}
	answer, err := lackingScript.Run(ctx, r.client, keys, args...).Slice()
	if err != nil {
		return err
	}
	for i, list := range []*[]grouping.ID{&lack.Documents, &lack.Timelines} {
		found, _ := answer[i].([]any)
		for _, v := range found {
			id, _ := v.(string)
			*list = append(*list, grouping.ID(id))
		}
	}
	length, _ := answer[2].(int64)
	lack.History = r.evictions.historyShrank(shard, length) || lack.History
	for i, key := range []string{history.contents, changed.events, changed.contents} {
		n, _ := answer[3+i].(int64)
		lack.History = r.evictions.vanished(key, n) || lack.History
	}
	return nil
}

// evictions collects what Redis has evicted. Writes find missing keys, and Lacking
// finds a history that became shorter.
type evictions struct {
	mu        sync.Mutex
	timelines map[grouping.ID]bool // guarded by mu
	history   bool                 // guarded by mu
	lengths   map[int]int64        // guarded by mu; last length of the history, by shard
	counts    map[string]int64     // guarded by mu; last number of elements of other keys
}

// add records what the store script found to be missing at a write of the document:
// "history", "timeline" or nothing.
func (e *evictions) add(shard int, id grouping.ID, what any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch what {
	case "history":
		e.history = true
		delete(e.lengths, shard)
	case "timeline":
		if e.timelines == nil {
			e.timelines = map[grouping.ID]bool{}
		}
		e.timelines[id] = true
	}
}

// historyShrank reports whether the history of a shard has become less than half
// as long as it was at the last call. It also reports an empty history at the
// first call. Retention does not cause this, because it removes only a few events
// at a time.
func (e *evictions) historyShrank(shard int, length int64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.lengths == nil {
		e.lengths = map[int]int64{}
	}
	before, known := e.lengths[shard]
	e.lengths[shard] = length
	return length < before/2 || !known && length == 0
}

// vanished reports whether a key has no elements, but had some at the last call. A
// negative number says that it had some.
func (e *evictions) vanished(key string, n int64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.counts == nil {
		e.counts = map[string]int64{}
	}
	before := e.counts[key]
	e.counts[key] = n
	return n < 0 || n == 0 && before > 0
}

// takeAll returns what was found since its last call.
func (e *evictions) takeAll() durable.Losses {
	e.mu.Lock()
	defer e.mu.Unlock()
	lack := durable.Losses{History: e.history}
	for id := range e.timelines {
		lack.Timelines = append(lack.Timelines, id)
	}
	e.history, e.timelines = false, nil
	return lack
}
