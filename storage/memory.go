package storage

import (
	"cmp"
	"context"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"muster/grouping"
	"muster/storage/durable"
)

// MemoryOptions are the limits of a Memory.
type MemoryOptions struct {
	HistoryRetention time.Duration // how long events are kept
	MaxEvents        int           // maximum number of events
}

// DefaultMemoryOptions returns the defaults. The events need about 40 MB.
func DefaultMemoryOptions() MemoryOptions {
	return MemoryOptions{HistoryRetention: grouping.DefaultHistoryRetention, MaxEvents: 100_000}
}

// Memory keeps groups and history in memory. It is the storage of a Muster without
// a backend, and the working copy of a Tiered. It is safe for concurrent use.
type Memory struct {
	grouping.NoFollow

	opts MemoryOptions

	mu     sync.RWMutex
	groups map[grouping.ID]*grouping.AlertGroup // guarded by mu
	// tombstones holds the tombstones of deleted groups.
	tombstones map[grouping.ID]*grouping.AlertGroup // guarded by mu
	// tombstoneIDs holds the IDs of the tombstones, oldest first.
	tombstoneIDs []grouping.ID // guarded by mu
	// lastWrites holds the stamp of the last write of each group. It shows that a
	// repeated write was already applied.
	lastWrites map[grouping.ID]grouping.Stamp // guarded by mu
	// events is sorted by ID. Events arrive almost in order, so an insertion moves
	// only a few. A reader copies the pointers and holds no lock while it filters
	// them.
	events []*grouping.Event // guarded by mu
}

// NewMemory returns an empty Memory.
func NewMemory(opts MemoryOptions) *Memory {
	return &Memory{
		opts: opts, groups: map[grouping.ID]*grouping.AlertGroup{}, tombstones: map[grouping.ID]*grouping.AlertGroup{},
		lastWrites: map[grouping.ID]grouping.Stamp{},
	}
}

// Store implements grouping.GroupStorage.
func (m *Memory) Store(ctx context.Context, c grouping.Change) (*grouping.AlertGroup, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	id := c.ID()
	stored := m.lookUp(id)
	if m.applied(c) {
		return stored, nil
	}
	if stored != c.Base && c.Conflicts(stored) {
		return nil, &grouping.VersionMismatchError{ID: id, Stored: stored}
	}
	next := *after(stored, c.Base, c.Group)
	next.Version++
	if c.Notified {
		next.Notifications++
	}
	m.set(&next)
	m.lastWrites[id] = c.Stamp
	m.addEvents(c.Events)
	return &next, nil
}

// applied reports whether the change was already made.
func (m *Memory) applied(c grouping.Change) bool {
	id := c.ID()
	if m.groups[id] == nil {
		return false
	}
	if m.lastWrites[id] == c.Stamp && c.Stamp != "" {
		return true
	}
	if len(c.Events) == 0 {
		return false
	}
	_, found := m.findEvent(c.Events[0].ID)
	return found
}

// Delete implements grouping.GroupStorage.
func (m *Memory) Delete(ctx context.Context, c grouping.Change) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	id := c.ID()
	stored := m.groups[id]
	if stored == nil {
		return nil
	}
	if c.Group = nil; c.Conflicts(stored) {
		return &grouping.VersionMismatchError{ID: id, Stored: stored}
	}
	m.set(grouping.Tombstone(id, c.Stamp))
	m.addEvents(c.Events)
	return nil
}

// Merge merges a group or a tombstone into the stored state. It returns the merged
// state and reports whether the stored state changed.
func (m *Memory) Merge(g *grouping.AlertGroup) (merged *grouping.AlertGroup, changed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	stored := m.lookUp(g.ID)
	merged = grouping.Merge(stored, g).PruneRemovals()
	changed = !merged.Equal(stored)
	if !changed && merged.Version == stored.Version && merged.Notifications == stored.Notifications {
		return stored, false
	}
	m.set(merged)
	return merged, changed
}

// Put stores a group that was made from base. If the stored state is another one, Put
// merges both. It returns the stored state.
func (m *Memory) Put(base, g *grouping.AlertGroup) *grouping.AlertGroup {
	m.mu.Lock()
	defer m.mu.Unlock()
	g = after(m.lookUp(g.ID), base, g)
	m.set(g)
	return g
}

// after returns the state of a group after the state g, which was made from base, was
// written to the stored state. It merges only if another write came in between.
func after(stored, base, g *grouping.AlertGroup) *grouping.AlertGroup {
	if stored != base {
		return grouping.Merge(stored, g).PruneRemovals()
	}
	if stored != nil && (g.Version < stored.Version || g.Notifications < stored.Notifications) {
		next := *g
		next.Version, next.Notifications = max(g.Version, stored.Version), max(g.Notifications, stored.Notifications)
		return &next
	}
	return g
}

// Get returns a group or its tombstone. It returns nil if there is neither. Unlike
// Load, it also returns tombstones.
func (m *Memory) Get(id grouping.ID) *grouping.AlertGroup {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.lookUp(id)
}

// lookUp is Get for callers that hold mu.
func (m *Memory) lookUp(id grouping.ID) *grouping.AlertGroup {
	if g := m.groups[id]; g != nil {
		return g
	}
	return m.tombstones[id]
}

// set replaces a group or stores a tombstone. It discards tombstones that are too
// old or too many. The caller must hold mu.
func (m *Memory) set(g *grouping.AlertGroup) {
	if !g.IsTombstone() {
		delete(m.tombstones, g.ID)
		m.groups[g.ID] = g
		return
	}
	delete(m.groups, g.ID)
	delete(m.lastWrites, g.ID)
	if m.tombstones[g.ID] == nil {
		m.tombstoneIDs = append(m.tombstoneIDs, g.ID)
	}
	m.tombstones[g.ID] = g
	for len(m.tombstoneIDs) > 0 {
		old := m.tombstones[m.tombstoneIDs[0]]
		if old != nil && time.Since(old.Deleted.Time()) < durable.TombstoneAge && len(m.tombstoneIDs) <= durable.MaxTombstones {
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
	if g := m.groups[id]; g != nil {
		return g, nil
	}
	return nil, &grouping.GroupNotFoundError{ID: id}
}

// ListKeys implements grouping.GroupStorage.
func (m *Memory) ListKeys(ctx context.Context) ([]grouping.ID, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return m.keys(), nil
}

func (m *Memory) keys() []grouping.ID {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.Collect(maps.Keys(m.groups))
}

// Size implements grouping.GroupStorage.
func (m *Memory) Size(ctx context.Context) (int, error) {
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.groups), nil
}

// LoadAll implements grouping.GroupStorage. It holds no lock while it yields.
func (m *Memory) LoadAll(ctx context.Context) iter.Seq2[*grouping.AlertGroup, error] {
	return func(yield func(*grouping.AlertGroup, error) bool) {
		if ctx.Err() != nil {
			yield(nil, context.Cause(ctx))
			return
		}
		m.mu.RLock()
		groups := make([]*grouping.AlertGroup, 0, len(m.groups))
		for _, g := range m.groups {
			groups = append(groups, g)
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

// PutEvents adds events to the history. Events that are already stored do not
// change.
func (m *Memory) PutEvents(events []grouping.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.addEvents(events)
}

// addEvents is PutEvents for callers that hold mu. It also evicts events beyond
// the limit and the retention.
func (m *Memory) addEvents(events []grouping.Event) {
	for _, e := range events {
		if i, found := m.findEvent(e.ID); !found {
			m.events = slices.Insert(m.events, i, &e)
		}
	}
	first := max(0, len(m.events)-m.opts.MaxEvents)
	oldest := time.Now().Add(-m.opts.HistoryRetention)
	for first < len(m.events) && m.events[first].Time.Before(oldest) {
		first++
	}
	m.events = m.events[first:]
}

func (m *Memory) findEvent(id string) (int, bool) {
	return slices.BinarySearchFunc(m.events, id, func(e *grouping.Event, id string) int { return strings.Compare(e.ID, id) })
}

// EventsSince returns the events with this ID and with greater IDs, oldest first.
func (m *Memory) EventsSince(id string) []grouping.Event {
	m.mu.RLock()
	defer m.mu.RUnlock()
	i, _ := m.findEvent(id)
	events := make([]grouping.Event, 0, len(m.events)-i)
	for _, e := range m.events[i:] {
		events = append(events, *e)
	}
	return events
}

// EventsOfGroups returns the events of the groups, oldest first.
func (m *Memory) EventsOfGroups(ids []grouping.ID) (events []grouping.Event) {
	if len(ids) == 0 {
		return nil
	}
	wanted := make(map[grouping.ID]bool, len(ids))
	for _, id := range ids {
		wanted[id] = true
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, e := range m.events {
		if wanted[e.GroupID] {
			events = append(events, *e)
		}
	}
	return events
}

// StreamEvents implements grouping.GroupStorage.
func (m *Memory) StreamEvents(ctx context.Context, from time.Time) iter.Seq2[grouping.Event, error] {
	return durable.EventReader{Newest: m.newestEvent, After: m.eventsAfter}.StreamEvents(ctx, from)
}

func (m *Memory) newestEvent(context.Context) (string, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if len(m.events) == 0 {
		return "", nil
	}
	return m.events[len(m.events)-1].ID, nil
}

// eventsAfter returns the next events with greater IDs, and the last ID of them.
func (m *Memory) eventsAfter(ctx context.Context, after string) (events []grouping.Event, last string, err error) {
	if ctx.Err() != nil {
		return nil, "", context.Cause(ctx)
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	i, found := m.findEvent(after)
	if found {
		i++
	}
	for _, e := range m.events[i:min(i+durable.StreamChunk, len(m.events))] {
		events, last = append(events, *e), e.ID
	}
	return events, last, nil
}

// Events implements grouping.GroupStorage.
func (m *Memory) Events(ctx context.Context, q grouping.EventQuery) (grouping.EventPage, error) {
	var page grouping.EventPage
	if ctx.Err() != nil {
		return page, context.Cause(ctx)
	}
	m.mu.RLock()
	end := len(m.events)
	if q.Cursor != "" {
		end, _ = m.findEvent(q.Cursor)
	}
	events := slices.Clone(m.events[:end])
	m.mu.RUnlock()
	limit := cmp.Or(q.Limit, grouping.DefaultLimit)
	for _, e := range slices.Backward(events) {
		if !q.Since.IsZero() && e.Time.Before(q.Since) {
			break
		}
		if !q.Matches(e) {
			continue
		}
		if len(page.Events) == limit {
			page.Next = page.Events[limit-1].ID
			break
		}
		page.Events = append(page.Events, *e)
	}
	return page, nil
}
