package durable

import (
	"context"
	"time"

	"muster/grouping"
)

// Backend is a storage that keeps its data when the process ends. Other replicas may
// write to the same backend. storage.Tiered joins one Backend with its working copy
// in memory.
//
// All methods are safe for concurrent use. When a write returns without an error,
// the backend has acknowledged it. A failure of the backend is a
// *grouping.StorageError. If the context was cancelled, the methods return the cause
// of the cancellation.
type Backend interface {
	grouping.GroupStorage

	// Write makes one write to one document, as GroupStore.Store, GroupStore.Delete and
	// SourceStore.StoreSource describe. It returns the document as stored, or nil if the
	// write deletes it.
	Write(ctx context.Context, w grouping.Write) (grouping.Document, error)

	// Name returns the name of the backend in metrics and on the status page, for
	// example "redis".
	Name() string

	// HasLog reports whether the backend has a log of all writes. Each process then
	// also reads its own writes from the log. A backend that only one process can
	// write needs no log.
	HasLog() bool

	// Position returns the current position of the log of each shard. FollowLog
	// continues from there. Position creates the epoch of a shard that has no
	// epoch. So it fails if writes fail.
	Position(ctx context.Context) ([]Position, error)

	// Index calls fn with the token of the last write of every stored document, for some
	// documents at a time. It may call fn twice for a document. It reads nothing and holds
	// no lock while fn runs, so fn may read the documents, and takes over the map.
	Index(ctx context.Context, fn func(tokens map[grouping.ID]string)) error

	// LoadMany returns the documents that are stored under the IDs, including
	// tombstones. An ID that is not stored is missing in the map. A document that
	// cannot be read is also missing in the map and is listed in damaged.
	LoadMany(ctx context.Context, ids []grouping.ID) (
		documents map[grouping.ID]grouping.Document, damaged []*grouping.DamagedGroupError, err error,
	)

	// LoadWritten returns a part of each document: its head, its counters and the named
	// records. A document that has no head, or cannot be read, is missing. It also returns
	// what LoadEvents returns, without the contents of events that the caller knows.
	LoadWritten(
		ctx context.Context, names map[grouping.ID][]string, entries []LogEntry, known func(*grouping.Event) bool,
	) (Written, error)

	// FollowLog calls fn with the log entries after the positions, in order for each
	// shard. It may wait for more entries, but much less than a second: a reader that is
	// far behind counts as broken. It returns nil when the context ends, and an error if the backend
	// fails. The log is only a hint: the caller must compare sequence numbers and
	// epochs to detect missed entries.
	FollowLog(ctx context.Context, from []Position, fn func(shard int, entries []LogEntry)) error

	// CheckLineage reports whether the logs still contain the entries at the
	// positions. If they do not, the backend may have lost acknowledged writes.
	// Sequence numbers alone cannot show that, because new writes may have used the
	// same numbers again.
	CheckLineage(ctx context.Context, seen []Position) (Lineage, error)

	// LoadEvents returns the history events of the writes in the log entries, and
	// their contents.
	LoadEvents(ctx context.Context, entries []LogEntry) ([]grouping.Event, grouping.ContentTexts, error)

	// MissingEvents returns those of the given events that the history should
	// contain but does not, or whose content is missing. Events that a limit or the
	// retention removed are not missing.
	MissingEvents(ctx context.Context, events []grouping.Event) ([]grouping.Event, error)

	// FindLosses returns what the backend has lost without an outage: the given
	// documents, their timelines, or a part of the history. For example, an eviction
	// policy of Redis deletes single keys.
	FindLosses(ctx context.Context, ids []grouping.ID) (Losses, error)

	// PushEvents adds events and their contents to the history. Events that are
	// already stored do not change.
	PushEvents(ctx context.Context, events []grouping.Event, contents grouping.ContentTexts) error

	// Check returns what is wrong with the configuration of the backend, one
	// sentence for each problem. The operator must change it. An error means that
	// the configuration could not be checked.
	Check(ctx context.Context) (problems []string, err error)

	// Now returns the time of the backend, a clock that all replicas share. The
	// zero time means that the backend has no clock of its own.
	Now(ctx context.Context) (time.Time, error)

	// Close releases the backend. No other method may be called afterwards.
	Close() error
}

// Written is what some writes have written.
type Written struct {
	Documents map[grouping.ID]grouping.Document
	Events    []grouping.Event
	Contents  grouping.ContentTexts
}

// Position is a position in the log of one shard.
type Position struct {
	Epoch    string // random, written once; another epoch means that data was lost
	Seq      int64  // grows by one with each write
	StreamID string // of the last entry
	Token    string // identifies the write of the last entry; "" means not known
}

// Lineage says whether the log entries that were read before are still in the log.
type Lineage string

// LineageHeld: the entries are still there. LineageLost: other entries took their
// place, so acknowledged writes were lost. LineageUnknown: the log was trimmed or
// deleted beyond the entries, so it is not known whether writes were lost.
const (
	LineageHeld    Lineage = "held"
	LineageUnknown Lineage = "unknown"
	LineageLost    Lineage = "lost"
)

// Losses lists the data that a backend has lost.
type Losses struct {
	Documents []grouping.ID // documents that are not stored
	Timelines []grouping.ID // groups that are stored without their history
	History   bool          // whether any events may be lost
}

// LogEntry says that a document was written.
type LogEntry struct {
	Position // its Token is the stamp of the write
	ID       grouping.ID
	Writer   string
	Previous string // token of the previous entry; "" means not known

	// Version is the version that the write made, if it directly followed the version
	// before. Then Records are the names of the records that differ, except for the
	// head. 0 means that the whole document may differ.
	Version int64
	Records []string
	// Stamps are the stamps of its events besides the token.
	Stamps []string
	// NoChanged says that the write has no changed events.
	NoChanged bool
}
