package grouping

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/prometheus/alertmanager/pkg/labels"
	"github.com/prometheus/client_golang/prometheus"
)

// Options are the settings of a Manager.
type Options struct {
	// Wait is the time from a group's creation to its first flush. Interval is
	// the time between its later flushes.
	Wait, Interval time.Duration
	// Settle is a time after a resolution. If another Alertmanager reports the
	// alert as firing with the same start within it, this is the older view of
	// that replica.
	Settle time.Duration
	// StaleAfter is the time without a notification after which a firing group
	// is marked stale. It should be longer than Alertmanager's repeat_interval.
	StaleAfter time.Duration
	// Retention is how long an alert is kept after it stopped firing. A group is
	// removed with its last alert.
	Retention time.Duration
	// MaxGroups, MaxAlerts and MaxSources are the maximum numbers of groups, of
	// alerts in a group and of sources. 0: no limit. A new group or alert evicts
	// the oldest one that does not fire. If all fire, the new one is rejected. A
	// new source never evicts another.
	MaxGroups, MaxAlerts, MaxSources int
	// Heartbeats selects the alerts that always fire. An alert is selected if any
	// element matches it.
	Heartbeats []labels.Matchers
	// Receivers are receivers whose groups are kept also if only the event recorder or the
	// API of an Alertmanager tells of them. Otherwise a receiver must have sent a
	// notification before.
	Receivers []SourceReceiver
	// OnlyMuster is true if no other process writes to the storage.
	OnlyMuster bool
	// HistoryRetention is how long events are kept, and so expired silences and gaps.
	HistoryRetention time.Duration
	// CheckpointBytes is the maximum size of all checkpoints. 0: none are taken.
	CheckpointBytes int64
}

// DefaultHistoryRetention is the default of the time for which events are kept.
const DefaultHistoryRetention = 30 * 24 * time.Hour

// DefaultOptions holds the default of every option. They equal Alertmanager's own
// defaults if it has the same setting.
var DefaultOptions = Options{
	Wait:       30 * time.Second,
	Interval:   5 * time.Minute,
	Settle:     15 * time.Second, // Alertmanager's --cluster.peer-timeout
	StaleAfter: 24 * time.Hour,   // well above the usual repeat_interval of 4 h
	Retention:  7 * 24 * time.Hour,
	MaxGroups:  50_000,
	MaxAlerts:  20_000,
	MaxSources: 1000,
	Heartbeats: DefaultHeartbeats(),

	HistoryRetention: DefaultHistoryRetention,
	CheckpointBytes:  DefaultCheckpointBytes,
}

func (o Options) validate() error {
	for _, d := range []struct {
		name    string
		value   time.Duration
		minimum time.Duration
	}{
		{"wait", o.Wait, 0},
		{"interval", o.Interval, time.Millisecond},
		{"settle", o.Settle, 0},
		{"stale after", o.StaleAfter, time.Millisecond},
		{"retention", o.Retention, time.Millisecond},
	} {
		if d.value < d.minimum {
			return fmt.Errorf("group %s %s is less than the minimum of %s", d.name, d.value, d.minimum)
		}
	}
	for _, n := range []struct {
		name  string
		value int
	}{
		{"groups", o.MaxGroups},
		{"alerts", o.MaxAlerts},
		{"sources", o.MaxSources},
	} {
		if n.value < 0 {
			return fmt.Errorf("maximum number of %s %d is less than 0", n.name, n.value)
		}
	}
	for _, r := range o.Receivers {
		if r.Receiver == "" {
			return fmt.Errorf("a receiver of source %q has no name", r.Source)
		}
	}
	return nil
}

// Update is a change of a group, made by this process or by another replica.
type Update struct {
	ID     ID
	Before *AlertGroup // nil: the group was not known before
	Group  *AlertGroup // nil: the group was removed
	Events []Event     // empty if another replica made the change

	// Source is the document of a source that changed. Then there is no group, and the events
	// are those of the source.
	Source *SourceDocument
}

// Outcome is the result of a notification.
type Outcome struct {
	Group  *AlertGroup
	Events []Event
	// Rejected is the number of firing alerts that were rejected because the group has
	// its maximum number of alerts.
	Rejected uint64
}

// managerStorage is what a Manager needs of a GroupStorage.
type managerStorage interface {
	GroupStore
	GroupLoader
	SourceStore
	History
	ContentLoader
	CheckpointStore
	Follower
}

// Manager manages alert groups. It applies notifications to them, runs their
// timers and answers queries. It works on any GroupStorage and is safe for
// concurrent use. Every operation that takes a context returns its cause if it
// ended before the operation. Then nothing is read or written.
type Manager struct {
	storage managerStorage
	clock   *Clock
	logger  *slog.Logger
	opts    Options
	metrics *managerMetrics
	started time.Time
	// passesStored is true if the storage passes the stored groups to the manager.
	passesStored bool
	// startedUptime is the clock's uptime at started. The clock may be corrected later.
	startedUptime time.Duration

	watch func(Update)

	queues    queues
	index     *index
	sources   sourceBook
	observed  observerMemory
	deadlines deadlines

	silenceWrites silenceWrites
	// eventsWritten is the number of events that this process wrote since its last checkpoint.
	eventsWritten atomic.Int64
}

// NewManager returns a manager of the groups in the storage. It neither loads
// stored groups nor starts a goroutine: RestoreGroups loads, and Run runs the
// timers.
//
// The manager calls watch after every change of a group. watch must not block, and
// must be safe for concurrent use. It may be nil.
func NewManager(
	storage managerStorage, clock *Clock, watch func(Update), reg prometheus.Registerer, logger *slog.Logger, opts Options,
) (*Manager, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	if watch == nil {
		watch = func(Update) {}
	}
	m := &Manager{
		storage: storage, clock: clock, logger: logger, opts: opts, watch: watch, started: clock.Now(), startedUptime: clock.uptime(),
		index: newIndex(opts.Heartbeats, clock.Now), deadlines: newDeadlines(),
	}
	m.metrics = newManagerMetrics(reg, m)
	m.passesStored = storage.Follow(func(id ID, before, g *AlertGroup) {
		clock.ObserveGroup(g)
		m.groupChanged(Update{ID: id, Before: before, Group: g})
	})
	storage.FollowSources(func(d *SourceDocument) {
		clock.Observe(d.Stamp)
		m.sourceChanged(d)
	})
	return m, nil
}

// Stamp returns the stamp of a notification that arrives now.
func (m *Manager) Stamp() Stamp { return m.clock.Stamp() }

// Ingest applies a notification. If it returns without an error, the result is
// stored with the durability of the storage. A repeated notification changes only
// counters and last-seen times. If a limit leaves no room for a new group, Ingest
// returns a *FullError. It does not keep the list of alerts of the notification.
func (m *Manager) Ingest(ctx context.Context, n Notification) (Outcome, error) {
	if err := m.startOperation(ctx, "ingest"); err != nil {
		return Outcome{}, err
	}
	if n.Stamp == "" {
		n.Stamp = m.clock.Stamp()
	}
	if err := m.admit(ctx, n.Key); err != nil {
		return Outcome{}, err
	}
	isFirst := !m.index.hasNotified(n.Source, n.Receiver)
	var events []Event
	g, err := m.writeTogether(ctx, n.ID(), n.Stamp, func(base *AlertGroup) (Change, error) {
		c := apply(base, n, m.rules())
		c.Notified = 1
		events = c.Events
		return c, nil
	})
	if err == nil && g.LastNotifiedAt.Before(n.Stamp.Time()) {
		g, err = m.applyAgain(ctx, n)
	}
	if err == nil {
		m.resolveUnderOtherKeys(ctx, g, events)
		m.observed.expectDelivery(n.Source, g.ID, n.Stamp.Time())
		m.joinAPIGroup(ctx, g)
		if isFirst {
			m.applyWaiting(ctx, n.Source, n.Receiver)
		}
		if addsAlerts(events) {
			m.applyWaitingDeliveries(ctx, n.Source)
		}
	}
	return Outcome{Group: g, Events: events, Rejected: m.countRejected(n, events)}, err
}

// applyAgain applies what a stored notification says about its group itself. Another
// replica wrote the group meanwhile, for example in a flush. It did not know the
// notification, but its write is newer, so the storage kept its fields of the group.
func (m *Manager) applyAgain(ctx context.Context, n Notification) (*AlertGroup, error) {
	return m.write(ctx, n.ID(), func(base *AlertGroup) (c Change, err error) {
		if base != nil && !base.LastNotifiedAt.Before(n.Stamp.Time()) {
			return c, errNoChange
		}
		c.Stamp = m.clock.Stamp()
		c.Group = apply(base, n, m.rules()).Group // the events are stored already
		return c, nil
	})
}

// countRejected returns how many firing alerts of the notification were rejected
// because its group is full, and counts them in a metric.
func (m *Manager) countRejected(n Notification, events []Event) (rejected uint64) {
	for _, e := range events {
		if e.Kind == EventNotified {
			rejected = e.Notification().Truncated - n.Truncated
		}
	}
	m.metrics.rejectedAlerts.Add(float64(rejected))
	return rejected
}

// admit makes room for a new group: if a limit is reached, it evicts the oldest
// group that does not fire. Concurrent calls may exceed a limit by their number.
func (m *Manager) admit(ctx context.Context, key Key) error {
	for {
		full, oldest := m.index.room(key, m.opts.MaxGroups, m.opts.MaxSources)
		if full == nil {
			return nil
		}
		if oldest == nil {
			return full
		}
		g, err := m.write(ctx, oldest.ID, func(base *AlertGroup) (Change, error) {
			switch {
			case base == nil || base.IsTombstone():
				return Change{}, &GroupNotFoundError{ID: oldest.ID}
			case base.Counts.Firing > 0:
				return Change{}, errNoChange
			}
			return m.planRemoval(base, base.fingerprints()), nil
		})
		switch {
		case errors.Is(err, ErrGroupNotFound), g != nil: // the group was changed concurrently
			m.groupChanged(Update{ID: oldest.ID, Group: g})
		case err != nil:
			return err
		default:
			m.metrics.evictedGroups.Inc()
		}
	}
}

// AddAlertToGroup applies a report of one alert to a group. It creates the group
// if it does not exist. The group's other alerts do not change. If a limit leaves
// no room, it returns a *FullError.
func (m *Manager) AddAlertToGroup(ctx context.Context, key Key, a NotifiedAlert) (*AlertGroup, error) {
	if err := m.startOperation(ctx, "add_alert"); err != nil {
		return nil, err
	}
	if err := m.admit(ctx, key); err != nil {
		return nil, err
	}
	stamp := m.clock.Stamp()
	return m.writeTogether(ctx, key.ID(), stamp, func(base *AlertGroup) (Change, error) {
		c := applyAlert(base, key, a, stamp, m.rules())
		if c.Group.Alert(a.Fingerprint) == nil {
			return c, &FullError{What: "alert", Limit: m.opts.MaxAlerts}
		}
		return c, nil
	})
}

// RemoveAlertFromGroup removes an alert. If it was the last one, the group and its
// timer are removed too. If the group does not hold the alert, it returns a
// *GroupNotFoundError.
func (m *Manager) RemoveAlertFromGroup(ctx context.Context, id ID, fp Fingerprint) error {
	if err := m.startOperation(ctx, "remove_alert"); err != nil {
		return err
	}
	_, err := m.write(ctx, id, func(base *AlertGroup) (Change, error) {
		if base.Alert(fp) == nil {
			return Change{}, &GroupNotFoundError{ID: id, Fingerprint: fp}
		}
		return m.planRemoval(base, []Fingerprint{fp}), nil
	})
	return err
}

// planRemoval returns the change that removes alerts from a group. If no alert is
// left, the change deletes the group.
func (m *Manager) planRemoval(g *AlertGroup, fps []Fingerprint) Change {
	c := applyRemoval(g, fps, deletionStamp(g, m.clock.Stamp()))
	if len(c.Group.Alerts) == 0 {
		c.Group = nil
	}
	return c
}

// RestoreGroups loads the stored groups, resumes their timers and returns their
// number. It loads only what the storage has not passed to the manager, while it read them.
func (m *Manager) RestoreGroups(ctx context.Context) (int, error) {
	if err := m.startOperation(ctx, "restore"); err != nil {
		return 0, err
	}
	if !m.passesStored {
		if err := m.loadAll(ctx); err != nil {
			return 0, err
		}
	}
	groups := m.index.all()
	for _, g := range groups {
		m.clock.restore(g.Stamp)
	}
	// The newest write may be a removal. Then only the history has its stamp.
	newest, err := m.storage.Events(ctx, EventQuery{Limit: 1})
	if err != nil {
		return len(groups), err
	}
	for i := range newest.Events {
		m.clock.restore(newest.Events[i].Stamp())
	}
	return len(groups), m.restoreSources(ctx)
}

// loadAll loads the groups of a storage that does not pass them.
func (m *Manager) loadAll(ctx context.Context) error {
	for g, err := range m.storage.LoadAll(ctx) {
		if damaged, ok := errors.AsType[*DamagedGroupError](err); ok {
			// A damaged group must not hide the others.
			m.logger.Warn("Skipping a stored group that cannot be read", "group", damaged.ID, "err", err)
			continue
		}
		if err != nil {
			return err
		}
		m.groupChanged(Update{ID: g.ID, Group: g})
	}
	return nil
}

func (m *Manager) rules() rules {
	return rules{settle: m.opts.Settle, groupWait: m.opts.Wait, maxAlerts: m.opts.MaxAlerts, heartbeats: m.opts.Heartbeats}
}

// startOperation counts the operation. If the context ended, it returns the cause
// instead.
func (m *Manager) startOperation(ctx context.Context, operation string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	m.metrics.operations.WithLabelValues(operation).Inc()
	return nil
}

// maxAttempts is the maximum number of attempts of a write before it is deferred.
// Writers of one process queue, so only replicas can conflict. With full jitter,
// sixteen conflicts in a row do not happen by chance.
const maxAttempts = 16

// errNoChange is returned by a plan if there is nothing to write.
var errNoChange = errors.New("no change")

// write loads the group, plans a change and stores it by compare-and-set. If there
// is no group, base is nil or a tombstone. On a conflict, write merges the stored
// and the loaded state and plans again, so no update is lost. It returns the group
// as stored, or nil if the change deletes it.
func (m *Manager) write(ctx context.Context, id ID, plan func(base *AlertGroup) (Change, error)) (*AlertGroup, error) {
	unlock, err := m.queues.lock(ctx, id)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return m.tryWrite(ctx, id, plan)
}

// tryWrite is write for callers whose turn it is to write to the group.
func (m *Manager) tryWrite(ctx context.Context, id ID, plan func(base *AlertGroup) (Change, error)) (*AlertGroup, error) {
	base, err := m.storage.Load(ctx, id)
	if err != nil && !errors.Is(err, ErrGroupNotFound) {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		m.clock.ObserveGroup(base)
		c, err := plan(base)
		if err != nil {
			if errors.Is(err, errNoChange) {
				return base, nil
			}
			return nil, err
		}
		c.Base, c.Deferred = base, attempt > maxAttempts
		var stored *AlertGroup
		if c.Group == nil {
			err = m.storage.Delete(ctx, c)
		} else {
			c.Group = c.Group.PruneRemovals()
			stored, err = m.storage.Store(ctx, c)
		}
		if err == nil {
			m.groupChanged(Update{ID: id, Before: base, Group: stored, Events: c.Events})
			return stored, nil
		}
		theirs, err := m.afterConflict(ctx, err, c.Deferred, attempt)
		if err != nil {
			return nil, err
		}
		base = Merge(base, AsGroup(theirs))
	}
}

// afterConflict returns what another writer stored, after a wait, if a write failed because of
// that. It returns the error if the write must not be tried again.
func (m *Manager) afterConflict(ctx context.Context, err error, deferred bool, attempt int) (theirs Document, failed error) {
	mismatch, ok := errors.AsType[*VersionMismatchError](err)
	if !ok || deferred {
		return nil, err
	}
	m.metrics.conflicts.Inc()
	return mismatch.Stored, backOff(ctx, attempt)
}

// backOff waits before the next attempt of a write: exponential backoff with full
// jitter.
func backOff(ctx context.Context, attempt int) error {
	const initial, maximum = time.Millisecond, 50 * time.Millisecond
	t := time.NewTimer(rand.N(min(initial<<min(attempt, 10), maximum))) //nolint:gosec // G404: jitter, no secret
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// groupChanged applies a change to the index and the timers, and passes it to the
// watcher. u.Before is the state from which u.Group was made, or nil.
func (m *Manager) groupChanged(u Update) {
	m.eventsWritten.Add(int64(len(u.Events)))
	if u.Group != nil && u.Group.IsTombstone() {
		u.Group = nil
	}
	u.Before, u.Group = m.index.update(u.ID, u.Before, u.Group)
	if u.Group != nil {
		m.deadlines.set(u.ID, m.nextFlush(u.Group))
	} else {
		m.deadlines.remove(u.ID)
		if u.Before != nil {
			m.observed.forgetEnds(u.Before.Source, u.ID)
		}
	}
	m.watch(u)
}
