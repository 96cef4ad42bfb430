package redis

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
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"muster/grouping"
	"muster/storage/durable"
)

// Storage keeps documents in Redis: one hash per document, one field per record. It is
// safe for concurrent use, and any number of processes may write to one Redis.
// Concurrent writes to a document are compared and merged record by record. Whether a
// stored write survives a crash of Redis depends on the persistence of Redis.
//
// The keys of shard n have the hash tag {n}, so that one script may use them
// all in a cluster:
//
//	prefix:{n}:g:<id>   HASH    a document. Its fields: its records by their names,
//	                            such as m, the head; v and n, counters;
//	                            d, the deletion; w, the stamp of the last write;
//	                            s, the schema
//	prefix:{n}:t:<id>   ZSET    the timeline of the document: the stamps of its
//	                            writes that have events in the history, sorted by
//	                            text. An earlier version had the texts of the
//	                            events instead
//	prefix:{n}:index    HASH    the stamp of the last write of each document. It is
//	                            not a sorted set, because scores are doubles,
//	                            which are too short for a stamp
//	prefix:{n}:h        ZSET    the history of the shard, sorted by text. A
//	                            member has the texts of some events of one write
//	prefix:{n}:c        HASH    the contents of the events in the history, by hash
//	prefix:{n}:cu       ZSET    the hashes, sorted by the time of the newest event
//	                            that has the content, in milliseconds
//	prefix:{n}:x        ZSET    the changed events, like h. They have no timeline
//	prefix:{n}:xc       HASH    the contents of the changed events
//	prefix:{n}:xu       ZSET    their hashes, like cu
//	prefix:{n}:cp:<stamp> HASH  the parts of a checkpoint
//	prefix:{n}:checkpoints HASH the number of parts and the size of each checkpoint
//	prefix:{n}:log      STREAM  a capped log of the last writes. Each entry names
//	                            the entry before it, and the changed records
//	prefix:{n}:meta     HASH    epoch, sequence, the last entry of the log with its
//	                            sequence, number of shards, the newest schema
//	                            of a process that used the keys, and by how many
//	                            the events in h and x are more than the members
//
// Muster needs at least Redis 6.2, which is the oldest version with all the
// commands.
type Storage struct {
	grouping.NoFollow

	opts    Options
	secrets *secrets
	client  redis.UniversalClient
	// writer stores groups and events. All of its writes pass the limiter.
	writer  redis.UniversalClient
	limiter *writeLimiter
	pace    pace
	watcher *watcher
	shards  []shardKeys
	// storeScript makes a write.
	storeScript storeScript
	// stream reads the logs. It has its own connections, because a read that
	// blocks must not take a connection from the writers.
	stream redis.UniversalClient
	// evictions are the keys that Muster found to be missing.
	evictions evictions
	logger    *slog.Logger
	// joined is set when the schema of the keys was found to be readable.
	joined atomic.Bool
	// newerSchema is the schema to which a newer version upgraded the keys since then.
	newerSchema atomic.Pointer[string]
}

// New returns a client of the Redis at the URL. It does not connect yet.
func New(opts Options) (*Storage, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	s, err := parseServers(opts)
	if err != nil {
		return nil, err
	}
	if opts.Shards == AutoShards {
		opts.Shards = 1
		if s.cluster != nil {
			opts.Shards = clusterShards
		}
	}
	// The reads of the logs are not watched: they block until there is an entry,
	// so a silent connection does not mean that Redis hangs. Each log is read on
	// its own connection.
	streamLimits := connectionLimits{Limits: opts.Limits}
	streamLimits.Connections = max(2, opts.Shards)
	l := connectionLimits{Limits: opts.Limits, watcher: newWatcher(opts.Limits.Answer, s.tlsConfig(), s.caFile)}
	l.Answer = max(maxCommandTime, 3*l.Answer)
	return &Storage{
		opts: opts, secrets: s.secrets, client: s.open(l), writer: s.open(l), stream: s.open(streamLimits),
		limiter: newWriteLimiter(l.Connections), watcher: l.watcher,
		shards: newShardKeys(opts), storeScript: newStoreScript(opts), logger: slog.New(slog.DiscardHandler),
	}, nil
}

// LogTo makes the storage and the Redis client log to the logger. All clients of a
// process share one logger. It must be called before the storage is used.
func (r *Storage) LogTo(logger *slog.Logger) {
	r.logger = logger
	redis.SetLogger(redisLogger{logger, r.secrets})
}

// redisLogger logs the messages of the Redis client. It uses the level Debug,
// because the client repeats a message for each broken connection.
type redisLogger struct {
	logger  *slog.Logger
	secrets *secrets
}

func (l redisLogger) Printf(ctx context.Context, format string, v ...any) {
	l.logger.DebugContext(ctx, "Redis client", "msg", l.secrets.redact(fmt.Sprintf(format, v...)))
}

// redactedError replaces the text of an error that contains a secret.
type redactedError struct {
	error

	text string
}

func (e *redactedError) Error() string { return e.text }
func (e *redactedError) Unwrap() error { return e.error }

// Name implements durable.Backend.
func (r *Storage) Name() string { return "redis" }

// Close closes all connections. It waits for the probes of servers.
func (r *Storage) Close() error {
	err := errors.Join(r.client.Close(), r.writer.Close(), r.stream.Close())
	r.watcher.stop()
	return err
}

// fault wraps an error of the client. If the caller cancelled the context, that is
// not a fault of Redis, so fault returns the cause of the cancellation.
func (r *Storage) fault(ctx context.Context, op string, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return context.Cause(ctx)
	}
	if text := r.secrets.redact(err.Error()); text != err.Error() {
		err = &redactedError{err, text}
	}
	return &grouping.StorageError{Backend: r.Name(), Op: op, Reason: faultReason(err), Err: err}
}

func (r *Storage) shard(id grouping.ID) int {
	if r.opts.Shards == 1 {
		return 0
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(id))
	return int(h.Sum32() % uint32(r.opts.Shards)) //nolint:gosec // G115: at most maxShards
}

// shardKeys are the keys of a shard that each write needs.
type shardKeys struct {
	tag              string // the beginning of all keys
	index, log, meta string
	history, changed eventKeys
}

func newShardKeys(opts Options) []shardKeys {
	shards := make([]shardKeys, opts.Shards)
	for n := range shards {
		tag := fmt.Sprintf("%s:{%d}:", opts.KeyPrefix, n)
		shards[n] = shardKeys{
			tag: tag, index: tag + "index", log: tag + "log", meta: tag + "meta",
			history: eventKeys{tag + "h", tag + "c", tag + "cu", tag + "meta", "extra", opts.MaxHistory},
			changed: eventKeys{tag + "x", tag + "xc", tag + "xu", tag + "meta", "extraChanged", durable.MaxChanged(opts.MaxHistory)},
		}
	}
	return shards
}

func (r *Storage) key(shard int, name string) string { return r.shards[shard].tag + name }

func (r *Storage) documentKey(id grouping.ID) string {
	return r.shards[r.shard(id)].tag + "g:" + string(id)
}

// Load implements grouping.GroupStorage.
func (r *Storage) Load(ctx context.Context, id grouping.ID) (*grouping.AlertGroup, error) {
	return durable.Load(ctx, r, id)
}

// LoadSource implements grouping.GroupStorage.
func (r *Storage) LoadSource(ctx context.Context, source string) (*grouping.SourceDocument, error) {
	return durable.LoadSource(ctx, r, source)
}

// maxPipelineFields is the maximum number of fields that one pipeline reads: about
// 2 MB. A document with more fields is read alone.
const maxPipelineFields = 2000

// LoadMany implements durable.Backend.
func (r *Storage) LoadMany(ctx context.Context, ids []grouping.ID) (
	documents map[grouping.ID]grouping.Document, damaged []*grouping.DamagedGroupError, err error,
) {
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	documents = make(map[grouping.ID]grouping.Document, len(ids))
	ids = slices.DeleteFunc(slices.Clone(ids), func(id grouping.ID) bool { return !id.Valid() })
	for part := range slices.Chunk(ids, durable.Batch) {
		counts, err := r.fieldCounts(ctx, part)
		if err != nil {
			return nil, nil, err
		}
		for len(part) > 0 {
			n, fields := 1, counts[0]
			for n < len(part) && fields+counts[n] <= maxPipelineFields {
				fields += counts[n]
				n++
			}
			bad, err := r.loadPart(ctx, part[:n], documents)
			if err != nil {
				return nil, nil, err
			}
			damaged = append(damaged, bad...)
			part, counts = part[n:], counts[n:]
		}
	}
	return documents, damaged, nil
}

// fieldCounts returns the number of fields of each document. The caller needs them
// to limit the size of a pipeline. It reads a single document in any case, so
// fieldCounts does not ask Redis then.
func (r *Storage) fieldCounts(ctx context.Context, ids []grouping.ID) ([]int, error) {
	counts := make([]int, len(ids))
	if len(ids) == 1 {
		return counts, nil
	}
	pipe := r.client.Pipeline()
	answers := make([]*redis.IntCmd, len(ids))
	for i, id := range ids {
		answers[i] = pipe.HLen(ctx, r.documentKey(id))
	}
	if _, err := pipe.Exec(ctx); err != nil && !isRedisError(err) {
		return nil, r.fault(ctx, "load", err)
	}
	for i := range answers {
		counts[i] = int(answers[i].Val()) // 0 if the key has another type
	}
	return counts, nil
}

// loadPart reads the documents in one pipeline and adds them to documents. It returns
// those that cannot be decoded.
func (r *Storage) loadPart(ctx context.Context, ids []grouping.ID, documents map[grouping.ID]grouping.Document) (
	damaged []*grouping.DamagedGroupError, err error,
) {
	pipe := r.client.Pipeline()
	answers := newAnswers()
	defer answers.release()
	for i, id := range ids {
		// Process only adds the command.
		_ = pipe.Process(ctx, redis.NewRawWriteToCmd(ctx, &answers.texts[i], "hgetall", r.documentKey(id)))
	}
	// The client does not retry these commands, because their answers can be incomplete.
	if _, err := pipe.Exec(ctx); err != nil && !isRedisError(err) && !isBrokenConnection(err) {
		return nil, r.fault(ctx, "load", err)
	}
	for i, id := range ids {
		fields, err := r.readFields(ctx, id, answers.texts[i].text, answers.fields[:0])
		answers.fields = fields
		var bad *grouping.DamagedGroupError
		var d grouping.Document
		switch {
		case err == nil:
			d, bad = durable.Decode(id, fields)
		case redis.HasErrorPrefix(err, "WRONGTYPE"):
			bad = &grouping.DamagedGroupError{ID: id, Err: err}
		default:
			return nil, r.fault(ctx, "load", err)
		}
		if bad != nil {
			damaged = append(damaged, bad)
		} else if d != nil {
			documents[id] = d
		}
	}
	return damaged, nil
}

// isRedisError reports whether err is an error that Redis answered, so Redis could
// be reached.
func isRedisError(err error) bool {
	var answer redis.Error
	return errors.As(err, &answer)
}

//go:embed index.lua
var indexSource string

// indexScript removes expired documents from the index.
var indexScript = redis.NewScript(indexSource)

// Index implements durable.Backend. It also removes the entries of expired documents, because
// Redis does not remove them from the index.
func (r *Storage) Index(ctx context.Context, fn func(tokens map[grouping.ID]string)) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for shard := range r.opts.Shards {
		var cursor uint64
		for {
			pairs, next, err := r.client.HScan(ctx, r.shards[shard].index, cursor, "", indexCount).Result()
			if err != nil {
				return r.fault(ctx, "index", err)
			}
			tokens, err := r.indexPart(ctx, shard, pairs)
			if err != nil {
				return r.fault(ctx, "index", err)
			}
			fn(tokens)
			if cursor = next; cursor == 0 {
				break
			}
		}
	}
	return nil
}

// indexCount is the number of index entries that are read at once.
const indexCount = 500

// indexPart returns the entries in pairs whose documents are stored. It removes the other
// entries from Redis.
func (r *Storage) indexPart(ctx context.Context, shard int, pairs []string) (map[grouping.ID]string, error) {
	tokens := make(map[grouping.ID]string, len(pairs)/2)
	keys := make([]string, 0, len(pairs)/2)
	for pair := range slices.Chunk(pairs, 2) {
		if id := grouping.ID(pair[0]); id.Valid() {
			tokens[id] = pair[1]
			keys = append(keys, r.documentKey(id))
		}
	}
	if len(keys) == 0 {
		return nil, nil
	}
	// Usually all are stored. One command says that.
	n, err := r.client.Exists(ctx, keys...).Result()
	if err == nil && n < int64(len(keys)) {
		err = r.removeExpired(ctx, shard, tokens)
	}
	return tokens, err
}

// removeExpired removes the entries whose documents are not stored from the map, and from
// the index in Redis.
func (r *Storage) removeExpired(ctx context.Context, shard int, tokens map[grouping.ID]string) error {
	pipe := r.client.Pipeline()
	stored := make(map[grouping.ID]*redis.IntCmd, len(tokens))
	for id := range tokens {
		stored[id] = pipe.Exists(ctx, r.documentKey(id))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	keys, expired := []string{r.shards[shard].index}, []any(nil)
	for id, exists := range stored {
		if exists.Val() == 0 {
			delete(tokens, id)
			keys, expired = append(keys, r.documentKey(id)), append(expired, string(id))
		}
	}
	if len(expired) == 0 {
		return nil
	}
	return indexScript.Run(ctx, r.client, keys, expired...).Err()
}

// ListKeys implements grouping.GroupStorage.
func (r *Storage) ListKeys(ctx context.Context) ([]grouping.ID, error) {
	return durable.ListKeys(ctx, r)
}

// Size implements grouping.GroupStorage. The length of the index would include expired
// groups.
func (r *Storage) Size(ctx context.Context) (int, error) {
	return durable.Size(ctx, r)
}

// LoadAll implements grouping.GroupStorage.
func (r *Storage) LoadAll(ctx context.Context) iter.Seq2[*grouping.AlertGroup, error] {
	return durable.LoadAll(ctx, r)
}

// StoreAll implements grouping.GroupStorage.
func (r *Storage) StoreAll(ctx context.Context, groups []*grouping.AlertGroup) error {
	return durable.StoreAll(ctx, r, groups)
}

// Ping implements grouping.GroupStorage.
func (r *Storage) Ping(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := r.client.Ping(ctx).Err(); err != nil {
		return r.fault(ctx, "ping", err)
	}
	return nil
}

// Now implements durable.Backend.
func (r *Storage) Now(ctx context.Context) (time.Time, error) {
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

// positionScript reads the position of a log. A transaction would not be safe: if
// Redis rejects its first command, the next user of the connection could read the
// answers to the other commands.
var positionScript = redis.NewScript(positionSource)

// shardsError says that the groups in Redis are spread over another number of
// shards than this process uses.
type shardsError struct {
	stored string
	own    int
}

func (e *shardsError) Error() string {
	return fmt.Sprintf("the groups in Redis are spread over %s shards, but --redis.shards is %d", e.stored, e.own)
}

// Position implements durable.Backend.
func (r *Storage) Position(ctx context.Context) ([]durable.Position, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	positions := make([]durable.Position, r.opts.Shards)
	for shard := range positions {
		keys := []string{r.shards[shard].meta, r.shards[shard].log}
		answer, err := positionScript.Run(ctx, r.client, keys, rand.Text(), r.opts.Shards, durable.Schema).Slice()
		if err != nil {
			return nil, r.fault(ctx, "position", err)
		}
		if stored, _ := answer[3].(string); stored != strconv.Itoa(r.opts.Shards) {
			return nil, r.fault(ctx, "position", &shardsError{stored, r.opts.Shards})
		}
		found, _ := answer[5].(string)
		if err := r.checkSchema(found); err != nil {
			return nil, r.fault(ctx, "position", err)
		}
		p := &positions[shard]
		p.Epoch, _ = answer[0].(string)
		p.Seq, _ = answer[1].(int64)
		p.StreamID, _ = answer[2].(string)
		p.Token, _ = answer[4].(string)
	}
	r.joined.Store(true)
	return positions, nil
}

// checkSchema checks the schema of the keys. A process does not begin to use keys of a
// newer schema. If a newer version upgrades them later, the process continues, because it
// can still write the groups that the newer version did not write. Check reports that.
func (r *Storage) checkSchema(found string) error {
	switch {
	case durable.IsOlder(found):
		r.logger.Info("Upgraded the storage: older versions of Muster cannot read what is written from now on",
			"from", "schema "+found, "to", "schema "+durable.Schema)
	case durable.IsNewer(found) && !r.joined.Load():
		return &durable.SchemaError{Found: found}
	case durable.IsNewer(found):
		r.newerSchema.Store(&found)
	}
	return nil
}
