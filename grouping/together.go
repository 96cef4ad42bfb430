package grouping

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"
)

// Reports that wait for the same group are stored together. Each one is applied to the
// result of the one before, with its own stamp and in the order of arrival. Then one change
// stores them all, and each caller gets its own answer.

const (
	// maxTogether and maxEventsTogether limit the writes that are made together, and
	// their events. A write that exceeds the second limit alone is made alone.
	maxTogether, maxEventsTogether = 100, 1000
	// maxSpread is the maximum time between the stamps of writes that are made together.
	// A reader of the log looks for their events between these stamps.
	maxSpread = time.Second
)

// errAborted is the result of a write that was taken together with another one that
// panicked.
var errAborted = errors.New("a write of the same group failed")

// writeTogether is write for a report that may be stored together with others of the same
// group. If the context ends while it waits, it is not applied. Once its turn has come it
// is applied, whatever the context says: others depend on it.
func (m *Manager) writeTogether(
	ctx context.Context, id ID, stamp Stamp, plan func(base *AlertGroup) (Change, error),
) (*AlertGroup, error) {
	w := &queuedWrite{stamp: stamp, plan: plan, done: make(chan struct{})}
	group := m.queues.enter(id, w)
	defer m.queues.leave(id, group)
	select {
	case <-group.turn: // mostly nobody else writes
		m.writeWaiting(ctx, id, group, w)
	default:
	}
	for {
		select {
		case <-w.done:
			return w.group, w.err
		case <-ctx.Done():
			if m.queues.withdraw(group, w) {
				return nil, context.Cause(ctx)
			}
			<-w.done
			return w.group, w.err
		case <-group.turn:
			m.writeWaiting(ctx, id, group, w)
		}
	}
}

// writeWaiting makes the writes that wait for the group, and passes the turn on. If
// another writer made the caller's write meanwhile, it only passes the turn on.
func (m *Manager) writeWaiting(ctx context.Context, id ID, group *queue, own *queuedWrite) {
	defer func() { group.turn <- struct{}{} }()
	select {
	case <-own.done:
		return
	default:
	}
	b := &batch{fault: errAborted, take: func(acceptable func(*queuedWrite) bool) *queuedWrite {
		return m.queues.take(group, acceptable)
	}}
	defer b.answer()
	b.takeNext(&Change{}) // it gets the answer if the group cannot be loaded
	b.group, b.fault = m.tryWrite(context.WithoutCancel(ctx), id, b.plan)
}

// batch are writes that are made together.
type batch struct {
	take  func(acceptable func(*queuedWrite) bool) *queuedWrite
	taken []*queuedWrite

	group *AlertGroup // as stored
	fault error       // of all writes
}

// plan returns the change that makes all the writes. It plans those that are taken already,
// and then takes others.
func (b *batch) plan(base *AlertGroup) (Change, error) {
	var all Change
	group := base
	for i := 0; i < len(b.taken) || b.takeNext(&all); i++ {
		w := b.taken[i]
		c, err := w.plan(group)
		if w.err = err; err != nil {
			continue
		}
		c.Group = c.Group.PruneRemovals()
		group = c.Group
		if all.Group == nil {
			// The caller keeps its events, so others must not be added to their array.
			c.Events, c.Changed = slices.Clip(c.Events), slices.Clip(c.Changed)
			all = c
		} else {
			all.join(c)
		}
	}
	if all.Group == nil {
		return all, errNoChange
	}
	return all, nil
}

// takeNext takes the next waiting write, if the limits allow it.
func (b *batch) takeNext(all *Change) bool {
	if len(b.taken) == maxTogether || len(all.Events)+len(all.Changed) > maxEventsTogether {
		return false
	}
	w := b.take(func(w *queuedWrite) bool {
		return len(b.taken) == 0 || w.stamp.Time().Sub(b.taken[0].stamp.Time()).Abs() <= maxSpread/2
	})
	if w != nil {
		b.taken = append(b.taken, w)
	}
	return w != nil
}

// answer gives each caller its result.
func (b *batch) answer() {
	for _, w := range b.taken {
		if w.err == nil || errors.Is(w.err, errNoChange) {
			w.group, w.err = b.group, b.fault
		}
		close(w.done)
	}
}

// join adds a change that was made to the result of c.
func (c *Change) join(next Change) {
	c.Group = next.Group
	c.Stamp = max(c.Stamp, next.Stamp)
	c.Notified += next.Notified
	c.Events, c.Changed = joinEvents(c.Events, next.Events), joinEvents(c.Changed, next.Changed)
	if len(next.Contents) > 0 {
		if c.Contents == nil {
			c.Contents = make(ContentTexts, len(next.Contents))
		}
		maps.Copy(c.Contents, next.Contents)
	}
}

// joinEvents adds events to others, sorted by ID. Later events mostly have greater IDs.
func joinEvents(events, next []Event) []Event {
	sorted := len(events) == 0 || len(next) == 0 || events[len(events)-1].ID < next[0].ID
	if events = append(events, next...); !sorted {
		slices.SortFunc(events, func(a, b Event) int { return cmp.Compare(a.ID, b.ID) })
	}
	return events
}
