package storage

import (
	"context"
	"slices"
	"sync"
	"time"

	"muster/storage/durable"
)

// logReader reads the log of the backend for one round. It knows up to which position
// each shard was read and applied.
type logReader struct {
	*Tiered

	// covered are the positions up to which the copy includes all writes already.
	covered []durable.Position

	readMu sync.Mutex
	read   []durable.Position // guarded by readMu
	// applied are the positions up to which the copy has what the entries name.
	applied []durable.Position // guarded by readMu
}

// followLog applies the log entries after the positions in from. It returns when an
// error occurs or the log cannot be trusted. The copy already includes the documents
// as of the positions in now.
func (t *Tiered) followLog(ctx context.Context, from, now []durable.Position) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := &logReader{Tiered: t, covered: now, read: slices.Clone(from), applied: slices.Clone(from)}
	// The next round uses the positions to detect writes that were lost. It reads again what
	// was not applied: no comparison of documents brings the events.
	defer func() { t.setLastPositions(r.applied) }()
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		err := t.backend.FollowLog(ctx, from, func(shard int, entries []durable.LogEntry) {
			if err := r.apply(ctx, shard, entries); err != nil {
				cancel(err)
			}
		})
		if err != nil {
			cancel(err)
		}
	}()
	defer func() { <-followed }()
	defer cancel(nil)
	return r.watch(ctx)
}

// watch checks the log and the index at their intervals, until an error occurs or the
// log cannot be trusted.
func (r *logReader) watch(ctx context.Context) error {
	check := time.NewTicker(r.opts.CheckInterval)
	defer check.Stop()
	compare := time.NewTicker(r.opts.CompareInterval)
	defer compare.Stop()
	// expected are the positions that must have been read by the next check.
	expected := r.covered
	for {
		var err error
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-compare.C:
			r.updateProblems(ctx)
			err = r.compare(ctx)
		case <-check.C:
			expected, err = r.check(ctx, expected)
		}
		if err != nil {
			return err
		}
	}
}

// check pushes what the backend does not have, and checks the log. It returns the
// positions for the next check.
func (r *logReader) check(ctx context.Context, expected []durable.Position) ([]durable.Position, error) {
	r.syncClock(ctx)
	if _, reason := r.breaker.state(); reason != "" {
		return nil, errResync
	}
	if err := r.pushDirty(ctx, r.opts.PushRate); err != nil {
		r.recordFault(durable.FaultReason(err), err)
		return nil, err
	}
	return r.checkLog(ctx, r.positions(), expected)
}

// apply applies the log entries of a shard. It returns an error if entries before
// them are missing.
func (r *logReader) apply(ctx context.Context, shard int, entries []durable.LogEntry) error {
	r.readMu.Lock()
	n := r.advance(&r.read[shard], entries)
	at := r.read[shard]
	r.readMu.Unlock()
	if err := r.applyEntries(ctx, entries[:n], r.covered[shard].Seq); err != nil {
		return err
	}
	r.readMu.Lock()
	r.applied[shard] = at
	r.readMu.Unlock()
	if n < len(entries) {
		return errResync
	}
	return nil
}

// positions returns the positions up to which the log was read.
func (r *logReader) positions() []durable.Position {
	r.readMu.Lock()
	defer r.readMu.Unlock()
	return slices.Clone(r.read)
}

// checkLog checks that the log was read up to the expected positions and that
// nothing in it was lost. It returns the positions for the next check.
func (t *Tiered) checkLog(ctx context.Context, read, expected []durable.Position) ([]durable.Position, error) {
	if behind(read, expected) {
		return nil, errResync
	}
	if t.ledger.missed() {
		t.recordLoss()
		return nil, errResync
	}
	t.ledger.beforePositionCheck()
	now, err := t.backend.Position(ctx)
	if err != nil {
		t.recordFault(durable.FaultReason(err), err)
		return nil, err
	}
	lineage, err := t.backend.CheckLineage(ctx, read)
	if err != nil {
		t.recordFault(durable.FaultReason(err), err)
		return nil, err
	}
	if lineage != durable.LineageHeld || !sameEpochs(read, now) || behind(now, read) {
		return nil, errResync
	}
	return now, t.checkLosses(ctx)
}

// advance moves the position past the entries and returns how many of them are
// consecutive. If it returns less than len(entries), entries were missed or lost
// before the next one.
func (t *Tiered) advance(p *durable.Position, entries []durable.LogEntry) int {
	for i, e := range entries {
		follows := e.Previous == "" || p.Token == "" || e.Previous == p.Token
		if e.Epoch != p.Epoch || e.Seq != p.Seq+1 || !follows {
			return i
		}
		if e.Writer == t.clock.Writer() {
			t.ledger.seenInLog(e.Token)
		}
		*p = e.Position
	}
	return len(entries)
}

// behind reports whether a shard was read only to a position before the expected one.
func behind(seen, expected []durable.Position) bool {
	for i := range seen {
		if seen[i].Seq < expected[i].Seq {
			return true
		}
	}
	return false
}

func sameEpochs(a, b []durable.Position) bool {
	return slices.EqualFunc(a, b, func(x, y durable.Position) bool { return x.Epoch == y.Epoch })
}
