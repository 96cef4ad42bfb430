package redis

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"muster/grouping"
	"muster/storage/durable"
)

var (
	//go:embed trim.lua
	trimSource string
	//go:embed store.lua
	storeSource string
	//go:embed limit.lua
	limitSource string
)

// limitScript removes the oldest events beyond a limit.
var limitScript = redis.NewScript(trimSource + limitSource)

// cleaning is the number of writes to a shard from one removal of what is past the
// retention, and of contents that no event has any more, to the next. It is a part of a
// write that most writes need not have.
const cleaning = 64

// storeScript is the script that makes a write.
type storeScript struct{ source, hash string }

// newStoreScript returns the script with the limits of the options.
func newStoreScript(opts Options) storeScript {
	prefixes := grouping.RecordPrefixes()
	for i := range prefixes {
		prefixes[i] = strconv.Quote(prefixes[i])
	}
	seconds := func(d time.Duration) int64 { return int64(d.Seconds()) }
	source := fmt.Sprintf(
		"local SCHEMA, PREFIXES, TOMBSTONE_TTL, RETENTION, CLEANING = '%s', {%s}, '%d', %d, %d\n"+
			"local MAX_LOG, MAX_HISTORY, MAX_CHANGED, MAX_TIMELINE = '%d', %d, %d, %d\n",
		durable.Schema, strings.Join(prefixes, ", "), seconds(durable.TombstoneAge), seconds(opts.HistoryRetention), cleaning,
		opts.MaxLog, opts.MaxHistory, durable.MaxChanged(opts.MaxHistory), opts.MaxTimeline) + trimSource + storeSource
	return storeScript{source, redis.NewScript(source).Hash()}
}

// run runs the script. It sends the hash of the script, and sends the text only if Redis does
// not know the hash.
func (s *storeScript) run(ctx context.Context, client redis.UniversalClient, a *storeArgs) ([]any, error) {
	send := func(command, script string) *redis.Cmd {
		a.args[0], a.args[1] = command, script
		cmd := redis.NewCmd(ctx, a.args...)
		cmd.SetFirstKeyPos(scriptKeysAt)
		_ = client.Process(ctx, cmd) // the command has the error too
		return cmd
	}
	cmd := send("evalsha", s.hash)
	if redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
		cmd = send("eval", s.source)
	}
	return cmd.Slice()
}

// Write implements durable.Backend.
func (r *Storage) Write(ctx context.Context, w grouping.Write) (grouping.Document, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	result, err := r.runStoreScript(ctx, &w)
	if err != nil || w.Next == nil {
		return nil, err
	}
	return w.Stored(result.version, result.notifications, result.keptHead)
}

// Store implements grouping.GroupStorage.
func (r *Storage) Store(ctx context.Context, c grouping.Change) (*grouping.AlertGroup, error) {
	return durable.Store(ctx, r, c)
}

// Delete implements grouping.GroupStorage.
func (r *Storage) Delete(ctx context.Context, c grouping.Change) error {
	return durable.Delete(ctx, r, c)
}

// StoreSource implements grouping.GroupStorage.
func (r *Storage) StoreSource(ctx context.Context, c grouping.SourceChange) (*grouping.SourceDocument, error) {
	return durable.StoreSource(ctx, r, c)
}

// storeResult is the answer of the store script to a write.
type storeResult struct {
	version, notifications int64
	keptHead               string // the text of the stored head if it is newer, otherwise ""
}

// runStoreScript runs the store script for one write. A conflict is returned as a
// *grouping.VersionMismatchError.
func (r *Storage) runStoreScript(ctx context.Context, w *grouping.Write) (storeResult, error) {
	id, op := w.ID(), "store"
	if w.Next == nil {
		op = "delete"
	}
	if !id.Valid() || !w.Stamp.Valid() {
		return storeResult{}, fmt.Errorf("%s: ID %q or stamp %q is not valid", op, id, w.Stamp)
	}
	args := newStoreArgs()
	defer args.put()
	if err := r.addArgs(args, op, w); err != nil {
		return storeResult{}, &grouping.DamagedGroupError{ID: id, Err: err}
	}
	var answer []any
	err := r.limiter.runWrite(ctx, args.size, func() (err error) {
		answer, err = r.storeScript.run(ctx, r.writer, args)
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
	result.keptHead, _ = answer[3].(string)
	r.evictions.add(r.shard(id), id, answer[4])
	for i, to := range []*int64{&result.version, &result.notifications} {
		text, _ := answer[1+i].(string)
		if *to, err = strconv.ParseInt(text, 10, 64); err != nil {
			return result, r.fault(ctx, op, err)
		}
	}
	return result, nil
}

// decodeConflict decodes the stored fields that a conflict returns. It returns an
// empty document if nothing of the document is stored.
func decodeConflict(id grouping.ID, list any) (grouping.Document, *grouping.DamagedGroupError) {
	values, _ := list.([]any)
	fields := make([]grouping.StoredRecord, 0, len(values)/2)
	for i := 0; i+1 < len(values); i += 2 {
		name, _ := values[i].(string)
		text, _ := values[i+1].(string)
		fields = append(fields, grouping.StoredRecord{Name: name, Text: []byte(text)})
	}
	d, damaged := durable.Decode(id, fields)
	if d == nil && damaged == nil {
		d = grouping.EmptyDocument(id)
	}
	return d, damaged
}
