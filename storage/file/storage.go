package file

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"muster/grouping"
	"muster/storage/durable"
)

// Options are the settings of a Storage.
type Options struct {
	Path             string        // of the file
	HistoryRetention time.Duration // how long events are kept
	// MaxHistory is the maximum size of the history in bytes. The changed events have a
	// tenth of it in addition.
	MaxHistory int64
}

// DefaultOptions returns the defaults. The history may have about a million events.
func DefaultOptions() Options {
	return Options{Path: "data/muster.db", HistoryRetention: grouping.DefaultHistoryRetention, MaxHistory: 512 << 20}
}

// Validate returns an error if an option is not valid.
func (o Options) Validate() error {
	if o.Path == "" || o.HistoryRetention <= 0 || o.MaxHistory <= 0 {
		return fmt.Errorf("file options must be set: path %q, history retention %s, maximum of history %d",
			o.Path, o.HistoryRetention, o.MaxHistory)
	}
	return nil
}

// Storage keeps documents and history in one file. Only one process can have the
// file open. Storage is safe for concurrent use. A write is on disk when Store
// returns; concurrent writes share one sync. At first it is only in the log.
//
// The file is a bbolt database: one B+ tree that is written by copying. A crash
// at any moment leaves the last complete state. Its buckets have these keys:
//
//	groups    <id><field>    a document. The fields are those in Redis
//	history   <event id>     an event
//	timeline  <id><event id> no value: the key names an event of the document
//	contents  <id><hash>     the ID of the newest event of the document that has the
//	                         content, and the content
//	changed, changedContents the same for changed events, which have no timeline
//	checkpoints <stamp><number> a part of the checkpoint with the stamp
//	meta      durable.Schema, epoch, bytes (of the history), changedBytes, removed (the
//	          ID of the newest event of the history that a limit removed),
//	          position (of the log)
//	log       log            the changes that are not in the other buckets yet
type Storage struct {
	grouping.NoFollow

	opts Options
	now  func() time.Time
	// upgradedFrom is the schema that the file had, if it was an earlier one.
	upgradedFrom string
	// handle is the open file. It may be missing at its path, or the path may
	// lead to another file. Position then writes it to the path again.
	handle atomic.Pointer[handle]
	// failing is set while writes fail. Position then tries a write.
	failing atomic.Bool
	// moved is set while the open file is not at its path. Writes then fail
	// with this error.
	moved atomic.Pointer[movedFileError]

	// commitLock is held during a commit. It is a channel with a capacity of 1.
	commitLock chan struct{}
	mu         sync.Mutex
	// waiting are the writes of the next commit. The caller of the first write
	// makes the commit.
	waiting []*queuedWrite // guarded by mu
	// active is the number of writers during the last commit: those that it had, and
	// those that waited at its end.
	active int // guarded by mu
	// arrived gets a value when a write begins to wait. It has a capacity of 1.
	arrived chan struct{}
	// tombstones are sorted by their stamps, the oldest first.
	tombstones []tombstone // guarded by mu
}

// tombstone names a tombstone in the file.
type tombstone struct {
	id      grouping.ID
	deleted grouping.Stamp
}

var (
	bucketGroups   = []byte("groups")
	bucketHistory  = []byte("history")
	bucketTimeline = []byte("timeline")
	bucketContents = []byte("contents")
	bucketChanged  = []byte("changed")
	bucketMeta     = []byte("meta")
	keySchema      = []byte("schema")
	keyEpoch       = []byte("epoch")
	keyBytes       = []byte("bytes")
	keyProbe       = []byte("probe")

	// schemaWithLog is the schema of a file that is open, or was not closed: versions that
	// do not know the log refuse it.
	schemaWithLog = durable.Schema + "+log"

	bucketCheckpoints = []byte("checkpoints")
	keyRemoved        = []byte("removed")

	bucketChangedContents = []byte("changedContents")
	keyChangedBytes       = []byte("changedBytes")
)

const (
	// lockTimeout is how long the start waits until another process releases
	// the file. A Muster that is being replaced takes a moment to stop.
	lockTimeout = 2 * time.Second
	// allocSize is the number of bytes by which the file grows at once. The
	// default of bbolt, 16 MB, would be most of a small file.
	allocSize = 1 << 20
	idLen     = 20
	// fillDocuments and fillEvents are how full a page is after it was split. The default
	// of bbolt, 0.5, leaves half of a page for keys that come between others. But most
	// documents, and the contents and the times of their events, are written at once. Events
	// come in order.
	fillDocuments, fillEvents = 0.9, 1.0
)

// Name implements durable.Backend.
func (f *Storage) Name() string { return "file" }

// Close closes the file.
func (f *Storage) Close() error {
	f.commitLock <- struct{}{}
	defer func() { <-f.commitLock }()
	h := f.handle.Load()
	_ = h.clean() // if this fails, the next start reads the log
	return h.Close()
}

func (f *Storage) fault(op string, err error) error {
	return &grouping.StorageError{Backend: f.Name(), Op: op, Reason: faultReason(err), Err: err}
}

// Write implements durable.Backend. It reads the whole stored document only if the stamps
// of the changed records do not show that there is no conflict.
func (f *Storage) Write(ctx context.Context, w grouping.Write) (grouping.Document, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	id, op := w.ID(), "store"
	if w.Next == nil {
		op = "delete"
	}
	records := grouping.NewRecordWrites()
	defer records.Release()
	if err := w.AppendRecords(records); err != nil {
		return nil, &grouping.DamagedGroupError{ID: id, Err: err}
	}
	events, err := encodeEvents(w.AllEvents(), w.Contents)
	if err != nil {
		return nil, &grouping.DamagedGroupError{ID: id, Err: err}
	}
	// These are the results of the write. The function may run twice, so each
	// run resets them. A conflict is not a fault of the file: it is kept in
	// answer, so that it does not end the commit for the other writes.
	var d grouping.Document
	var answer error
	err = f.update(op, func(tx *writeTx) (err error) {
		d, answer = nil, nil
		documents := tx.Bucket(bucketGroups)
		documents.FillPercent = fillDocuments
		held := compareStamps(documents.Bucket, &w, records.List)
		if held == nil {
			stored, done, conflict := readAndCompare(documents.Bucket, &w)
			if done {
				d, answer = stored, conflict
				return nil
			}
			held = &grouping.Header{}
			if stored != nil {
				*held = stored.Header()
			}
		}
		if w.Next == nil {
			err = deleteDocument(documents, id, w.Stamp)
		} else {
			d, err = putDocument(documents, &w, held, records.List)
		}
		if err != nil {
			return err
		}
		return f.addEvents(tx, events)
	})
	if err != nil {
		return nil, err
	}
	if w.Next != nil || answer != nil {
		return d, answer
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tombstones = append(f.tombstones, tombstone{id, w.Stamp})
	return nil, nil
}

// readAndCompare reads the stored document and compares it with the base of the write. It
// returns done if there is nothing to write: the write was made before, or answer says why
// it cannot be made.
func readAndCompare(documents *bbolt.Bucket, w *grouping.Write) (stored grouping.Document, done bool, answer error) {
	id := w.ID()
	stored, damaged := durable.Decode(id, readFields(documents, id))
	switch {
	case damaged != nil:
		return nil, true, damaged
	case stored != nil && string(documents.Get([]byte(string(id)+durable.FieldToken))) == string(w.Stamp):
		return stored, true, nil
	case w.Next == nil && (stored == nil || stored.IsTombstone()):
		return nil, true, nil // it is deleted already
	case w.Conflicts(stored):
		return nil, true, &grouping.VersionMismatchError{ID: id, Stored: stored}
	}
	return stored, false, nil
}

// putDocument writes a document, and returns it as stored. held is the header of the
// stored document.
func putDocument(documents *bucket, w *grouping.Write, held *grouping.Header, records []grouping.RecordWrite) (
	grouping.Document, error,
) {
	id, next := string(w.ID()), w.Next.Header()
	keptHead := ""
	if !w.Exclusive && held.Stamp > next.Stamp {
		keptHead = string(documents.Get([]byte(id + grouping.HeadRecord)))
	}
	version, notifications := max(next.Version, held.Version)+1, max(next.Notifications, held.Notifications)+int64(w.Notified)
	stored, err := w.Stored(version, notifications, keptHead)
	if err != nil {
		return nil, err
	}
	head, err := stored.AppendHead(nil)
	if err != nil {
		return nil, err
	}
	writes := slices.Concat(records, []grouping.RecordWrite{
		{Name: grouping.HeadRecord, Text: head},
		{Name: durable.FieldDeleted, Text: []byte(stored.Header().Deleted)},
		{Name: durable.FieldVersion, Text: strconv.AppendInt(nil, version, 10)},
		{Name: durable.FieldNotifications, Text: strconv.AppendInt(nil, notifications, 10)},
		{Name: durable.FieldToken, Text: []byte(w.Stamp)},
	})
	for _, r := range writes {
		if len(r.Text) == 0 {
			err = documents.Delete([]byte(id + r.Name))
		} else {
			err = put(documents, id+r.Name, r.Text)
		}
		if err != nil {
			return nil, err
		}
	}
	return stored, nil
}

// deleteDocument leaves the tombstone of a document.
func deleteDocument(documents *bucket, id grouping.ID, stamp grouping.Stamp) error {
	return errors.Join(
		deletePrefix(documents, []byte(id)),
		put(documents, string(id)+durable.FieldDeleted, stamp),
		put(documents, string(id)+durable.FieldToken, stamp))
}

func readFields(documents *bbolt.Bucket, id grouping.ID) []grouping.StoredRecord {
	return newFieldReader(documents).read(id)
}

// fieldReader reads the fields of one document after another. It is fast if their IDs are
// sorted, and those of neighbors in the file.
type fieldReader struct {
	cursor     *bbolt.Cursor
	key, value []byte // at the cursor: of the first field after the last document
	fields     []grouping.StoredRecord
}

func newFieldReader(documents *bbolt.Bucket) *fieldReader {
	return &fieldReader{cursor: documents.Cursor()}
}

// read returns the fields of a document. They are valid until the next call, and until the
// end of the transaction: the texts are in the file.
func (r *fieldReader) read(id grouping.ID) []grouping.StoredRecord {
	r.fields = r.fields[:0]
	prefix := []byte(id)
	if !bytes.HasPrefix(r.key, prefix) {
		r.key, r.value = r.cursor.Seek(prefix)
	}
	for ; bytes.HasPrefix(r.key, prefix); r.key, r.value = r.cursor.Next() {
		r.fields = append(r.fields, grouping.StoredRecord{Name: string(r.key[idLen:]), Text: r.value})
	}
	return r.fields
}

func deletePrefix(b *bucket, prefix []byte) error {
	cursor := b.Cursor()
	for k, _ := cursor.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = cursor.Seek(prefix) {
		if err := b.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// documentState is what the index needs of a stored document.
type documentState struct {
	live           bool   // it is not a tombstone
	token, deleted string // the fields of these names
}

// scanDocuments yields the states of the documents, tombstones included, from an ID on. It
// does not read their records.
func scanDocuments(tx *bbolt.Tx, from grouping.ID) iter.Seq2[grouping.ID, documentState] {
	return func(yield func(grouping.ID, documentState) bool) {
		var id []byte
		var state documentState
		cursor := tx.Bucket(bucketGroups).Cursor()
		for k, v := cursor.Seek([]byte(from)); k != nil; k, v = cursor.Next() {
			if len(k) <= idLen {
				continue
			}
			if next := k[:idLen]; !bytes.Equal(next, id) {
				if id != nil && !yield(grouping.ID(id), state) {
					return
				}
				id, state = next, documentState{}
			}
			switch string(k[idLen:]) {
			case grouping.HeadRecord:
				state.live = true
			case durable.FieldToken:
				state.token = string(v)
			case durable.FieldDeleted:
				state.deleted = string(v)
			}
		}
		if id != nil {
			yield(grouping.ID(id), state)
		}
	}
}

// Store implements grouping.GroupStorage.
func (f *Storage) Store(ctx context.Context, c grouping.Change) (*grouping.AlertGroup, error) {
	return durable.Store(ctx, f, c)
}

// Delete implements grouping.GroupStorage.
func (f *Storage) Delete(ctx context.Context, c grouping.Change) error {
	return durable.Delete(ctx, f, c)
}

// StoreSource implements grouping.GroupStorage.
func (f *Storage) StoreSource(ctx context.Context, c grouping.SourceChange) (*grouping.SourceDocument, error) {
	return durable.StoreSource(ctx, f, c)
}

// LoadSource implements grouping.GroupStorage.
func (f *Storage) LoadSource(ctx context.Context, source string) (*grouping.SourceDocument, error) {
	return durable.LoadSource(ctx, f, source)
}

// Load implements grouping.GroupStorage.
func (f *Storage) Load(ctx context.Context, id grouping.ID) (*grouping.AlertGroup, error) {
	return durable.Load(ctx, f, id)
}

// LoadMany implements durable.Backend.
func (f *Storage) LoadMany(ctx context.Context, ids []grouping.ID) (
	documents map[grouping.ID]grouping.Document, damaged []*grouping.DamagedGroupError, err error,
) {
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	documents = make(map[grouping.ID]grouping.Document, len(ids))
	err = f.view("load", func(tx *bbolt.Tx) error {
		reader := newFieldReader(tx.Bucket(bucketGroups))
		for _, id := range ids {
			if !id.Valid() {
				continue // only a valid ID may become part of a key
			}
			d, bad := durable.Decode(id, reader.read(id))
			if bad != nil {
				damaged = append(damaged, bad)
			} else if d != nil {
				documents[id] = d
			}
		}
		return nil
	})
	return documents, damaged, err
}

// Index implements durable.Backend.
func (f *Storage) Index(ctx context.Context, fn func(tokens map[grouping.ID]string)) error {
	for next, more := grouping.ID(""), true; more; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		tokens := make(map[grouping.ID]string, indexPart)
		// A transaction must not be open while fn runs: others could then wait for each other.
		if err := f.view("index", func(tx *bbolt.Tx) error {
			more = false
			for id, state := range scanDocuments(tx, next) {
				if more = len(tokens) == indexPart; more {
					next = id
					break
				}
				if state.live && id.Valid() {
					tokens[id] = state.token
				}
			}
			return nil
		}); err != nil {
			return err
		}
		fn(tokens)
	}
	return nil
}

// indexPart is the number of documents in a part of the index: the first ones can soon be
// loaded, and a transaction is cheap beside them.
const indexPart = 1000

// ListKeys implements grouping.GroupStorage.
func (f *Storage) ListKeys(ctx context.Context) ([]grouping.ID, error) {
	return durable.ListKeys(ctx, f)
}

// Size implements grouping.GroupStorage.
func (f *Storage) Size(ctx context.Context) (int, error) {
	return durable.Size(ctx, f)
}

// LoadAll implements grouping.GroupStorage.
func (f *Storage) LoadAll(ctx context.Context) iter.Seq2[*grouping.AlertGroup, error] {
	return durable.LoadAll(ctx, f)
}

// StoreAll implements grouping.GroupStorage.
func (f *Storage) StoreAll(ctx context.Context, groups []*grouping.AlertGroup) error {
	return durable.StoreAll(ctx, f, groups)
}

// Ping implements grouping.GroupStorage.
func (f *Storage) Ping(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return f.viewPages("ping", func(*bbolt.Tx) error { return nil })
}

// Check implements durable.Backend. It reports a file that is not at its path.
func (f *Storage) Check(context.Context) ([]string, error) {
	if moved := f.moved.Load(); moved != nil {
		return []string{moved.Error()}, nil
	}
	return nil, nil
}

// Now implements durable.Backend. A file has no clock, so it returns the zero time.
func (f *Storage) Now(ctx context.Context) (time.Time, error) {
	if ctx.Err() != nil {
		return time.Time{}, context.Cause(ctx)
	}
	return time.Time{}, nil
}

// Position implements durable.Backend. Only this process writes to the file, so the
// position never changes. While writes fail, Position tries a write. It also
// writes a moved file to its path again, but only if an earlier call reported
// the move: so the move is always visible as an outage first.
func (f *Storage) Position(ctx context.Context) ([]durable.Position, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err := f.restoreAtPath(); err != nil {
		return nil, f.fault("position", err)
	}
	if f.failing.Load() {
		if err := f.update("position", func(tx *writeTx) error {
			return tx.Bucket(bucketMeta).Put(keyProbe, []byte(rand.Text()))
		}); err != nil {
			return nil, err
		}
	}
	var p durable.Position
	err := f.viewPages("position", func(tx *bbolt.Tx) error {
		p.Epoch = string(tx.Bucket(bucketMeta).Get(keyEpoch))
		return nil
	})
	return []durable.Position{p}, err
}

// HasLog implements durable.Backend. Only one process writes to a file, so it needs no log.
func (f *Storage) HasLog() bool { return false }

// FollowLog implements durable.Backend. It only waits, because a file has no log.
func (f *Storage) FollowLog(ctx context.Context, _ []durable.Position, _ func(int, []durable.LogEntry)) error {
	<-ctx.Done()
	return nil
}
