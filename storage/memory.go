package storage

import (
	"context"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"muster/grouping"
	"muster/storage/durable"
)

// MemoryOptions are the limits of a Memory.
type MemoryOptions struct {
	HistoryRetention time.Duration // how long events are kept
	MaxEvents        int           // maximum number of events, without changed ones
}

// DefaultMemoryOptions returns the defaults. The events need about 40 MB, and their
// contents usually less.
func DefaultMemoryOptions() MemoryOptions {
	return MemoryOptions{HistoryRetention: grouping.DefaultHistoryRetention, MaxEvents: 100_000}
}

// Memory keeps documents and history in memory. It is the storage of a Muster without
// a backend, and the working copy of a Tiered. It is safe for concurrent use.
type Memory struct {
	grouping.NoFollow

	mu        sync.RWMutex
	documents map[grouping.ID]grouping.Document // guarded by mu
	// groups is the number of documents that are groups.
	groups int // guarded by mu
	// tombstones holds the tombstones of deleted documents.
	tombstones map[grouping.ID]grouping.Document // guarded by mu
	// tombstoneIDs holds the IDs of the tombstones, oldest first.
	tombstoneIDs []grouping.ID // guarded by mu
	// lastWrites holds the stamp of the last write of each document. It shows that a
	// repeated write was already applied.
	lastWrites map[grouping.ID]grouping.Stamp // guarded by mu
	history    eventStore                     // guarded by mu
	changed    eventStore                     // guarded by mu; the changed events
	// checkpoints are the checkpoints by their names.
	checkpoints map[grouping.Stamp][]byte // guarded by mu
}

// NewMemory returns an empty Memory.
func NewMemory(opts MemoryOptions) *Memory {
	return &Memory{
		documents: map[grouping.ID]grouping.Document{}, tombstones: map[grouping.ID]grouping.Document{},
		lastWrites: map[grouping.ID]grouping.Stamp{}, history: newEventStore(opts.MaxEvents, opts.HistoryRetention),
		changed:     newEventStore(durable.MaxChanged(opts.MaxEvents), opts.HistoryRetention),
		checkpoints: map[grouping.Stamp][]byte{},
	}
}

// Store implements grouping.GroupStorage.
func (m *Memory) Store(ctx context.Context, c grouping.Change) (*grouping.AlertGroup, error) {
	d, err := m.Write(ctx, c.Write())
	return grouping.AsGroup(d), err
}

// Delete implements grouping.GroupStorage.
func (m *Memory) Delete(ctx context.Context, c grouping.Change) error {
	c.Group = nil
	_, err := m.Write(ctx, c.Write())
	return err
}

// StoreSource implements grouping.GroupStorage.
func (m *Memory) StoreSource(ctx context.Context, c grouping.SourceChange) (*grouping.SourceDocument, error) {
	d, err := m.Write(ctx, c.Write())
	return grouping.AsSource(d), err
}

// Write makes one write to one document, like durable.Backend.
func (m *Memory) Write(ctx context.Context, w grouping.Write) (grouping.Document, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	id := w.ID()
	stored, live := m.lookUp(id), m.documents[id] != nil
	switch {
	case w.Next == nil && !live:
		return nil, nil // it is deleted already
	case w.Next != nil && live && m.applied(&w):
		return stored, nil
	case (w.Next == nil || stored != w.Base) && w.Conflicts(stored):
		return nil, &grouping.VersionMismatchError{ID: id, Stored: stored}
	}
	defer m.addEvents(w.Events, w.Changed, w.Contents)
	if w.Next == nil {
		m.set(grouping.Tombstone(id, w.Stamp))
		return nil, nil
	}
	next := after(stored, w.Base, w.Next)
	h := next.Header()
	next = next.WithCounters(h.Version+1, h.Notifications+int64(w.Notified))
	m.set(next)
	m.lastWrites[id] = w.Stamp
	return next, nil
}

// applied reports whether the write to a stored document was already made.
func (m *Memory) applied(w *grouping.Write) bool {
	if m.lastWrites[w.ID()] == w.Stamp && w.Stamp != "" {
		return true
	}
	if len(w.Events) == 0 {
		return false
	}
	_, found := m.history.find(w.Events[0].ID)
	return found
}

// Merge merges a document or a tombstone into the stored state. It returns the merged
// state and reports whether its records changed.
func (m *Memory) Merge(d grouping.Document) (merged grouping.Document, changed bool) {
	before, merged := m.merge(d)
	return merged, !grouping.EqualDocuments(before, merged)
}

// merge is Merge, and returns the state before. It is the merged state if neither records
// nor counters changed.
func (m *Memory) merge(d grouping.Document) (stored, merged grouping.Document) {
	m.mu.Lock()
	defer m.mu.Unlock()
	stored = m.lookUp(d.DocumentID())
	merged = grouping.MergeDocuments(stored, d).Prune()
	if grouping.EqualDocuments(merged, stored) {
		h, had := merged.Header(), stored.Header()
		if h.Version == had.Version && h.Notifications == had.Notifications {
			return stored, stored
		}
	}
	m.set(merged)
	return stored, merged
}

// Put stores a document that was made from base. If the stored state is another one, Put
// merges both. It returns the stored state.
func (m *Memory) Put(base, d grouping.Document) grouping.Document {
	m.mu.Lock()
	defer m.mu.Unlock()
	d = after(m.lookUp(d.DocumentID()), base, d)
	m.set(d)
	return d
}

// after returns the state of a document after the state d, which was made from base, was
// written to the stored state. It merges only if another write came in between.
func after(stored, base, d grouping.Document) grouping.Document {
	if stored != base {
		return grouping.MergeDocuments(stored, d).Prune()
	}
	if stored == nil {
		return d
	}
	h, had := d.Header(), stored.Header()
	if h.Version < had.Version || h.Notifications < had.Notifications {
		return d.WithCounters(max(h.Version, had.Version), max(h.Notifications, had.Notifications))
	}
	return d
}

// Get returns a document or its tombstone. It returns nil if there is neither. Unlike
// Load, it also returns tombstones.
func (m *Memory) Get(id grouping.ID) grouping.Document {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.lookUp(id)
}

// lookUp is Get for callers that hold mu.
func (m *Memory) lookUp(id grouping.ID) grouping.Document {
	if d := m.documents[id]; d != nil {
		return d
	}
	return m.tombstones[id]
}

// set replaces a document or stores a tombstone. It discards tombstones that are too
// old or too many. The caller must hold mu.
func (m *Memory) set(d grouping.Document) {
	id, before := d.DocumentID(), len(m.documents)
	defer func() {
		if !id.IsSource() {
			m.groups += len(m.documents) - before
		}
	}()
	if !d.IsTombstone() {
		delete(m.tombstones, id)
		m.documents[id] = d
		return
	}
	delete(m.documents, id)
	delete(m.lastWrites, id)
	if m.tombstones[id] == nil {
		m.tombstoneIDs = append(m.tombstoneIDs, id)
	}
	m.tombstones[id] = d
	for len(m.tombstoneIDs) > 0 {
		old := m.tombstones[m.tombstoneIDs[0]]
		if old != nil && time.Since(old.Header().Deleted.Time()) < durable.TombstoneAge && len(m.tombstoneIDs) <= durable.MaxTombstones {
			break
		}
		delete(m.tombstones, m.tombstoneIDs[0])
		m.tombstoneIDs = m.tombstoneIDs[1:]
	}
}

// Load implements grouping.GroupStorage.
func (m *Memory) Load(ctx context.Context, id grouping.ID) (*grouping.AlertGroup, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if g := grouping.AsGroup(m.documents[id]); g != nil {
		return g, nil
	}
	return nil, &grouping.GroupNotFoundError{ID: id}
}

// LoadSource implements grouping.GroupStorage.
func (m *Memory) LoadSource(ctx context.Context, source string) (*grouping.SourceDocument, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if d := grouping.AsSource(m.documents[grouping.SourceID(source)]); d != nil {
		return d, nil
	}
	return grouping.NewSourceDocument(source), nil
}

// ListKeys implements grouping.GroupStorage.
func (m *Memory) ListKeys(ctx context.Context) ([]grouping.ID, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return slices.DeleteFunc(m.keys(), grouping.ID.IsSource), nil
}

// keys returns the IDs of all documents.
func (m *Memory) keys() []grouping.ID {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.Collect(maps.Keys(m.documents))
}

// Size implements grouping.GroupStorage.
func (m *Memory) Size(ctx context.Context) (int, error) {
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.groups, nil
}

// LoadAll implements grouping.GroupStorage. It holds no lock while it yields.
func (m *Memory) LoadAll(ctx context.Context) iter.Seq2[*grouping.AlertGroup, error] {
	return func(yield func(*grouping.AlertGroup, error) bool) {
		if ctx.Err() != nil {
			yield(nil, context.Cause(ctx))
			return
		}
		m.mu.RLock()
		groups := make([]*grouping.AlertGroup, 0, m.groups)
		for _, d := range m.documents {
			if g := grouping.AsGroup(d); g != nil {
				groups = append(groups, g)
			}
		}
		m.mu.RUnlock()
		for _, g := range groups {
			if !yield(g, nil) {
				return
			}
		}
	}
}

// StoreAll implements grouping.GroupStorage.
func (m *Memory) StoreAll(ctx context.Context, groups []*grouping.AlertGroup) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for _, g := range groups {
		m.Merge(g)
	}
	return nil
}

// Ping implements grouping.GroupStorage.
func (m *Memory) Ping(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}
