package grouping

import (
	"maps"
	"slices"
	"sync"

	"github.com/google/btree"
	"github.com/prometheus/alertmanager/pkg/labels"
)

// index holds the current groups: by ID, by alert, in every sort order of a list,
// and as totals. It is updated with every change. So the cost of a query depends on
// the size of its result, not on the number of groups. It is safe for concurrent use.
type index struct {
	mu     sync.RWMutex
	groups map[ID]*AlertGroup                 // guarded by mu
	alerts map[Fingerprint]map[ID]struct{}    // guarded by mu
	orders map[Sort]*btree.BTreeG[indexEntry] // guarded by mu
	stats  Stats                              // guarded by mu
	// heartbeats holds the groups that contain only heartbeats.
	heartbeats map[ID]*AlertGroup // guarded by mu
	matchers   []labels.Matchers  // they select heartbeats; never changed
}

// indexEntry is a group with its position in a sort order.
type indexEntry struct {
	position

	group *AlertGroup
}

// treeDegree gives tree nodes a size of a few kilobytes.
const treeDegree = 32

func newIndex(heartbeats []labels.Matchers) *index {
	x := &index{
		groups: map[ID]*AlertGroup{}, alerts: map[Fingerprint]map[ID]struct{}{},
		orders: map[Sort]*btree.BTreeG[indexEntry]{}, stats: newStats(), heartbeats: map[ID]*AlertGroup{}, matchers: heartbeats,
	}
	for _, s := range Sorts() {
		x.orders[s] = btree.NewG(treeDegree, func(a, b indexEntry) bool { return comparePositions(a.position, b.position) < 0 })
	}
	return x
}

// update replaces the group in the index, or removes it if g is nil. It returns the
// indexed group before and after the update, nil if there is no group.
func (x *index) update(id ID, g *AlertGroup) (before, after *AlertGroup) {
	x.mu.Lock()
	defer x.mu.Unlock()
	before = x.groups[id]
	if g != nil {
		// Two changes may arrive in the wrong order, and the older one must not
		// replace the newer one. If the group was removed in between, it comes back
		// until its next flush does not find it.
		g = Merge(before, g).PruneRemovals()
	}
	var oldAlerts, newAlerts []*Alert
	if before != nil {
		oldAlerts = before.Alerts
		delete(x.groups, id)
		x.stats.addGroup(before, -1)
		delete(x.heartbeats, id)
	}
	if g != nil {
		newAlerts = g.Alerts
		x.groups[id] = g
		x.stats.addGroup(g, 1)
		if IsHeartbeatGroup(x.matchers, g) {
			x.heartbeats[id] = g
		}
	}
	for s, tree := range x.orders {
		s.move(tree, before, g)
	}
	walkAlertPairs(oldAlerts, newAlerts, func(a, b *Alert) {
		switch {
		case a == nil:
			ids := x.alerts[b.Fingerprint]
			if ids == nil {
				ids = map[ID]struct{}{}
				x.alerts[b.Fingerprint] = ids
			}
			ids[id] = struct{}{}
		case b == nil:
			ids := x.alerts[a.Fingerprint]
			if delete(ids, id); len(ids) == 0 {
				delete(x.alerts, a.Fingerprint)
			}
		}
	})
	return before, g
}

// move moves a group to its new position in the sort order. before is nil for a new
// group, after for a removed one.
func (s Sort) move(tree *btree.BTreeG[indexEntry], before, after *AlertGroup) {
	var oldPosition, newPosition position
	if before != nil {
		oldPosition = s.positionOf(before)
	}
	if after != nil {
		newPosition = s.positionOf(after)
	}
	if before != nil && oldPosition != newPosition {
		tree.Delete(indexEntry{position: oldPosition})
	}
	if after != nil {
		tree.ReplaceOrInsert(indexEntry{newPosition, after})
	}
}

// lookup returns the sorted IDs of the groups that hold the alert.
func (x *index) lookup(fp Fingerprint) []ID {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return slices.Sorted(maps.Keys(x.alerts[fp]))
}

// all returns all groups, in no particular order.
func (x *index) all() []*AlertGroup {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return slices.AppendSeq(make([]*AlertGroup, 0, len(x.groups)), maps.Values(x.groups))
}

// sortedSnapshot returns a copy of the current groups in a sort order, and the number
// of groups by state. Later updates do not change the copy.
func (x *index) sortedSnapshot(s Sort) (tree *btree.BTreeG[indexEntry], states map[State]int) {
	x.mu.Lock() // Clone writes
	defer x.mu.Unlock()
	return x.orders[s].Clone(), maps.Clone(x.stats.Groups)
}

// room reports whether the limits leave room for a new group. If not, full is the
// limit that is reached, and oldest is the group to evict, or nil if no group can be
// evicted. It prefers resolved groups to unreported ones, and takes the one that
// changed longest ago. A limit of 0 means no limit.
func (x *index) room(key Key, maxGroups, maxSources int) (full *FullError, oldest *AlertGroup) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	_, known := x.stats.Sources[key.Source]
	switch {
	case x.groups[key.ID()] != nil:
		return nil, nil
	case maxSources > 0 && !known && len(x.stats.Sources) >= maxSources:
		return &FullError{What: "source", Limit: maxSources}, nil
	case maxGroups == 0 || len(x.groups) < maxGroups:
		return nil, nil
	}
	full = &FullError{What: "group", Limit: maxGroups}
	for _, state := range []State{StateResolved, StateUnreported} {
		if x.stats.Groups[state] == 0 {
			continue
		}
		x.orders[SortUpdated].Descend(func(p indexEntry) bool {
			oldest = p.group
			return p.group.State != state
		})
		return full, oldest
	}
	return full, nil
}

// totals returns a copy of the totals of all groups.
func (x *index) totals() Stats {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.stats.clone()
}
