package storage

import (
	"context"

	"go.etcd.io/bbolt"

	"muster/grouping"
)

// Only this process writes to a file, and nothing evicts single records from it.
// So most of these methods have nothing to report.

// Trace implements Durable. A file has no log that could lose entries.
func (f *File) Trace(ctx context.Context, _ []Position) (Lineage, error) {
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	return LineageHeld, nil
}

// EventsOf implements Durable.
func (f *File) EventsOf(ctx context.Context, _ []LogEntry) ([]grouping.Event, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return nil, nil
}

// Absent implements Durable.
func (f *File) Absent(ctx context.Context, events []grouping.Event) (absent []grouping.Event, err error) {
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

// Lacking implements Durable.
func (f *File) Lacking(ctx context.Context, _ []grouping.ID) (Lack, error) {
	if ctx.Err() != nil {
		return Lack{}, context.Cause(ctx)
	}
	return Lack{}, nil
}
