package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"muster/grouping"
	"muster/storage/durable"

	"golang.org/x/sync/errgroup"
)

// The copy and the backend are merged in rounds. A round compares the index, pulls
// the documents that differ and pushes what the backend does not have. Then it follows
// the log of the backend until something is wrong. Then the next round starts.

const (
	// pushers is the number of documents that are pushed at once. It is half of the
	// number of connections, so that other traffic also finds a free one.
	pushers = 8
	// resyncPause limits the CPU time that is used if every round ends with an
	// error.
	resyncPause = 50 * time.Millisecond
	// maxNamed is the maximum number of documents that a text names.
	maxNamed = 20
)

// errResync ends a round because the log cannot be trusted any more.
var errResync = errors.New("the log of the storage backend is incomplete")

// Run keeps the copy and the backend equal until the context ends. It always
// returns nil. Call Drain after it to push the documents that are still dirty.
func (t *Tiered) Run(ctx context.Context) error {
	for {
		err := t.round(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the context ended, which is not a failure
		}
		wait := resyncPause
		if !errors.Is(err, errResync) {
			t.setStartFault(durable.FaultReason(err))
			t.logger.Debug("Failed to synchronize with the storage backend", "backend", t.backend.Name(), "err", err)
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

// Drain pushes the dirty documents to the backend. It must be called after Run has
// returned. It tries until the context ends, because the backend may recover
// meanwhile. It has no rate limit. If documents are left, it returns an error that
// names them: they are lost when the process ends.
func (t *Tiered) Drain(ctx context.Context) error {
	for {
		// Position may detect that the file was removed. The next call of Position
		// then writes the file again. Other failures show when documents are pushed.
		_, err := t.backend.Position(ctx)
		if errors.Is(err, durable.ErrDataGone) {
			t.recordFault(durable.FaultReason(err), err)
		} else {
			err = t.pushDirty(ctx, 0)
		}
		left := t.nameDirty()
		// If nothing is dirty, nothing is lost: not even if another file is now at
		// the path.
		if left == "" && (err == nil || errors.Is(err, durable.ErrDataGone)) {
			return nil
		}
		timer := time.NewTimer(resyncPause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%s: %w", left, cmp.Or(err, errors.New("other replicas change them all the time")))
		case <-timer.C:
		}
	}
}

// nameDirty says how many documents are dirty, with the IDs of at most maxNamed of them.
// It returns "" if nothing is dirty. The document of Muster itself does not count: it has
// nothing that anybody sent.
func (t *Tiered) nameDirty() string {
	own := grouping.SourceID("")
	t.mu.Lock()
	ids := make([]grouping.ID, 0, len(t.dirty))
	for id := range t.dirty {
		if id != own {
			ids = append(ids, id)
		}
	}
	sources := t.dirtySources
	if _, ownIsDirty := t.dirty[own]; ownIsDirty {
		sources--
	}
	t.mu.Unlock()
	if len(ids) == 0 {
		return ""
	}
	var what []string
	if groups := len(ids) - sources; groups > 0 {
		what = append(what, fmt.Sprintf("%d groups", groups))
	}
	if sources > 0 {
		what = append(what, fmt.Sprintf("%d source documents", sources))
	}
	slices.Sort(ids)
	return strings.Join(what, " and ") + " changed since the storage backend failed and are lost with this process (" + nameIDs(ids) + ")"
}

// nameIDs returns the first maxNamed of the IDs as a text, and how many more there are.
func nameIDs(ids []grouping.ID) string {
	var names strings.Builder
	for i, id := range ids[:min(len(ids), maxNamed)] {
		if i > 0 {
			names.WriteString(", ")
		}
		names.WriteString(string(id))
	}
	if rest := len(ids) - maxNamed; rest > 0 {
		fmt.Fprintf(&names, " and %d more", rest)
	}
	return names.String()
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
func (t *Tiered) catchUp(ctx context.Context) (from, now []durable.Position, err error) {
	t.syncClock(ctx)
	t.ledger.beforePositionCheck()
	now, err = t.backend.Position(ctx)
	if err != nil {
		t.recordFault(durable.FaultReason(err), err)
		return nil, nil, err
	}
	if from, err = t.findStart(ctx, now); err != nil {
		return nil, nil, err
	}
	if err := t.compare(ctx); err != nil {
		return nil, nil, err
	}
	// Documents become dirty while these are pushed, because traffic continues. The
	// last few are pushed after the breaker was closed: then new writes reach the
	// backend again.
	writtenBack := t.Status().DirtyGroups
	if err := t.pushDirty(ctx, t.opts.PushRate); err != nil {
		t.recordFault(durable.FaultReason(err), err)
		return nil, nil, err
	}
	select {
	case <-t.restored:
	default:
		found := t.countStored()
		t.mu.Lock()
		t.restoredGroups = found
		t.mu.Unlock()
		close(t.restored)
		t.logger.Info("Restored alert groups", "backend", t.backend.Name(), "groups", found)
	}
	if t.breaker.close() {
		t.recoveries.Inc()
		t.mu.Lock()
		t.recoveredAt, t.writtenBack = time.Now(), writtenBack
		t.mu.Unlock()
		t.logger.Info("Writes to the storage backend succeed again", "backend", t.backend.Name(), "writtenBack", writtenBack)
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
	if err := t.clock.Sync(func() (time.Time, error) { return t.backend.Now(ctx) }); err != nil {
		t.logger.Debug("Failed to read the clock of the storage backend", "backend", t.backend.Name(), "err", err)
	}
}

// compare pulls every document whose last write in the backend was not seen by the
// copy. It marks documents dirty that the backend does not have.
func (t *Tiered) compare(ctx context.Context) error {
	// While one batch is decoded, the backend answers the next ones, and the rest of the
	// index.
	pulls, ctx := errgroup.WithContext(ctx)
	pulls.SetLimit(pullers)
	pull := func(ids []grouping.ID, tokens map[grouping.ID]string) {
		slices.Sort(ids) // so that the file is read in its order
		for part := range slices.Chunk(ids, durable.Batch) {
			pulls.Go(func() error { return t.pull(ctx, part, tokens) })
		}
	}
	// What is missing in the index was deleted in the backend, or lost. A pull also notices
	// that a damaged document is gone. At the start nothing can be missing.
	missing := map[grouping.ID]bool{}
	for _, id := range slices.Concat(t.memory.keys(), t.damaged.ids()) {
		missing[id] = true
	}
	err := t.backend.Index(ctx, func(tokens map[grouping.ID]string) {
		differ := make([]grouping.ID, 0, len(tokens))
		t.mu.Lock()
		for id, token := range tokens {
			delete(missing, id)
			if t.seen[id].token != token {
				differ = append(differ, id)
			}
		}
		t.mu.Unlock()
		pull(differ, tokens)
	})
	if err == nil {
		pull(slices.Collect(maps.Keys(missing)), nil)
	}
	return cmp.Or(pulls.Wait(), err)
}

// countStored returns the number of groups that the backend has, as far as the copy saw them.
func (t *Tiered) countStored() (groups int) {
	for _, id := range t.damaged.ids() {
		if !id.IsSource() {
			groups++
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for id := range t.seen {
		if !id.IsSource() {
			groups++
		}
	}
	return groups
}

// pullers is the number of batches that are pulled at the same time. It is less than the
// number of connections, so that writes do not wait.
const pullers = 4

// pull merges documents of the backend into the copy. A document becomes dirty if the
// copy has changes that the backend does not have. The tokens must be those of writes
// that are not newer than the loaded documents.
func (t *Tiered) pull(ctx context.Context, ids []grouping.ID, tokens map[grouping.ID]string) error {
	documents, damaged, err := t.backend.LoadMany(ctx, ids)
	if err != nil {
		return err
	}
	t.logDamaged(damaged...)
	t.damaged.keep(ids, damaged)
	for _, id := range ids {
		remote := documents[id]
		var local grouping.Document
		if remote != nil {
			local = t.mergeRemote(remote)
		} else {
			local = t.memory.Get(id)
		}
		if !isStored(local, remote) {
			t.markDirty(id)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range ids {
		if remote := documents[id]; remote != nil && !remote.IsTombstone() {
			t.seen[id] = seenWrite{tokens[id], remote.Header().Version}
		} else {
			delete(t.seen, id)
		}
	}
	return nil
}

// isStored reports whether a document of the copy needs no write to the backend, where
// its state is remote. Either may be nil.
func isStored(local, remote grouping.Document) bool {
	return local == nil || remote == nil && local.IsTombstone() || grouping.EqualDocuments(local, remote)
}

// mergeRemote merges a document of the backend into the copy and calls the follower. It
// returns the merged document.
func (t *Tiered) mergeRemote(remote grouping.Document) (merged grouping.Document) {
	h := remote.Header()
	t.clock.Observe(h.Stamp)
	t.clock.Observe(h.Deleted)
	before, merged := t.memory.merge(remote)
	switch {
	case merged == before:
	case merged.DocumentID().IsSource():
		t.notifySource(grouping.AsSource(merged))
	case merged.IsTombstone():
		t.notify(merged.DocumentID(), nil, nil)
	default:
		t.notify(merged.DocumentID(), grouping.AsGroup(before), grouping.AsGroup(merged))
	}
	return merged
}

// pushDirty pushes everything that the backend does not have. It pushes the history
// first, so that a stored group always has its history. The rate is the maximum
// number of documents per second; 0 means no limit.
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
		pause = time.Second * durable.Batch / time.Duration(rate)
	}
	for part := range slices.Chunk(ids, durable.Batch) {
		started := time.Now()
		if err := t.push(ctx, part); err != nil {
			return err
		}
		if len(part) < durable.Batch {
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

// push merges dirty documents with their state in the backend, in both places.
func (t *Tiered) push(ctx context.Context, ids []grouping.ID) error {
	t.mu.Lock()
	marks := make(map[grouping.ID]uint64, len(ids))
	for _, id := range ids {
		marks[id] = t.dirty[id]
	}
	t.mu.Unlock()

	documents, _, err := t.backend.LoadMany(ctx, ids)
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
			done, err := t.pushDocument(ctx, id, documents[id])
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
		if t.dirty[id] != marks[id] {
			continue
		}
		if id.IsSource() && marks[id] > 0 {
			t.dirtySources--
		}
		delete(t.dirty, id)
	}
	return err
}

// pushDocument pushes one document. remote is its state in the backend. If another
// replica writes first, the document stays dirty and the next push tries again.
func (t *Tiered) pushDocument(ctx context.Context, id grouping.ID, remote grouping.Document) (done bool, err error) {
	if remote != nil {
		t.mergeRemote(remote)
	}
	local := t.memory.Get(id)
	if isStored(local, remote) {
		return true, nil
	}
	w := grouping.Write{Next: local, Base: remote, Stamp: t.clock.Stamp()}
	if local.IsTombstone() {
		w.Next, w.Stamp = nil, local.Header().Deleted
	}
	stored, err := t.backend.Write(ctx, w)
	damaged, isDamaged := errors.AsType[*grouping.DamagedGroupError](err)
	switch {
	case errors.Is(err, grouping.ErrVersionMismatch):
		return false, nil
	case isDamaged:
		// The stored document cannot be read. It stays dirty in the copy, and other
		// documents must still be pushed.
		t.logDamaged(damaged)
		return false, nil
	case err != nil:
		return false, fmt.Errorf("push group %s: %w", id, err)
	}
	t.damaged.remove(id)
	if stored != nil {
		t.advanceSeen(id, string(w.Stamp), stored.Header().Version)
	}
	return true, nil
}
