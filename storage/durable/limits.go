package durable

import (
	"slices"
	"time"

	"muster/grouping"
)

// TombstoneAge is the time for which the tombstone of a deleted group is kept. It
// must be longer than the time for which a replica may be cut off. Otherwise such a
// replica would store the deleted group again.
const TombstoneAge = 24 * time.Hour

// MaxTombstones is the maximum number of tombstones, for the case that very many
// groups are created and deleted. A tombstone needs about 400 bytes.
const MaxTombstones = 50_000

// FirstID returns the prefix of the IDs of events at this time. No event of this time
// or later has a lower ID.
func FirstID(t time.Time) string {
	return string(grouping.NewStamp(t, 0, ""))
}

// Storable reports whether the history can have the event. Only a valid ID may become
// part of a key.
func Storable(e *grouping.Event) bool { return e.DocumentID().Valid() }

// MaxChanged returns the limit of the changed events if the history has this limit.
func MaxChanged[N int | int64](maxHistory N) N { return max(1, maxHistory/10) }

// SplitEvents returns the events of the history and the changed events.
func SplitEvents(events []grouping.Event) (history, changed []grouping.Event) {
	isChanged := func(e grouping.Event) bool { return e.Kind == grouping.EventChanged }
	if !slices.ContainsFunc(events, isChanged) {
		return events, nil
	}
	for _, e := range events {
		if isChanged(e) {
			changed = append(changed, e)
		} else {
			history = append(history, e)
		}
	}
	return history, changed
}

// RoundUp returns the first whole millisecond that is not before the time. The IDs
// of events have a resolution of milliseconds.
func RoundUp(t time.Time) time.Time {
	return t.Add(time.Millisecond - 1)
}

// HistorySince returns the time since which a history is whole. removed is the ID of the newest
// event that a limit removed, or "".
func HistorySince(now time.Time, retention time.Duration, removed string) time.Time {
	since := now.Add(-retention)
	if removed == "" {
		return since
	}
	e := grouping.Event{ID: removed}
	// Another event of the same millisecond may be there.
	if after := e.Stamp().Time().Add(time.Millisecond); after.After(since) {
		return after
	}
	return since
}

// CheckpointPart is the number of bytes of a checkpoint that are stored as one value. It is small
// enough not to delay other writes.
const CheckpointPart = 512 << 10
