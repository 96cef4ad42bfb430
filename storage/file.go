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

	"muster/grouping"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// FileOptions are the settings of a File. Only Path must be set.
type FileOptions struct {
	Path string
	// HistoryRetention is how long events are kept, MaxHistory how many bytes
	// of them. Zero: 30 days, 512 MiB (about a million).
	HistoryRetention time.Duration
	MaxHistory       int64
}

// File keeps groups and history in one file, which one process holds at a
// time. What is stored is on disk before Store returns; writes that come
// together share a sync.
//
// The file is a bbolt database: one B+ tree, written by copy, so that a crash
// at any moment leaves the last whole state. Its buckets:
//
//	groups    <id><field>    as in Redis: m, a:<fingerprint>, v, n, d, w
//	history   <event id>     an event
//	timeline  <id><event id> nothing: the group's events
//	meta      schema, epoch, bytes (of the history)
type File struct {
	opts FileOptions
	now  func() time.Time
	// held is the open file. The path may lead to another one, or nowhere: then
	// Position writes it to the path again.
	held atomic.Pointer[fileHandle]
	// failing is set while writes fail: Position then tries one.
	failing atomic.Bool
	// moved is why writes are refused: the open file is not at its path.
	moved atomic.Pointer[movedFileError]

	// turn holds one token, which the writer of a commit has.
	turn chan struct{}
	mu   sync.Mutex
	// waiting are the writes of the next commit. The first of them makes it.
	waiting []*fileWrite // guarded by mu
	// graves are the tombstones, the oldest first.
	graves []grave // guarded by mu
}

// grave is where the tombstone of a deleted group is.
type grave struct {
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
	// lockWait is how long the start waits for another process to let go of
	// the file: a Muster that is being replaced takes a moment to end.
	lockWait = 2 * time.Second
	// allocSize is by how much the file grows at once: bbolt's 16 MB would be
	// most of a small file.
	allocSize = 1 << 20
	idLen     = 20
)

// OpenFile opens the file, or makes it. The error says in one sentence what is
// wrong and what to do.
func OpenFile(opts FileOptions) (*File, error) {
	orDefault(&opts.HistoryRetention, 30*24*time.Hour)
	orDefault(&opts.MaxHistory, 512<<20)
	if err := os.MkdirAll(filepath.Dir(opts.Path), 0o700); err != nil {
		return nil, fmt.Errorf("the folder of --storage.path %s cannot be made: %w", opts.Path, err)
	}
	f := &File{opts: opts, now: time.Now, turn: make(chan struct{}, 1)}
	h, err := f.openOrCreate()
	if err != nil {
		return nil, startError(opts.Path, err)
	}
	f.held.Store(h)
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
		info, err = os.Stat(f.opts.Path) // another process was faster
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
	if err := checkLocked(f.opts.Path); err != nil {
		return nil, err
	}
	return f.openHandle(f.opts.Path)
}

var (
	errDirectory  = errors.New("it is a directory")
	errNotRegular = errors.New("it is not a regular file")
	errEmptyFile  = errors.New("it is empty")
)

// startError says what to do.
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
		return fmt.Errorf("%s is damaged: move it away to start afresh, or change --storage.path (%w)", path, damaged.Err)
	case errors.As(err, &other):
		return fmt.Errorf("%s was written by %w: use that version, or change --storage.path", path, err)
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("%s is in use by %s: stop that, or give this Muster another --storage.path", path, holder(path))
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%s cannot be written to: make it writable, or change --storage.path (%w)", path, err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("the disk of %s is full: make room, or change --storage.path (%w)", path, err)
	default:
		return fmt.Errorf("%s is not a file that Muster can read: move it away to start afresh, or change --storage.path (%w)", path, err)
	}
}

// errNoGrowth says that the file may not grow.
var errNoGrowth = errors.New("the file cannot grow")

// damagedFileError says that a file is not what was written to it.
type damagedFileError struct{ Err error }

func (e *damagedFileError) Error() string { return "the file is damaged: " + e.Err.Error() }
func (e *damagedFileError) Unwrap() error { return e.Err }

// prepare makes the buckets, checks the schema, and finds the tombstones to drop
// those of long ago.
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
	f.graves = nil
	for id, fields := range scanGroups(tx) {
		if _, live := fields[fieldMeta]; !live {
			f.graves = append(f.graves, grave{id, grouping.Stamp(fields[fieldDeleted])})
		}
	}
	slices.SortFunc(f.graves, func(a, b grave) int { return cmp.Compare(a.deleted, b.deleted) })
	return f.dropTombstones(tx)
}

// dropTombstones drops what was deleted long ago, or too much to remember.
func (f *File) dropTombstones(tx *bbolt.Tx) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	groups := tx.Bucket(bucketGroups)
	oldest := grouping.NewStamp(f.now().Add(-tombstoneAge), 0, "")
	n := 0
	for _, g := range f.graves {
		if g.deleted >= oldest && len(f.graves)-n <= maxTombstones {
			break
		}
		n++
		if string(groups.Get([]byte(string(g.id)+fieldDeleted))) != string(g.deleted) || groups.Get([]byte(string(g.id)+fieldMeta)) != nil {
			continue // it came back since
		}
		if err := deletePrefix(groups, []byte(g.id)); err != nil {
			return err
		}
	}
	tx.OnCommit(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.graves = slices.Delete(f.graves, 0, n)
	})
	return nil
}

// Name implements Durable.
func (f *File) Name() string { return "file" }

// Close closes the file.
func (f *File) Close() error { return f.held.Load().Close() }

func (f *File) fault(op string, err error) error {
	return &grouping.StorageError{Backend: f.Name(), Op: op, Err: err}
}

// Store implements grouping.GroupStorage.
func (f *File) Store(ctx context.Context, c grouping.Change) (*grouping.AlertGroup, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	g := *c.Group
	return f.change("store", &c, func(groups *bbolt.Bucket, stored *grouping.AlertGroup, fields []field) (*grouping.AlertGroup, error) {
		if stored != nil && !c.Exclusive && stored.Stamp > g.Stamp {
			g = *grouping.Merge(&g, &grouping.AlertGroup{ID: g.ID, Meta: stored.Meta})
		}
		if stored != nil {
			g.Version, g.Notifications = max(g.Version, stored.Version), max(g.Notifications, stored.Notifications)
		}
		g.Version++
		if c.Notified {
			g.Notifications++
		}
		meta, err := encodeMeta(&g.Meta)
		if err != nil {
			return nil, err
		}
		fields = append(fields,
			field{name: fieldMeta, value: meta},
			field{name: fieldDeleted, value: string(g.Deleted)},
			field{name: fieldVersion, value: strconv.FormatInt(g.Version, 10)},
			field{name: fieldNotifications, value: strconv.FormatInt(g.Notifications, 10)},
			field{name: fieldToken, value: string(c.Stamp)})
		for _, fd := range fields {
			key := []byte(string(g.ID) + fd.name)
			if fd.value == "" {
				err = groups.Delete(key)
			} else {
				err = groups.Put(key, []byte(fd.value))
			}
			if err != nil {
				return nil, err
			}
		}
		return &g, nil
	})
}

// Delete implements grouping.GroupStorage.
func (f *File) Delete(ctx context.Context, c grouping.Change) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	c.Group = nil
	id := c.ID()
	_, err := f.change("delete", &c, func(groups *bbolt.Bucket, _ *grouping.AlertGroup, _ []field) (*grouping.AlertGroup, error) {
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
		f.graves = append(f.graves, grave{id, c.Stamp})
	}
	return err
}

// change compares what is stored with the change's base and, where they agree,
// writes. The file is held by one process, so reading the whole group costs a
// walk over neighbouring keys.
func (f *File) change(op string, c *grouping.Change, write func(*bbolt.Bucket, *grouping.AlertGroup, []field) (*grouping.AlertGroup, error)) (*grouping.AlertGroup, error) {
	id := c.ID()
	fields, err := changedFields(c)
	if err != nil {
		return nil, &grouping.DamagedGroupError{ID: id, Err: err}
	}
	events := make([]string, 0, len(c.Events))
	for i := range c.Events {
		text, err := encodeEvent(&c.Events[i])
		if err != nil {
			return nil, &grouping.DamagedGroupError{ID: id, Err: err}
		}
		events = append(events, text)
	}
	// What the write comes to. It may run again, so each run starts over, and an
	// answer that is no fault must not end the commit for the others.
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
			return nil // it is gone already
		case conflicts(stored, *c) || op == "delete" && deleteConflicts(stored, c.Base):
			answer = &grouping.VersionMismatchError{ID: id, Stored: stored}
			return nil
		}
		if g, err = write(groups, stored, slices.Clone(fields)); err != nil {
			return err
		}
		return f.addEvents(tx, id, events)
	})
	if err != nil {
		return nil, err
	}
	return g, answer
}

// deleteConflicts reports whether a group that is to be deleted is not stored
// as base has it.
func deleteConflicts(stored, base *grouping.AlertGroup) bool {
	return stored.Stamp != base.Stamp ||
		!slices.EqualFunc(stored.Alerts, base.Alerts, func(a, b *grouping.Alert) bool {
			return a.Fingerprint == b.Fingerprint && a.Stamp == b.Stamp
		})
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

// scanGroups walks over all groups, tombstones included.
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
func (f *File) LoadMany(ctx context.Context, ids []grouping.ID) (map[grouping.ID]*grouping.AlertGroup, []*grouping.DamagedGroupError, error) {
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	groups := make(map[grouping.ID]*grouping.AlertGroup, len(ids))
	var damaged []*grouping.DamagedGroupError
	err := f.view("load", func(tx *bbolt.Tx) error {
		for _, id := range ids {
			if !id.Valid() {
				continue // only an ID becomes part of a key
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
			if _, live := fields[fieldMeta]; live && id.Valid() {
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

// Check implements Durable: the file must be at its path.
func (f *File) Check(context.Context) ([]string, error) {
	if moved := f.moved.Load(); moved != nil {
		return []string{moved.Error()}, nil
	}
	return nil, nil
}

// Now implements Durable: no clock but the host's.
func (f *File) Now(ctx context.Context) (time.Time, error) {
	if ctx.Err() != nil {
		return time.Time{}, context.Cause(ctx)
	}
	return time.Time{}, nil
}

// Position implements Durable. Nobody else writes to the file, so it stands
// still; while writes fail it tries one. A file that is not at its path is
// written there again, if it was known to be away: so everybody hears of it.
func (f *File) Position(ctx context.Context) ([]Position, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err := f.keepInPlace(); err != nil {
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

// HasLog implements Durable: a file has one owner.
func (f *File) HasLog() bool { return false }

// Follow implements Durable: there is nobody to follow.
func (f *File) Follow(ctx context.Context, _ []Position, _ func(int, []LogEntry)) error {
	<-ctx.Done()
	return nil
}
