package redis

import (
	"context"
	"errors"
	"strconv"
	"time"

	"muster/grouping"
	"muster/storage/durable"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

const (
	// blockTime is how long one read of the log waits for new entries. It must be
	// short because a cancelled context does not interrupt a read that waits.
	blockTime = time.Second
	// maxEntries is the maximum number of entries in one read of the log. A slow
	// connection must transfer them within the time limit of the read.
	maxEntries = 200
)

// FollowLog implements durable.Backend.
func (r *Storage) FollowLog(ctx context.Context, from []durable.Position, fn func(shard int, entries []durable.LogEntry)) error {
	g, ctx := errgroup.WithContext(ctx)
	for shard := range from {
		g.Go(func() error {
			return r.followShard(ctx, shard, from[shard].StreamID, fn)
		})
	}
	return g.Wait()
}

func (r *Storage) followShard(ctx context.Context, shard int, last string, fn func(int, []durable.LogEntry)) error {
	for ctx.Err() == nil {
		rctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*blockTime)
		streams, err := r.stream.XRead(rctx, &redis.XReadArgs{
			Streams: []string{r.key(shard, "log"), last}, Count: maxEntries, Block: blockTime,
		}).Result()
		cancel()
		switch {
		case errors.Is(err, redis.Nil) || err == nil && len(streams) == 0:
			continue
		case err != nil && ctx.Err() == nil:
			return r.fault(ctx, "follow", err)
		case err != nil:
			continue // the context ended
		}
		entries := make([]durable.LogEntry, 0, len(streams[0].Messages))
		for _, m := range streams[0].Messages {
			entries = append(entries, decodeLogEntry(m))
			last = m.ID
		}
		fn(shard, entries)
	}
	return nil
}

func decodeLogEntry(m redis.XMessage) durable.LogEntry {
	text := func(name string) string { s, _ := m.Values[name].(string); return s }
	e := durable.LogEntry{ID: grouping.ID(text("id")), Writer: text("writer"), Previous: text("previous")}
	e.Epoch, e.StreamID, e.Token = text("epoch"), m.ID, text("token")
	e.Seq, _ = strconv.ParseInt(text("seq"), 10, 64)
	return e
}
