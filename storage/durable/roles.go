package durable

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"

	"muster/grouping"
)

// Batch is the number of documents that are loaded at once: a few hundred kilobytes.
const Batch = 100

// The functions below implement methods of grouping.GroupStorage with methods of
// Backend. All backends share them.

// Store implements grouping.GroupStore.
func Store(ctx context.Context, b Backend, c grouping.Change) (*grouping.AlertGroup, error) {
	d, err := b.Write(ctx, c.Write())
	return grouping.AsGroup(d), err
}

// Delete implements grouping.GroupStore.
func Delete(ctx context.Context, b Backend, c grouping.Change) error {
	c.Group = nil
	_, err := b.Write(ctx, c.Write())
	return err
}

// StoreSource implements grouping.SourceStore.
func StoreSource(ctx context.Context, b Backend, c grouping.SourceChange) (*grouping.SourceDocument, error) {
	d, err := b.Write(ctx, c.Write())
	return grouping.AsSource(d), err
}

// LoadSource implements grouping.SourceStore.
func LoadSource(ctx context.Context, b Backend, source string) (*grouping.SourceDocument, error) {
	d, err := loadOne(ctx, b, grouping.SourceID(source))
	if err != nil {
		return nil, err
	}
	if stored := grouping.AsSource(d); stored != nil && !stored.IsTombstone() {
		return stored, nil
	}
	return grouping.NewSourceDocument(source), nil
}

// Load implements grouping.GroupStore.
func Load(ctx context.Context, b Backend, id grouping.ID) (*grouping.AlertGroup, error) {
	d, err := loadOne(ctx, b, id)
	if err != nil {
		return nil, err
	}
	if g := grouping.AsGroup(d); g != nil && !g.IsTombstone() {
		return g, nil
	}
	return nil, &grouping.GroupNotFoundError{ID: id}
}

// loadOne returns the document with the ID, or nil if it is not stored.
func loadOne(ctx context.Context, b Backend, id grouping.ID) (grouping.Document, error) {
	documents, damaged, err := b.LoadMany(ctx, []grouping.ID{id})
	if err == nil && len(damaged) > 0 {
		err = damaged[0]
	}
	return documents[id], err
}

// ListKeys implements grouping.GroupKeys.
func ListKeys(ctx context.Context, b Backend) ([]grouping.ID, error) {
	index := map[grouping.ID]string{}
	err := b.Index(ctx, func(tokens map[grouping.ID]string) { maps.Copy(index, tokens) })
	ids := make([]grouping.ID, 0, len(index))
	for id := range index {
		if !id.IsSource() {
			ids = append(ids, id)
		}
	}
	return ids, err
}

// Size implements grouping.GroupKeys. It reads the whole index.
func Size(ctx context.Context, b Backend) (int, error) {
	ids, err := ListKeys(ctx, b)
	return len(ids), err
}

// LoadAll implements grouping.GroupLoader.
func LoadAll(ctx context.Context, b Backend) iter.Seq2[*grouping.AlertGroup, error] {
	return func(yield func(*grouping.AlertGroup, error) bool) {
		ids, err := b.ListKeys(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		for part := range slices.Chunk(ids, Batch) {
			documents, damaged, err := b.LoadMany(ctx, part)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, bad := range damaged {
				if !yield(nil, bad) {
					return
				}
			}
			for _, d := range documents {
				if !d.IsTombstone() && !yield(grouping.AsGroup(d), nil) {
					return
				}
			}
		}
	}
}

// StoreAll implements StoreAll of grouping.GroupStorage.
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

// mergeInto merges one document into the stored state of that document.
func mergeInto(ctx context.Context, b Backend, d grouping.Document, stamp grouping.Stamp) error {
	stored, err := loadOne(ctx, b, d.DocumentID())
	if err != nil {
		return err
	}
	merged := grouping.MergeDocuments(stored, d)
	if grouping.EqualDocuments(merged, stored) || stored == nil && merged.IsTombstone() {
		return nil
	}
	w := grouping.Write{Next: merged, Base: stored, Stamp: stamp}
	if merged.IsTombstone() {
		w.Next, w.Stamp = nil, merged.Header().Deleted
	}
	_, err = b.Write(ctx, w)
	return err
}
