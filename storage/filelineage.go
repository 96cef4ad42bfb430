package storage

import (
	"context"

	"go.etcd.io/bbolt"

	"muster/grouping"
)

// Only this process writes to a file, and nothing evicts single records from it.
// So most of these methods have nothing to report.

// CheckLineage implements Durable. A file has no log that could lose entries.
func (f *File) CheckLineage(ctx context.Context, _ []Position) (Lineage, error) {
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	return LineageHeld, nil
}

// LoadEvents implements Durable.
func (f *File) LoadEvents(ctx context.Context, _ []LogEntry) ([]grouping.Event, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return nil, nil
}

// MissingEvents implements Durable.
func (f *File) MissingEvents(ctx context.Context, events []grouping.Event) (absent []grouping.Event, err error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	err = f.view("absent", func(tx *bbolt.Tx) error {
		history := tx.Bucket(bucketHistory)
		for _, e := range events {
			if e.GroupID.Valid() && history.Get([]byte(e.ID)) == nil {
				absent = append(absent, e)
			}
		}
		return nil
	})
	return absent, err
}

// FindLosses implements Durable.
func (f *File) FindLosses(ctx context.Context, _ []grouping.ID) (Losses, error) {
	if ctx.Err() != nil {
		return Losses{}, context.Cause(ctx)
	}
	return Losses{}, nil
}
