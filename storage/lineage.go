package storage

import (
	"context"
	"slices"

	"muster/grouping"
)

// A backend loses acknowledged writes if it goes back in time: a failover to a
// replica that lagged, a restored snapshot. New writes then make its sequence
// as high as before. So a loss is known by the lineage of the log, not by its
// height:
//   - each entry names the one before it, so the follower notices the change;
//   - once a second the last entry that was seen is looked up;
//   - every write of this process must come back through the log.
//
// The copy holds the recent events of all replicas. After a loss each replica
// compares them with the history and writes back what is absent.

// trace compares the log with what was seen of it. It returns the positions
// from which to follow it: those that were seen, if all is still there.
func (m *Tiered) trace(ctx context.Context, now []Position) ([]Position, error) {
	m.mu.Lock()
	seen := slices.Clone(m.last)
	m.mu.Unlock()
	if seen == nil {
		m.ledger.clear()
		m.setLast(now)
		return now, nil
	}
	lineage := LineageLost
	if sameEpochs(seen, now) && !behind(now, seen) {
		var err error
		if lineage, err = m.durable.CheckLineage(ctx, seen); err != nil {
			m.fault(FaultReason(err), err)
			return nil, err
		}
	}
	switch lineage {
	case LineageHeld:
		return seen, nil
	case LineageLost:
		m.noteLoss()
	default:
		m.pushAll()
	}
	m.setLast(now)
	return now, nil
}

func (m *Tiered) setLast(p []Position) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last = p
}

// noteLoss takes note that the backend lost acknowledged writes.
func (m *Tiered) noteLoss() {
	m.logger.Warn("The storage backend lost data and gets back what is held here", "backend", m.durable.Name())
	m.mu.Lock()
	m.warned = true
	m.mu.Unlock()
	m.pushAll()
}

// pushAll makes the next push compare the whole history. What the backend lacks
// of groups the next comparison finds.
func (m *Tiered) pushAll() {
	m.ledger.clear()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.unpushed = allEvents
	m.seen = map[grouping.ID]sight{} // what was seen there may be gone
}

// pushFrom makes the next push compare the history from the events on.
func (m *Tiered) pushFrom(events []grouping.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(events) > 0 && (m.unpushed == "" || events[0].ID < m.unpushed) {
		m.unpushed = events[0].ID
	}
}

// pushHistory brings the events that the backend may lack to it.
func (m *Tiered) pushHistory(ctx context.Context) error {
	m.mu.Lock()
	since := m.unpushed
	m.unpushed = ""
	m.mu.Unlock()
	if since == "" {
		return nil
	}
	lost := 0
	for events := range slices.Chunk(m.memory.EventsSince(since), 10*batch) {
		n, err := m.pushEvents(ctx, events)
		lost += n
		if err != nil {
			since = max(since, events[0].ID) // those before are there
			m.noteWrittenBack(lost)
			m.mu.Lock()
			defer m.mu.Unlock()
			if m.unpushed == "" || since < m.unpushed {
				m.unpushed = since
			}
			return err
		}
	}
	m.noteWrittenBack(lost)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.unpushed == "" {
		clear(m.kept)
	}
	return nil
}

// pushEvents puts the events that are absent into the history. It returns how
// many acknowledged writes the backend had lost: those that it once had.
func (m *Tiered) pushEvents(ctx context.Context, events []grouping.Event) (lost int, err error) {
	absent, err := m.durable.MissingEvents(ctx, events)
	if err != nil || len(absent) == 0 {
		return 0, err
	}
	if err := m.durable.PushEvents(ctx, absent); err != nil {
		return 0, err
	}
	writes := map[grouping.Stamp]bool{}
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range absent {
		if stamp := absent[i].Stamp(); !m.kept[stamp] {
			writes[stamp] = true
		}
	}
	return len(writes), nil
}

// noteWrittenBack counts acknowledged writes that were lost.
func (m *Tiered) noteWrittenBack(lost int) {
	m.mu.Lock()
	warned := m.warned
	m.warned = false
	m.mu.Unlock()
	if lost == 0 {
		return
	}
	m.lostWrites.Add(float64(lost))
	log := m.logger.Warn
	if warned {
		log = m.logger.Info // it was said when it was noticed
	}
	log("The storage backend had lost acknowledged writes, which were written back", "backend", m.durable.Name(), "writes", lost)
}

// sweepSize is how many groups are looked at once a second: all of 10,000
// groups within ten seconds, for some 100 KB a second.
const sweepSize = 1000

// sweep looks whether single keys were removed from the backend: of the next
// groups, or of all of them if something was missing last time.
func (m *Tiered) sweep(ctx context.Context) error {
	if len(m.unswept) == 0 {
		ids, err := m.memory.ListKeys(ctx)
		if err != nil {
			return err
		}
		m.unswept = ids
	}
	n := min(sweepSize, len(m.unswept))
	if m.sweepAll {
		n = len(m.unswept)
	}
	ids := m.unswept[:n]
	m.unswept = m.unswept[n:]
	lack, err := m.durable.FindLosses(ctx, ids)
	if err != nil {
		return err
	}
	m.sweepAll, err = m.mendLack(ctx, lack)
	return err
}

// mendLack brings back what was removed from the backend, and reports whether
// there was something to bring back.
func (m *Tiered) mendLack(ctx context.Context, lack Losses) (mended bool, err error) {
	for part := range slices.Chunk(lack.Groups, batch) {
		if err := m.pull(ctx, part, nil); err != nil {
			return false, err
		}
	}
	m.mu.Lock()
	for _, id := range lack.Groups {
		mended = mended || m.dirty[id] > 0
	}
	if lack.History {
		m.unpushed = allEvents
	}
	m.mu.Unlock()
	events := m.memory.EventsOfGroups(slices.Concat(lack.Groups, lack.Timelines))
	lost := 0
	for part := range slices.Chunk(events, 10*batch) {
		n, err := m.pushEvents(ctx, part)
		lost += n
		if err != nil {
			m.noteWrittenBack(lost)
			return false, err
		}
	}
	m.noteWrittenBack(lost)
	return mended || lost > 0 || lack.History, nil
}
