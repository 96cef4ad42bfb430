package storage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/fnv"
	"iter"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"time"

	"muster/grouping"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// RedisOptions are the settings of a Redis. Only URL must be set.
type RedisOptions struct {
	URL       string // redis://user:password@host:port/db
	KeyPrefix string // "": "muster"
	// Shards is the number of hash tags over which the groups are spread: 0 or
	// 1 for a single server.
	Shards int
	// Retention is how long a resolved group is kept, HistoryRetention how long
	// events are. Zero: 7 and 30 days.
	Retention, HistoryRetention time.Duration
	// MaxHistory bounds the events kept per shard, MaxTimeline those per group,
	// MaxLog the entries of the log. Zero: 1,000,000 (about 500 MB at most),
	// 10,000, 10,000 (some minutes of a storm: who is away longer compares).
	MaxHistory, MaxTimeline, MaxLog int
}

func (o RedisOptions) withDefaults() RedisOptions {
	orDefault(&o.KeyPrefix, "muster")
	orDefault(&o.Shards, 1)
	orDefault(&o.Retention, grouping.DefaultOptions.Retention)
	orDefault(&o.HistoryRetention, 30*24*time.Hour)
	orDefault(&o.MaxHistory, 1_000_000)
	orDefault(&o.MaxTimeline, 10_000)
	orDefault(&o.MaxLog, 10_000)
	return o
}

// Redis keeps groups in Redis: one hash per group, one field per alert. It is
// safe for any number of processes to write to: what they write at once is
// compared and joined alert by alert.
//
// The keys of a shard n carry the hash tag {n}, so that one script may touch
// them in a cluster:
//
//	prefix:{n}:g:<id>   HASH    a group: m, its own fields; a:<fingerprint>, one
//	                            alert each; v and n, counters; d, deleted
//	prefix:{n}:t:<id>   ZSET    the group's history, by text
//	prefix:{n}:index    HASH    of every group, the stamp of its last write. Not a
//	                            sorted set: its scores are doubles, too short for
//	                            a stamp
//	prefix:{n}:h        ZSET    the shard's history, by text
//	prefix:{n}:log      STREAM  a capped hint of what changed
//	prefix:{n}:meta     HASH    epoch and sequence
type Redis struct {
	opts   RedisOptions
	client *redis.Client
	// stream reads the log: a reader that blocks must not take the
	// connections from the writers.
	stream *redis.Client
}

// NewRedis returns a client of the Redis at the URL. It dials nothing.
func NewRedis(opts RedisOptions, logger *slog.Logger) (*Redis, error) {
	opts = opts.withDefaults()
	conn, err := redis.ParseURL(opts.URL)
	if err != nil {
		// The URL holds a password: it must not get into the message.
		if bad := (*url.Error)(nil); errors.As(err, &bad) {
			err = bad.Err
		}
		return nil, fmt.Errorf("redis URL: %w", err)
	}
	// A webhook has two seconds altogether and must not wait longer for Redis
	// than half a second. Nothing is sent twice by the client: a script that
	// was sent may have been applied.
	conn.ContextTimeoutEnabled = true
	conn.ReadTimeout, conn.WriteTimeout = 500*time.Millisecond, 500*time.Millisecond
	conn.DialTimeout, conn.DialerRetries = time.Second, 1
	conn.PoolTimeout, conn.PoolSize = 300*time.Millisecond, 16
	conn.MaxRetries = -1
	conn.DisableIdentity = true
	conn.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	redis.SetLogger(redisLogger{logger})
	stream := *conn
	stream.PoolSize = 2
	return &Redis{opts: opts, client: redis.NewClient(conn), stream: redis.NewClient(&stream)}, nil
}

// redisLogger passes on what the client says. It says the same of every
// connection that breaks, so none of it is a warning.
type redisLogger struct{ logger *slog.Logger }

func (l redisLogger) Printf(ctx context.Context, format string, v ...any) {
	l.logger.DebugContext(ctx, "Redis client", "msg", fmt.Sprintf(format, v...))
}

// Name implements Durable.
func (r *Redis) Name() string { return "redis" }

// Close closes the connections.
func (r *Redis) Close() error { return errors.Join(r.client.Close(), r.stream.Close()) }

func (r *Redis) fault(op string, err error) error {
	return &grouping.StorageError{Backend: r.Name(), Op: op, Err: err}
}

func (r *Redis) shard(id grouping.ID) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id))
	return int(h.Sum32() % uint32(r.opts.Shards)) //nolint:gosec // G115: a handful
}

func (r *Redis) key(shard int, name string) string {
	return fmt.Sprintf("%s:{%d}:%s", r.opts.KeyPrefix, shard, name)
}

func (r *Redis) groupKey(id grouping.ID) string { return r.key(r.shard(id), "g:"+string(id)) }

// Load implements grouping.GroupStorage.
func (r *Redis) Load(ctx context.Context, id grouping.ID) (*grouping.AlertGroup, error) {
	return loadOne(ctx, r, id)
}

// LoadMany implements Durable.
func (r *Redis) LoadMany(ctx context.Context, ids []grouping.ID) (map[grouping.ID]*grouping.AlertGroup, []*grouping.DamagedGroupError, error) {
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	groups := make(map[grouping.ID]*grouping.AlertGroup, len(ids))
	var damaged []*grouping.DamagedGroupError
	for part := range slices.Chunk(ids, batch) {
		pipe := r.client.Pipeline()
		answers := make([]*redis.MapStringStringCmd, len(part))
		for i, id := range part {
			answers[i] = pipe.HGetAll(ctx, r.groupKey(id))
		}
		if _, err := pipe.Exec(ctx); err != nil && !isAnswer(err) {
			return nil, nil, r.fault("load", err)
		}
		for i, id := range part {
			fields, err := answers[i].Result()
			var bad *grouping.DamagedGroupError
			var g *grouping.AlertGroup
			switch {
			case err == nil:
				g, bad = decodeGroup(id, fields)
			case redis.HasErrorPrefix(err, "WRONGTYPE"):
				bad = &grouping.DamagedGroupError{ID: id, Err: err}
			default:
				return nil, nil, r.fault("load", err)
			}
			if bad != nil {
				damaged = append(damaged, bad)
			} else if g != nil {
				groups[id] = g
			}
		}
	}
	return groups, damaged, nil
}

// isAnswer reports whether Redis answered with an error of its own.
func isAnswer(err error) bool {
	var answer redis.Error
	return errors.As(err, &answer)
}

// Index implements Durable.
func (r *Redis) Index(ctx context.Context) (map[grouping.ID]string, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	index := map[grouping.ID]string{}
	for shard := range r.opts.Shards {
		var cursor uint64
		for {
			pairs, next, err := r.client.HScan(ctx, r.key(shard, "index"), cursor, "", 500).Result()
			if err != nil {
				return nil, r.fault("index", err)
			}
			for pair := range slices.Chunk(pairs, 2) {
				if id := grouping.ID(pair[0]); id.Valid() {
					index[id] = pair[1]
				}
			}
			if cursor = next; cursor == 0 {
				break
			}
		}
	}
	return index, nil
}

// ListKeys implements grouping.GroupStorage.
func (r *Redis) ListKeys(ctx context.Context) ([]grouping.ID, error) { return indexKeys(ctx, r) }

// Size implements grouping.GroupStorage.
func (r *Redis) Size(ctx context.Context) (int, error) {
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	size := 0
	for shard := range r.opts.Shards {
		n, err := r.client.HLen(ctx, r.key(shard, "index")).Result()
		if err != nil {
			return 0, r.fault("size", err)
		}
		size += int(n)
	}
	return size, nil
}

// LoadAll implements grouping.GroupStorage.
func (r *Redis) LoadAll(ctx context.Context) iter.Seq2[*grouping.AlertGroup, error] {
	return loadAll(ctx, r)
}

// StoreAll implements grouping.GroupStorage.
func (r *Redis) StoreAll(ctx context.Context, groups []*grouping.AlertGroup) error {
	return storeAll(ctx, r, groups)
}

// Ping implements grouping.GroupStorage.
func (r *Redis) Ping(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := r.client.Ping(ctx).Err(); err != nil {
		return r.fault("ping", err)
	}
	return nil
}

// Now implements Durable.
func (r *Redis) Now(ctx context.Context) (time.Time, error) {
	now, err := r.client.Time(ctx).Result()
	if err != nil {
		return time.Time{}, r.fault("time", err)
	}
	return now, nil
}

// Position implements Durable.
func (r *Redis) Position(ctx context.Context) ([]Position, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	positions := make([]Position, r.opts.Shards)
	for shard := range positions {
		pipe := r.client.TxPipeline()
		pipe.HSetNX(ctx, r.key(shard, "meta"), "epoch", rand.Text())
		head := pipe.HMGet(ctx, r.key(shard, "meta"), "epoch", "seq")
		last := pipe.XRevRangeN(ctx, r.key(shard, "log"), "+", "-", 1)
		if _, err := pipe.Exec(ctx); err != nil {
			return nil, r.fault("position", err)
		}
		p := &positions[shard]
		p.Epoch, _ = head.Val()[0].(string)
		if seq, ok := head.Val()[1].(string); ok {
			p.Seq, _ = strconv.ParseInt(seq, 10, 64)
		}
		p.StreamID = "0-0"
		if entries := last.Val(); len(entries) > 0 {
			p.StreamID = entries[0].ID
		}
	}
	return positions, nil
}
