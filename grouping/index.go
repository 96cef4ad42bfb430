package grouping

import (
	"hash/maphash"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/btree"
	"github.com/prometheus/alertmanager/pkg/labels"
)

// index holds the current groups: by ID, by alert, by group labels, in every sort
// order of a list, and as totals. All reads of the state are answered from it. It is
// updated with every change. So the cost of a query depends on the size of its result,
// not on the number of groups. It is safe for concurrent use.
type index struct {
	mu     sync.RWMutex
	groups map[ID]*AlertGroup                 // guarded by mu
	alerts idSets                             // guarded by mu; by alertKey
	labels idSets                             // guarded by mu; by labelsKey
	values labelValues                        // guarded by mu; of the labels of all alerts; nil: nobody asked for them
	orders map[Sort]*btree.BTreeG[indexEntry] // guarded by mu; those that were asked for
	totals Totals                             // guarded by mu; never handed out
	// acknowledged holds the groups that were acknowledged when they were indexed. An
	// acknowledgement can run out, so this does not follow from the groups.
	acknowledged map[ID]bool // guarded by mu
	// notified holds the receivers that ever sent a notification, by source.
	notified map[SourceReceiver]bool // guarded by mu
	// heartbeats holds the groups that contain only heartbeats.
	heartbeats map[ID]*AlertGroup // guarded by mu
	// snapshot is a copy of totals for readers, or nil if a change made it outdated.
	// It is written under mu.
	snapshot atomic.Pointer[Totals]

	matchers []labels.Matchers // they select heartbeats; never changed
	seed     maphash.Seed      // of the hashes; never changed
	now      func() time.Time  // never changed
}

// indexEntry is a group with its position in a sort order.
type indexEntry struct {
	position

	group *AlertGroup
}

// treeDegree gives tree nodes a size of a few kilobytes.
const treeDegree = 32

func newIndex(heartbeats []labels.Matchers, now func() time.Time) *index {
	return &index{
		groups: map[ID]*AlertGroup{}, alerts: newIDSets(), labels: newIDSets(),
		orders: map[Sort]*btree.BTreeG[indexEntry]{}, totals: newTotals(), heartbeats: map[ID]*AlertGroup{}, notified: map[SourceReceiver]bool{},
		acknowledged: map[ID]bool{}, matchers: heartbeats, seed: maphash.MakeSeed(), now: now,
	}
}

// order returns the groups in a sort order. The first call sorts all groups, which takes a
// tenth of a second for 100,000 of them. Later changes keep the order. So an order that
// nobody asks for costs nothing: neither the start of the process nor a change. The caller
// holds mu for writing.
func (x *index) order(s Sort) *btree.BTreeG[indexEntry] {
	if tree := x.orders[s]; tree != nil {
		return tree
	}
	entries := make([]indexEntry, 0, len(x.groups))
	for _, g := range x.groups {
		entries = append(entries, indexEntry{s.positionOf(g, x.acknowledged[g.ID]), g})
	}
	slices.SortFunc(entries, compareEntries)
	tree := btree.NewG(treeDegree, func(a, b indexEntry) bool { return compareEntries(a, b) < 0 })
	for _, e := range entries {
		tree.ReplaceOrInsert(e)
	}
	x.orders[s] = tree
	return tree
}

func compareEntries(a, b indexEntry) int { return comparePositions(a.position, b.position) }

// update replaces the group in the index, or removes it if g is nil. base is the state
// from which g was made, or nil if that is not known. update returns the indexed group
// before and after the update, nil if there is no group.
func (x *index) update(id ID, base, g *AlertGroup) (before, after *AlertGroup) {
	x.mu.Lock()
	defer x.mu.Unlock()
	before = x.groups[id]
	if g != nil && (before == nil || before != base) {
		// Two changes may arrive in the wrong order, and the older one must not
		// replace the newer one. If the group was removed in between, it comes back
		// until its next flush does not find it.
		g = Merge(before, g).PruneRemovals()
	}
	was := x.acknowledged[id]
	is := g != nil && len(g.Acks) > 0 && g.IsAcknowledged(x.now())
	x.updateTotals(id, before, g, was, is)
	for s, tree := range x.orders {
		s.move(tree, before, g, was, is)
	}
	if is {
		x.acknowledged[id] = true
	} else {
		delete(x.acknowledged, id)
	}
	x.updateSets(id, before, g)
	if g != nil {
		x.groups[id] = g
	} else {
		delete(x.groups, id)
	}
	return before, g
}

// updateTotals updates the totals and the heartbeats. The new state is counted before
// the old one is subtracted, so that no count becomes zero in between. The caller holds
// mu.
func (x *index) updateTotals(id ID, before, after *AlertGroup, wasAcknowledged, isAcknowledged bool) {
	_, wasHeartbeat := x.heartbeats[id]
	isHeartbeat := after != nil && IsHeartbeatGroup(x.matchers, after)
	if isHeartbeat {
		x.heartbeats[id] = after
	} else {
		delete(x.heartbeats, id)
	}
	x.snapshot.Store(nil)
	if before != nil && after != nil && wasHeartbeat == isHeartbeat && wasAcknowledged == isAcknowledged && before.countsLike(after) {
		x.totals.addTimes(after) // a repeated notification
		return
	}
	if after != nil {
		x.totals.add(after, isHeartbeat, isAcknowledged, 1)
		if !after.LastNotifiedAt.IsZero() && (before == nil || before.LastNotifiedAt.IsZero()) {
			x.notified[SourceReceiver{after.Source, after.Receiver}] = true
		}
	}
	if before != nil {
		x.totals.add(before, wasHeartbeat, wasAcknowledged, -1)
	}
}

// updateSets updates the groups by alert and by group labels, and the values of labels.
// The caller holds mu.
func (x *index) updateSets(id ID, before, after *AlertGroup) {
	var oldAlerts, newAlerts []*Alert
	if before != nil {
		oldAlerts = before.Alerts
	}
	if after != nil {
		newAlerts = after.Alerts
	}
	replaced := replacedAlerts(oldAlerts, newAlerts)
	if x.values != nil {
		x.values.replace(before, after, replaced)
	}
	for _, p := range replaced {
		switch {
		case p.before == nil:
			x.alerts.add(x.alertKey(p.after.Fingerprint), id)
		case p.after == nil:
			x.alerts.remove(x.alertKey(p.before.Fingerprint), id)
		}
	}
	if before != nil && after != nil && before.GroupLabels.Equal(after.GroupLabels) {
		return // the receiver is part of the ID
	}
	if before != nil {
		x.labels.remove(x.labelsKey(before.Receiver, before.GroupLabels), id)
	}
	if after != nil {
		x.labels.add(x.labelsKey(after.Receiver, after.GroupLabels), id)
	}
}

// alertKey returns a hash of a fingerprint. A map with numbers as keys needs less time and memory
// than one with texts. Different fingerprints may have the same hash.
func (x *index) alertKey(fp Fingerprint) uint64 { return maphash.String(x.seed, string(fp)) }

// labelsKey returns a hash of a receiver and group labels. It does not depend on the
// order of the labels. Different labels may have the same hash.
func (x *index) labelsKey(receiver string, l Labels) uint64 {
	key := maphash.String(x.seed, receiver)
	for name, value := range l.All() {
		key += maphash.Comparable(x.seed, [2]string{name, value})
	}
	return key
}

// move moves a group to its new position in the sort order. before is nil for a new
// group, after for a removed one.
func (s Sort) move(tree *btree.BTreeG[indexEntry], before, after *AlertGroup, wasAcknowledged, isAcknowledged bool) {
	var oldPosition, newPosition position
	if before != nil {
		oldPosition = s.positionOf(before, wasAcknowledged)
	}
	if after != nil {
		newPosition = s.positionOf(after, isAcknowledged)
	}
	if before != nil && oldPosition != newPosition {
		tree.Delete(indexEntry{position: oldPosition})
	}
	if after != nil {
		tree.ReplaceOrInsert(indexEntry{newPosition, after})
	}
}

// get returns the group, or nil if it is not in the index.
func (x *index) get(id ID) *AlertGroup {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.groups[id]
}

// outdated returns the group if an acknowledgement of it ran out since it was indexed, or nil.
func (x *index) outdated(id ID) *AlertGroup {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if g := x.groups[id]; g != nil && x.acknowledged[id] != g.IsAcknowledged(x.now()) {
		return g
	}
	return nil
}

// hasNotified reports whether the receiver ever sent a notification of the source, as far as
// the groups since the start of this process tell.
func (x *index) hasNotified(source, receiver string) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.notified[SourceReceiver{source, receiver}]
}

// withAlert returns the groups that hold the alert, sorted by ID.
func (x *index) withAlert(fp Fingerprint) []*AlertGroup {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var groups []*AlertGroup
	for _, id := range slices.Sorted(x.alerts.of(x.alertKey(fp))) {
		if g := x.groups[id]; g.Alert(fp) != nil {
			groups = append(groups, g)
		}
	}
	return groups
}

// withLabels returns the groups of the receiver whose group labels equal l, in no
// particular order.
func (x *index) withLabels(receiver string, l Labels) []*AlertGroup {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var groups []*AlertGroup
	for id := range x.labels.of(x.labelsKey(receiver, l)) {
		if g := x.groups[id]; g.Receiver == receiver && g.GroupLabels.Equal(l) {
			groups = append(groups, g)
		}
	}
	return groups
}

// all returns all groups, in no particular order.
func (x *index) all() []*AlertGroup {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return slices.AppendSeq(make([]*AlertGroup, 0, len(x.groups)), maps.Values(x.groups))
}

// valuesOf returns the values of a label that alerts have, in no particular order.
func (x *index) valuesOf(name string) []string {
	values, unlock := x.readValues()
	defer unlock()
	return slices.AppendSeq(make([]string, 0, len(values[name])), maps.Keys(values[name]))
}

// mayMatch reports whether an alert may match all matchers.
func (x *index) mayMatch(ms labels.Matchers) bool {
	if len(ms) == 0 {
		return true
	}
	values, unlock := x.readValues()
	defer unlock()
	return values.mayMatch(ms)
}

// readValues returns the values of all labels. The caller calls unlock when it has read
// them. The first call counts all labels, which takes a tenth of a second for 100,000
// alerts. So like the sort orders, they cost nothing at the start of the process.
func (x *index) readValues() (values labelValues, unlock func()) {
	x.mu.RLock()
	if x.values == nil {
		x.mu.RUnlock()
		x.countValues()
		x.mu.RLock()
	}
	return x.values, x.mu.RUnlock
}

func (x *index) countValues() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.values != nil { // another reader was faster
		return
	}
	x.values = labelValues{}
	for _, g := range x.groups {
		x.values.addGroup(g, 1)
		for _, a := range g.Alerts {
			x.values.add(a.Labels, 1)
		}
	}
}

// sortedSnapshot returns a copy of the current groups in a sort order, and the number
// of groups by state. Later updates do not change the copy.
func (x *index) sortedSnapshot(s Sort) (tree *btree.BTreeG[indexEntry], states map[State]int) {
	x.mu.Lock() // Clone writes
	defer x.mu.Unlock()
	return x.order(s).Clone(), maps.Clone(x.totals.Groups)
}

// room reports whether the limits leave room for a new group. If not, full is the
// limit that is reached, and oldest is the group to evict, or nil if no group can be
// evicted. It prefers resolved groups to unreported and suppressed ones, and takes the one that
// changed longest ago. A limit of 0 means no limit.
func (x *index) room(key Key, maxGroups, maxSources int) (full *FullError, oldest *AlertGroup) {
	if full = x.limitReached(key, maxGroups, maxSources); full == nil || full.What == "source" {
		return full, nil
	}
	x.mu.Lock() // order writes
	defer x.mu.Unlock()
	if last, ok := x.order(sortEviction).Max(); ok && slices.Contains(evictableStates(), last.group.State) {
		oldest = last.group
	}
	return full, oldest
}

// limitReached returns the limit that leaves no room for a new group, or nil.
func (x *index) limitReached(key Key, maxGroups, maxSources int) *FullError {
	x.mu.RLock()
	defer x.mu.RUnlock()
	_, known := x.totals.Sources[key.Source]
	switch {
	case maxSources > 0 && !known && len(x.totals.Sources) >= maxSources:
		return &FullError{What: "source", Limit: maxSources}
	case maxGroups > 0 && len(x.groups) >= maxGroups && x.groups[key.ID()] == nil:
		return &FullError{What: "group", Limit: maxGroups}
	}
	return nil
}

// currentTotals returns the totals of all groups. Only the first call after a change
// makes a copy.
func (x *index) currentTotals() *Totals {
	if t := x.snapshot.Load(); t != nil {
		return t
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	t := x.snapshot.Load()
	if t == nil { // no other reader was faster
		t = x.totals.clone()
		x.snapshot.Store(t)
	}
	return t
}
