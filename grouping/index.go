package grouping

import (
	"maps"
	"slices"
	"sync"
)

// index knows which groups hold an alert. It follows every change of a group,
// in whatever order they are heard of.
type index struct {
	mu     sync.RWMutex
	groups map[ID]*AlertGroup              // guarded by mu
	alerts map[Fingerprint]map[ID]struct{} // guarded by mu
}

// update takes note of the group, nil if it is gone.
func (x *index) update(id ID, g *AlertGroup) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.groups == nil {
		x.groups, x.alerts = map[ID]*AlertGroup{}, map[Fingerprint]map[ID]struct{}{}
	}
	before := x.groups[id]
	var was, is []*Alert
	if before != nil {
		was = before.Alerts
	}
	if g == nil {
		delete(x.groups, id)
	} else {
		// Two changes may be heard of in the wrong order: the older one must
		// not take back the newer one.
		g = Merge(before, g)
		x.groups[id] = g
		is = g.Alerts
	}
	zip(was, is, func(a, b *Alert) {
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
}

// lookup returns the sorted IDs of the groups that hold the alert.
func (x *index) lookup(fp Fingerprint) []ID {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return slices.Sorted(maps.Keys(x.alerts[fp]))
}

// ids returns the IDs of all groups, sorted.
func (x *index) ids() []ID {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return slices.Sorted(maps.Keys(x.groups))
}
