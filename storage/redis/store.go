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

// storeScript returns the script that makes a write, with the limits of the options. Run
// sends its hash, and sends its text only if Redis does not know the hash.
func storeScript(opts Options) *redis.Script {
	prefixes := grouping.RecordPrefixes()
	for i := range prefixes {
		prefixes[i] = strconv.Quote(prefixes[i])
	}
	seconds := func(d time.Duration) int64 { return int64(d.Seconds()) }
	return redis.NewScript(fmt.Sprintf(
		"local SCHEMA, PREFIXES, TOMBSTONE_TTL, RETENTION, CLEANING = '%s', {%s}, '%d', %d, %d\n"+
			"local MAX_LOG, MAX_HISTORY, MAX_CHANGED, MAX_TIMELINE = '%d', %d, %d, %d\n",
		durable.Schema, strings.Join(prefixes, ", "), seconds(durable.TombstoneAge), seconds(opts.HistoryRetention), cleaning,
		opts.MaxLog, opts.MaxHistory, durable.MaxChanged(opts.MaxHistory), opts.MaxTimeline) + trimSource + storeSource)
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
	args, err := r.scriptArgs(op, w)
	if err != nil {
		return storeResult{}, &grouping.DamagedGroupError{ID: id, Err: err}
	}
	shard := r.shard(id)
	own := &r.shards[shard]
	keys := []string{
		r.documentKey(id), own.index, own.log, own.meta,
		own.history.events, r.timelineKey(id), own.history.contents, own.history.uses,
		own.changed.events, own.changed.contents, own.changed.uses,
	}
	var answer []any
	err = r.limiter.runWrite(ctx, sizeOf(args), func() (err error) {
		answer, err = r.storeScript.Run(ctx, r.writer, keys, args...).Slice()
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
	r.evictions.add(shard, id, answer[4])
	for i, to := range []*int64{&result.version, &result.notifications} {
		text, _ := answer[1+i].(string)
		if *to, err = strconv.ParseInt(text, 10, 64); err != nil {
			return result, r.fault(ctx, op, err)
		}
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

// scriptArgs returns the arguments of the store script, in the order in which the
// script reads them.
func (r *Storage) scriptArgs(op string, w *grouping.Write) ([]any, error) {
	records, err := w.Records()
	if err != nil {
		return nil, err
	}
	events, err := eventArgs(w.Events, w.Contents)
	if err != nil {
		return nil, err
	}
	changed, err := eventArgs(w.Changed, w.Contents)
	if err != nil {
		return nil, err
	}
	var (
		base          grouping.Header
		hasBase       bool
		head, deleted = "", string(w.Stamp)
		ttl           time.Duration
	)
	if w.Base != nil {
		base, hasBase = w.Base.Header(), !w.Base.IsTombstone()
	}
	version, notifications := base.Version, base.Notifications
	if w.Next != nil {
		if head, err = w.Next.EncodeHead(); err != nil {
			return nil, err
		}
		next := w.Next.Header()
		deleted = string(next.Deleted)
		if w.Next.Ends() {
			// The manager deletes documents that are past their retention. The TTL
			// is for those that no running Muster deletes.
			ttl = r.opts.Retention + durable.TombstoneAge
		}
		version, notifications = max(version, next.Version), max(notifications, next.Notifications)
	}
	args := make([]any, 0, 16+3*len(records)+len(events)+len(changed))
	args = append(args,
		op, string(w.ID()), string(w.Stamp), w.Stamp.Writer(),
		hasBase, string(base.Stamp), string(base.Deleted), base.Version,
		w.Exclusive, w.Notified, changeText(w, records), version, notifications,
		head, deleted, int64(ttl.Seconds()))
	args = append(args, len(records))
	for _, record := range records {
		args = append(args, record.Name, string(record.Expected), record.Text)
	}
	return append(append(args, events...), changed...), nil
}

// eventArgs returns the arguments of the store script for events and their contents.
func eventArgs(events []grouping.Event, contents grouping.ContentTexts) ([]any, error) {
	if len(events) == 0 {
		return []any{0, 0, 0}, nil
	}
	texts, err := grouping.EncodeEvents(events)
	if err != nil {
		return nil, err
	}
	contents = contents.Of(events)
	entries := joinEntries(events, texts)
	args := make([]any, 0, 3+len(entries)+2*len(contents))
	args = append(args, len(entries), len(events)-len(entries))
	for _, entry := range entries {
		args = append(args, entry)
	}
	args = append(args, len(contents))
	for hash, text := range contents {
		args = append(args, hash, text)
	}
	return args, nil
}
