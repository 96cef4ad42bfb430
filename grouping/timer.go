package grouping

import (
	"container/heap"
	"context"
	"errors"
	"sync"
	"time"
)

// Run flushes groups when they are due, until the context ends. It returns nil. One
// goroutine and one queue of deadlines serve all groups.
func (m *Manager) Run(ctx context.Context) error {
	for {
		id, wait := m.deadlines.next(m.clock.Now())
		if id != "" {
			m.flush(ctx, id)
			continue
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-m.deadlines.wake:
			t.Stop()
		case <-t.C:
		}
	}
}

// flush flushes a due group and sets its next deadline.
func (m *Manager) flush(ctx context.Context, id ID) {
	if id.IsSource() {
		if err := m.expireSilences(ctx, id); err != nil && ctx.Err() == nil {
			m.logger.Warn("Failed to record the end of a silence, will retry", "err", err)
			m.deadlines.set(id, m.clock.Now().Add(flushRetry))
		}
		return
	}
	g, err := m.UpdateGroupState(ctx, id)
	switch {
	case errors.Is(err, ErrGroupNotFound) || err == nil && g == nil:
		m.groupChanged(Update{ID: id})
	case ctx.Err() != nil:
	case err != nil:
		m.logger.Warn("Failed to flush a group, will retry", "group", id, "err", err)
		m.deadlines.set(id, m.clock.Now().Add(min(m.opts.Interval, flushRetry)))
	default:
		m.deadlines.set(id, m.nextFlush(g))
	}
	if g := m.index.outdated(id); g != nil {
		// Every replica notices itself that an acknowledgement ran out, so nothing is written.
		m.groupChanged(Update{ID: id, Before: g, Group: g})
	}
}

// flushRetry is the delay before a failed flush is retried. It is short enough to
// correct a group's state soon, and long enough not to overload a failing storage.
const flushRetry = 10 * time.Second

// nextFlush returns when the group is due. If its stored deadline has passed, that is
// the next multiple of the interval after the deadline. So replicas agree on the time
// without a write at each interval.
//
// An observed end that is not final, and the end of an acknowledgement, can be due before.
func (m *Manager) nextFlush(g *AlertGroup) time.Time {
	next := m.nextRegularFlush(g)
	if len(g.Acks) > 0 {
		if a := g.Ack(m.clock.Now()); a != nil && !a.Until.IsZero() {
			next = earliest(next, a.Until)
		}
	}
	if s := m.observed.known(g.Source); s != nil {
		if end := s.nextEnd(g.ID); !end.IsZero() && end.Before(next) {
			return end
		}
	}
	return next
}

func (m *Manager) nextRegularFlush(g *AlertGroup) time.Time {
	now := m.clock.Now()
	if g.Settling || g.FlushAt.After(now) {
		return g.FlushAt
	}
	passed := now.Sub(g.FlushAt) / m.opts.Interval
	if next := g.FlushAt.Add((passed + 1) * m.opts.Interval); next.After(now) {
		return next
	}
	return now.Add(m.opts.Interval) // more than 292 years passed: the record has no such time
}

// maxFlushChanges is the number of kinds of changes that planFlush makes, each in a write of
// its own.
const maxFlushChanges = 5

// UpdateGroupState makes the changes of a group that are due: its first flush ends, it
// becomes stale, or alerts exceed their retention. The group is deleted with its last
// alert. UpdateGroupState returns the group, or nil if it was deleted. If several
// replicas call it at once, only one stores the change. If nothing changes, nothing is
// stored.
func (m *Manager) UpdateGroupState(ctx context.Context, id ID) (g *AlertGroup, err error) {
	if err := m.startOperation(ctx, "update_state"); err != nil {
		return nil, err
	}
	for range maxFlushChanges {
		flushed := false
		if g, flushed, err = m.flushOnce(ctx, id); err != nil || !flushed || g == nil {
			break
		}
	}
	return g, err
}

// flushOnce makes the first change of a group that is due. It returns false if there is none.
func (m *Manager) flushOnce(ctx context.Context, id ID) (g *AlertGroup, flushed bool, err error) {
	g, err = m.write(ctx, id, func(base *AlertGroup) (Change, error) {
		if base == nil || base.IsTombstone() {
			return Change{}, &GroupNotFoundError{ID: id}
		}
		c, ok := m.planFlush(base)
		if flushed = ok; !ok {
			return c, errNoChange
		}
		c.Exclusive = true
		return c, nil
	})
	if err == nil && flushed {
		m.metrics.flushes.Inc()
	}
	return g, flushed, err
}

// planFlush returns the change that a flush makes. It returns false if there is nothing
// to change.
func (m *Manager) planFlush(g *AlertGroup) (Change, bool) {
	now := m.clock.Now()
	expired := expiredAlerts(g, now, m.opts.Retention)
	switch {
	case len(expired) == len(g.Alerts) && (g.Truncated == 0 || now.Sub(g.LastNotifiedAt) > m.opts.Retention):
		return m.planRemoval(g, expired), true
	case len(expired) > 0 && len(expired) < len(g.Alerts):
		return m.planRemoval(g, expired), true
	}
	if c, ok := m.planResolutions(g, g.Alerts); ok {
		return c, true
	}
	if c, ok := m.planObserved(g, now); ok {
		return c, true
	}
	tr := newTransition(g, g.Key, m.clock.Stamp())
	switch {
	case g.Settling && !now.Before(g.FlushAt):
		tr.meta.Settling, tr.meta.FlushAt = false, tr.at.Add(m.opts.Interval)
	case g.Counts.Firing > 0 && !g.Stale && now.Sub(latest(g.LastNotifiedAt, g.CreatedAt)) > m.opts.StaleAfter:
		tr.meta.Stale = true
		tr.log.addForGroup(EventStale, g.GroupLabels)
	default:
		return Change{}, false
	}
	return tr.finish(), true
}

// planObserved returns the change that is due because of what was observed before: ends that
// nobody took back, and mutes that are over. It returns false if there is nothing to change.
func (m *Manager) planObserved(g *AlertGroup, now time.Time) (c Change, changes bool) {
	s := m.observed.known(g.Source)
	due := g.mutesToEnd(m.sources.get(g.Source), now)
	if s != nil {
		due = append(due, s.dueEnds(g.ID, now)...)
		due = append(due, s.staleMutes(g, now, m.started, m.opts.Interval)...)
	}
	if len(due) > 0 {
		c, changes = observe(g, g.Key, due, m.clock.Stamp(), m.rules(), nil)
	}
	if !changes && s != nil {
		s.dropDueEnds(g.ID, now)
	}
	return c, changes
}

// expiredAlerts returns the alerts that stopped firing before the retention. An alert without a
// reported end fired at least until the last thing that muted it ended.
func expiredAlerts(g *AlertGroup, now time.Time, retention time.Duration) []Fingerprint {
	before := now.Add(-retention)
	var fps []Fingerprint
	for _, a := range g.Alerts {
		if a.Status == StatusFiring || a.ShownStatus() == StatusSuppressed || !a.ChangedAt.Before(before) {
			continue
		}
		if m, ok := a.LastMute(); ok && a.Status == StatusUnreported && !m.Ended.Before(before) && m.Ended.Sub(now) <= maxClockDifference {
			continue
		}
		fps = append(fps, a.Fingerprint)
	}
	return fps
}

// CleanupExpiredGroups updates every group now and returns how many groups it deleted
// because they exceeded their retention. Run does the same for each group when it is
// due.
func (m *Manager) CleanupExpiredGroups(ctx context.Context) (int, error) {
	if err := m.startOperation(ctx, "cleanup"); err != nil {
		return 0, err
	}
	n := 0
	for _, indexed := range m.index.all() {
		g, err := m.UpdateGroupState(ctx, indexed.ID)
		switch {
		case errors.Is(err, ErrGroupNotFound):
		case err != nil:
			return n, err
		case g == nil:
			n++
		}
	}
	return n, nil
}

// deadlines is a priority queue of the times at which groups are due. It is safe for
// concurrent use.
type deadlines struct {
	// wake receives a value if the first deadline changed.
	wake chan struct{}

	mu     sync.Mutex
	queue  deadlineHeap     // guarded by mu
	groups map[ID]*deadline // guarded by mu
}

type deadline struct {
	id  ID
	at  time.Time
	pos int // index in the heap
}

func newDeadlines() deadlines {
	return deadlines{wake: make(chan struct{}, 1), groups: map[ID]*deadline{}}
}

// set makes the group due at the time, if it is not due before. Two goroutines can compute the
// next deadline of a group at once, and the last one to set it may not know what is due first.
// A flush that comes too early changes nothing, and sets the next deadline.
func (d *deadlines) set(id ID, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	item, ok := d.groups[id]
	switch {
	case !ok:
		item = &deadline{id: id, at: at}
		d.groups[id] = item
		heap.Push(&d.queue, item)
	case at.Before(item.at):
		item.at = at
		heap.Fix(&d.queue, item.pos)
	}
	if item.pos == 0 {
		select {
		case d.wake <- struct{}{}:
		default:
		}
	}
}

func (d *deadlines) remove(id ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if item, ok := d.groups[id]; ok {
		heap.Remove(&d.queue, item.pos)
		delete(d.groups, id)
	}
}

// next removes and returns a group that is due. If no group is due, it returns "" and
// the time until the first deadline.
func (d *deadlines) next(now time.Time) (ID, time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.queue) == 0 {
		return "", time.Hour // wake ends the wait
	}
	first := d.queue[0]
	if wait := first.at.Sub(now); wait > 0 {
		return "", wait
	}
	heap.Pop(&d.queue)
	delete(d.groups, first.id)
	return first.id, 0
}

type deadlineHeap []*deadline

func (h deadlineHeap) Len() int           { return len(h) }
func (h deadlineHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h deadlineHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].pos, h[j].pos = i, j
}

func (h *deadlineHeap) Push(x any) {
	item := x.(*deadline) //nolint:forcetypeassert // only set pushes
	item.pos = len(*h)
	*h = append(*h, item)
}

func (h *deadlineHeap) Pop() any {
	old := *h
	item := old[len(old)-1]
	*h = old[:len(old)-1]
	return item
}
