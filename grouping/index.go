package grouping

import (
	"maps"
	"slices"
	"sync"

	"github.com/google/btree"
	"github.com/prometheus/alertmanager/pkg/labels"
)

// index knows the groups as they were last heard of: by alert, in every order
// of a list, and counted. It follows every change, so that a question costs
// what its answer is long and not what is held.
type index struct {
	mu     sync.RWMutex
	groups map[ID]*AlertGroup                 // guarded by mu
	alerts map[Fingerprint]map[ID]struct{}    // guarded by mu
	orders map[Sort]*btree.BTreeG[indexEntry] // guarded by mu
	stats  Stats                              // guarded by mu
	// heartbeats are the groups that hold nothing else.
	heartbeats map[ID]*AlertGroup // guarded by mu
	matchers   []labels.Matchers  // of heartbeats
}

// indexEntry is a group at its place in an order.
type indexEntry struct {
	position

	group *AlertGroup
}

// treeDegree makes nodes of some kilobytes.
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

// update takes note of the group, nil if it is gone. It returns what was known
// of it, and what is known now.
func (x *index) update(id ID, g *AlertGroup) (before, after *AlertGroup) {
	x.mu.Lock()
	defer x.mu.Unlock()
	before = x.groups[id]
	if g != nil {
		// Two changes may be heard of in the wrong order: the older one must
		// not take back the newer one. (One that was removed meanwhile comes
		// back until its next flush does not find it.)
		g = Merge(before, g).PruneRemovals()
	}
	var was, is []*Alert
	if before != nil {
		was = before.Alerts
		delete(x.groups, id)
		x.stats.addGroup(before, -1)
		delete(x.heartbeats, id)
	}
	if g != nil {
		is = g.Alerts
		x.groups[id] = g
		x.stats.addGroup(g, 1)
		if IsHeartbeatGroup(x.matchers, g) {
			x.heartbeats[id] = g
		}
	}
	for s, tree := range x.orders {
		s.move(tree, before, g)
	}
	walkAlertPairs(was, is, func(a, b *Alert) {
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

// move brings a group to its new place in the order.
func (s Sort) move(tree *btree.BTreeG[indexEntry], before, after *AlertGroup) {
	var old, now position
	if before != nil {
		old = s.positionOf(before)
	}
	if after != nil {
		now = s.positionOf(after)
	}
	if before != nil && old != now {
		tree.Delete(indexEntry{position: old})
	}
	if after != nil {
		tree.ReplaceOrInsert(indexEntry{now, after})
	}
}

// lookup returns the sorted IDs of the groups that hold the alert.
func (x *index) lookup(fp Fingerprint) []ID {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return slices.Sorted(maps.Keys(x.alerts[fp]))
}

// all returns all groups, in no order.
func (x *index) all() []*AlertGroup {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return slices.AppendSeq(make([]*AlertGroup, 0, len(x.groups)), maps.Values(x.groups))
}

// ordered returns the groups in an order, as they are now, and how many are in
// which state.
func (x *index) sortedSnapshot(s Sort) (tree *btree.BTreeG[indexEntry], states map[State]int) {
	x.mu.Lock() // Clone writes
	defer x.mu.Unlock()
	return x.orders[s].Clone(), maps.Clone(x.stats.Groups)
}

// room tells whether there is none for a group, and then which group may go:
// the one that is resolved, or unreported, and has not changed for the longest.
// A limit of 0 is none.
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

// counted returns the summary of what is held.
func (x *index) totals() Stats {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.stats.clone()
}
