package storage

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"

	"muster/grouping"
)

// Checkpoints implements grouping.GroupStorage.
func (m *Memory) Checkpoints(ctx context.Context) ([]grouping.StoredCheckpoint, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	stored := make([]grouping.StoredCheckpoint, 0, len(m.checkpoints))
	for _, name := range slices.SortedFunc(maps.Keys(m.checkpoints), cmp.Compare) {
		stored = append(stored, grouping.StoredCheckpoint{Name: name, Size: len(m.checkpoints[name])})
	}
	return stored, nil
}

// LoadCheckpoint implements grouping.GroupStorage.
func (m *Memory) LoadCheckpoint(ctx context.Context, name grouping.Stamp) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.checkpoints[name], nil
}

// StoreCheckpoint implements grouping.GroupStorage.
func (m *Memory) StoreCheckpoint(ctx context.Context, name grouping.Stamp, data []byte) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.checkpoints[name] = bytes.Clone(data)
	return nil
}

// DeleteCheckpoint implements grouping.GroupStorage.
func (m *Memory) DeleteCheckpoint(ctx context.Context, name grouping.Stamp) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.checkpoints, name)
	return nil
}
