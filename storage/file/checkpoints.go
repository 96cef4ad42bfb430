package file

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"muster/grouping"
	"muster/storage/durable"
)

// Checkpoints implements grouping.GroupStorage.
func (f *Storage) Checkpoints(ctx context.Context) (stored []grouping.StoredCheckpoint, err error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	err = f.view("checkpoints", func(tx *bbolt.Tx) error {
		cursor := tx.Bucket(bucketCheckpoints).Cursor()
		for k, v := cursor.First(); k != nil; k, v = cursor.Next() {
			name, ok := checkpointName(k)
			if !ok {
				continue
			}
			if n := len(stored); n == 0 || stored[n-1].Name != name {
				stored = append(stored, grouping.StoredCheckpoint{Name: name})
			}
			stored[len(stored)-1].Size += len(v)
		}
		return nil
	})
	return stored, err
}

// checkpointName returns the name of the checkpoint that a part with the key belongs to.
func checkpointName(key []byte) (name grouping.Stamp, ok bool) {
	if len(key) < grouping.StampLen {
		return "", false
	}
	name = grouping.Stamp(key[:grouping.StampLen])
	return name, name.Valid()
}

// LoadCheckpoint implements grouping.GroupStorage.
func (f *Storage) LoadCheckpoint(ctx context.Context, name grouping.Stamp) (data []byte, err error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	err = f.view("load checkpoint", func(tx *bbolt.Tx) error {
		cursor := tx.Bucket(bucketCheckpoints).Cursor()
		for k, v := cursor.Seek([]byte(name)); bytes.HasPrefix(k, []byte(name)); k, v = cursor.Next() {
			data = append(data, v...)
		}
		return nil
	})
	return data, err
}

// StoreCheckpoint implements grouping.GroupStorage.
func (f *Storage) StoreCheckpoint(ctx context.Context, name grouping.Stamp, data []byte) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return f.update("store checkpoint", func(tx *writeTx) error {
		bucket := tx.Bucket(bucketCheckpoints)
		if err := deletePrefix(bucket, []byte(name)); err != nil {
			return err
		}
		i := 0
		for part := range slices.Chunk(data, durable.CheckpointPart) {
			if err := bucket.Put(fmt.Appendf([]byte(name), "%06d", i), part); err != nil {
				return err
			}
			i++
		}
		return nil
	})
}

// DeleteCheckpoint implements grouping.GroupStorage.
func (f *Storage) DeleteCheckpoint(ctx context.Context, name grouping.Stamp) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return f.update("delete checkpoint", func(tx *writeTx) error {
		return deletePrefix(tx.Bucket(bucketCheckpoints), []byte(name))
	})
}
