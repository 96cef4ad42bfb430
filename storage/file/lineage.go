package file

import (
	"context"

	"go.etcd.io/bbolt"

	"muster/grouping"
	"muster/storage/durable"
)

// Only this process writes to a file, and nothing evicts single records from it.
// So most of these methods have nothing to report.

// CheckLineage implements durable.Backend. A file has no log that could lose entries.
func (f *Storage) CheckLineage(ctx context.Context, _ []durable.Position) (durable.Lineage, error) {
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	return durable.LineageHeld, nil
}

// LoadWritten implements durable.Backend. Nothing follows a file.
func (f *Storage) LoadWritten(
	ctx context.Context, _ map[grouping.ID][]string, _ []durable.LogEntry, _ func(*grouping.Event) bool,
) (written durable.Written, err error) {
	if ctx.Err() != nil {
		return written, context.Cause(ctx)
	}
	return written, nil
}

// LoadEvents implements durable.Backend.
func (f *Storage) LoadEvents(ctx context.Context, _ []durable.LogEntry) ([]grouping.Event, grouping.ContentTexts, error) {
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	return nil, nil, nil
}

// MissingEvents implements durable.Backend.
func (f *Storage) MissingEvents(ctx context.Context, events []grouping.Event) (absent []grouping.Event, err error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	err = f.view("absent", func(tx *bbolt.Tx) error {
		read := newWriteTx(tx, nil)
		history, changed := f.historyBuckets(read), f.changedBuckets(read)
		for _, e := range events {
			b := history
			if e.Kind == grouping.EventChanged {
				b = changed
			}
			stored := b.events.Get([]byte(e.ID)) != nil && (e.Content == "" || contentOf(b.contents.Bucket, e.DocumentID(), e.Content) != nil)
			if durable.Storable(&e) && !stored {
				absent = append(absent, e)
			}
		}
		return nil
	})
	return absent, err
}

// FindLosses implements durable.Backend.
func (f *Storage) FindLosses(ctx context.Context, _ []grouping.ID) (durable.Losses, error) {
	if ctx.Err() != nil {
		return durable.Losses{}, context.Cause(ctx)
	}
	return durable.Losses{}, nil
}
