package storage

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"time"

	"muster/grouping"
	"muster/storage/durable"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Outage says what a Tiered does with a write while its backend fails.
type Outage string

// OutageDegrade keeps the write in memory and writes it to the backend later.
// OutageStrict rejects the write.
const (
	OutageDegrade Outage = "degrade"
	OutageStrict  Outage = "strict"
)

// TieredOptions are the settings of a Tiered.
type TieredOptions struct {
	Outage Outage
	// WriteTimeout is the time limit of one write to the backend. It includes the
	// wait for other writes. After it the result of the write counts as unknown.
	WriteTimeout time.Duration
	// PushRate is the maximum number of documents that are written back per second
	// after an outage. The limit keeps a backend that recovers from failing again.
	PushRate int
	// CheckInterval is the time between two checks of the log, and between two
	// pushes of dirty documents. CompareInterval is the time between two comparisons of
	// the whole index.
	CheckInterval, CompareInterval time.Duration
}

// DefaultTieredOptions returns the defaults.
func DefaultTieredOptions() TieredOptions {
	return TieredOptions{
		Outage: OutageDegrade,
		// Less than an HTTP request may take. A backend that hangs must be detected
		// much earlier, and the backend itself does that.
		WriteTimeout:  20 * time.Second,
		PushRate:      2000, // a tenth of what one core of Redis can write
		CheckInterval: time.Second, CompareInterval: time.Minute,
	}
}

// Validate returns an error if an option is not valid.
func (o TieredOptions) Validate() error {
	switch {
	case o.Outage != OutageDegrade && o.Outage != OutageStrict:
		return fmt.Errorf("storage outage mode must be %q or %q, not %q", OutageDegrade, OutageStrict, o.Outage)
	case o.WriteTimeout <= 0 || o.PushRate <= 0 || o.CheckInterval <= 0 || o.CompareInterval <= 0:
		return fmt.Errorf("storage options must be positive: write timeout %s, push rate %d, check interval %s, compare interval %s",
			o.WriteTimeout, o.PushRate, o.CheckInterval, o.CompareInterval)
	}
	return nil
}

// Tiered joins a working copy in memory with a durable backend. It implements
// grouping.GroupStorage, and is safe for concurrent use.
//
// The copy holds all documents, so reads are answered from it. Reads continue to work
// while the backend fails.
//
// A write goes to the backend first, then to the copy. While the backend fails, a
// write changes the copy only and marks its document dirty: the backend must still get
// the change. Run pushes dirty documents to the backend after it has recovered.
type Tiered struct {
	memory  *Memory
	backend durable.Backend
	clock   *grouping.Clock
	logger  *slog.Logger
	opts    TieredOptions
	breaker breaker
	// notify and notifySource are the followers.
	notify       func(id grouping.ID, before, group *grouping.AlertGroup)
	notifySource func(*grouping.SourceDocument)
	// restored is closed when the copy was merged with the backend for the first
	// time.
	restored chan struct{}

	fallbacks  *prometheus.CounterVec
	recoveries prometheus.Counter
	lostWrites prometheus.Counter
	ledger     ledger
	damaged    damagedLog

	// unchecked are the documents that the next checks for lost keys cover. Only the
	// goroutine of Run uses it.
	unchecked []grouping.ID
	// checkAll says that the next check covers all documents at once. Only the
	// goroutine of Run uses it.
	checkAll bool

	mu sync.Mutex
	// dirty holds the documents that may have changes which the backend does not have.
	// The value counts the reasons, so that a push can tell if another change came
	// meanwhile.
	dirty map[grouping.ID]uint64 // guarded by mu
	// dirtySources is the number of dirty documents that are not groups.
	dirtySources int // guarded by mu
	// seen holds, for each document, the last write of the log that the copy includes.
	seen map[grouping.ID]seenWrite // guarded by mu
	// replicas holds the time of the last write of each other process.
	replicas map[string]time.Time // guarded by mu
	// pushEventsFrom is the ID of the first event that the backend may not have.
	// "" means that the backend has all events.
	pushEventsFrom string // guarded by mu
	// restoredGroups is the number of groups that the backend had at start.
	restoredGroups int // guarded by mu
	// memoryOnly holds the writes whose events were never sent to the backend.
	memoryOnly map[grouping.Stamp]bool // guarded by mu
	// lossLogged says that a loss was logged and is not yet repaired.
	lossLogged bool // guarded by mu
	// startFault is the reason why the copy could not be merged with the backend
	// since the start. startFaultAt is the time of the first such failure.
	startFault   string    // guarded by mu
	startFaultAt time.Time // guarded by mu
	// recoveredAt is the time when the backend last recovered. writtenBack is the
	// number of groups that were pushed to it then.
	recoveredAt time.Time // guarded by mu
	writtenBack int       // guarded by mu
	// lastPositions are the positions up to which the log was read.
	lastPositions []durable.Position // guarded by mu
	// problems are the results of the last Check.
	problems []string // guarded by mu
	// lastFault is the text of the error that began the last outage.
	lastFault string // guarded by mu
}

// allEvents sorts before the ID of every event.
const allEvents = "0"

// NewTiered returns a storage that joins memory and backend. It starts nothing:
// the caller must call Run.
func NewTiered(
	memory *Memory, backend durable.Backend, clock *grouping.Clock, reg prometheus.Registerer, logger *slog.Logger, opts TieredOptions,
) (*Tiered, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	t := &Tiered{
		memory: memory, backend: backend, clock: clock, logger: logger, opts: opts,
		notify: func(grouping.ID, *grouping.AlertGroup, *grouping.AlertGroup) {}, notifySource: func(*grouping.SourceDocument) {},
		restored: make(chan struct{}),
		ledger:   ledger{disabled: !backend.HasLog()},
		dirty:    map[grouping.ID]uint64{}, seen: map[grouping.ID]seenWrite{}, replicas: map[string]time.Time{},
		memoryOnly: map[grouping.Stamp]bool{},
	}
	factory := promauto.With(reg)
	t.fallbacks = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "muster_storage_fallback_total",
		Help: "Total number of writes that were stored only in memory because the durable backend failed, by reason.",
	}, []string{"reason"})
	t.recoveries = factory.NewCounter(prometheus.CounterOpts{
		Name: "muster_storage_recovery_total", Help: "Total number of times that the durable backend recovered and received all pending changes.",
	})
	t.lostWrites = factory.NewCounter(prometheus.CounterOpts{
		Name: "muster_storage_lost_writes_total",
		Help: "Total number of acknowledged writes that the durable backend lost and that were written back to its history.",
	})
	factory.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "muster_dirty_groups", Help: "Number of groups with changes that are not yet in the durable backend.",
	}, func() float64 { return float64(t.Status().DirtyGroups) })
	factory.NewCounterFunc(prometheus.CounterOpts{
		Name: "muster_groups_restored_total", Help: "Number of groups that the durable backend had at start.",
	}, func() float64 { return float64(t.Status().Restored) })
	factory.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "muster_storage_health", Help: "Whether writes to the backend succeed (1) or fail (0).",
		ConstLabels: prometheus.Labels{"backend": backend.Name()},
	}, func() float64 {
		if t.Status().Healthy {
			return 1
		}
		return 0
	})
	return t, nil
}

// Follow implements grouping.GroupStorage.
func (t *Tiered) Follow(fn func(id grouping.ID, before, group *grouping.AlertGroup)) (passesStored bool) {
	t.notify = fn
	return true
}

// FollowSources implements grouping.GroupStorage.
func (t *Tiered) FollowSources(fn func(source *grouping.SourceDocument)) { t.notifySource = fn }

// Restored returns a channel that is closed when the copy was merged with the
// backend for the first time.
func (t *Tiered) Restored() <-chan struct{} { return t.restored }

// Close closes the backend.
func (t *Tiered) Close() error { return t.backend.Close() }

// replicaAge is the time for which a process counts as another replica after its
// last write. Every replica writes at least when a group settles and when a
// notification repeats.
const replicaAge = 6 * time.Hour

// Status returns the state of the backend, for the status page and for metrics.
func (t *Tiered) Status() grouping.StorageStatus {
	since, reason := t.breaker.state()
	damaged := t.damaged.problem()
	t.mu.Lock()
	defer t.mu.Unlock()
	s := grouping.StorageStatus{
		Mode: t.backend.Name(), Healthy: since.IsZero(), Reason: reason, DegradedSince: since,
		DirtyGroups: len(t.dirty) - t.dirtySources, Restored: t.restoredGroups, RecoveredAt: t.recoveredAt, WrittenBack: t.writtenBack,
		Problems: t.problems,
	}
	if damaged != "" {
		s.Problems = append(slices.Clip(s.Problems), damaged)
	}
	for writer, at := range t.replicas {
		if time.Since(at) > replicaAge {
			delete(t.replicas, writer)
		}
	}
	s.Replicas = len(t.replicas)
	select {
	case <-t.restored:
	default:
		s.Partial = true
		if s.Healthy && t.startFault != "" {
			s.Healthy, s.Reason, s.DegradedSince = false, t.startFault, t.startFaultAt
		}
	}
	return s
}

// Store implements grouping.GroupStorage.
func (t *Tiered) Store(ctx context.Context, c grouping.Change) (*grouping.AlertGroup, error) {
	d, err := t.store(ctx, c.Write())
	return grouping.AsGroup(d), err
}

// StoreSource implements grouping.GroupStorage.
func (t *Tiered) StoreSource(ctx context.Context, c grouping.SourceChange) (*grouping.SourceDocument, error) {
	d, err := t.store(ctx, c.Write())
	return grouping.AsSource(d), err
}

// store writes a document.
func (t *Tiered) store(ctx context.Context, w grouping.Write) (grouping.Document, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if w.Deferred {
		return t.storeInMemory(ctx, w, "contended")
	}
	t.ledger.started(string(w.Stamp))
	stored, reason, err := t.write(ctx, w)
	lookUp := t.ledger.finished(string(w.Stamp), reason == "" && err == nil)
	if reason != "" && !w.DurableOnly {
		return t.fallBack(ctx, w, reason, err)
	}
	if err != nil {
		return nil, err
	}
	t.advanceSeen(w.ID(), string(w.Stamp), stored.Header().Version)
	t.memory.PutEvents(w.AllEvents(), w.Contents)
	if lookUp {
		t.markUnpushed(w.AllEvents())
	}
	return t.memory.Put(w.Base, stored), nil
}

// Delete implements grouping.GroupStorage.
func (t *Tiered) Delete(ctx context.Context, c grouping.Change) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	c.Group = nil
	w := c.Write()
	_, reason, err := t.write(ctx, w)
	if reason != "" {
		_, err = t.fallBack(ctx, w, reason, err)
		return err
	}
	if err != nil {
		return err
	}
	t.clearSeen(w.ID())
	t.memory.PutEvents(w.AllEvents(), w.Contents)
	t.memory.Merge(grouping.Tombstone(w.ID(), w.Stamp))
	return nil
}

// write makes one write to the backend. It does not try while the breaker is open.
//
// A reason that is not empty means that the backend failed. A conflict is an answer
// and not a failure.
//
// The write continues if the client disconnects: otherwise its result would be
// unknown.
func (t *Tiered) write(ctx context.Context, w grouping.Write) (stored grouping.Document, reason string, err error) {
	if _, reason = t.breaker.state(); reason != "" {
		return nil, reason, &grouping.StorageError{Backend: t.backend.Name(), Op: "store", Err: errBreakerOpen}
	}
	wctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.opts.WriteTimeout)
	defer cancel()
	stored, err = t.backend.Write(wctx, w)
	var mismatch *grouping.VersionMismatchError
	switch {
	case err == nil:
		t.breaker.success()
		return stored, "", nil
	case errors.As(err, &mismatch):
		t.breaker.success()
		return nil, "", t.resolveConflict(wctx, w, mismatch)
	default:
		if _, damaged := errors.AsType[*grouping.DamagedGroupError](err); damaged {
			return nil, durable.ReasonDamaged, err // only this document is affected
		}
		reason = durable.FaultReason(err)
		t.recordFault(reason, err)
		return nil, reason, err
	}
}

// errBreakerOpen means that a write was not tried because earlier writes failed.
var errBreakerOpen = errors.New("write not tried: earlier writes failed")

// recordFault counts a failure of the backend. It logs one warning when the
// failure opens the breaker.
func (t *Tiered) recordFault(reason string, err error) {
	if !t.breaker.failure(reason) {
		return
	}
	t.logger.Warn("Writes to the storage backend fail", "backend", t.backend.Name(), "reason", reason,
		"outage", string(t.opts.Outage), "err", err)
	t.mu.Lock()
	t.lastFault = err.Error()
	t.mu.Unlock()
	if errors.Is(err, durable.ErrDataGone) {
		t.markAllDirty()
	}
}

// markAllDirty marks everything that the copy holds: the backend may have lost it.
func (t *Tiered) markAllDirty() {
	t.markDirty(t.memory.keys()...)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pushEventsFrom = allEvents
}

// resolveConflict decides what to do after a conflict. Usually another replica
// wrote first, and the caller merges both states.
//
// But the stored state may contain nothing that the writer has not seen. Then the
// backend is behind the copy: the document is dirty, or the backend went back in time.
// In that case resolveConflict pushes the document, so that the next try of the writer
// can succeed.
func (t *Tiered) resolveConflict(ctx context.Context, w grouping.Write, mismatch *grouping.VersionMismatchError) error {
	id := w.ID()
	if w.Base == nil || !grouping.EqualDocuments(grouping.MergeDocuments(w.Base, mismatch.Stored), w.Base) {
		return mismatch
	}
	t.markDirty(id)
	if err := t.push(ctx, []grouping.ID{id}); err != nil {
		t.logger.Debug("Failed to push a document to the storage backend", "id", id, "err", err)
	}
	if d := t.memory.Get(id); d != nil {
		return &grouping.VersionMismatchError{ID: id, Stored: d}
	}
	return mismatch
}

// fallBack handles a write that the backend did not take: OutageStrict rejects
// it, OutageDegrade stores it in memory.
func (t *Tiered) fallBack(ctx context.Context, w grouping.Write, reason string, err error) (grouping.Document, error) {
	if t.opts.Outage == OutageStrict {
		return nil, err
	}
	return t.storeInMemory(ctx, w, reason)
}

// storeInMemory makes the write in the copy only and marks the document dirty.
func (t *Tiered) storeInMemory(ctx context.Context, w grouping.Write, reason string) (grouping.Document, error) {
	d, err := t.memory.Write(ctx, w)
	if err != nil {
		return nil, err
	}
	t.fallbacks.WithLabelValues(reason).Inc()
	t.markDirty(w.ID())
	if events := w.AllEvents(); len(events) > 0 {
		t.mu.Lock()
		for i := range events {
			t.memoryOnly[events[i].Stamp()] = true
		}
		t.mu.Unlock()
		t.markUnpushed(events)
	}
	return d, nil
}

// markDirty marks documents whose changes must still be pushed to the backend.
func (t *Tiered) markDirty(ids ...grouping.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range ids {
		if id.IsSource() && t.dirty[id] == 0 {
			t.dirtySources++
		}
		t.dirty[id]++
	}
}

// seenWrite is a write of a document: its token and the version that it made.
type seenWrite struct {
	token   string
	version int64
}

// clearSeen records that a document was deleted.
func (t *Tiered) clearSeen(id grouping.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.seen, id)
}

// advanceSeen records a write of this process if it directly follows the last seen
// write. Otherwise another process wrote in between. Then the log or the next
// comparison of the index brings that write.
func (t *Tiered) advanceSeen(id grouping.ID, token string, version int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.seen[id].version+1 == version {
		t.seen[id] = seenWrite{token, version}
	}
}

// Load implements grouping.GroupStorage.
func (t *Tiered) Load(ctx context.Context, id grouping.ID) (*grouping.AlertGroup, error) {
	return t.memory.Load(ctx, id)
}

// LoadSource implements grouping.GroupStorage.
func (t *Tiered) LoadSource(ctx context.Context, source string) (*grouping.SourceDocument, error) {
	return t.memory.LoadSource(ctx, source)
}

// ListKeys implements grouping.GroupStorage.
func (t *Tiered) ListKeys(ctx context.Context) ([]grouping.ID, error) { return t.memory.ListKeys(ctx) }

// Size implements grouping.GroupStorage.
func (t *Tiered) Size(ctx context.Context) (int, error) { return t.memory.Size(ctx) }

// LoadAll implements grouping.GroupStorage.
func (t *Tiered) LoadAll(ctx context.Context) iter.Seq2[*grouping.AlertGroup, error] {
	return t.memory.LoadAll(ctx)
}

// StoreAll implements grouping.GroupStorage.
func (t *Tiered) StoreAll(ctx context.Context, groups []*grouping.AlertGroup) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	ids := make([]grouping.ID, 0, len(groups))
	for _, g := range groups {
		t.memory.Merge(g)
		ids = append(ids, g.ID)
	}
	t.markDirty(ids...)
	err := t.push(ctx, ids)
	if err != nil && t.opts.Outage == OutageDegrade {
		return nil
	}
	return err
}

// Ping implements grouping.GroupStorage.
func (t *Tiered) Ping(ctx context.Context) error { return t.backend.Ping(ctx) }
