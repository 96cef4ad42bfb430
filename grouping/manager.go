package grouping

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/prometheus/alertmanager/pkg/labels"
	"github.com/prometheus/client_golang/prometheus"
)

// Options are the durations by which a Manager works.
type Options struct {
	// Wait is how long a new group settles before its first flush, Interval the
	// time between its flushes after that.
	Wait, Interval time.Duration
	// Settle is for how long after a resolution a firing with the same start,
	// from another Alertmanager, is held to be that replica's older view.
	Settle time.Duration
	// StaleAfter is how long a firing group may be without a word before it is
	// marked stale. It should be longer than Alertmanager's repeat_interval.
	StaleAfter time.Duration
	// Retention is how long a group stays after its last alert stopped firing,
	// and an alert that stopped firing in a group that goes on.
	Retention time.Duration
	// MaxGroups, MaxAlerts and MaxSources bound the groups, the alerts of each
	// and the sources that are held. 0: no limit. For what is new the oldest
	// that does not fire goes; where all fire the new is refused.
	MaxGroups, MaxAlerts, MaxSources int
	// Heartbeats select the alerts that always fire, each element by itself.
	Heartbeats []labels.Matchers
}

// DefaultOptions are Alertmanager's own defaults where it has one.
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
}

func (o Options) validate() error {
	for _, d := range []struct {
		name  string
		value time.Duration
		least time.Duration
	}{
		{"wait", o.Wait, 0},
		{"interval", o.Interval, time.Millisecond},
		{"settle", o.Settle, 0},
		{"stale after", o.StaleAfter, time.Millisecond},
		{"retention", o.Retention, time.Millisecond},
	} {
		if d.value < d.least {
			return fmt.Errorf("group %s: %s is less than %s", d.name, d.value, d.least)
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
			return fmt.Errorf("most %s: %d is less than 0", n.name, n.value)
		}
	}
	return nil
}

// Update is a change of a group, by this process or by another replica.
type Update struct {
	ID     ID
	Before *AlertGroup // nil: it was not known
	Group  *AlertGroup // nil: the group is gone
	Events []Event     // of a change by this process
}

// Outcome is what became of a notification.
type Outcome struct {
	Group  *AlertGroup
	Events []Event
	// Cut counts the firing alerts for which the group has no room.
	Cut uint64
}

// Manager keeps alert groups: it applies notifications to them, runs their
// timers and answers queries. It works on any GroupStorage and is safe for
// concurrent use. Every operation checks its context before it touches
// anything.
type Manager struct {
	storage GroupStorage
	clock   *Clock
	logger  *slog.Logger
	opts    Options
	metrics *managerMetrics
	started time.Time
	watch   func(Update)

	queues    queues
	index     *index
	deadlines deadlines
}

// NewManager returns a manager of the groups in the storage. RestoreGroups
// makes it know those that are there already; Run runs its timers.
func NewManager(storage GroupStorage, clock *Clock, reg prometheus.Registerer, logger *slog.Logger, opts Options) (*Manager, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	m := &Manager{
		storage: storage, clock: clock, logger: logger, opts: opts, watch: func(Update) {}, started: clock.Now(),
		index: newIndex(opts.Heartbeats), deadlines: newDeadlines(),
	}
	m.metrics = newManagerMetrics(reg, m)
	if f, ok := storage.(Follower); ok {
		f.Follow(func(id ID, g *AlertGroup) {
			clock.ObserveGroup(g)
			m.groupChanged(Update{ID: id, Group: g})
		})
	}
	return m, nil
}

// Watch makes the manager call fn after every change of a group. It is called
// once, before the manager is used. fn must not block.
func (m *Manager) Watch(fn func(Update)) { m.watch = fn }

// Stamp returns the stamp of a notification that arrives now.
func (m *Manager) Stamp() Stamp { return m.clock.Stamp() }

// Ingest applies a notification. On return without an error it is kept, as the
// storage keeps things; a repeated one changes nothing but counters and the
// times at which something was last heard. A new group for which there is no
// room gives a *FullError.
func (m *Manager) Ingest(ctx context.Context, n Notification) (Outcome, error) {
	if err := m.startOperation(ctx, "ingest"); err != nil {
		return Outcome{}, err
	}
	n.Stamp = cmp.Or(n.Stamp, m.clock.Stamp())
	if err := m.admit(ctx, n.Key); err != nil {
		return Outcome{}, err
	}
	var events []Event
	g, err := m.write(ctx, n.ID(), func(base *AlertGroup) (c Change, err error) {
		c.Notified = true
		c.Stamp = n.Stamp
		c.Group, c.Events = apply(base, n, m.rules())
		events = c.Events
		return c, nil
	})
	if err == nil {
		m.resolveUnderOtherKeys(ctx, g, events)
	}
	return Outcome{Group: g, Events: events, Cut: m.countRejected(n, events)}, err
}

func (m *Manager) countRejected(n Notification, events []Event) (cut uint64) {
	for _, e := range events {
		if e.Kind == EventNotified {
			cut = e.Truncated - n.Truncated
		}
	}
	m.metrics.rejectedAlerts.Add(float64(cut))
	return cut
}

// admit makes room for a group that is new: one that ceased to fire goes.
// Several that come at once may exceed a limit by their number.
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
		case errors.Is(err, ErrGroupNotFound), g != nil: // it changed meanwhile
			m.groupChanged(Update{ID: oldest.ID, Group: g})
		case err != nil:
			return err
		default:
			m.metrics.evictedGroups.Inc()
		}
	}
}

// AddAlertToGroup applies word of one alert to a group, which is made if it
// does not exist. It says nothing of the group's other alerts.
func (m *Manager) AddAlertToGroup(ctx context.Context, key Key, a NotifiedAlert) (*AlertGroup, error) {
	if err := m.startOperation(ctx, "add_alert"); err != nil {
		return nil, err
	}
	if err := m.admit(ctx, key); err != nil {
		return nil, err
	}
	stamp := m.clock.Stamp()
	return m.write(ctx, key.ID(), func(base *AlertGroup) (c Change, err error) {
		c.Stamp = stamp
		c.Group, c.Events = applyAlert(base, key, a, stamp, m.rules())
		if c.Group.Alert(a.Fingerprint) == nil {
			return c, &FullError{What: "alerts", Limit: m.opts.MaxAlerts}
		}
		return c, nil
	})
}

// RemoveAlertFromGroup removes an alert; the last one takes the group and its
// timer along.
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

// remove is the change that removes alerts from a group, or the group with its
// last alert.
func (m *Manager) planRemoval(g *AlertGroup, fps []Fingerprint) Change {
	c := Change{Stamp: deletionStamp(g, m.clock.Stamp())}
	if c.Group, c.Events = removeAlerts(g, fps, c.Stamp); len(c.Group.Alerts) == 0 {
		c.Group = nil
	}
	return c
}

// GetGroup returns a group, or a *GroupNotFoundError.
func (m *Manager) GetGroup(ctx context.Context, id ID) (*AlertGroup, error) {
	if err := m.startOperation(ctx, "get"); err != nil {
		return nil, err
	}
	return m.storage.Load(ctx, id)
}

// ListGroups returns a page of the groups that the query selects. A query that
// cannot be answered gives an error that is ErrBadQuery.
func (m *Manager) ListGroups(ctx context.Context, q ListQuery) (GroupPage, error) {
	if err := m.startOperation(ctx, "list"); err != nil {
		return GroupPage{}, err
	}
	return m.index.page(q)
}

// AllGroups returns every group, in no order.
func (m *Manager) AllGroups(ctx context.Context) ([]*AlertGroup, error) {
	if err := m.startOperation(ctx, "all"); err != nil {
		return nil, err
	}
	return m.index.all(), nil
}

// GetGroupByFingerprint returns the groups that hold the alert, by ID, or a
// *GroupNotFoundError.
func (m *Manager) GetGroupByFingerprint(ctx context.Context, fp Fingerprint) ([]*AlertGroup, error) {
	if err := m.startOperation(ctx, "get_by_fingerprint"); err != nil {
		return nil, err
	}
	var groups []*AlertGroup
	for _, id := range m.index.lookup(fp) {
		g, err := m.storage.Load(ctx, id)
		switch {
		case errors.Is(err, ErrGroupNotFound):
		case err != nil:
			return nil, err
		case g.Alert(fp) != nil:
			groups = append(groups, g)
		}
	}
	if len(groups) == 0 {
		return nil, &GroupNotFoundError{Fingerprint: fp}
	}
	return groups, nil
}

// Events returns a page of the history, newest first.
func (m *Manager) Events(ctx context.Context, q EventQuery) (EventPage, error) {
	if err := m.startOperation(ctx, "events"); err != nil {
		return EventPage{}, err
	}
	if err := q.validate(); err != nil {
		return EventPage{}, err
	}
	return m.storage.Events(ctx, q)
}

// RestoreGroups makes the manager know the groups that are stored, resumes
// their timers and returns their number.
func (m *Manager) RestoreGroups(ctx context.Context) (int, error) {
	if err := m.startOperation(ctx, "restore"); err != nil {
		return 0, err
	}
	n := 0
	for g, err := range m.storage.LoadAll(ctx) {
		if damaged, ok := errors.AsType[*DamagedGroupError](err); ok {
			// It must not hide the others.
			m.logger.Warn("A stored group cannot be read and is left out", "group", damaged.ID, "err", err)
			continue
		}
		if err != nil {
			return n, err
		}
		m.clock.restore(g.Stamp)
		m.groupChanged(Update{ID: g.ID, Group: g})
		n++
	}
	// What was removed is newest in the history alone.
	newest, err := m.storage.Events(ctx, EventQuery{Limit: 1})
	if err != nil {
		return n, err
	}
	for i := range newest.Events {
		m.clock.restore(newest.Events[i].Stamp())
	}
	return n, nil
}

func (m *Manager) rules() rules {
	return rules{settle: m.opts.Settle, groupWait: m.opts.Wait, maxAlerts: m.opts.MaxAlerts, heartbeats: m.opts.Heartbeats}
}

func (m *Manager) startOperation(ctx context.Context, operation string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	m.metrics.operations.WithLabelValues(operation).Inc()
	return nil
}

// maxAttempts is how often a write is tried against a storage that others write
// to. Writers of one process queue, so only replicas can collide, and with full
// jitter sixteen of them in a row do not happen by chance.
const maxAttempts = 16

// errNoChange is a plan's answer that nothing is to be written.
var errNoChange = errors.New("no change")

// write loads the group, plans a change of it (base is nil, or a tombstone,
// where there is no group) and stores it against what was loaded. Where that
// changed meanwhile it joins both and plans again: no update is lost. It
// returns the group as stored, nil if the change deletes it.
func (m *Manager) write(ctx context.Context, id ID, plan func(base *AlertGroup) (Change, error)) (*AlertGroup, error) {
	unlock, err := m.queues.lock(ctx, id)
	if err != nil {
		return nil, err
	}
	defer unlock()

	base, err := m.storage.Load(ctx, id)
	if err != nil && !errors.Is(err, ErrGroupNotFound) {
		return nil, err
	}
	for try := 1; ; try++ {
		m.clock.ObserveGroup(base)
		c, err := plan(base)
		if err != nil {
			if errors.Is(err, errNoChange) {
				return base, nil
			}
			return nil, err
		}
		c.Base, c.Deferred = base, try > maxAttempts
		var stored *AlertGroup
		if c.Group == nil {
			err = m.storage.Delete(ctx, c)
		} else {
			c.Group = c.Group.PruneRemovals()
			stored, err = m.storage.Store(ctx, c)
		}
		if err == nil {
			m.groupChanged(Update{ID: id, Group: stored, Events: c.Events})
			return stored, nil
		}
		var mismatch *VersionMismatchError
		if !errors.As(err, &mismatch) || c.Deferred {
			return nil, err
		}
		m.metrics.conflicts.Inc()
		base = Merge(base, mismatch.Stored)
		if err := backOff(ctx, try); err != nil {
			return nil, err
		}
	}
}

// pause waits before another try: a random part of a time that doubles.
func backOff(ctx context.Context, try int) error {
	const first, most = time.Millisecond, 50 * time.Millisecond
	t := time.NewTimer(rand.N(min(first<<min(try, 10), most))) //nolint:gosec // G404: jitter, no secret
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// changed takes note of a change: in the index, in the timers and for whoever
// watches.
func (m *Manager) groupChanged(u Update) {
	if u.Group != nil && u.Group.IsTombstone() {
		u.Group = nil
	}
	u.Before, u.Group = m.index.update(u.ID, u.Group)
	if u.Group == nil {
		m.deadlines.remove(u.ID)
	} else {
		m.deadlines.set(u.ID, m.nextFlush(u.Group))
	}
	m.watch(u)
}
