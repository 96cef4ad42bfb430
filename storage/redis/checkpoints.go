package redis

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"muster/grouping"
	"muster/storage/durable"
)

// A checkpoint is a hash of parts, and an entry in the hash of all checkpoints of its shard. The
// entry is written last. It has the number of parts and the size.

func (r *Storage) checkpointShard(name grouping.Stamp) int { return r.shard(grouping.ID(name)) }

func (r *Storage) checkpointsKey(shard int) string { return r.key(shard, "checkpoints") }

func (r *Storage) checkpointKey(name grouping.Stamp) string {
	return r.key(r.checkpointShard(name), "cp:"+string(name))
}

// Checkpoints implements grouping.GroupStorage.
func (r *Storage) Checkpoints(ctx context.Context) ([]grouping.StoredCheckpoint, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var stored []grouping.StoredCheckpoint
	for shard := range r.opts.Shards {
		entries, err := r.client.HGetAll(ctx, r.checkpointsKey(shard)).Result()
		if err != nil {
			return nil, r.fault(ctx, "checkpoints", err)
		}
		for name, entry := range entries {
			if _, size, ok := checkpointEntry(entry); ok && grouping.Stamp(name).Valid() {
				stored = append(stored, grouping.StoredCheckpoint{Name: grouping.Stamp(name), Size: size})
			}
		}
	}
	slices.SortFunc(stored, func(a, b grouping.StoredCheckpoint) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return stored, nil
}

// checkpointEntry returns what an entry says of its checkpoint.
func checkpointEntry(entry string) (parts, size int, ok bool) {
	first, second, _ := strings.Cut(entry, " ")
	parts, err := strconv.Atoi(first)
	size, failed := strconv.Atoi(second)
	return parts, size, err == nil && failed == nil
}

// LoadCheckpoint implements grouping.GroupStorage.
func (r *Storage) LoadCheckpoint(ctx context.Context, name grouping.Stamp) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	entry, err := r.client.HGet(ctx, r.checkpointsKey(r.checkpointShard(name)), string(name)).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, r.fault(ctx, "load checkpoint", err)
	}
	parts, size, ok := checkpointEntry(entry)
	if !ok {
		return nil, nil
	}
	var data []byte
	for i := range parts {
		part, err := r.client.HGet(ctx, r.checkpointKey(name), strconv.Itoa(i)).Result()
		if errors.Is(err, redis.Nil) {
			return nil, nil // an eviction removed it
		}
		if err != nil {
			return nil, r.fault(ctx, "load checkpoint", err)
		}
		data = append(data, part...)
	}
	if len(data) != size {
		return nil, nil
	}
	return data, nil
}

// StoreCheckpoint implements grouping.GroupStorage.
func (r *Storage) StoreCheckpoint(ctx context.Context, name grouping.Stamp, data []byte) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	key, parts := r.checkpointKey(name), 0
	for part := range slices.Chunk(data, durable.CheckpointPart) {
		pipe := r.client.Pipeline()
		pipe.HSet(ctx, key, strconv.Itoa(parts), part)
		// Nobody deletes it if its entry is never written.
		pipe.Expire(ctx, key, r.opts.HistoryRetention+24*time.Hour)
		if _, err := pipe.Exec(ctx); err != nil {
			return r.fault(ctx, "store checkpoint", err)
		}
		parts++
	}
	entry := strconv.Itoa(parts) + " " + strconv.Itoa(len(data))
	if err := r.client.HSet(ctx, r.checkpointsKey(r.checkpointShard(name)), string(name), entry).Err(); err != nil {
		return r.fault(ctx, "store checkpoint", err)
	}
	return nil
}

// DeleteCheckpoint implements grouping.GroupStorage.
func (r *Storage) DeleteCheckpoint(ctx context.Context, name grouping.Stamp) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	err := r.client.HDel(ctx, r.checkpointsKey(r.checkpointShard(name)), string(name)).Err()
	if err == nil {
		err = r.client.Unlink(ctx, r.checkpointKey(name)).Err()
	}
	if err != nil {
		return r.fault(ctx, "delete checkpoint", err)
	}
	return nil
}

// HistorySince implements grouping.GroupStorage. Redis does not note what a limit removed. But a
// history from which it removed something is full, or nearly.
func (r *Storage) HistorySince(ctx context.Context) (time.Time, error) {
	if ctx.Err() != nil {
		return time.Time{}, context.Cause(ctx)
	}
	now, err := r.Now(ctx)
	if err != nil {
		return time.Time{}, err
	}
	since := durable.HistorySince(now, r.opts.HistoryRetention, "")
	for shard := range r.opts.Shards {
		first, err := r.firstOfFull(ctx, r.historyKeys(shard))
		if err != nil {
			return time.Time{}, r.fault(ctx, "history since", err)
		}
		if at := durable.HistorySince(now, r.opts.HistoryRetention, first); at.After(since) {
			since = at
		}
	}
	return since, nil
}

// firstOfFull returns the first entry of a history that is full, or "".
func (r *Storage) firstOfFull(ctx context.Context, keys eventKeys) (string, error) {
	pipe := r.client.Pipeline()
	length, extra := pipe.ZCard(ctx, keys.events), pipe.HGet(ctx, keys.meta, keys.extra)
	first := pipe.ZRange(ctx, keys.events, 0, 0)
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return "", err
	}
	more, err := strconv.ParseInt(extra.Val(), 10, 64)
	if err != nil {
		more = 0 // every entry is one event
	}
	// A removal goes a little below the limit, because it removes whole entries.
	const slack = 1000
	if length.Val()+more+int64(min(slack, keys.maximum/10)) < int64(keys.maximum) || len(first.Val()) == 0 {
		return "", nil
	}
	return first.Val()[0], nil
}
