package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"muster/grouping"

	"golang.org/x/sync/errgroup"
)

// The copy and the backend are merged in rounds. A round compares the index, pulls
// the groups that differ and pushes what the backend does not have. Then it follows
// the log of the backend until something is wrong. Then the next round starts.

const (
	// batch is the number of groups that are loaded at once: a few hundred
	// kilobytes.
	batch = 100
	// pushers is the number of groups that are pushed at once. It is half of the
	// number of connections, so that other traffic also finds a free one.
	pushers = 8
	// resyncPause limits the CPU time that is used if every round ends with an
	// error.
	resyncPause = 50 * time.Millisecond
	// maxNamed is the maximum number of lost groups that the error of Drain names.
	maxNamed = 20
)

// errResync ends a round because the log cannot be trusted any more.
var errResync = errors.New("the log of the storage backend is incomplete")

// Run keeps the copy and the backend equal until the context ends. It always
// returns nil. Call Drain after it to push the groups that are still dirty.
func (t *Tiered) Run(ctx context.Context) error {
	for {
		err := t.round(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the context ended, which is not a failure
		}
		wait := resyncPause
		if !errors.Is(err, errResync) {
			t.setStartFault(FaultReason(err))
			t.logger.Debug("Failed to synchronize with the storage backend", "backend", t.durable.Name(), "err", err)
			// The jitter keeps replicas from reconnecting all at once.
			wait = t.opts.CheckInterval/2 + rand.N(t.opts.CheckInterval/2+1) //nolint:gosec // G404: jitter is not a secret
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// Drain pushes the dirty groups to the backend. It must be called after Run has
// returned. It tries until the context ends, because the backend may recover
// meanwhile. It has no rate limit. If groups are left, it returns an error that
// names them: they are lost when the process ends.
func (t *Tiered) Drain(ctx context.Context) error {
	for {
		// Position may detect that the file was removed. The next call of Position
		// then writes the file again. Other failures show when groups are pushed.
		_, err := t.durable.Position(ctx)
		if fileLost(err) {
			t.recordFault(FaultReason(err), err)
		} else {
			err = t.pushDirty(ctx, 0)
		}
		n := t.Status().DirtyGroups
		// If nothing is dirty, nothing is lost: not even if another file is now at
		// the path.
		if n == 0 && (err == nil || fileLost(err)) {
			return nil
		}
		timer := time.NewTimer(resyncPause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%d groups changed since the storage backend failed and are lost with this process%s: %w",
				n, t.nameDirty(), cmp.Or(err, errors.New("other replicas change them all the time")))
		case <-timer.C:
		}
	}
}

// nameDirty returns the IDs of dirty groups for an error text: at most maxNamed of
// them.
func (t *Tiered) nameDirty() string {
	t.mu.Lock()
	ids := make([]string, 0, len(t.dirty))
	for id := range t.dirty {
		ids = append(ids, string(id))
	}
	t.mu.Unlock()
	if len(ids) == 0 {
		return ""
	}
	slices.Sort(ids)
	rest := len(ids) - maxNamed
	text := strings.Join(ids[:min(len(ids), maxNamed)], ", ")
	if rest > 0 {
		text += fmt.Sprintf(" and %d more", rest)
	}
	return " (" + text + ")"
}

// round makes the copy and the backend equal, and then follows the log until an
// error occurs.
func (t *Tiered) round(ctx context.Context) error {
	from, now, err := t.catchUp(ctx)
	t.updateProblems(ctx)
	if err != nil {
		return err
	}
	return t.followLog(ctx, from, now)
}

// catchUp makes the copy and the backend equal. It returns two positions for each
// shard. The log must be followed from the first. The copy includes all writes up
// to the second, which was read before the index was compared.
func (t *Tiered) catchUp(ctx context.Context) (from, now []Position, err error) {
	t.syncClock(ctx)
	t.ledger.beforePositionCheck()
	now, err = t.durable.Position(ctx)
	if err != nil {
		t.recordFault(FaultReason(err), err)
		return nil, nil, err
	}
	if from, err = t.findStart(ctx, now); err != nil {
		return nil, nil, err
	}
	found, err := t.compare(ctx)
	if err != nil {
		return nil, nil, err
	}
	// Groups become dirty while these are pushed, because traffic continues. The
	// last few are pushed after the breaker was closed: then new writes reach the
	// backend again.
	writtenBack := t.Status().DirtyGroups
	if err := t.pushDirty(ctx, t.opts.PushRate); err != nil {
		t.recordFault(FaultReason(err), err)
		return nil, nil, err
	}
	select {
	case <-t.restored:
	default:
		t.mu.Lock()
		t.restoredGroups = found
		t.mu.Unlock()
		close(t.restored)
		t.logger.Info("Restored alert groups", "backend", t.durable.Name(), "groups", found)
	}
	if t.breaker.close() {
		t.recoveries.Inc()
		t.mu.Lock()
		t.recoveredAt, t.writtenBack = time.Now(), writtenBack
		t.mu.Unlock()
		t.logger.Info("Writes to the storage backend succeed again", "backend", t.durable.Name(), "writtenBack", writtenBack)
	}
	return from, now, t.pushDirty(ctx, t.opts.PushRate)
}

// setStartFault stores why a round failed. Status reports it until the first round
// succeeds, even if no write has failed yet.
func (t *Tiered) setStartFault(reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.startFault == "" {
		t.startFaultAt = time.Now()
	}
	t.startFault = reason
}

// syncClock compares the clock with the clock of the backend. The stamps of all
// replicas are then comparable, even if the clocks of their hosts differ.
func (t *Tiered) syncClock(ctx context.Context) {
	if err := t.clock.Sync(func() (time.Time, error) { return t.durable.Now(ctx) }); err != nil {
		t.logger.Debug("Failed to read the clock of the storage backend", "backend", t.durable.Name(), "err", err)
	}
}

// compare pulls every group whose last write in the backend was not seen by the
// copy. It marks groups dirty that the backend does not have. It returns the number
// of groups in the backend.
func (t *Tiered) compare(ctx context.Context) (found int, err error) {
	index, err := t.durable.Index(ctx)
	if err != nil {
		return 0, err
	}
	local, err := t.memory.ListKeys(ctx)
	if err != nil {
		return 0, err
	}
	var differ []grouping.ID
	t.mu.Lock()
	for id, token := range index {
		if t.seen[id].token != token {
			differ = append(differ, id)
		}
	}
	t.mu.Unlock()
	for _, id := range local {
		if _, ok := index[id]; !ok {
			differ = append(differ, id) // deleted in the backend, or lost
		}
	}
	for part := range slices.Chunk(differ, batch) {
		if err := t.pull(ctx, part, index); err != nil {
			return 0, err
		}
	}
	return len(index), nil
}

// pull merges groups of the backend into the copy. A group becomes dirty if the
// copy has changes that the backend does not have. The tokens must be those of
// writes that are not newer than the loaded groups.
func (t *Tiered) pull(ctx context.Context, ids []grouping.ID, tokens map[grouping.ID]string) error {
	groups, damaged, err := t.durable.LoadMany(ctx, ids)
	if err != nil {
		return err
	}
	for _, d := range damaged {
		t.logger.Warn("Failed to read a group in the storage backend", "backend", t.durable.Name(), "err", d)
	}
	for _, id := range ids {
		remote := groups[id]
		if remote != nil {
			t.mergeRemote(remote)
		}
		if local := t.memory.Get(id); local != nil && !local.Equal(remote) && (remote != nil || !local.IsTombstone()) {
			t.markDirty(id)
		}
		if remote != nil && !remote.IsTombstone() {
			t.setSeen(id, tokens[id], remote.Version)
		} else {
			t.clearSeen(id)
		}
	}
	return nil
}

// mergeRemote merges a group of the backend into the copy and calls the follower.
func (t *Tiered) mergeRemote(remote *grouping.AlertGroup) {
	t.clock.ObserveGroup(remote)
	merged, changed := t.memory.Merge(remote)
	if !changed {
		return
	}
	if merged.IsTombstone() {
		merged = nil
	}
	t.notify(remote.ID, merged)
}

// pushDirty pushes everything that the backend does not have. It pushes the history
// first, so that a stored group always has its history. The rate is the maximum
// number of groups per second; 0 means no limit.
func (t *Tiered) pushDirty(ctx context.Context, rate int) error {
	if err := t.pushHistory(ctx); err != nil {
		return err
	}
	t.mu.Lock()
	ids := make([]grouping.ID, 0, len(t.dirty))
	for id := range t.dirty {
		ids = append(ids, id)
	}
	t.mu.Unlock()
	var pause time.Duration
	if rate > 0 {
		pause = time.Second * batch / time.Duration(rate)
	}
	for part := range slices.Chunk(ids, batch) {
		started := time.Now()
		if err := t.push(ctx, part); err != nil {
			return err
		}
		if len(part) < batch {
			break
		}
		timer := time.NewTimer(pause - time.Since(started))
		select {
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-timer.C:
		}
	}
	return nil
}

// push merges dirty groups with their state in the backend, in both places.
func (t *Tiered) push(ctx context.Context, ids []grouping.ID) error {
	t.mu.Lock()
	marks := make(map[grouping.ID]uint64, len(ids))
	for _, id := range ids {
		marks[id] = t.dirty[id]
	}
	t.mu.Unlock()

	groups, _, err := t.durable.LoadMany(ctx, ids)
	if err != nil {
		return err
	}
	var (
		g  errgroup.Group
		mu sync.Mutex
	)
	g.SetLimit(pushers)
	clean := make([]grouping.ID, 0, len(ids))
	for _, id := range ids {
		g.Go(func() error {
			done, err := t.pushGroup(ctx, id, groups[id])
			if done {
				mu.Lock()
				defer mu.Unlock()
				clean = append(clean, id)
			}
			return err
		})
	}
	err = g.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range clean {
		if t.dirty[id] == marks[id] {
			delete(t.dirty, id)
		}
	}
	return err
}

// pushGroup pushes one group. remote is its state in the backend. If another
// replica writes first, the group stays dirty and the next push tries again.
func (t *Tiered) pushGroup(ctx context.Context, id grouping.ID, remote *grouping.AlertGroup) (done bool, err error) {
	if remote != nil {
		t.mergeRemote(remote)
	}
	local := t.memory.Get(id)
	if local == nil || local.Equal(remote) || remote == nil && local.IsTombstone() {
		return true, nil
	}
	var stored *grouping.AlertGroup
	stamp := t.clock.Stamp()
	if local.IsTombstone() {
		err = t.durable.Delete(ctx, grouping.Change{Base: remote, Stamp: local.Deleted})
	} else {
		stored, err = t.durable.Store(ctx, grouping.Change{Group: local, Base: remote, Stamp: stamp})
	}
	_, damaged := errors.AsType[*grouping.DamagedGroupError](err)
	switch {
	case errors.Is(err, grouping.ErrVersionMismatch):
		return false, nil
	case damaged:
		// The stored group cannot be read. The group stays dirty in the copy, and
		// other groups must still be pushed.
		t.logger.Warn("Failed to merge a group with its damaged state in the storage backend", "group", id, "err", err)
		return false, nil
	case err != nil:
		return false, fmt.Errorf("push group %s: %w", id, err)
	}
	if stored != nil {
		t.advanceSeen(id, string(stamp), stored.Version)
	}
	return true, nil
}

// followLog applies the log entries after the positions in from. It returns when an
// error occurs or the log cannot be trusted. The copy already includes the groups
// as of the positions in now.
func (t *Tiered) followLog(ctx context.Context, from, now []Position) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	seen := slices.Clone(from)
	var mu sync.Mutex // guards seen
	// The next round uses the positions to detect writes that were lost.
	defer func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.lastPositions = seen
	}()

	followed := make(chan struct{})
	go func() {
		defer close(followed)
		err := t.durable.Follow(ctx, from, func(shard int, entries []LogEntry) {
			mu.Lock()
			n := t.advance(&seen[shard], entries)
			mu.Unlock()
			if err := t.applyEntries(ctx, entries[:n], now[shard].Seq); err != nil {
				cancel(err)
			}
			if n < len(entries) {
				cancel(errResync)
			}
		})
		if err != nil {
			cancel(err)
		}
	}()
	defer func() { <-followed }()
	defer cancel(nil)

	check := time.NewTicker(t.opts.CheckInterval)
	defer check.Stop()
	compare := time.NewTicker(t.opts.CompareInterval)
	defer compare.Stop()
	// expected are the positions that must have been read by the next check.
	expected := now
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-compare.C:
			t.updateProblems(ctx)
			if _, err := t.compare(ctx); err != nil {
				return err
			}
		case <-check.C:
			t.syncClock(ctx)
			if _, reason := t.breaker.state(); reason != "" {
				return errResync
			}
			if err := t.pushDirty(ctx, t.opts.PushRate); err != nil {
				t.recordFault(FaultReason(err), err)
				return err
			}
			mu.Lock()
			read := slices.Clone(seen)
			mu.Unlock()
			var err error
			if expected, err = t.checkLog(ctx, read, expected); err != nil {
				return err
			}
		}
	}
}

// checkLog checks that the log was read up to the expected positions and that
// nothing in it was lost. It returns the positions for the next check.
func (t *Tiered) checkLog(ctx context.Context, read, expected []Position) ([]Position, error) {
	if behind(read, expected) {
		return nil, errResync
	}
	if t.ledger.missed() {
		t.recordLoss()
		return nil, errResync
	}
	t.ledger.beforePositionCheck()
	now, err := t.durable.Position(ctx)
	if err != nil {
		t.recordFault(FaultReason(err), err)
		return nil, err
	}
	lineage, err := t.durable.CheckLineage(ctx, read)
	if err != nil {
		t.recordFault(FaultReason(err), err)
		return nil, err
	}
	if lineage != LineageHeld || !sameEpochs(read, now) || behind(now, read) {
		return nil, errResync
	}
	return now, t.checkLosses(ctx)
}

// applyEntries pulls the groups in the log entries. It skips writes of this process
// and writes that the copy already includes: those up to the sequence number
// covered.
//
// It also loads the history events of other processes into the copy, because the
// backend may lose them.
func (t *Tiered) applyEntries(ctx context.Context, entries []LogEntry, covered int64) error {
	tokens := make(map[grouping.ID]string, len(entries))
	var ids []grouping.ID
	foreign := make([]LogEntry, 0, len(entries))
	t.mu.Lock()
	for _, e := range entries {
		// A write of this process is already in the copy, or its group is dirty.
		if e.Writer == t.clock.Writer() {
			continue
		}
		// Stamps of this process must be greater than all stamps it has seen.
		t.clock.Observe(grouping.Stamp(e.Token))
		t.replicas[e.Writer] = time.Now()
		foreign = append(foreign, e)
		if e.Seq > covered && e.Token != t.seen[e.ID].token {
			tokens[e.ID] = e.Token
		}
	}
	t.mu.Unlock()
	for id := range tokens {
		ids = append(ids, id)
	}
	for part := range slices.Chunk(ids, batch) {
		if err := t.pull(ctx, part, tokens); err != nil {
			return err
		}
	}
	events, err := t.durable.LoadEvents(ctx, foreign)
	t.memory.PutEvents(events)
	return err
}

// advance moves the position past the entries and returns how many of them are
// consecutive. If it returns less than len(entries), entries were missed or lost
// before the next one.
func (t *Tiered) advance(p *Position, entries []LogEntry) int {
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
func behind(seen, expected []Position) bool {
	for i := range seen {
		if seen[i].Seq < expected[i].Seq {
			return true
		}
	}
	return false
}

func sameEpochs(a, b []Position) bool {
	return slices.EqualFunc(a, b, func(x, y Position) bool { return x.Epoch == y.Epoch })
}
