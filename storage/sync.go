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

// The copy and the backend are joined in rounds: a round compares the index,
// pulls what differs, pushes what the backend lacks, and then follows the
// backend's log until something is amiss. Then the next round starts.

const (
	// batch is how many groups are loaded at once: a few hundred kilobytes.
	batch = 100
	// pushers is how many groups are pushed at once: half of the connections,
	// so that the traffic finds one too.
	pushers = 8
	// resyncPause keeps a log that is wrong all the time from taking a core.
	resyncPause = 50 * time.Millisecond
	// maxNamed is how many of the lost groups the last error names.
	maxNamed = 20
)

// errResync ends a round of which the log can no longer be trusted.
var errResync = errors.New("the log does not tell all that changed")

// Run joins the copy with the backend until the context ends. Drain then brings
// what is dirty to the backend a last time.
func (m *Tiered) Run(ctx context.Context) error {
	for {
		err := m.round(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the end of a life is no failure
		}
		wait := resyncPause
		if !errors.Is(err, errResync) {
			m.noteUnreached(FaultReason(err))
			m.logger.Debug("The storage backend could not be followed", "backend", m.durable.Name(), "err", err)
			// Jitter, so that replicas do not come back all at once.
			wait = m.opts.CheckInterval/2 + rand.N(m.opts.CheckInterval/2+1) //nolint:gosec // G404: jitter, no secret
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
		}
	}
}

// Drain brings what is dirty to the backend, after Run has ended. It tries until
// the context ends: the backend may come back meanwhile. It pushes as fast as it
// can and returns an error that names what is left, since that is lost with the
// process.
func (m *Tiered) Drain(ctx context.Context) error {
	for {
		// A file that was removed is written again by the second look. Another
		// fault shows when something is pushed.
		_, err := m.durable.Position(ctx)
		if fileLost(err) {
			m.fault(FaultReason(err), err)
		} else {
			err = m.pushDirty(ctx, 0)
		}
		n := m.Status().DirtyGroups
		// A path that another file took is no loss if nothing waits for it.
		if n == 0 && (err == nil || fileLost(err)) {
			return nil
		}
		t := time.NewTimer(resyncPause)
		select {
		case <-ctx.Done():
			t.Stop()
			return fmt.Errorf("%d groups changed since the storage backend failed and are lost with this process%s: %w",
				n, m.nameDirty(), cmp.Or(err, errors.New("others write to them all the time")))
		case <-t.C:
		}
	}
}

// nameDirty lists the dirty groups for the last error, some of them if they are
// many.
func (m *Tiered) nameDirty() string {
	m.mu.Lock()
	ids := make([]string, 0, len(m.dirty))
	for id := range m.dirty {
		ids = append(ids, string(id))
	}
	m.mu.Unlock()
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

// round catches up and follows the log until that fails or is not enough.
func (m *Tiered) round(ctx context.Context) error {
	from, now, err := m.catchUp(ctx)
	m.check(ctx)
	if err != nil {
		return err
	}
	return m.follow(ctx, from, now)
}

// catchUp makes the copy and the backend equal. It returns the positions of the
// log up to which it was followed, and those from before the comparison.
func (m *Tiered) catchUp(ctx context.Context) (from, now []Position, err error) {
	m.syncClock(ctx)
	m.ledger.looks()
	now, err = m.durable.Position(ctx)
	if err != nil {
		m.fault(FaultReason(err), err)
		return nil, nil, err
	}
	if from, err = m.trace(ctx, now); err != nil {
		return nil, nil, err
	}
	found, err := m.compare(ctx)
	if err != nil {
		return nil, nil, err
	}
	// Traffic goes on and makes groups dirty while these are pushed: the last
	// few are pushed once the breaker is closed and no more come.
	writtenBack := m.Status().DirtyGroups
	if err := m.pushDirty(ctx, m.opts.PushRate); err != nil {
		m.fault(FaultReason(err), err)
		return nil, nil, err
	}
	select {
	case <-m.restored:
	default:
		m.mu.Lock()
		m.groups = found
		m.mu.Unlock()
		close(m.restored)
		m.logger.Info("Restored alert groups", "backend", m.durable.Name(), "groups", found)
	}
	if m.breaker.close() {
		m.recoveries.Inc()
		m.mu.Lock()
		m.recoveredAt, m.writtenBack = time.Now(), writtenBack
		m.mu.Unlock()
		m.logger.Info("Writes to the storage backend succeed again", "backend", m.durable.Name(), "writtenBack", writtenBack)
	}
	return from, now, m.pushDirty(ctx, m.opts.PushRate)
}

// noteUnreached remembers why a round failed: until the first one succeeds the
// status tells it, before any write did.
func (m *Tiered) noteUnreached(reason string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.unreached == "" {
		m.unreachedAt = time.Now()
	}
	m.unreached = reason
}

// syncClock holds the clock against the backend's: stamps of all replicas are
// then comparable, whatever their hosts believe.
func (m *Tiered) syncClock(ctx context.Context) {
	if err := m.clock.Sync(func() (time.Time, error) { return m.durable.Now(ctx) }); err != nil {
		m.logger.Debug("The storage backend's clock could not be read", "backend", m.durable.Name(), "err", err)
	}
}

// compare pulls every group of which the backend's last write is not one that
// the copy has seen, marks dirty what the backend lacks, and returns the number
// of groups found there.
func (m *Tiered) compare(ctx context.Context) (found int, err error) {
	index, err := m.durable.Index(ctx)
	if err != nil {
		return 0, err
	}
	held, err := m.memory.ListKeys(ctx)
	if err != nil {
		return 0, err
	}
	var differ []grouping.ID
	m.mu.Lock()
	for id, token := range index {
		if m.seen[id].token != token {
			differ = append(differ, id)
		}
	}
	m.mu.Unlock()
	for _, id := range held {
		if _, ok := index[id]; !ok {
			differ = append(differ, id) // deleted there, or lost
		}
	}
	for part := range slices.Chunk(differ, batch) {
		if err := m.pull(ctx, part, index); err != nil {
			return 0, err
		}
	}
	return len(index), nil
}

// pull joins the groups in the backend into the copy. What the copy has and
// the backend lacks becomes dirty. The tokens are those of writes not younger
// than what is loaded.
func (m *Tiered) pull(ctx context.Context, ids []grouping.ID, tokens map[grouping.ID]string) error {
	groups, damaged, err := m.durable.LoadMany(ctx, ids)
	if err != nil {
		return err
	}
	for _, d := range damaged {
		m.logger.Warn("A group in the storage backend cannot be read", "backend", m.durable.Name(), "err", d)
	}
	for _, id := range ids {
		remote := groups[id]
		if remote != nil {
			m.join(remote)
		}
		if local := m.memory.Get(id); local != nil && !local.Equal(remote) && (remote != nil || !local.IsTombstone()) {
			m.markDirty(id)
		}
		if remote != nil && !remote.IsTombstone() {
			m.saw(id, tokens[id], remote.Version)
		} else {
			m.forget(id)
		}
	}
	return nil
}

// join merges a group of the backend into the copy and tells whoever follows.
func (m *Tiered) join(remote *grouping.AlertGroup) {
	m.clock.ObserveGroup(remote)
	merged, changed := m.memory.Merge(remote)
	if !changed {
		return
	}
	if merged.IsTombstone() {
		merged = nil
	}
	m.notify(remote.ID, merged)
}

// pushDirty brings all that the backend lacks to it: history first, so that a
// group never shows without it. The rate is in groups per second, 0: no limit.
func (m *Tiered) pushDirty(ctx context.Context, rate int) error {
	if err := m.pushHistory(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	ids := make([]grouping.ID, 0, len(m.dirty))
	for id := range m.dirty {
		ids = append(ids, id)
	}
	m.mu.Unlock()
	// The longest waiting have the oldest stamps, but a map forgets: any order
	// is right, none is worse.
	var pause time.Duration
	if rate > 0 {
		pause = time.Second * batch / time.Duration(rate)
	}
	for part := range slices.Chunk(ids, batch) {
		started := time.Now()
		if err := m.push(ctx, part); err != nil {
			return err
		}
		if len(part) < batch {
			break
		}
		t := time.NewTimer(pause - time.Since(started))
		select {
		case <-ctx.Done():
			t.Stop()
			return context.Cause(ctx)
		case <-t.C:
		}
	}
	return nil
}

// push joins dirty groups with what the backend holds of them, in both places.
func (m *Tiered) push(ctx context.Context, ids []grouping.ID) error {
	m.mu.Lock()
	marks := make(map[grouping.ID]uint64, len(ids))
	for _, id := range ids {
		marks[id] = m.dirty[id]
	}
	m.mu.Unlock()

	groups, _, err := m.durable.LoadMany(ctx, ids)
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
			done, err := m.pushGroup(ctx, id, groups[id])
			if done {
				mu.Lock()
				defer mu.Unlock()
				clean = append(clean, id)
			}
			return err
		})
	}
	err = g.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range clean {
		if m.dirty[id] == marks[id] {
			delete(m.dirty, id)
		}
	}
	return err
}

// pushGroup brings one group, of which the backend holds remote, to it. Where
// another writer is faster the group stays dirty and is tried again.
func (m *Tiered) pushGroup(ctx context.Context, id grouping.ID, remote *grouping.AlertGroup) (done bool, err error) {
	if remote != nil {
		m.join(remote)
	}
	local := m.memory.Get(id)
	if local == nil || local.Equal(remote) || remote == nil && local.IsTombstone() {
		return true, nil
	}
	var stored *grouping.AlertGroup
	stamp := m.clock.Stamp()
	if local.IsTombstone() {
		err = m.durable.Delete(ctx, grouping.Change{Base: remote, Stamp: local.Deleted})
	} else {
		stored, err = m.durable.Store(ctx, grouping.Change{Group: local, Base: remote, Stamp: stamp})
	}
	_, damaged := errors.AsType[*grouping.DamagedGroupError](err)
	switch {
	case errors.Is(err, grouping.ErrVersionMismatch):
		return false, nil
	case damaged:
		// What is stored cannot be read. The group stays in the copy, dirty, and
		// must not keep the others from being pushed.
		m.logger.Warn("A group cannot be joined with what is stored of it", "group", id, "err", err)
		return false, nil
	case err != nil:
		return false, fmt.Errorf("push group %s: %w", id, err)
	}
	if stored != nil {
		m.wrote(id, string(stamp), stored.Version)
	}
	return true, nil
}

// follow takes in what is logged after from, until that fails or is not enough.
// The copy has the groups as of the positions in now.
func (m *Tiered) follow(ctx context.Context, from, now []Position) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	seen := slices.Clone(from)
	var mu sync.Mutex // guards seen
	// The next round sees what was lost since the last word of this one.
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.last = seen
	}()

	followed := make(chan struct{})
	go func() {
		defer close(followed)
		err := m.durable.Follow(ctx, from, func(shard int, entries []LogEntry) {
			mu.Lock()
			n := m.advance(&seen[shard], entries)
			mu.Unlock()
			if err := m.take(ctx, entries[:n], now[shard].Seq); err != nil {
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

	check := time.NewTicker(m.opts.CheckInterval)
	defer check.Stop()
	compare := time.NewTicker(m.opts.CompareInterval)
	defer compare.Stop()
	// What the log should have told by the next check.
	expected := now
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-compare.C:
			m.check(ctx)
			if _, err := m.compare(ctx); err != nil {
				return err
			}
		case <-check.C:
			m.syncClock(ctx)
			if _, reason := m.breaker.state(); reason != "" {
				return errResync
			}
			if err := m.pushDirty(ctx, m.opts.PushRate); err != nil {
				m.fault(FaultReason(err), err)
				return err
			}
			mu.Lock()
			read := slices.Clone(seen)
			mu.Unlock()
			var err error
			if expected, err = m.look(ctx, read, expected); err != nil {
				return err
			}
		}
	}
}

// look compares what was read of the log with what it should have told, and
// returns what it should have told by the next look.
func (m *Tiered) look(ctx context.Context, read, expected []Position) ([]Position, error) {
	if behind(read, expected) {
		return nil, errResync
	}
	if m.ledger.missed() {
		m.noteLoss()
		return nil, errResync
	}
	m.ledger.looks()
	now, err := m.durable.Position(ctx)
	if err != nil {
		m.fault(FaultReason(err), err)
		return nil, err
	}
	lineage, err := m.durable.CheckLineage(ctx, read)
	if err != nil {
		m.fault(FaultReason(err), err)
		return nil, err
	}
	if lineage != LineageHeld || !sameEpochs(read, now) || behind(now, read) {
		return nil, errResync
	}
	return now, m.sweep(ctx)
}

// take joins the groups that the entries tell of, unless it was this process
// that wrote them, or the copy has them already, as it has up to covered. It
// keeps the history of what others wrote: the backend may lose it.
func (m *Tiered) take(ctx context.Context, entries []LogEntry, covered int64) error {
	tokens := make(map[grouping.ID]string, len(entries))
	var ids []grouping.ID
	others := make([]LogEntry, 0, len(entries))
	m.mu.Lock()
	for _, e := range entries {
		// What this process wrote is in the copy, or makes its group dirty.
		if e.Writer == m.clock.Writer() {
			continue
		}
		// Each write is ordered after all that was seen when it was made.
		m.clock.Observe(grouping.Stamp(e.Token))
		m.others[e.Writer] = time.Now()
		others = append(others, e)
		if e.Seq > covered && e.Token != m.seen[e.ID].token {
			tokens[e.ID] = e.Token
		}
	}
	m.mu.Unlock()
	for id := range tokens {
		ids = append(ids, id)
	}
	for part := range slices.Chunk(ids, batch) {
		if err := m.pull(ctx, part, tokens); err != nil {
			return err
		}
	}
	events, err := m.durable.LoadEvents(ctx, others)
	m.memory.PutEvents(events)
	return err
}

// advance moves the position past the entries and returns how many follow it:
// before the next one, entries were missed or lost.
func (m *Tiered) advance(p *Position, entries []LogEntry) int {
	for i, e := range entries {
		follows := e.Previous == "" || p.Token == "" || e.Previous == p.Token
		if e.Epoch != p.Epoch || e.Seq != p.Seq+1 || !follows {
			return i
		}
		if e.Writer == m.clock.Writer() {
			m.ledger.hear(e.Token)
		}
		*p = e.Position
	}
	return len(entries)
}

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
