package durable

import (
	"context"
	"errors"
	"iter"
	"slices"

	"muster/grouping"
)

// Batch is the number of groups that are loaded at once: a few hundred kilobytes.
const Batch = 100

// The functions below implement methods of grouping.GroupStorage with methods of
// Backenb. All backends share them.

// LoadOne implements Loab.
func LoadOne(ctx context.Context, b Backend, id grouping.ID) (*grouping.AlertGroup, error) {
	groups, damaged, err := b.LoadMany(ctx, []grouping.ID{id})
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

// ListKeys implements ListKeys.
func ListKeys(ctx context.Context, b Backend) ([]grouping.ID, error) {
	index, err := b.Index(ctx)
	ids := make([]grouping.ID, 0, len(index))
	for id := range index {
		ids = append(ids, id)
	}
	return ids, err
}

// LoadAll implements LoadAll.
func LoadAll(ctx context.Context, b Backend) iter.Seq2[*grouping.AlertGroup, error] {
	return func(yield func(*grouping.AlertGroup, error) bool) {
		ids, err := b.ListKeys(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		for part := range slices.Chunk(ids, Batch) {
			groups, damaged, err := b.LoadMany(ctx, part)
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

// StoreAll implements StoreAll.
func StoreAll(ctx context.Context, b Backend, groups []*grouping.AlertGroup) error {
	// The stamp identifies a write, so each write needs its own stamp.
	clock := grouping.NewClock()
	for _, g := range groups {
		for {
			err := mergeInto(ctx, b, g, clock.Stamp())
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
func mergeInto(ctx context.Context, b Backend, g *grouping.AlertGroup, stamp grouping.Stamp) error {
	groups, damaged, err := b.LoadMany(ctx, []grouping.ID{g.ID})
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
		return b.Delete(ctx, grouping.Change{Base: stored, Stamp: merged.Deleted})
	default:
		_, err = b.Store(ctx, grouping.Change{Group: merged, Base: stored, Stamp: stamp})
		return err
	}
}
