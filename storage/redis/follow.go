package redis

import (
	"context"
	"errors"
	"time"

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
	// readPause is the time from one read of the log to the next. Under load, one read
	// then gets several entries, and one load gets the document that they are about. Most
	// of the cost of a change is that of the round trips, and nobody sees a delay of 50 ms.
	// A read that got the maximum number of entries is followed by the next one at once.
	readPause = 50 * time.Millisecond
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
			Streams: []string{r.shards[shard].log, last}, Count: maxEntries, Block: blockTime,
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
		if len(entries) < maxEntries {
			pause(ctx, readPause)
		}
	}
	return nil
}

// pause waits, or returns earlier if the context ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
