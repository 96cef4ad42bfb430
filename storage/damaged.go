package storage

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"muster/grouping"
)

// damagedLog remembers which documents of the backend cannot be read, so that each is logged
// once and the status page names them. Pushes and comparisons read them again and again: a newer
// version of Muster may have written all of them. It is safe for concurrent use. The zero value is
// usable.
type damagedLog struct {
	mu    sync.Mutex
	texts map[grouping.ID]string // guarded by mu; what is wrong with each
}

// add records damaged documents. It returns those that were not recorded with the same damage
// before.
func (l *damagedLog) add(damaged ...*grouping.DamagedGroupError) (added []*grouping.DamagedGroupError) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range damaged {
		text := d.Error()
		if l.texts[d.ID] == text {
			continue
		}
		if l.texts == nil {
			l.texts = map[grouping.ID]string{}
		}
		l.texts[d.ID] = text
		added = append(added, d)
	}
	return added
}

// keep removes those of the documents that are not damaged any more.
func (l *damagedLog) keep(ids []grouping.ID, damaged []*grouping.DamagedGroupError) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.texts) == 0 {
		return
	}
	for _, id := range ids {
		if !slices.ContainsFunc(damaged, func(d *grouping.DamagedGroupError) bool { return d.ID == id }) {
			delete(l.texts, id)
		}
	}
}

// remove records that a document is not damaged any more.
func (l *damagedLog) remove(id grouping.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.texts, id)
}

// ids returns the IDs of the documents.
func (l *damagedLog) ids() []grouping.ID {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(maps.Keys(l.texts))
}

// problem returns sentences about the documents, or "".
func (l *damagedLog) problem() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.texts) == 0 {
		return ""
	}
	ids := slices.Sorted(maps.Keys(l.texts))
	return fmt.Sprintf("The storage has damaged groups (%s). Muster does not overwrite them: what arrives for them is in memory only. "+
		"The runbook says how to remove them (MusterDirtyGroups). %s", nameIDs(ids), l.texts[ids[0]])
}

// logDamaged logs documents that cannot be read in the backend, or not be written to it. It
// logs each of them once, and one line for all.
func (t *Tiered) logDamaged(damaged ...*grouping.DamagedGroupError) {
	if added := t.damaged.add(damaged...); len(added) > 0 {
		t.logger.Warn("Groups in the storage backend are damaged", "backend", t.backend.Name(), "groups", len(added), "err", added[0])
	}
}
