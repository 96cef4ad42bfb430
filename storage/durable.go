package storage

import (
	"context"
	"time"

	"muster/grouping"
)

// Durable is a backend that outlives the process and that other replicas may
// write to as well: what Manager joins its working copy with.
type Durable interface {
	grouping.GroupStorage

	// Name is the backend's word in metrics and on the status page.
	Name() string

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

	// PushEvents puts events into the history; those that are there already
	// stay as they are.
	PushEvents(ctx context.Context, events []grouping.Event) error

	// Now returns the backend's time, a clock that all replicas share.
	Now(ctx context.Context) (time.Time, error)
}

// Position is where a shard's log stands.
type Position struct {
	Epoch    string // random, written once: another one means that data was lost
	Seq      int64  // grows by one with each write
	StreamID string // of the last entry
}

// LogEntry says that a group was written.
type LogEntry struct {
	Position
	ID     grouping.ID
	Token  string // of the write: its stamp
	Writer string
}
