package storage

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"muster/grouping"
)

// Durable is a backend that keeps its data when the process ends. Other replicas
// may write to the same backend. Tiered joins one Durable with its working copy in
// memory.
//
// All methods are safe for concurrent use. When a write returns without an error,
// the backend has acknowledged it. A failure of the backend is a
// *grouping.StorageError. If the context was cancelled, the methods return the cause
// of the cancellation.
type Durable interface {
	grouping.GroupStorage

	// Name returns the name of the backend in metrics and on the status page, for
	// example "redis".
	Name() string

	// HasLog reports whether the backend has a log of all writes. Each process then
	// also reads its own writes from the log. A backend that only one process can
	// write needs no log.
	HasLog() bool

	// Position returns the current position of the log of each shard. Follow
	// continues from there. Position creates the epoch of a shard that has no
	// epoch. So it fails if writes fail.
	Position(ctx context.Context) ([]Position, error)

	// Index returns the token of the last write of every stored group.
	Index(ctx context.Context) (map[grouping.ID]string, error)

	// LoadMany returns the groups that are stored under the IDs, including
	// tombstones. An ID that is not stored is missing in the map. A group that
	// cannot be read is also missing in the map and is listed in damaged.
	LoadMany(ctx context.Context, ids []grouping.ID) (
		groups map[grouping.ID]*grouping.AlertGroup, damaged []*grouping.DamagedGroupError, err error,
	)

	// Follow calls fn with the log entries after the positions, in order for each
	// shard. It returns nil when the context ends, and an error if the backend
	// fails. The log is only a hint: the caller must compare sequence numbers and
	// epochs to detect missed entries.
	Follow(ctx context.Context, from []Position, fn func(shard int, entries []LogEntry)) error

	// CheckLineage reports whether the logs still contain the entries at the
	// positions. If they do not, the backend may have lost acknowledged writes.
	// Sequence numbers alone cannot show that, because new writes may have used the
	// same numbers again.
	CheckLineage(ctx context.Context, seen []Position) (Lineage, error)

	// LoadEvents returns the history events of the writes in the log entries.
	LoadEvents(ctx context.Context, entries []LogEntry) ([]grouping.Event, error)

	// MissingEvents returns those of the given events that the history should
	// contain but does not. Events that a limit or the retention removed are not
	// missing.
	MissingEvents(ctx context.Context, events []grouping.Event) ([]grouping.Event, error)

	// FindLosses returns what the backend has lost without an outage: the given
	// groups, their timelines, or a part of the history. For example, an eviction
	// policy of Redis deletes single keys.
	FindLosses(ctx context.Context, ids []grouping.ID) (Losses, error)

	// PushEvents adds events to the history. Events that are already stored do not
	// change.
	PushEvents(ctx context.Context, events []grouping.Event) error

	// Check returns what is wrong with the configuration of the backend, one
	// sentence for each problem. The operator must change it. An error means that
	// the configuration could not be checked.
	Check(ctx context.Context) (problems []string, err error)

	// Now returns the time of the backend, a clock that all replicas share. The
	// zero time means that the backend has no clock of its own.
	Now(ctx context.Context) (time.Time, error)
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
	Groups    []grouping.ID // groups that are not stored
	Timelines []grouping.ID // groups that are stored without their history
	History   bool          // whether events of any group may be lost
}

// LogEntry says that a group was written.
type LogEntry struct {
	Position // its Token is the stamp of the write
	ID       grouping.ID
	Writer   string
	Previous string // token of the previous entry; "" means not known
}

// The functions below implement methods of grouping.GroupStorage with methods of
// Durable. All backends share them.

// loadOne implements Load.
func loadOne(ctx context.Context, d Durable, id grouping.ID) (*grouping.AlertGroup, error) {
	groups, damaged, err := d.LoadMany(ctx, []grouping.ID{id})
	switch {
	case err != nil:
		return nil, err
	case len(damaged) > 0:
		return nil, damaged[0]
	case groups[id] == nil || groups[id].IsTombstone():
		return nil, &grouping.GroupNotFoundError{ID: id}
	}
	return groups[id], nil
}

// indexKeys implements ListKeys.
func indexKeys(ctx context.Context, d Durable) ([]grouping.ID, error) {
	index, err := d.Index(ctx)
	ids := make([]grouping.ID, 0, len(index))
	for id := range index {
		ids = append(ids, id)
	}
	return ids, err
}

// loadAll implements LoadAll.
func loadAll(ctx context.Context, d Durable) iter.Seq2[*grouping.AlertGroup, error] {
	return func(yield func(*grouping.AlertGroup, error) bool) {
		ids, err := d.ListKeys(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		for part := range slices.Chunk(ids, batch) {
			groups, damaged, err := d.LoadMany(ctx, part)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, bad := range damaged {
				if !yield(nil, bad) {
					return
				}
			}
			for _, g := range groups {
				if !g.IsTombstone() && !yield(g, nil) {
					return
				}
			}
		}
	}
}

// storeAll implements StoreAll.
func storeAll(ctx context.Context, d Durable, groups []*grouping.AlertGroup) error {
	// The stamp identifies a write, so each write needs its own stamp.
	clock := grouping.NewClock()
	for _, g := range groups {
		for {
			err := mergeInto(ctx, d, g, clock.Stamp())
			if !errors.Is(err, grouping.ErrVersionMismatch) {
				if err != nil {
					return err
				}
				break
			}
		}
	}
	return nil
}

// mergeInto merges one group into the stored state of that group.
func mergeInto(ctx context.Context, d Durable, g *grouping.AlertGroup, stamp grouping.Stamp) error {
	groups, damaged, err := d.LoadMany(ctx, []grouping.ID{g.ID})
	if err != nil {
		return err
	}
	if len(damaged) > 0 {
		return damaged[0]
	}
	stored := groups[g.ID]
	switch merged := grouping.Merge(stored, g); {
	case merged.Equal(stored), stored == nil && merged.IsTombstone():
		return nil
	case merged.IsTombstone():
		return d.Delete(ctx, grouping.Change{Base: stored, Stamp: merged.Deleted})
	default:
		_, err = d.Store(ctx, grouping.Change{Group: merged, Base: stored, Stamp: stamp})
		return err
	}
}
