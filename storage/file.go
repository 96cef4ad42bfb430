package storage

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"muster/grouping"
)

// FileOptions are the settings of a File. Only Path must be set.
type FileOptions struct {
	Path string
	// HistoryRetention is how long events are kept. Zero: 30 days.
	HistoryRetention time.Duration
	// MaxHistory is the maximum size of the history in bytes. Zero: 512 MiB,
	// which is about a million events.
	MaxHistory int64
}

// File keeps groups and history in one file. Only one process can have the
// file open. File is safe for concurrent use. A write is on disk when Store
// returns; concurrent writes share one sync.
//
// The file is a bbolt database: one B+ tree that is written by copying. A crash
// at any moment leaves the last complete state. Its buckets have these keys:
//
//	groups    <id><field>    as in Redis: m, a:<fingerprint>, v, n, d, w
//	history   <event id>     an event
//	timeline  <id><event id> no value: the key names an event of the group
//	meta      schema, epoch, bytes (of the history)
type File struct {
	opts FileOptions
	now  func() time.Time
	// handle is the open file. It may be missing at its path, or the path may
	// lead to another file. Position then writes it to the path again.
	handle atomic.Pointer[fileHandle]
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
	waiting []*fileWrite // guarded by mu
	// tombstones are sorted by their stamps, the oldest first.
	tombstones []fileTombstone // guarded by mu
}

// fileTombstone names a tombstone in the file.
type fileTombstone struct {
	id      grouping.ID
	deleted grouping.Stamp
}

var (
	bucketGroups   = []byte("groups")
	bucketHistory  = []byte("history")
	bucketTimeline = []byte("timeline")
	bucketMeta     = []byte("meta")
	keySchema      = []byte("schema")
	keyEpoch       = []byte("epoch")
	keyBytes       = []byte("bytes")
	keyProbe       = []byte("probe")
)

const (
	// lockTimeout is how long the start waits until another process releases
	// the file. A Muster that is being replaced takes a moment to stop.
	lockTimeout = 2 * time.Second
	// allocSize is the number of bytes by which the file grows at once. The
	// default of bbolt, 16 MB, would be most of a small file.
	allocSize = 1 << 20
	idLen     = 20
)

// OpenFile opens the file, and creates it if it does not exist. The error says
// in one sentence what is wrong and what to do.
func OpenFile(opts FileOptions) (*File, error) {
	orDefault(&opts.HistoryRetention, 30*24*time.Hour)
	orDefault(&opts.MaxHistory, 512<<20)
	if err := os.MkdirAll(filepath.Dir(opts.Path), 0o700); err != nil {
		return nil, fmt.Errorf("the folder of --storage.path %s cannot be created: %w", opts.Path, err)
	}
	f := &File{opts: opts, now: time.Now, commitLock: make(chan struct{}, 1)}
	h, err := f.openOrCreate()
	if err != nil {
		return nil, startError(opts.Path, err)
	}
	f.handle.Store(h)
	f.removeUnfinished()
	return f, nil
}

func (f *File) openOrCreate() (*fileHandle, error) {
	info, err := os.Stat(f.opts.Path)
	if errors.Is(err, fs.ErrNotExist) {
		h, failed := f.create(nil)
		if !errors.Is(failed, fs.ErrExist) {
			return h, failed
		}
		info, err = os.Stat(f.opts.Path) // another process created the file first
	}
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, errDirectory
	case !info.Mode().IsRegular():
		return nil, errNotRegular
	case info.Size() == 0:
		return nil, errEmptyFile
	}
	if err := verifyLocked(f.opts.Path); err != nil {
		return nil, err
	}
	return f.openHandle(f.opts.Path)
}

var (
	errDirectory  = errors.New("it is a directory")
	errNotRegular = errors.New("it is not a regular file")
	errEmptyFile  = errors.New("it is empty")
)

// startError turns an error of the start into a sentence that says what to do.
func startError(path string, err error) error {
	var (
		damaged *damagedFileError
		other   *schemaError
	)
	switch {
	case errors.Is(err, errDirectory):
		return fmt.Errorf("%s is a directory: set --storage.path to a file in it, such as %s", path, filepath.Join(path, "muster.db"))
	case errors.Is(err, errNotRegular):
		return fmt.Errorf("%s is a device, a pipe or a socket: change --storage.path to a file", path)
	case errors.Is(err, errEmptyFile):
		return fmt.Errorf("%s is empty, and Muster never leaves an empty file: put a backup in its place, "+
			"remove it to start without history, or change --storage.path", path)
	case errors.As(err, &damaged):
		return fmt.Errorf("%s is damaged: move it away to start with an empty file, or change --storage.path (%w)", path, damaged.Err)
	case errors.As(err, &other):
		return fmt.Errorf("%s was written by %w: use that version, or change --storage.path", path, err)
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("%s is in use by %s: stop that process, or change --storage.path of this Muster", path, holder(path))
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%s cannot be written to: make it writable, or change --storage.path (%w)", path, err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("the disk of %s is full: free some space, or change --storage.path (%w)", path, err)
	default:
		return fmt.Errorf("%s is not a file that Muster can read: move it away to start with an empty file, "+
			"or change --storage.path (%w)", path, err)
	}
}

// errNoGrowth says that the file could not grow.
var errNoGrowth = errors.New("the file cannot grow")

// damagedFileError says that the content of a file is not what Muster wrote.
type damagedFileError struct{ Err error }

func (e *damagedFileError) Error() string { return "the file is damaged: " + e.Err.Error() }
func (e *damagedFileError) Unwrap() error { return e.Err }

// prepare creates the buckets, checks the schema, finds the tombstones and
// removes the old ones.
func (f *File) prepare(tx *bbolt.Tx) error {
	for _, name := range [][]byte{bucketGroups, bucketHistory, bucketTimeline, bucketMeta} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	meta := tx.Bucket(bucketMeta)
	if found := meta.Get(keySchema); found != nil && string(found) != schema {
		return &schemaError{string(found)}
	}
	if meta.Get(keyEpoch) == nil {
		if err := meta.Put(keyEpoch, []byte(rand.Text())); err != nil {
			return err
		}
	}
	if err := meta.Put(keySchema, []byte(schema)); err != nil {
		return err
	}
	f.tombstones = nil
	for id, fields := range scanGroups(tx) {
		if _, live := fields[grouping.HeadRecord]; !live {
			f.tombstones = append(f.tombstones, fileTombstone{id, grouping.Stamp(fields[fieldDeleted])})
		}
	}
	slices.SortFunc(f.tombstones, func(a, b fileTombstone) int { return cmp.Compare(a.deleted, b.deleted) })
	return f.dropTombstones(tx)
}

// dropTombstones removes the tombstones that are older than tombstoneAge, and
// the oldest ones if there are too many.
func (f *File) dropTombstones(tx *bbolt.Tx) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	groups := tx.Bucket(bucketGroups)
	oldest := grouping.NewStamp(f.now().Add(-tombstoneAge), 0, "")
	n := 0
	for _, t := range f.tombstones {
		if t.deleted >= oldest && len(f.tombstones)-n <= maxTombstones {
			break
		}
		n++
		if string(groups.Get([]byte(string(t.id)+fieldDeleted))) != string(t.deleted) || groups.Get([]byte(string(t.id)+grouping.HeadRecord)) != nil {
			continue // the group was stored again since then
		}
		if err := deletePrefix(groups, []byte(t.id)); err != nil {
			return err
		}
	}
	tx.OnCommit(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.tombstones = slices.Delete(f.tombstones, 0, n)
	})
	return nil
}

// Name implements Durable.
func (f *File) Name() string { return "file" }

// Close closes the file.
func (f *File) Close() error { return f.handle.Load().Close() }

func (f *File) fault(op string, err error) error {
	return &grouping.StorageError{Backend: f.Name(), Op: op, Err: err}
}

// Store implements grouping.GroupStorage.
func (f *File) Store(ctx context.Context, c grouping.Change) (*grouping.AlertGroup, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	g := *c.Group
	write := func(groups *bbolt.Bucket, stored *grouping.AlertGroup, writes []grouping.RecordWrite) (*grouping.AlertGroup, error) {
		if stored != nil && !c.Exclusive && stored.Stamp > g.Stamp {
			g = *g.WithNewerHead(stored)
		}
		if stored != nil {
			g.Version, g.Notifications = max(g.Version, stored.Version), max(g.Notifications, stored.Notifications)
		}
		g.Version++
		if c.Notified {
			g.Notifications++
		}
		head, err := g.EncodeHead()
		if err != nil {
			return nil, err
		}
		writes = append(writes,
			grouping.RecordWrite{Name: grouping.HeadRecord, Text: head},
			grouping.RecordWrite{Name: fieldDeleted, Text: string(g.Deleted)},
			grouping.RecordWrite{Name: fieldVersion, Text: strconv.FormatInt(g.Version, 10)},
			grouping.RecordWrite{Name: fieldNotifications, Text: strconv.FormatInt(g.Notifications, 10)},
			grouping.RecordWrite{Name: fieldToken, Text: string(c.Stamp)})
		for _, w := range writes {
			key := []byte(string(g.ID) + w.Name)
			if w.Text == "" {
				err = groups.Delete(key)
			} else {
				err = groups.Put(key, []byte(w.Text))
			}
			if err != nil {
				return nil, err
			}
		}
		return &g, nil
	}
	return f.compareAndWrite("store", &c, write)
}

// Delete implements grouping.GroupStorage.
func (f *File) Delete(ctx context.Context, c grouping.Change) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	c.Group = nil
	id := c.ID()
	_, err := f.compareAndWrite("delete", &c, func(groups *bbolt.Bucket, _ *grouping.AlertGroup, _ []grouping.RecordWrite) (*grouping.AlertGroup, error) {
		if err := deletePrefix(groups, []byte(id)); err != nil {
			return nil, err
		}
		if err := groups.Put([]byte(string(id)+fieldDeleted), []byte(c.Stamp)); err != nil {
			return nil, err
		}
		return nil, groups.Put([]byte(string(id)+fieldToken), []byte(c.Stamp))
	})
	if err == nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.tombstones = append(f.tombstones, fileTombstone{id, c.Stamp})
	}
	return err
}

// groupWrite writes one group. It gets the bucket of groups, the stored group
// and the writes of its records. It returns the group as stored.
type groupWrite func(groups *bbolt.Bucket, stored *grouping.AlertGroup, writes []grouping.RecordWrite) (*grouping.AlertGroup, error)

// compareAndWrite compares the stored group with the base of the change, and
// calls write if they are equal. It reads the whole group. This is cheap,
// because the keys of a group are neighbours and no other process writes them.
func (f *File) compareAndWrite(op string, c *grouping.Change, write groupWrite) (*grouping.AlertGroup, error) {
	id := c.ID()
	records, err := c.Records()
	if err != nil {
		return nil, &grouping.DamagedGroupError{ID: id, Err: err}
	}
	events, err := c.EncodeEvents()
	if err != nil {
		return nil, &grouping.DamagedGroupError{ID: id, Err: err}
	}
	// These are the results of the write. The function may run twice, so each
	// run resets them. A conflict is not a fault of the file: it is kept in
	// answer, so that it does not end the commit for the other writes.
	var g *grouping.AlertGroup
	var answer error
	err = f.update(op, func(tx *bbolt.Tx) (err error) {
		g, answer = nil, nil
		groups := tx.Bucket(bucketGroups)
		stored, damaged := decodeGroup(id, readFields(groups, id))
		switch {
		case damaged != nil:
			answer = damaged
			return nil //nolint:nilerr // an answer, not a fault of the file
		case string(groups.Get([]byte(string(id)+fieldToken))) == string(c.Stamp):
			g = stored
			return nil
		case op == "delete" && (stored == nil || stored.IsTombstone()):
			return nil // it is deleted already
		case c.Conflicts(stored):
			answer = &grouping.VersionMismatchError{ID: id, Stored: stored}
			return nil
		}
		if g, err = write(groups, stored, slices.Clone(records)); err != nil {
			return err
		}
		return f.addEvents(tx, id, events)
	})
	if err != nil {
		return nil, err
	}
	return g, answer
}

func readFields(groups *bbolt.Bucket, id grouping.ID) map[string]string {
	fields := map[string]string{}
	cursor := groups.Cursor()
	for k, v := cursor.Seek([]byte(id)); bytes.HasPrefix(k, []byte(id)); k, v = cursor.Next() {
		fields[string(k[idLen:])] = string(v)
	}
	return fields
}

func deletePrefix(b *bbolt.Bucket, prefix []byte) error {
	cursor := b.Cursor()
	for k, _ := cursor.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = cursor.Seek(prefix) {
		if err := cursor.Delete(); err != nil {
			return err
		}
	}
	return nil
}

// scanGroups yields the fields of all groups, tombstones included.
func scanGroups(tx *bbolt.Tx) iter.Seq2[grouping.ID, map[string]string] {
	return func(yield func(grouping.ID, map[string]string) bool) {
		var id grouping.ID
		var fields map[string]string
		cursor := tx.Bucket(bucketGroups).Cursor()
		for k, v := cursor.First(); k != nil; k, v = cursor.Next() {
			if len(k) <= idLen {
				continue
			}
			if next := grouping.ID(k[:idLen]); next != id {
				if fields != nil && !yield(id, fields) {
					return
				}
				id, fields = next, map[string]string{}
			}
			fields[string(k[idLen:])] = string(v)
		}
		if fields != nil {
			yield(id, fields)
		}
	}
}

// Load implements grouping.GroupStorage.
func (f *File) Load(ctx context.Context, id grouping.ID) (*grouping.AlertGroup, error) {
	return loadOne(ctx, f, id)
}

// LoadMany implements Durable.
func (f *File) LoadMany(ctx context.Context, ids []grouping.ID) (
	groups map[grouping.ID]*grouping.AlertGroup, damaged []*grouping.DamagedGroupError, err error,
) {
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	groups = make(map[grouping.ID]*grouping.AlertGroup, len(ids))
	err = f.view("load", func(tx *bbolt.Tx) error {
		for _, id := range ids {
			if !id.Valid() {
				continue // only a valid ID may become part of a key
			}
			g, bad := decodeGroup(id, readFields(tx.Bucket(bucketGroups), id))
			if bad != nil {
				damaged = append(damaged, bad)
			} else if g != nil {
				groups[id] = g
			}
		}
		return nil
	})
	return groups, damaged, err
}

// Index implements Durable.
func (f *File) Index(ctx context.Context) (map[grouping.ID]string, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	index := map[grouping.ID]string{}
	err := f.view("index", func(tx *bbolt.Tx) error {
		for id, fields := range scanGroups(tx) {
			if _, live := fields[grouping.HeadRecord]; live && id.Valid() {
				index[id] = fields[fieldToken]
			}
		}
		return nil
	})
	return index, err
}

// ListKeys implements grouping.GroupStorage.
func (f *File) ListKeys(ctx context.Context) ([]grouping.ID, error) { return indexKeys(ctx, f) }

// Size implements grouping.GroupStorage.
func (f *File) Size(ctx context.Context) (int, error) {
	index, err := f.Index(ctx)
	return len(index), err
}

// LoadAll implements grouping.GroupStorage.
func (f *File) LoadAll(ctx context.Context) iter.Seq2[*grouping.AlertGroup, error] {
	return loadAll(ctx, f)
}

// StoreAll implements grouping.GroupStorage.
func (f *File) StoreAll(ctx context.Context, groups []*grouping.AlertGroup) error {
	return storeAll(ctx, f, groups)
}

// Ping implements grouping.GroupStorage.
func (f *File) Ping(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return f.view("ping", func(*bbolt.Tx) error { return nil })
}

// Check implements Durable. It reports a file that is not at its path.
func (f *File) Check(context.Context) ([]string, error) {
	if moved := f.moved.Load(); moved != nil {
		return []string{moved.Error()}, nil
	}
	return nil, nil
}

// Now implements Durable. A file has no clock, so it returns the zero time.
func (f *File) Now(ctx context.Context) (time.Time, error) {
	if ctx.Err() != nil {
		return time.Time{}, context.Cause(ctx)
	}
	return time.Time{}, nil
}

// Position implements Durable. Only this process writes to the file, so the
// position never changes. While writes fail, Position tries a write. It also
// writes a moved file to its path again, but only if an earlier call reported
// the move: so the move is always visible as an outage first.
func (f *File) Position(ctx context.Context) ([]Position, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err := f.restoreAtPath(); err != nil {
		return nil, f.fault("position", err)
	}
	if f.failing.Load() {
		if err := f.update("position", func(tx *bbolt.Tx) error {
			return tx.Bucket(bucketMeta).Put(keyProbe, []byte(rand.Text()))
		}); err != nil {
			return nil, err
		}
	}
	var p Position
	err := f.view("position", func(tx *bbolt.Tx) error {
		p.Epoch = string(tx.Bucket(bucketMeta).Get(keyEpoch))
		return nil
	})
	return []Position{p}, err
}

// HasLog implements Durable. Only one process writes to a file, so it needs no log.
func (f *File) HasLog() bool { return false }

// Follow implements Durable. It only waits, because a file has no log.
func (f *File) Follow(ctx context.Context, _ []Position, _ func(int, []LogEntry)) error {
	<-ctx.Done()
	return nil
}
