package grouping

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/alertmanager/pkg/labels"
)

// GroupStorage keeps alert groups and their history. Every implementation is
// safe for concurrent use, honours a cancelled context before it touches
// anything, returns immutable values and keeps those it is given. Faults come
// as *StorageError; "not found" and "changed meanwhile" are answers.
type GroupStorage interface {
	// Store writes what differs between change.Base and change.Group, with the
	// events, all or nothing, and returns the group as stored, its counters
	// included. Where an alert that differs is not stored as change.Base has it,
	// or a group is stored and change.Base is nil, it writes nothing and returns
	// a *VersionMismatchError. The group's own fields are kept if the stored
	// ones are newer, unless change.Exclusive. Counters never go back: they are
	// at least those of change.Group, and grow by one where change.Notified.
	// A write that was already applied (its answer was lost) is reported as
	// done and not applied again.
	Store(ctx context.Context, change Change) (*AlertGroup, error)

	// Load returns a group, or a *GroupNotFoundError.
	Load(ctx context.Context, id ID) (*AlertGroup, error)

	// Delete removes a group that is stored as change.Base has it; otherwise it
	// removes nothing and returns a *VersionMismatchError. It leaves a
	// tombstone with change.Stamp for a while. change.Group is not used. A
	// group that is not stored is deleted already.
	Delete(ctx context.Context, change Change) error

	// ListKeys returns the IDs of all groups, in no order.
	ListKeys(ctx context.Context) ([]ID, error)

	// Size returns the number of groups.
	Size(ctx context.Context) (int, error)

	// LoadAll streams all groups, in no order. A group that cannot be read
	// yields its error and the stream goes on; a fault ends it.
	LoadAll(ctx context.Context) iter.Seq2[*AlertGroup, error]

	// StoreAll merges the groups into what is stored: nothing newer is lost.
	StoreAll(ctx context.Context, groups []*AlertGroup) error

	// Ping reports whether the storage can be used.
	Ping(ctx context.Context) error

	// Events returns a page of the history, newest first.
	Events(ctx context.Context, q EventQuery) (EventPage, error)
}

// Follower is a GroupStorage whose groups also change by the hand of others.
type Follower interface {
	// Follow makes the storage call fn after each change that it did not get
	// through Store or Delete; group is nil when it is gone. It is called once,
	// before the storage is used. fn must not block or call the storage.
	Follow(fn func(id ID, group *AlertGroup))
}

// Change is one write to one group.
type Change struct {
	// Group is what the group shall be, Base what the writer started from: nil
	// if there was no group.
	Group, Base *AlertGroup
	// Stamp is that of the write.
	Stamp Stamp
	// Events go into the history with the write.
	Events []Event
	// Notified says that the write applies a notification: the group's
	// Notifications counter grows by one.
	Notified bool
	// Exclusive demands that the group's own fields are stored as Base has
	// them, so that of several replicas one writes.
	Exclusive bool
	// Deferred says that the writer has given up on compare-and-set for now: a
	// storage that joins a working copy with a backend keeps the change in the
	// copy and joins it with the backend later. Others take no notice.
	Deferred bool
}

// ID returns the ID of the group that the change is about.
func (c *Change) ID() ID {
	if c.Group != nil {
		return c.Group.ID
	}
	return c.Base.ID
}

// Delta calls fn for every alert that differs between Base and Group: before
// is nil for a new alert, after for a removed one. It walks both sorted lists
// once and compares pointers, so what did not change costs next to nothing.
func (c *Change) Delta(fn func(before, after *Alert)) {
	var before, after []*Alert
	if c.Base != nil {
		before = c.Base.Alerts
	}
	if c.Group != nil {
		after = c.Group.Alerts
	}
	walkAlertPairs(before, after, func(x, y *Alert) {
		if x == nil || y == nil || !x.Equal(y) {
			fn(x, y)
		}
	})
}

// EventQuery selects history.
type EventQuery struct {
	Group        ID          // only this group's events
	Fingerprint  Fingerprint // only this alert's events
	Since, Until time.Time   // Since inclusive, Until exclusive; zero: open
	Kinds        []EventKind // none: all
	Receiver     string      // "": all
	Source       string      // "": all
	Matchers     labels.Matchers
	// Words select the events in which each of them occurs, in any case: in a
	// label name, a label value, the receiver or the source.
	Words  []string
	Cursor string // Next of the page before
	Limit  int    // 0: DefaultLimit
}

// EventPage is a page of history. Next is empty on the last page.
type EventPage struct {
	Events []Event
	Next   string
}

// Page sizes.
const (
	DefaultLimit = 100
	MaxLimit     = 1000
)

func (q *EventQuery) validate() error {
	for _, k := range q.Kinds {
		if !slices.Contains(EventKinds(), k) {
			return fmt.Errorf("%w: kind: %q is not one of %v", ErrBadQuery, k, EventKinds())
		}
	}
	return validateLimit(q.Limit)
}

func validateLimit(limit int) error {
	if limit < 0 || limit > MaxLimit {
		return fmt.Errorf("%w: limit: %d is not between 1 and %d", ErrBadQuery, limit, MaxLimit)
	}
	return nil
}

// Matches reports whether the event is one that the query asks for, wherever
// the cursor stands.
func (q *EventQuery) Matches(e *Event) bool {
	switch {
	case q.Group != "" && e.GroupID != q.Group,
		q.Receiver != "" && e.Receiver != q.Receiver,
		q.Source != "" && e.Source != q.Source,
		q.Fingerprint != "" && e.Fingerprint != q.Fingerprint,
		!q.Since.IsZero() && e.Time.Before(q.Since),
		!q.Until.IsZero() && !e.Time.Before(q.Until):
		return false
	}
	if len(q.Kinds) > 0 && !slices.Contains(q.Kinds, e.Kind) {
		return false
	}
	return matches(q.Matchers, e.Labels) && !slices.ContainsFunc(q.Words, func(word string) bool { return !e.mentions(strings.ToLower(word)) })
}

func (e *Event) mentions(word string) bool {
	return strings.Contains(strings.ToLower(e.Receiver), word) || strings.Contains(strings.ToLower(e.Source), word) || labelsMention(e.Labels, word)
}

// matches reports whether all matchers match; a missing label counts as empty.
func matches(ms labels.Matchers, l Labels) bool {
	for _, m := range ms {
		if !m.Matches(l[m.Name]) {
			return false
		}
	}
	return true
}

// StorageStatus is how a storage fares.
type StorageStatus struct {
	Mode          string // "memory", "redis", "file"
	Healthy       bool
	Reason        string    // why it is not healthy: one of a fixed set of words
	DegradedSince time.Time // zero while healthy
	DirtyGroups   int       // kept here, not yet in the durable backend
	Partial       bool      // not yet merged with the durable backend since start
	Restored      int       // groups found in the durable backend at start
	Replicas      int       // other processes that lately wrote to the durable backend
	RecoveredAt   time.Time // when it last came back; zero: it never failed
	WrittenBack   int       // groups brought to it then
	Problems      []string  // sentences: what is wrong with how the durable backend is set up
}
