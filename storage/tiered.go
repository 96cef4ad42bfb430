package storage

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"time"

	"muster/grouping"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Outage is what a Tiered does with a write while its backend fails.
type Outage string

// Degrade keeps the write in memory and brings it to the backend later; strict
// refuses it.
const (
	OutageDegrade Outage = "degrade"
	OutageStrict  Outage = "strict"
)

// TieredOptions are the settings of a Tiered. The zero value is usable.
type TieredOptions struct {
	Outage Outage // "": OutageDegrade
	// WriteTimeout bounds a write to the backend, with its wait for others; past it
	// its outcome counts as unknown. Zero: 20 s, less than a server has to answer.
	// A backend that hangs must be known much earlier, and only it can tell that.
	WriteTimeout time.Duration
	// PushRate bounds the groups written back per second after an outage, so
	// that a recovering backend is not brought down again. Zero: 2,000, a tenth
	// of what one core of Redis writes.
	PushRate int
	// CheckInterval is the time between looks at the backend's epoch, sequence
	// and dirty groups; CompareInterval that between comparisons of the whole
	// index. Zero: a second, a minute.
	CheckInterval, CompareInterval time.Duration
}

func (o TieredOptions) withDefaults() (TieredOptions, error) {
	orDefault(&o.Outage, OutageDegrade)
	orDefault(&o.WriteTimeout, 20*time.Second)
	orDefault(&o.PushRate, 2000)
	orDefault(&o.CheckInterval, time.Second)
	orDefault(&o.CompareInterval, time.Minute)
	switch {
	case o.Outage != OutageDegrade && o.Outage != OutageStrict:
		return o, fmt.Errorf("storage outage: %q is neither %q nor %q", o.Outage, OutageDegrade, OutageStrict)
	case o.WriteTimeout < 0 || o.PushRate < 0 || o.CheckInterval < 0 || o.CompareInterval < 0:
		return o, errors.New("storage: a time or rate is negative")
	}
	return o, nil
}

func orDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

// Tiered joins a working copy in memory with a durable backend. The copy is
// whole, so reads are answered from it and go on when the backend is gone.
// Writes go to the backend first, then to the copy; while the backend fails
// they stay in the copy, their groups marked dirty, and are brought to it by
// Run when it is back. It is a grouping.GroupStorage and a grouping.Follower.
type Tiered struct {
	memory  *Memory
	durable Durable
	clock   *grouping.Clock
	logger  *slog.Logger
	opts    TieredOptions
	notify  func(grouping.ID, *grouping.AlertGroup)
	breaker breaker
	// restored is closed when the copy was first joined with the backend.
	restored chan struct{}

	fallbacks  *prometheus.CounterVec
	recoveries prometheus.Counter
	lostWrites prometheus.Counter
	ledger     ledger

	// unswept are the groups that the next looks for removed keys are about,
	// sweepAll says that the next look is about all of them. Run alone uses them.
	unswept  []grouping.ID
	sweepAll bool

	mu sync.Mutex
	// dirty holds the groups of which the backend may lack something. The value
	// counts the reasons, so that a push knows whether another came meanwhile.
	dirty map[grouping.ID]uint64 // guarded by mu
	// seen holds, of each group, the last write up to which the copy has all.
	seen map[grouping.ID]sight // guarded by mu
	// others holds when each other process was last heard to write.
	others map[string]time.Time // guarded by mu
	// unpushed is the ID of the first event that the backend may lack.
	unpushed string // guarded by mu; "": it has all
	groups   int    // guarded by mu; found in the backend at start
	// kept holds the writes whose events the backend was not given yet.
	kept   map[grouping.Stamp]bool // guarded by mu
	warned bool                    // guarded by mu; a loss was logged and is not yet mended
	// unreached is why the copy could not be joined with the backend since the
	// start, unreachedAt since when.
	unreached   string    // guarded by mu
	unreachedAt time.Time // guarded by mu
	// recoveredAt is when the backend last came back, writtenBack how many
	// groups were brought to it then.
	recoveredAt time.Time  // guarded by mu
	writtenBack int        // guarded by mu
	last        []Position // guarded by mu; the last heard of the log
	problems    []string   // guarded by mu; what the last check found
	said        string     // guarded by mu; why the last outage began
}

// allEvents is before the ID of every event.
const allEvents = "0"

// NewTiered returns a manager of the two. Run does its work in the background.
func NewTiered(memory *Memory, durable Durable, clock *grouping.Clock, reg prometheus.Registerer, logger *slog.Logger, opts TieredOptions) (*Tiered, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	m := &Tiered{
		memory: memory, durable: durable, clock: clock, logger: logger, opts: opts,
		notify:   func(grouping.ID, *grouping.AlertGroup) {},
		restored: make(chan struct{}),
		ledger:   ledger{off: !durable.HasLog()},
		dirty:    map[grouping.ID]uint64{}, seen: map[grouping.ID]sight{}, others: map[string]time.Time{},
		kept: map[grouping.Stamp]bool{},
	}
	factory := promauto.With(reg)
	m.fallbacks = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "muster_storage_fallback_total", Help: "Writes kept in memory because the durable backend failed, by reason.",
	}, []string{"reason"})
	m.recoveries = factory.NewCounter(prometheus.CounterOpts{
		Name: "muster_storage_recovery_total", Help: "Times that the durable backend came back and was brought up to date.",
	})
	m.lostWrites = factory.NewCounter(prometheus.CounterOpts{
		Name: "muster_storage_lost_writes_total",
		Help: "Total number of acknowledged writes that the durable backend had lost and that were written back to its history.",
	})
	factory.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "muster_dirty_groups", Help: "Groups of which the durable backend lacks something.",
	}, func() float64 { return float64(m.Status().DirtyGroups) })
	factory.NewCounterFunc(prometheus.CounterOpts{
		Name: "muster_groups_restored_total", Help: "Groups found in the durable backend at start.",
	}, func() float64 { return float64(m.Status().Restored) })
	factory.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "muster_storage_health", Help: "Whether writes to the backend succeed (1) or not (0).",
		ConstLabels: prometheus.Labels{"backend": durable.Name()},
	}, func() float64 {
		if m.Status().Healthy {
			return 1
		}
		return 0
	})
	return m, nil
}

// Follow implements grouping.Follower.
func (m *Tiered) Follow(fn func(id grouping.ID, group *grouping.AlertGroup)) { m.notify = fn }

// Restored is closed once the copy was joined with the backend for the first
// time.
func (m *Tiered) Restored() <-chan struct{} { return m.restored }

// replicaAge is for how long a process that wrote is counted as another
// replica: it writes at least when a group settles or is repeated.
const replicaAge = 6 * time.Hour

// Status tells how the backend fares.
func (m *Tiered) Status() grouping.StorageStatus {
	since, reason := m.breaker.state()
	m.mu.Lock()
	defer m.mu.Unlock()
	s := grouping.StorageStatus{
		Mode: m.durable.Name(), Healthy: since.IsZero(), Reason: reason, DegradedSince: since,
		DirtyGroups: len(m.dirty), Restored: m.groups, RecoveredAt: m.recoveredAt, WrittenBack: m.writtenBack,
		Problems: m.problems,
	}
	for writer, at := range m.others {
		if time.Since(at) > replicaAge {
			delete(m.others, writer)
		}
	}
	s.Replicas = len(m.others)
	select {
	case <-m.restored:
	default:
		s.Partial = true
		if s.Healthy && m.unreached != "" {
			s.Healthy, s.Reason, s.DegradedSince = false, m.unreached, m.unreachedAt
		}
	}
	return s
}

// Store implements grouping.GroupStorage.
func (m *Tiered) Store(ctx context.Context, c grouping.Change) (*grouping.AlertGroup, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if c.Deferred {
		return m.keep(ctx, c, "contended")
	}
	var stored *grouping.AlertGroup
	m.ledger.begin(string(c.Stamp))
	reason, err := m.write(ctx, c, func(ctx context.Context) (err error) {
		stored, err = m.durable.Store(ctx, c)
		return err
	})
	lookUp := m.ledger.end(string(c.Stamp), reason == "" && err == nil)
	if reason != "" {
		return m.keepOrRefuse(ctx, c, reason, err)
	}
	if err != nil {
		return nil, err
	}
	m.wrote(stored.ID, string(c.Stamp), stored.Version)
	m.memory.PutEvents(c.Events)
	if lookUp {
		m.pushFrom(c.Events)
	}
	merged, _ := m.memory.Merge(stored)
	return merged, nil
}

// Delete implements grouping.GroupStorage.
func (m *Tiered) Delete(ctx context.Context, c grouping.Change) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	reason, err := m.write(ctx, c, func(ctx context.Context) error { return m.durable.Delete(ctx, c) })
	if reason != "" {
		_, err = m.keepOrRefuse(ctx, c, reason, err)
		return err
	}
	if err != nil {
		return err
	}
	m.forget(c.ID())
	m.memory.PutEvents(c.Events)
	m.memory.Merge(grouping.Tombstone(c.ID(), c.Stamp))
	return nil
}

// write runs one write against the backend unless it is known to fail. A
// reason says that it failed: a conflict is an answer, not a fault.
//
// The write is not cut short when the client goes away: what became of it
// would be unknown.
func (m *Tiered) write(ctx context.Context, c grouping.Change, fn func(context.Context) error) (reason string, err error) {
	if _, reason = m.breaker.state(); reason != "" {
		return reason, &grouping.StorageError{Backend: m.durable.Name(), Op: "store", Err: errBreakerOpen}
	}
	wctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.opts.WriteTimeout)
	defer cancel()
	err = fn(wctx)
	var mismatch *grouping.VersionMismatchError
	switch {
	case err == nil:
		m.breaker.success()
		return "", nil
	case errors.As(err, &mismatch):
		m.breaker.success()
		return "", m.mend(wctx, c, mismatch)
	default:
		if _, damaged := errors.AsType[*grouping.DamagedGroupError](err); damaged {
			return reasonDamaged, err // of this group alone
		}
		reason = FaultReason(err)
		m.fault(reason, err)
		return reason, err
	}
}

// errBreakerOpen says that a write was not tried, since others failed lately.
var errBreakerOpen = errors.New("not tried: earlier writes failed")

func (m *Tiered) fault(reason string, err error) {
	if !m.breaker.failure(reason) {
		return
	}
	m.logger.Warn("Writes to the storage backend fail", "backend", m.durable.Name(), "reason", reason,
		"outage", string(m.opts.Outage), "err", err)
	m.mu.Lock()
	m.said = err.Error()
	m.mu.Unlock()
	if fileLost(err) {
		m.markAllDirty()
	}
}

// markAllDirty takes note that the backend may lack all that the copy holds.
func (m *Tiered) markAllDirty() {
	m.markDirty(m.memory.keys()...)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.unpushed = allEvents
}

// mend looks at a conflict. Mostly another replica was faster and the caller
// joins both. But where the backend holds nothing that the writer had not seen,
// it is behind the copy: the group is dirty, or the backend went back in time.
// Then it gets what it lacks, and the writer's next try can succeed.
func (m *Tiered) mend(ctx context.Context, c grouping.Change, mismatch *grouping.VersionMismatchError) error {
	id := c.ID()
	if c.Base == nil || !grouping.Merge(c.Base, mismatch.Stored).Equal(c.Base) {
		return mismatch
	}
	m.markDirty(id)
	if err := m.push(ctx, []grouping.ID{id}); err != nil {
		m.logger.Debug("A group could not be pushed", "group", id, "err", err)
	}
	if g := m.memory.Get(id); g != nil {
		return &grouping.VersionMismatchError{ID: id, Stored: g}
	}
	return mismatch
}

func (m *Tiered) keepOrRefuse(ctx context.Context, c grouping.Change, reason string, err error) (*grouping.AlertGroup, error) {
	if m.opts.Outage == OutageStrict {
		return nil, err
	}
	return m.keep(ctx, c, reason)
}

// keep makes the change in the copy alone and marks the group dirty.
func (m *Tiered) keep(ctx context.Context, c grouping.Change, reason string) (g *grouping.AlertGroup, err error) {
	if c.Group == nil {
		err = m.memory.Delete(ctx, c)
	} else {
		g, err = m.memory.Store(ctx, c)
	}
	if err != nil {
		return nil, err
	}
	m.fallbacks.WithLabelValues(reason).Inc()
	m.markDirty(c.ID())
	if len(c.Events) > 0 {
		m.mu.Lock()
		m.kept[c.Events[0].Stamp()] = true
		m.mu.Unlock()
		m.pushFrom(c.Events)
	}
	return g, nil
}

func (m *Tiered) markDirty(ids ...grouping.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		m.dirty[id]++
	}
}

// sight is a write of a group: its token and the version that it made.
type sight struct {
	token   string
	version int64
}

// saw takes note that the copy holds a group as of a write.
func (m *Tiered) saw(id grouping.ID, token string, version int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen[id] = sight{token, version}
}

// forget takes note that a group is gone.
func (m *Tiered) forget(id grouping.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.seen, id)
}

// wrote takes note of a write of this process. Where another one came between
// what the copy has seen and this write, the log will tell of it, or the next
// comparison.
func (m *Tiered) wrote(id grouping.ID, token string, version int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.seen[id].version+1 == version {
		m.seen[id] = sight{token, version}
	}
}

// Load implements grouping.GroupStorage.
func (m *Tiered) Load(ctx context.Context, id grouping.ID) (*grouping.AlertGroup, error) {
	return m.memory.Load(ctx, id)
}

// ListKeys implements grouping.GroupStorage.
func (m *Tiered) ListKeys(ctx context.Context) ([]grouping.ID, error) { return m.memory.ListKeys(ctx) }

// Size implements grouping.GroupStorage.
func (m *Tiered) Size(ctx context.Context) (int, error) { return m.memory.Size(ctx) }

// LoadAll implements grouping.GroupStorage.
func (m *Tiered) LoadAll(ctx context.Context) iter.Seq2[*grouping.AlertGroup, error] {
	return m.memory.LoadAll(ctx)
}

// StoreAll implements grouping.GroupStorage.
func (m *Tiered) StoreAll(ctx context.Context, groups []*grouping.AlertGroup) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	ids := make([]grouping.ID, 0, len(groups))
	for _, g := range groups {
		m.memory.Merge(g)
		ids = append(ids, g.ID)
	}
	m.markDirty(ids...)
	err := m.push(ctx, ids)
	if err != nil && m.opts.Outage == OutageDegrade {
		return nil
	}
	return err
}

// Ping implements grouping.GroupStorage.
func (m *Tiered) Ping(ctx context.Context) error { return m.durable.Ping(ctx) }

// Events implements grouping.GroupStorage. The backend has the longer history;
// while it is gone, the copy has the newest part.
func (m *Tiered) Events(ctx context.Context, q grouping.EventQuery) (grouping.EventPage, error) {
	if _, reason := m.breaker.state(); reason == "" {
		page, err := m.durable.Events(ctx, q)
		if err == nil || ctx.Err() != nil || !errors.Is(err, grouping.ErrStorage) {
			return page, err
		}
	}
	return m.memory.Events(ctx, q)
}
