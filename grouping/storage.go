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

// GroupStorage stores alert groups and their history. It is the contract that every
// storage has as a whole. Whoever needs a part of it asks for one of its roles.
//
// Every implementation is safe for concurrent use. If the context of a call ended
// before the call, it neither reads nor writes. It returns immutable values, and may
// keep the values that it gets. A fault is a *StorageError. A *GroupNotFoundError and
// a *VersionMismatchError are answers, not faults.
type GroupStorage interface {
	GroupStore
	GroupLoader
	SourceStore
	History
	ContentLoader
	CheckpointStore
	Follower
	GroupKeys

	// StoreAll merges the groups with the stored ones, so no newer record is lost.
	StoreAll(ctx context.Context, groups []*AlertGroup) error

	// Ping returns an error if the storage cannot be used.
	Ping(ctx context.Context) error
}

// GroupStore reads and writes single groups.
type GroupStore interface {
	// Store writes the records that differ between change.Base and change.Group,
	// and the events. It writes all of them or nothing. It returns the group as
	// stored, including its counters.
	//
	// Store writes nothing and returns a *VersionMismatchError on a conflict: the
	// stored state of a record that differs is not that of change.Base, or
	// change.Base is nil and a group is stored. If the stored fields of the group
	// itself are newer, Store keeps them. If change.Exclusive is set, this is a
	// conflict too.
	//
	// Counters never decrease. They are at least those of change.Group, and
	// Notifications increases by change.Notified. If the write was already
	// applied but its answer was lost, Store succeeds and does not apply it again.
	Store(ctx context.Context, change Change) (*AlertGroup, error)

	// Load returns the group, or a *GroupNotFoundError if it is not stored.
	Load(ctx context.Context, id ID) (*AlertGroup, error)

	// Delete deletes the group if its stored state is that of change.Base. Otherwise
	// it deletes nothing and returns a *VersionMismatchError. A tombstone with
	// change.Stamp remains for a while. Delete does not use change.Group. If the
	// group is not stored, Delete succeeds.
	Delete(ctx context.Context, change Change) error
}

// SourceStore reads and writes the documents of sources, which are stored beside the
// groups. No method of another role returns them.
type SourceStore interface {
	// StoreSource writes the records that differ between change.Base and change.Source,
	// and the events, like GroupStore.Store. It returns the document as stored.
	StoreSource(ctx context.Context, change SourceChange) (*SourceDocument, error)

	// LoadSource returns the document of the source. If nothing is stored, it is empty.
	LoadSource(ctx context.Context, source string) (*SourceDocument, error)
}

// GroupLoader reads all groups.
type GroupLoader interface {
	// LoadAll streams all groups, in no particular order. For a group that cannot be
	// read it yields a *DamagedGroupError and continues. A fault ends the stream.
	LoadAll(ctx context.Context) iter.Seq2[*AlertGroup, error]
}

// GroupKeys reads which groups are stored.
type GroupKeys interface {
	// ListKeys returns the IDs of all groups, in no particular order.
	ListKeys(ctx context.Context) ([]ID, error)

	// Size returns the number of groups.
	Size(ctx context.Context) (int, error)
}

// History reads the events.
type History interface {
	// Events returns a page of the history, newest first.
	Events(ctx context.Context, q EventQuery) (EventPage, error)

	// StreamEvents streams the history from a time on, oldest first, and the changed
	// events, which Events does not return. It yields what
	// was stored when the stream began, without what a limit removes meanwhile. It
	// may also yield events that are written meanwhile, but none that is newer. It
	// reads a part at a time, and holds neither a lock nor a transaction while it
	// yields. A fault ends the stream.
	StreamEvents(ctx context.Context, from time.Time) iter.Seq2[Event, error]

	// HistorySince returns the time since which the history is whole: the later of the
	// retention and of what a limit removed. Changed events have a smaller limit, which does
	// not count.
	HistorySince(ctx context.Context) (time.Time, error)
}

// CheckpointStore keeps checkpoints. For a storage they are bytes under a name. It does not
// limit their number and size.
type CheckpointStore interface {
	// Checkpoints returns the stored checkpoints, the oldest first. A checkpoint is stored as a
	// whole or not at all.
	Checkpoints(ctx context.Context) ([]StoredCheckpoint, error)

	// LoadCheckpoint returns the bytes of a checkpoint, or nil if it is not stored as a whole.
	LoadCheckpoint(ctx context.Context, name Stamp) ([]byte, error)

	// StoreCheckpoint stores a checkpoint, which must not be empty.
	StoreCheckpoint(ctx context.Context, name Stamp, data []byte) error

	// DeleteCheckpoint deletes a checkpoint. If it is not stored, DeleteCheckpoint succeeds.
	DeleteCheckpoint(ctx context.Context, name Stamp) error
}

// StoredCheckpoint is a checkpoint in a storage. Its name is the stamp at which it was taken.
type StoredCheckpoint struct {
	Name Stamp
	Size int // in bytes
}

// ContentLoader reads what alerts said when their events happened.
type ContentLoader interface {
	// Contents returns the contents of the events, by hash. A content that is not
	// stored, or cannot be read, is missing in the map. A content is kept as long as an
	// event of the history has it.
	Contents(ctx context.Context, events []Event) (map[string]Content, error)
}

// Follower reports the changes that other processes make.
type Follower interface {
	// Follow makes the storage call fn after each change that was not made by its
	// own Store or Delete. group is nil if the group was deleted. before is the state
	// from which group was made, or nil. Call Follow at most once, before the storage is
	// used. fn must not block or call the storage.
	//
	// If Follow returns true, the storage also calls fn for each stored group that it reads.
	// Then nobody needs to load all groups.
	Follow(fn func(id ID, before, group *AlertGroup)) (passesStored bool)

	// FollowSources is Follow for the documents of sources. They are never deleted.
	FollowSources(fn func(source *SourceDocument))
}

// NoFollow is a Follower that never calls. A storage embeds it if only its own
// methods change its groups.
type NoFollow struct{}

// Follow implements Follower.
func (NoFollow) Follow(func(ID, *AlertGroup, *AlertGroup)) (passesStored bool) { return false }

// FollowSources implements Follower.
func (NoFollow) FollowSources(func(*SourceDocument)) {}

// Change is one write to one group.
type Change struct {
	// Group is the new state of the group, or nil to delete it. Base is the state
	// that the writer started from, or nil if there was no group.
	Group, Base *AlertGroup
	// Stamp is the stamp of the write. No event of the write has a greater one.
	Stamp Stamp
	// Events are added to the history together with the write. They are sorted by ID. A
	// change that joins several writes has events with the stamp of each.
	Events []Event
	// Changed holds the changed events of the write. A storage keeps them apart, so that
	// they do not displace other events.
	Changed []Event
	// Contents holds the contents of all these events, each one once.
	Contents ContentTexts
	// Notified is the number of notifications that the write applies. The group's
	// Notifications counter increases by it.
	Notified int
	// Exclusive requires that the stored fields of the group itself are those of
	// Base. So if several replicas make the same change, only one of them writes.
	Exclusive bool
	// Deferred is true if the writer stops trying compare-and-set for now. A storage
	// with a working copy and a backend then keeps the change in its copy and merges
	// it with the backend later. Other storages ignore Deferred.
	Deferred bool
}

// ID returns the ID of the group that the change is about.
func (c *Change) ID() ID {
	if c.Group != nil {
		return c.Group.ID
	}
	return c.Base.ID
}

// Write returns the change as a storage gets it.
func (c *Change) Write() Write {
	w := Write{
		Stamp: c.Stamp, Events: c.Events, Changed: c.Changed, Contents: c.Contents,
		Notified: c.Notified, Exclusive: c.Exclusive, Deferred: c.Deferred,
	}
	// A nil group must become a nil Document.
	if c.Group != nil {
		w.Next = c.Group
	}
	if c.Base != nil {
		w.Base = c.Base
	}
	return w
}

// EventQuery selects events of the history. The zero value selects all.
type EventQuery struct {
	Group        ID          // only this group's events
	Fingerprint  Fingerprint // only this alert's events
	Since, Until time.Time   // Since is inclusive, Until is exclusive; zero: no limit
	Kinds        []EventKind // empty: all
	Receiver     string      // "": all
	Source       string      // "": all
	Matchers     labels.Matchers
	// Words selects the events that contain every word, ignoring case. A word may be
	// part of a label name, a label value, the receiver or the source.
	Words  []string
	Cursor string // EventPage.Next of the previous page; "": the first page
	Limit  int    // 0: DefaultLimit
	// MaxRead limits the work of a query with a Group: it is the approximate number of
	// events of the group that are read before the page ends. Such a page may have fewer
	// events than the limit. 0: no limit.
	MaxRead int
}

// EventPage is a page of the history. Next is the cursor of the next page, or empty on
// the last page. It begins with the stamp of a write: the page has all selected events
// after this write.
type EventPage struct {
	Events []Event
	Next   string
	// CopySince is set if a copy with the newest events answered in place of the whole
	// history: the time of its oldest event, or of the answer if it has no event.
	CopySince time.Time
}

// The default and the maximum number of entries on a page.
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

// Matches reports whether the query selects the event. It ignores the cursor and the
// limit.
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
	missing := func(word string) bool { return !e.mentions(strings.ToLower(word)) }
	return AllMatch(q.Matchers, e.Labels) && !slices.ContainsFunc(q.Words, missing)
}

func (e *Event) mentions(word string) bool {
	return strings.Contains(strings.ToLower(e.Receiver), word) || strings.Contains(strings.ToLower(e.Source), word) ||
		labelsMention(e.Labels, word) || e.People != nil && e.People.mentions(word)
}

// AllMatch reports whether all matchers match. A missing label counts as empty.
func AllMatch(ms labels.Matchers, l Labels) bool {
	for _, m := range ms {
		if !m.Matches(l.Get(m.Name)) {
			return false
		}
	}
	return true
}

// CompleteSince returns the time from which on the page has all selected events, or zero if
// it has all of them.
func (p *EventPage) CompleteSince() time.Time {
	if p.Next == "" {
		return p.CopySince
	}
	return latest(Stamp(p.Next[:min(StampLen, len(p.Next))]).Time(), p.CopySince)
}

// StorageStatus is the status of a storage.
type StorageStatus struct {
	Mode          string // "memory", "redis", "file"
	Healthy       bool
	Reason        string    // why it is not healthy: one of a fixed set of words
	DegradedSince time.Time // zero while healthy
	DirtyGroups   int       // number of groups with changes that are not yet in the durable backend
	Partial       bool      // true until the first merge with the durable backend since the start
	Restored      int       // number of groups found in the durable backend at start
	Replicas      int       // number of other processes that recently wrote to the durable backend
	RecoveredAt   time.Time // time of the last recovery; zero: it never failed
	WrittenBack   int       // number of groups written to the durable backend at the last recovery
	Problems      []string  // problems with the durable backend, as sentences: its configuration, damaged documents
}
