package grouping

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"time"
)

// The reads of the state are answered from the index. They read no storage, so they
// work while the storage fails. Only the history is read from the storage.

// Get returns the group, or a *GroupNotFoundError if it does not exist. The ID that a group had
// before its key was known leads to the group too.
func (m *Manager) Get(ctx context.Context, id ID) (*AlertGroup, error) {
	if err := m.startOperation(ctx, "get"); err != nil {
		return nil, err
	}
	g := m.index.get(id)
	if g == nil {
		g = m.movedFromAPI(id)
	}
	if g == nil {
		return nil, &GroupNotFoundError{ID: id}
	}
	return g, nil
}

// List returns a page of the groups that the query selects. If the query is not valid,
// it returns an error that wraps ErrBadQuery.
func (m *Manager) List(ctx context.Context, q ListQuery) (GroupPage, error) {
	if err := m.startOperation(ctx, "list"); err != nil {
		return GroupPage{}, err
	}
	q.Now = m.clock.Now()
	return m.index.list(q)
}

// Selects reports whether the query selects any group.
func (m *Manager) Selects(ctx context.Context, q ListQuery) (bool, error) {
	if err := m.startOperation(ctx, "selects"); err != nil {
		return false, err
	}
	q.Now = m.clock.Now()
	return m.index.selects(q), nil
}

// LabelValues returns the values of a label that alerts have, in no particular order.
func (m *Manager) LabelValues(ctx context.Context, name string) ([]string, error) {
	if err := m.startOperation(ctx, "label_values"); err != nil {
		return nil, err
	}
	return m.index.valuesOf(name), nil
}

// All returns every group, in no particular order.
func (m *Manager) All(ctx context.Context) ([]*AlertGroup, error) {
	if err := m.startOperation(ctx, "all"); err != nil {
		return nil, err
	}
	return m.index.all(), nil
}

// ByFingerprint returns the groups that hold the alert, sorted by ID. If no group holds
// it, it returns a *GroupNotFoundError.
func (m *Manager) ByFingerprint(ctx context.Context, fp Fingerprint) ([]*AlertGroup, error) {
	if err := m.startOperation(ctx, "get_by_fingerprint"); err != nil {
		return nil, err
	}
	groups := m.index.withAlert(fp)
	if len(groups) == 0 {
		return nil, &GroupNotFoundError{Fingerprint: fp}
	}
	return groups, nil
}

// Find returns the groups of the receiver whose group labels equal l. A notification
// template knows these, but not the group key, so several groups can have them. The
// group that a notification most likely meant comes first: one that fires, then the one
// with the newest notification.
func (m *Manager) Find(ctx context.Context, receiver string, l Labels) ([]*AlertGroup, error) {
	if err := m.startOperation(ctx, "find"); err != nil {
		return nil, err
	}
	groups := m.index.withLabels(receiver, l)
	fires := func(g *AlertGroup) int { return min(g.Counts.Firing, 1) }
	slices.SortFunc(groups, func(a, b *AlertGroup) int {
		return cmp.Or(cmp.Compare(fires(b), fires(a)), b.LastNotifiedAt.Compare(a.LastNotifiedAt), cmp.Compare(a.ID, b.ID))
	})
	return groups, nil
}

// Totals returns the numbers of all groups and alerts. Between two changes it costs
// nothing.
func (m *Manager) Totals(ctx context.Context) (Totals, error) {
	if err := m.startOperation(ctx, "stats"); err != nil {
		return Totals{}, err
	}
	return *m.index.currentTotals(), nil
}

// Events returns a page of the history, newest first. If the query is not valid, it
// returns an error that wraps ErrBadQuery.
func (m *Manager) Events(ctx context.Context, q EventQuery) (EventPage, error) {
	if err := m.startOperation(ctx, "events"); err != nil {
		return EventPage{}, err
	}
	if err := q.validate(); err != nil {
		return EventPage{}, err
	}
	return m.storage.Events(ctx, q)
}

// StreamEvents streams the history from a time on, oldest first, as History describes.
func (m *Manager) StreamEvents(ctx context.Context, from time.Time) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		if err := m.startOperation(ctx, "stream_events"); err != nil {
			yield(Event{}, err)
			return
		}
		m.storage.StreamEvents(ctx, from)(yield)
	}
}

// Contents returns the contents of events by hash, as ContentLoader describes.
func (m *Manager) Contents(ctx context.Context, events []Event) (map[string]Content, error) {
	if err := m.startOperation(ctx, "contents"); err != nil {
		return nil, err
	}
	return m.storage.Contents(ctx, events)
}
