package storage

import (
	"context"
	"slices"

	"muster/grouping"
	"muster/storage/durable"
)

// A backend loses acknowledged writes if it goes back in time, for example after a
// failover to a replica that lagged, or when a snapshot is restored. New writes can
// then bring the sequence number to its old value. So the sequence number alone
// does not show a loss. Three checks do:
//   - Each log entry names the previous entry. So a reader notices a changed log.
//   - Once a second the last entry that was read is looked up in the log.
//   - Every write of this process must appear in the log.
//
// The copy holds the recent events of all replicas. After a loss each replica
// compares them with the history and writes back the events that are missing.

// findStart checks whether the log entries that were read before are still in the
// log. It returns the positions from which to follow the log: those read before if
// nothing was lost, otherwise the current ones.
func (t *Tiered) findStart(ctx context.Context, now []durable.Position) ([]durable.Position, error) {
	t.mu.Lock()
	seen := slices.Clone(t.lastPositions)
	t.mu.Unlock()
	if seen == nil {
		t.ledger.clear()
		t.setLastPositions(now)
		return now, nil
	}
	lineage := durable.LineageLost
	if sameEpochs(seen, now) && !behind(now, seen) {
		var err error
		if lineage, err = t.backend.CheckLineage(ctx, seen); err != nil {
			t.recordFault(durable.FaultReason(err), err)
			return nil, err
		}
	}
	switch lineage {
	case durable.LineageHeld:
		return seen, nil
	case durable.LineageLost:
		t.recordLoss()
	default:
		t.recheckAll()
	}
	t.setLastPositions(now)
	return now, nil
}

func (t *Tiered) setLastPositions(p []durable.Position) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lastPositions = p
}

// recordLoss logs that the backend lost acknowledged writes and starts the repair.
func (t *Tiered) recordLoss() {
	t.logger.Warn("The storage backend lost data, which is now written back from memory", "backend", t.backend.Name())
	t.mu.Lock()
	t.lossLogged = true
	t.mu.Unlock()
	t.recheckAll()
}

// recheckAll makes the next push compare the whole history, and the next comparison
// pull every document.
func (t *Tiered) recheckAll() {
	t.ledger.clear()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pushEventsFrom = allEvents
	t.seen = map[grouping.ID]seenWrite{} // the backend may have lost the writes seen there
}

// markUnpushed makes the next push compare the history from the earliest of
// these events on.
func (t *Tiered) markUnpushed(events []grouping.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range events {
		if t.pushEventsFrom == "" || events[i].ID < t.pushEventsFrom {
			t.pushEventsFrom = events[i].ID
		}
	}
}

// pushHistory pushes the events that the backend may not have.
func (t *Tiered) pushHistory(ctx context.Context) error {
	t.mu.Lock()
	since := t.pushEventsFrom
	t.pushEventsFrom = ""
	t.mu.Unlock()
	if since == "" {
		return nil
	}
	lost := 0
	for events := range slices.Chunk(t.memory.EventsSince(since), 10*durable.Batch) {
		n, err := t.pushEvents(ctx, events)
		lost += n
		if err != nil {
			since = max(since, events[0].ID) // earlier events are already pushed
			t.countWrittenBack(lost)
			t.mu.Lock()
			defer t.mu.Unlock()
			if t.pushEventsFrom == "" || since < t.pushEventsFrom {
				t.pushEventsFrom = since
			}
			return err
		}
	}
	t.countWrittenBack(lost)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pushEventsFrom == "" {
		clear(t.memoryOnly)
	}
	return nil
}

// pushEvents adds the missing ones of the events to the history. It returns the
// number of acknowledged writes that the backend had lost. Writes that were stored
// only in memory do not count.
func (t *Tiered) pushEvents(ctx context.Context, events []grouping.Event) (lost int, err error) {
	missing, err := t.backend.MissingEvents(ctx, events)
	if err != nil || len(missing) == 0 {
		return 0, err
	}
	if err := t.backend.PushEvents(ctx, missing, t.memory.ContentTexts(missing)); err != nil {
		return 0, err
	}
	writes := map[grouping.Stamp]bool{}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range missing {
		if stamp := missing[i].Stamp(); !t.memoryOnly[stamp] {
			writes[stamp] = true
		}
	}
	return len(writes), nil
}

// countWrittenBack counts lost writes that were written back, and logs their
// number.
func (t *Tiered) countWrittenBack(lost int) {
	t.mu.Lock()
	logged := t.lossLogged
	t.lossLogged = false
	t.mu.Unlock()
	if lost == 0 {
		return
	}
	t.lostWrites.Add(float64(lost))
	log := t.logger.Warn
	if logged {
		log = t.logger.Info // the loss was already logged as a warning
	}
	log("Wrote back acknowledged writes that the storage backend had lost", "backend", t.backend.Name(), "writes", lost)
}

// lossCheckSize is the number of documents that are checked once a second. 10,000
// documents are checked within ten seconds. This costs about 100 KB per second.
const lossCheckSize = 1000

// checkLosses checks whether single keys were deleted in the backend. It checks the
// next lossCheckSize documents, or all of them if something was missing last time.
func (t *Tiered) checkLosses(ctx context.Context) error {
	if len(t.unchecked) == 0 {
		t.unchecked = t.memory.keys()
	}
	n := min(lossCheckSize, len(t.unchecked))
	if t.checkAll {
		n = len(t.unchecked)
	}
	ids := t.unchecked[:n]
	t.unchecked = t.unchecked[n:]
	losses, err := t.backend.FindLosses(ctx, ids)
	if err != nil {
		return err
	}
	t.checkAll, err = t.restoreLosses(ctx, losses)
	return err
}

// restoreLosses writes back what was deleted in the backend. It reports whether
// there was anything to write back.
func (t *Tiered) restoreLosses(ctx context.Context, losses durable.Losses) (restored bool, err error) {
	for part := range slices.Chunk(losses.Documents, durable.Batch) {
		if err := t.pull(ctx, part, nil); err != nil {
			return false, err
		}
	}
	t.mu.Lock()
	for _, id := range losses.Documents {
		restored = restored || t.dirty[id] > 0
	}
	if losses.History {
		t.pushEventsFrom = allEvents
	}
	t.mu.Unlock()
	events := t.memory.EventsOf(slices.Concat(losses.Documents, losses.Timelines))
	lost := 0
	for part := range slices.Chunk(events, 10*durable.Batch) {
		n, err := t.pushEvents(ctx, part)
		lost += n
		if err != nil {
			t.countWrittenBack(lost)
			return false, err
		}
	}
	t.countWrittenBack(lost)
	return restored || lost > 0 || losses.History, nil
}
