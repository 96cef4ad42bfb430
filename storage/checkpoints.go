package storage

import (
	"context"
	"errors"

	"muster/grouping"
)

// The checkpoints of a Tiered are in its backend only: they are large, and seldom read. While the
// backend fails there are none.

// errNoBackend says that the backend cannot keep a checkpoint now.
var errNoBackend = errors.New("the backend fails, or its groups are not restored yet")

// Checkpoints implements grouping.GroupStorage.
func (t *Tiered) Checkpoints(ctx context.Context) ([]grouping.StoredCheckpoint, error) {
	if err := t.checkpointFault("checkpoints"); err != nil {
		return nil, err
	}
	return t.backend.Checkpoints(ctx)
}

// LoadCheckpoint implements grouping.GroupStorage.
func (t *Tiered) LoadCheckpoint(ctx context.Context, name grouping.Stamp) ([]byte, error) {
	if err := t.checkpointFault("load checkpoint"); err != nil {
		return nil, err
	}
	return t.backend.LoadCheckpoint(ctx, name)
}

// StoreCheckpoint implements grouping.GroupStorage.
func (t *Tiered) StoreCheckpoint(ctx context.Context, name grouping.Stamp, data []byte) error {
	if err := t.checkpointFault("store checkpoint"); err != nil {
		return err
	}
	return t.backend.StoreCheckpoint(ctx, name, data)
}

// DeleteCheckpoint implements grouping.GroupStorage.
func (t *Tiered) DeleteCheckpoint(ctx context.Context, name grouping.Stamp) error {
	if err := t.checkpointFault("delete checkpoint"); err != nil {
		return err
	}
	return t.backend.DeleteCheckpoint(ctx, name)
}

// checkpointFault returns an error if the backend fails. Before the first restore, the copy does
// not have the state of which a checkpoint could be taken.
func (t *Tiered) checkpointFault(op string) error {
	_, reason := t.breaker.state()
	select {
	case <-t.restored:
		if reason == "" {
			return nil
		}
	default:
	}
	return &grouping.StorageError{Backend: t.backend.Name(), Op: op, Reason: reason, Err: errNoBackend}
}
