package grouping

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/prometheus/alertmanager/pkg/labels"
)

// Book answers queries about a fixed set of groups, for example those of a past state. Its
// methods have the contracts of the methods of a Manager with the same names. It is
// immutable and safe for concurrent use.
type Book struct {
	groups     []*AlertGroup // sorted by ID
	heartbeats []labels.Matchers
	at         time.Time
}

// NewBook returns a book of the groups as they were at a time. The matchers select heartbeats.
func NewBook(groups []*AlertGroup, heartbeats []labels.Matchers, at time.Time) *Book {
	groups = slices.Clone(groups)
	slices.SortFunc(groups, func(a, b *AlertGroup) int { return cmp.Compare(a.ID, b.ID) })
	return &Book{groups: groups, heartbeats: heartbeats, at: at}
}

// Get returns the group, or a *GroupNotFoundError if it does not exist. The ID that a group had
// before its key was known leads to the group too.
func (b *Book) Get(_ context.Context, id ID) (*AlertGroup, error) {
	if i, found := slices.BinarySearchFunc(b.groups, id, func(g *AlertGroup, id ID) int { return cmp.Compare(g.ID, id) }); found {
		return b.groups[i], nil
	}
	for _, g := range b.groups {
		if apiKey(g.Source, g.Receiver, g.GroupLabels).ID() == id {
			return g, nil
		}
	}
	return nil, &GroupNotFoundError{ID: id}
}

// List returns a page of the groups that the query selects. If the query is not valid,
// it returns an error that wraps ErrBadQuery.
func (b *Book) List(_ context.Context, q ListQuery) (GroupPage, error) {
	q.Now = b.at
	return List(b.groups, q)
}

// Selects reports whether the query selects any group.
func (b *Book) Selects(_ context.Context, q ListQuery) (bool, error) {
	q.Now = b.at
	return slices.ContainsFunc(b.groups, q.Selection()), nil
}

// LabelValues returns the values of a label that alerts have, in no particular order.
func (b *Book) LabelValues(_ context.Context, name string) ([]string, error) {
	var values []string
	for _, g := range b.groups {
		for _, a := range g.Alerts {
			if value, ok := a.Labels.Lookup(name); ok {
				values = append(values, value)
			}
		}
	}
	slices.Sort(values)
	return slices.Compact(values), nil
}

// All returns every group, in no particular order. The caller must not change the list.
func (b *Book) All(context.Context) ([]*AlertGroup, error) { return b.groups, nil }

// ByFingerprint returns the groups that hold the alert, sorted by ID. If no group holds
// it, it returns a *GroupNotFoundError.
func (b *Book) ByFingerprint(_ context.Context, fp Fingerprint) ([]*AlertGroup, error) {
	var found []*AlertGroup
	for _, g := range b.groups {
		if g.Alert(fp) != nil {
			found = append(found, g)
		}
	}
	if len(found) == 0 {
		return nil, &GroupNotFoundError{Fingerprint: fp}
	}
	return found, nil
}

// Totals returns the numbers of all groups and alerts.
func (b *Book) Totals(context.Context) (Totals, error) {
	return TotalsOf(b.groups, b.heartbeats, b.at), nil
}

// SummarizeMutes counts the suppressed alerts of all groups. The query selects suppressed
// alerts.
func (b *Book) SummarizeMutes(_ context.Context, q ListQuery) (MuteSummary, error) {
	return SummarizeMutes(b.groups, q), nil
}

// Heartbeats returns every heartbeat with its state at the time of the book, the worst first.
func (b *Book) Heartbeats(context.Context) ([]Heartbeat, error) {
	var groups []*AlertGroup
	for _, g := range b.groups {
		if IsHeartbeatGroup(b.heartbeats, g) {
			groups = append(groups, g)
		}
	}
	return HeartbeatsOf(groups, time.Time{}, b.at), nil
}
