package storage

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"muster/grouping"
)

// Durable is a backend that outlives the process and that other replicas may
// write to as well: what Tiered joins its working copy with.
type Durable interface {
	grouping.GroupStorage

	// Name is the backend's word in metrics and on the status page.
	Name() string

	// HasLog reports whether there is a log, which tells each process of its own
	// writes, too. A backend that one process alone writes needs none.
	HasLog() bool

	// Position returns where each shard's log stands, to follow it from there.
	// It writes the shard's epoch if there is none: so it fails where writes do.
	Position(ctx context.Context) ([]Position, error)

	// Index returns the token of the last write of every group.
	Index(ctx context.Context) (map[grouping.ID]string, error)

	// LoadMany returns the groups that are stored under the IDs, tombstones
	// included; what is absent there is absent here. One that cannot be read is
	// absent too, and comes back in damaged.
	LoadMany(ctx context.Context, ids []grouping.ID) (groups map[grouping.ID]*grouping.AlertGroup, damaged []*grouping.DamagedGroupError, err error)

	// Follow calls fn with what is logged after the positions, in order per
	// shard, until the context ends (then it returns nil) or a fault. The log is
	// a hint: the caller finds out by sequence and epoch what it missed.
	Follow(ctx context.Context, from []Position, fn func(shard int, entries []LogEntry)) error

	// CheckLineage tells whether the shards' logs still hold the entries at the
	// positions. If not, acknowledged writes may be gone, although others came
	// since and made the sequence as high as before.
	CheckLineage(ctx context.Context, seen []Position) (Lineage, error)

	// EventsOf returns the events of the writes that the entries tell of.
	LoadEvents(ctx context.Context, entries []LogEntry) ([]grouping.Event, error)

	// MissingEvents returns those of the events that the history should hold and does
	// not.
	MissingEvents(ctx context.Context, events []grouping.Event) ([]grouping.Event, error)

	// FindLosses tells what the backend has lost of the groups, or of the history,
	// without an outage: an eviction policy takes single keys.
	FindLosses(ctx context.Context, ids []grouping.ID) (Losses, error)

	// PushEvents puts events into the history; those that are there already
	// stay as they are.
	PushEvents(ctx context.Context, events []grouping.Event) error

	// Check returns, a sentence each, what is wrong with how the backend is set
	// up: what an operator must change. An error means that it cannot be told.
	Check(ctx context.Context) (problems []string, err error)

	// Now returns the backend's time, a clock that all replicas share. The zero
	// time means that it has no clock of its own.
	Now(ctx context.Context) (time.Time, error)
}

// Position is where a shard's log stands.
type Position struct {
	Epoch    string // random, written once: another one means that data was lost
	Seq      int64  // grows by one with each write
	StreamID string // of the last entry
	Token    string // of the last entry; "": not known
}

// Lineage says whether what was seen in the logs is still there.
type Lineage string

// Unknown is the answer if a log was trimmed or removed past what was seen.
const (
	LineageHeld    Lineage = "held"
	LineageUnknown Lineage = "unknown"
	LineageLost    Lineage = "lost"
)

// Losses is what a backend has lost.
type Losses struct {
	Groups    []grouping.ID // not stored
	Timelines []grouping.ID // of which the group is stored and its history is not
	History   bool          // events of any group
}

// LogEntry says that a group was written.
type LogEntry struct {
	Position // its token is the write's stamp
	ID       grouping.ID
	Writer   string
	Previous string // token of the entry before; "": not known
}

// What a GroupStorage owes follows from what a Durable gives.

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

func indexKeys(ctx context.Context, d Durable) ([]grouping.ID, error) {
	index, err := d.Index(ctx)
	ids := make([]grouping.ID, 0, len(index))
	for id := range index {
		ids = append(ids, id)
	}
	return ids, err
}

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

func storeAll(ctx context.Context, d Durable, groups []*grouping.AlertGroup) error {
	// A write is known by its stamp, so each needs one of its own.
	clock := grouping.NewClock()
	for _, g := range groups {
		for {
			err := joinOne(ctx, d, g, clock.Stamp())
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

// joinOne merges one group into what is stored of it.
func joinOne(ctx context.Context, d Durable, g *grouping.AlertGroup, stamp grouping.Stamp) error {
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
