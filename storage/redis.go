package storage

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"hash/fnv"
	"iter"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"muster/grouping"

	"github.com/redis/go-redis/v9"
)

// RedisOptions are the settings of a Redis. Only URL must be set. An error about
// one names its flag.
type RedisOptions struct {
	// URL is one of
	//
	//	redis://user:password@host:port/db, rediss:// for TLS
	//	unix://user:password@/path/to/socket?db=0
	//	redis://sentinel:password@host:port/db?master_name=m&username=u&password=p&addr=host:port
	//	redis://user:password@host:port?addr=host:port
	//
	// The third names Sentinels, the fourth nodes of a cluster; addr may be
	// given several times.
	URL string
	// PasswordFile and SentinelPasswordFile have the passwords that replace those
	// in the URL. They are read for each connection.
	PasswordFile, SentinelPasswordFile string
	TLS                                RedisTLS
	KeyPrefix                          string // "": "muster"
	// Shards is the number of hash tags over which the groups are spread. Zero:
	// 1, and 16 in a cluster. It is the same for all who share the keys.
	Shards int
	// Retention is how long a resolved group is kept, HistoryRetention how long
	// events are. Zero: 7 and 30 days.
	Retention, HistoryRetention time.Duration
	// MaxHistory bounds the events kept per shard, MaxTimeline those per group,
	// MaxLog the entries of the log. Zero: 1,000,000 (about 500 MB at most),
	// 10,000, 10,000 (some minutes of a storm: who is away longer compares).
	MaxHistory, MaxTimeline, MaxLog int
}

func (o RedisOptions) withDefaults() (RedisOptions, error) {
	orDefault(&o.KeyPrefix, "muster")
	orDefault(&o.Retention, grouping.DefaultOptions.Retention)
	orDefault(&o.HistoryRetention, 30*24*time.Hour)
	orDefault(&o.MaxHistory, 1_000_000)
	orDefault(&o.MaxTimeline, 10_000)
	orDefault(&o.MaxLog, 10_000)
	switch {
	case strings.ContainsAny(o.KeyPrefix, "{}"):
		// The first braces of a key are its hash tag in a cluster.
		return o, fmt.Errorf("--redis.key-prefix: %q contains a brace", o.KeyPrefix)
	case o.Shards < 0 || o.Shards > maxShards:
		return o, fmt.Errorf("--redis.shards: %d is not between 1 and %d", o.Shards, maxShards)
	case o.Retention < 0 || o.HistoryRetention < 0 || o.MaxHistory < 0 || o.MaxTimeline < 0 || o.MaxLog < 0:
		return o, errors.New("redis: a time or size is negative")
	}
	return o, nil
}

// maxShards bounds the connections that follow a log each, clusterShards is
// enough to spread the groups evenly over the masters of most clusters.
const (
	maxShards     = 64
	clusterShards = 16
)

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
//	prefix:{n}:log      STREAM  a capped hint of what changed; each entry names the
//	                            one before it
//	prefix:{n}:meta     HASH    epoch, sequence and number of shards
//
// Redis 6.2 is the oldest that has all the commands.
type Redis struct {
	opts    RedisOptions
	secrets *secrets
	client  redis.UniversalClient
	// writer stores groups and events, each within the gate.
	writer  redis.UniversalClient
	gate    *gate
	pace    pace
	watcher *watcher
	// stream reads the log: a reader that blocks must not take the
	// connections from the writers.
	stream redis.UniversalClient
	// evicted is what writes have found to be gone.
	evicted evicted
}

// NewRedis returns a client of the Redis at the URL. It dials nothing.
func NewRedis(opts RedisOptions, logger *slog.Logger) (*Redis, error) {
	// A webhook has two seconds altogether: within one of them a Redis must be
	// known to hang.
	r, err := newRedis(opts, limits{
		answer: 500 * time.Millisecond, dial: time.Second, pool: time.Second, connections: 16,
	})
	if err != nil {
		return nil, err
	}
	redis.SetLogger(redisLogger{logger, r.secrets})
	return r, nil
}

func newRedis(opts RedisOptions, l limits) (*Redis, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	s, err := parseServers(opts)
	if err != nil {
		return nil, err
	}
	if s.cluster != nil {
		orDefault(&opts.Shards, clusterShards)
	}
	orDefault(&opts.Shards, 1)
	// A read of the log waits for what may come at any time: nothing is learned
	// from silence. Each log is read on a connection of its own.
	blocked := l
	blocked.connections = max(2, opts.Shards)
	l.watcher = newWatcher(l.answer, s.tlsConfig(), s.caFile)
	l.answer = max(longestCommand, 3*l.answer)
	return &Redis{
		opts: opts, secrets: s.secrets, client: s.open(l), writer: s.open(l), stream: s.open(blocked),
		gate: newGate(l.connections), watcher: l.watcher,
	}, nil
}

// redisLogger passes on what the client says. It says the same of every
// connection that breaks, so none of it is a warning.
type redisLogger struct {
	logger  *slog.Logger
	secrets *secrets
}

func (l redisLogger) Printf(ctx context.Context, format string, v ...any) {
	l.logger.DebugContext(ctx, "Redis client", "msg", l.secrets.hide(fmt.Sprintf(format, v...)))
}

// hiddenError is an error whose text had a secret in it.
type hiddenError struct {
	error

	text string
}

func (e *hiddenError) Error() string { return e.text }
func (e *hiddenError) Unwrap() error { return e.error }

// Name implements Durable.
func (r *Redis) Name() string { return "redis" }

// Close closes the connections.
func (r *Redis) Close() error {
	err := errors.Join(r.client.Close(), r.writer.Close(), r.stream.Close())
	r.watcher.close()
	return err
}

// fault wraps what the client reports. That the caller went away is none.
func (r *Redis) fault(ctx context.Context, op string, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return context.Cause(ctx)
	}
	if text := r.secrets.hide(err.Error()); text != err.Error() {
		err = &hiddenError{err, text}
	}
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

// bulkFields bounds the fields that one pipeline reads: some 2 MB.
const bulkFields = 2000

// LoadMany implements Durable.
func (r *Redis) LoadMany(ctx context.Context, ids []grouping.ID) (map[grouping.ID]*grouping.AlertGroup, []*grouping.DamagedGroupError, error) {
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	groups := make(map[grouping.ID]*grouping.AlertGroup, len(ids))
	var damaged []*grouping.DamagedGroupError
	ids = slices.DeleteFunc(slices.Clone(ids), func(id grouping.ID) bool { return !id.Valid() })
	for part := range slices.Chunk(ids, batch) {
		sizes, err := r.sizes(ctx, part)
		if err != nil {
			return nil, nil, err
		}
		for len(part) > 0 {
			n, fields := 1, sizes[0]
			for n < len(part) && fields+sizes[n] <= bulkFields {
				fields += sizes[n]
				n++
			}
			bad, err := r.loadPart(ctx, part[:n], groups)
			if err != nil {
				return nil, nil, err
			}
			damaged = append(damaged, bad...)
			part, sizes = part[n:], sizes[n:]
		}
	}
	return groups, damaged, nil
}

// sizes returns the number of fields of each group, so that what is read at
// once is bounded. One group is read at once in any case.
func (r *Redis) sizes(ctx context.Context, ids []grouping.ID) ([]int, error) {
	sizes := make([]int, len(ids))
	if len(ids) == 1 {
		return sizes, nil
	}
	pipe := r.client.Pipeline()
	answers := make([]*redis.IntCmd, len(ids))
	for i, id := range ids {
		answers[i] = pipe.HLen(ctx, r.groupKey(id))
	}
	if _, err := pipe.Exec(ctx); err != nil && !isAnswer(err) {
		return nil, r.fault(ctx, "load", err)
	}
	for i := range answers {
		sizes[i] = int(answers[i].Val()) // 0 where it is of another type
	}
	return sizes, nil
}

func (r *Redis) loadPart(ctx context.Context, ids []grouping.ID, groups map[grouping.ID]*grouping.AlertGroup) (damaged []*grouping.DamagedGroupError, err error) {
	pipe := r.client.Pipeline()
	answers := make([]*redis.MapStringStringCmd, len(ids))
	for i, id := range ids {
		answers[i] = pipe.HGetAll(ctx, r.groupKey(id))
	}
	if _, err := pipe.Exec(ctx); err != nil && !isAnswer(err) {
		return nil, r.fault(ctx, "load", err)
	}
	for i, id := range ids {
		fields, err := answers[i].Result()
		var bad *grouping.DamagedGroupError
		var g *grouping.AlertGroup
		switch {
		case err == nil:
			g, bad = decodeGroup(id, fields)
		case redis.HasErrorPrefix(err, "WRONGTYPE"):
			bad = &grouping.DamagedGroupError{ID: id, Err: err}
		default:
			return nil, r.fault(ctx, "load", err)
		}
		if bad != nil {
			damaged = append(damaged, bad)
		} else if g != nil {
			groups[id] = g
		}
	}
	return damaged, nil
}

// isAnswer reports whether Redis answered with an error of its own.
func isAnswer(err error) bool {
	var answer redis.Error
	return errors.As(err, &answer)
}

//go:embed index.lua
var indexSource string

// indexScript drops expired groups from the index.
var indexScript = redis.NewScript(indexSource)

// Index implements Durable. A group that expired leaves its entry behind; it is
// dropped here.
func (r *Redis) Index(ctx context.Context) (map[grouping.ID]string, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	index := map[grouping.ID]string{}
	for shard := range r.opts.Shards {
		var cursor uint64
		for {
			pairs, next, err := r.client.HScan(ctx, r.key(shard, "index"), cursor, "", indexCount).Result()
			if err != nil {
				return nil, r.fault(ctx, "index", err)
			}
			if err := r.indexPart(ctx, shard, pairs, index); err != nil {
				return nil, r.fault(ctx, "index", err)
			}
			if cursor = next; cursor == 0 {
				break
			}
		}
	}
	return index, nil
}

// indexCount is how many entries of the index are read at once.
const indexCount = 500

// indexPart takes in those entries whose groups are stored.
func (r *Redis) indexPart(ctx context.Context, shard int, pairs []string, index map[grouping.ID]string) error {
	pipe := r.client.Pipeline()
	stored := make(map[grouping.ID]*redis.IntCmd, len(pairs)/2)
	for pair := range slices.Chunk(pairs, 2) {
		if id := grouping.ID(pair[0]); id.Valid() {
			stored[id] = pipe.Exists(ctx, r.groupKey(id))
		}
	}
	if len(stored) == 0 {
		return nil
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	keys, ghosts := []string{r.key(shard, "index")}, []any(nil)
	for pair := range slices.Chunk(pairs, 2) {
		id := grouping.ID(pair[0])
		switch exists := stored[id]; {
		case exists == nil:
		case exists.Val() == 1:
			index[id] = pair[1]
		default:
			keys, ghosts = append(keys, r.groupKey(id)), append(ghosts, pair[0])
		}
	}
	if len(ghosts) == 0 {
		return nil
	}
	return indexScript.Run(ctx, r.client, keys, ghosts...).Err()
}

// ListKeys implements grouping.GroupStorage.
func (r *Redis) ListKeys(ctx context.Context) ([]grouping.ID, error) { return indexKeys(ctx, r) }

// Size implements grouping.GroupStorage. The length of the index would count
// the groups that expired.
func (r *Redis) Size(ctx context.Context) (int, error) {
	index, err := r.Index(ctx)
	return len(index), err
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
		return r.fault(ctx, "ping", err)
	}
	return nil
}

// Now implements Durable.
func (r *Redis) Now(ctx context.Context) (time.Time, error) {
	if ctx.Err() != nil {
		return time.Time{}, context.Cause(ctx)
	}
	now, err := r.client.Time(ctx).Result()
	if err != nil {
		return time.Time{}, r.fault(ctx, "time", err)
	}
	return now, nil
}

//go:embed position.lua
var positionSource string

// positionScript is no transaction: where Redis refuses its first command, the
// answers to the others could be taken for those of the connection's next user.
var positionScript = redis.NewScript(positionSource)

// shardsError says that the groups are spread over another number of shards.
type shardsError struct {
	stored string
	own    int
}

func (e *shardsError) Error() string {
	return fmt.Sprintf("the groups in Redis are spread over %s shards, not over the %d of --redis.shards", e.stored, e.own)
}

// Position implements Durable.
func (r *Redis) Position(ctx context.Context) ([]Position, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	positions := make([]Position, r.opts.Shards)
	for shard := range positions {
		keys := []string{r.key(shard, "meta"), r.key(shard, "log")}
		answer, err := positionScript.Run(ctx, r.client, keys, rand.Text(), r.opts.Shards).Slice()
		if err != nil {
			return nil, r.fault(ctx, "position", err)
		}
		if stored, _ := answer[3].(string); stored != strconv.Itoa(r.opts.Shards) {
			return nil, r.fault(ctx, "position", &shardsError{stored, r.opts.Shards})
		}
		p := &positions[shard]
		p.Epoch, _ = answer[0].(string)
		p.Seq, _ = answer[1].(int64)
		p.StreamID, _ = answer[2].(string)
		p.Token, _ = answer[4].(string)
	}
	return positions, nil
}
