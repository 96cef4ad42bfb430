package redis

import (
	"context"
	"crypto/rand"
	_ "embed"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"muster/grouping"
	"muster/storage/durable"
)

//go:embed store.lua
var storeSource string

// storeScript writes a change. Run sends its hash, and sends its text only if Redis
// does not know the hash.
var storeScript = redis.NewScript(storeSource)

// Store implements grouping.GroupStorage.
func (r *Storage) Store(ctx context.Context, c grouping.Change) (*grouping.AlertGroup, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	result, err := r.runStoreScript(ctx, "store", c)
	if err != nil {
		return nil, err
	}
	g := *c.Group
	g.Version, g.Notifications = result.version, result.notifications
	if result.keptHead == "" {
		return &g, nil
	}
	return g.WithHead(result.keptHead)
}

// Delete implements grouping.GroupStorage.
func (r *Storage) Delete(ctx context.Context, c grouping.Change) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	c.Group = nil
	_, err := r.runStoreScript(ctx, "delete", c)
	return err
}

// storeResult is the answer of the store script to a write.
type storeResult struct {
	version, notifications int64
	keptHead               string // the text of the stored head if it is newer, otherwise ""
}

// runStoreScript runs the store script for one change. A conflict is returned as a
// *grouping.VersionMismatchError.
func (r *Storage) runStoreScript(ctx context.Context, op string, c grouping.Change) (storeResult, error) {
	id := c.ID()
	if !id.Valid() || !c.Stamp.Valid() {
		return storeResult{}, fmt.Errorf("%s: group ID %q or stamp %q is not valid", op, id, c.Stamp)
	}
	args, err := r.scriptArgs(op, &c)
	if err != nil {
		return storeResult{}, &grouping.DamagedGroupError{ID: id, Err: err}
	}
	shard := r.shard(id)
	keys := []string{
		r.groupKey(id), r.key(shard, "index"), r.key(shard, "log"), r.key(shard, "meta"), r.key(shard, "h"),
		r.key(shard, "t:"+string(id)),
	}
	var answer []any
	err = r.limiter.runWrite(ctx, sizeOf(args), func() (err error) {
		answer, err = storeScript.Run(ctx, r.writer, keys, args...).Slice()
		return err
	})
	if err != nil {
		return storeResult{}, r.fault(ctx, op, err)
	}
	if answer[0] == "conflict" {
		stored, damaged := decodeConflict(id, answer[1])
		if damaged != nil {
			return storeResult{}, damaged
		}
		return storeResult{}, &grouping.VersionMismatchError{ID: id, Stored: stored}
	}
	var result storeResult
	result.version, _ = answer[1].(int64)
	result.notifications, _ = answer[2].(int64)
	result.keptHead, _ = answer[5].(string)
	if len(answer) > 6 {
		r.evictions.add(shard, id, answer[6])
	}
	return result, nil
}

// sizeOf returns the approximate size of the arguments in bytes.
func sizeOf(args []any) (bytes int) {
	for _, arg := range args {
		text, _ := arg.(string)
		bytes += len(text)
	}
	return bytes
}

// decodeConflict decodes the stored fields that a conflict returns. It returns an
// empty group if nothing of the group is stored.
func decodeConflict(id grouping.ID, list any) (*grouping.AlertGroup, *grouping.DamagedGroupError) {
	values, _ := list.([]any)
	fields := make(map[string]string, len(values)/2)
	for i := 0; i+1 < len(values); i += 2 {
		name, _ := values[i].(string)
		fields[name], _ = values[i+1].(string)
	}
	g, damaged := durable.Decode(id, fields)
	if g == nil && damaged == nil {
		g = &grouping.AlertGroup{ID: id}
	}
	return g, damaged
}

// scriptArgs returns the arguments of the store script, in the order in which the
// script reads them.
func (r *Storage) scriptArgs(op string, c *grouping.Change) ([]any, error) {
	records, err := c.Records()
	if err != nil {
		return nil, err
	}
	events, err := c.EncodeEvents()
	if err != nil {
		return nil, err
	}
	base, hasBase := grouping.AlertGroup{}, false
	if c.Base != nil {
		base, hasBase = *c.Base, !c.Base.IsTombstone()
	}
	var (
		head, deleted          string
		ttl                    time.Duration
		version, notifications = base.Version, base.Notifications
	)
	if g := c.Group; g != nil {
		if head, err = g.EncodeHead(); err != nil {
			return nil, err
		}
		deleted = string(g.Deleted)
		if g.State == grouping.StateResolved {
			// The manager deletes groups that are past their retention. The TTL
			// is for groups that no running Muster deletes.
			ttl = r.opts.Retention + durable.TombstoneAge
		}
		version, notifications = max(version, g.Version), max(notifications, g.Notifications)
	} else {
		deleted = string(c.Stamp)
	}
	prefixes := grouping.RecordPrefixes()
	args := make([]any, 0, 32+len(prefixes)+3*len(records)+len(events))
	args = append(args,
		op, string(c.ID()), string(c.Stamp), c.Stamp.Writer(), rand.Text(), durable.Schema,
		hasBase, string(base.Stamp), string(base.Deleted), base.Version,
		c.Exclusive, c.Notified,
		version, notifications,
		head, deleted, int64(ttl.Seconds()),
		int64(durable.TombstoneAge.Seconds()), r.opts.MaxLog, r.opts.MaxHistory, r.opts.MaxTimeline, int64(r.opts.HistoryRetention.Seconds()),
		len(prefixes))
	for _, prefix := range prefixes {
		args = append(args, prefix)
	}
	args = append(args, len(records))
	for _, w := range records {
		args = append(args, w.Name, string(w.Expected), w.Text)
	}
	args = append(args, len(events))
	for _, text := range events {
		args = append(args, text)
	}
	return args, nil
}
