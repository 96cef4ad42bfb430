package grouping

import (
	"context"
	"math"
	"time"
)

const (
	// checkpointInterval is the maximum time between two checkpoints.
	checkpointInterval = 4 * time.Hour
	// checkpointEvents is the number of events after which the next checkpoint is taken, but not
	// before checkpointPause is over. A reader replays as many in a quarter of a second.
	checkpointEvents = 50_000
	checkpointPause  = 10 * time.Minute
	// checkpointCheck is the time between two looks whether a checkpoint is due.
	checkpointCheck = time.Minute
	// maxCheckpoints is the maximum number of checkpoints that are kept.
	maxCheckpoints = 200
	// checkpointLease is the name of the lease of the Muster that takes checkpoints.
	checkpointLease = "checkpoint"
)

// DefaultCheckpointBytes is the default of the maximum size of all checkpoints.
const DefaultCheckpointBytes = 64 << 20

// KeepCheckpoints takes a checkpoint whenever one is due, until the context ends. It begins when
// stored is closed: before, the groups are not known. It returns nil. Of several Musters one takes
// a checkpoint.
func (m *Manager) KeepCheckpoints(ctx context.Context, stored <-chan struct{}) error {
	select {
	case <-stored:
	case <-ctx.Done():
		return nil
	}
	t := time.NewTicker(checkpointCheck)
	defer t.Stop()
	failing := false
	for {
		err := m.TakeCheckpoint(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !failing:
			m.logger.Warn("Failed to keep a checkpoint, will retry", "err", err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// TakeCheckpoint takes a checkpoint of the current state if one is due, and removes those that are
// useless or too many.
func (m *Manager) TakeCheckpoint(ctx context.Context) error {
	stored, err := m.storage.Checkpoints(ctx)
	if err != nil || !m.checkpointIsDue(stored) {
		return err
	}
	// A lease is of a source, and this is one without a name: that of Muster itself. Without the
	// storage, no checkpoint can be kept either.
	if acquired, err := m.acquire(ctx, "", checkpointLease, checkpointCheck, true); err != nil || !acquired {
		return err
	}
	c := Checkpoint{CausesKnown: m.knowsCauses(), Groups: m.index.all(), Silences: m.sources.openSilences(m.clock.Now())}
	c.Stamp = m.clock.Stamp() // it is newer than what the index has
	written := m.eventsWritten.Swap(0)
	data, err := c.Encode()
	if err == nil {
		err = m.storage.StoreCheckpoint(ctx, c.Stamp, data)
	}
	if err != nil {
		m.eventsWritten.Add(written)
		return err
	}
	since, err := m.storage.HistorySince(ctx)
	if err != nil {
		return err
	}
	stored = append(stored, StoredCheckpoint{c.Stamp, len(data)})
	for _, name := range excessCheckpoints(stored, m.clock.Now(), since, m.opts.CheckpointBytes) {
		if err := m.storage.DeleteCheckpoint(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// checkpointIsDue reports whether it is time for the next checkpoint.
func (m *Manager) checkpointIsDue(stored []StoredCheckpoint) bool {
	if m.opts.CheckpointBytes == 0 {
		return false
	}
	if len(stored) == 0 {
		return true
	}
	age := m.clock.Now().Sub(stored[len(stored)-1].Name.Time()).Abs()
	return age >= checkpointInterval || age >= checkpointPause && m.eventsWritten.Load() >= checkpointEvents
}

// excessCheckpoints returns the checkpoints to remove: those from which nothing can be replayed,
// because the history begins later, and those beyond the maximum number and size. Old ones are
// removed first if others are near them, so that their density falls with their age. stored is
// sorted, the oldest first. The newest stays.
func excessCheckpoints(stored []StoredCheckpoint, now, since time.Time, maxBytes int64) (excess []Stamp) {
	total := int64(0)
	kept := make([]StoredCheckpoint, 0, len(stored))
	for i, c := range stored {
		if i < len(stored)-1 && c.ReplayFrom().Before(since) {
			excess = append(excess, c.Name)
			continue
		}
		kept = append(kept, c)
		total += int64(c.Size)
	}
	for len(kept) > 1 && (len(kept) > maxCheckpoints || total > maxBytes) {
		i := mostDispensable(kept, now, since)
		excess = append(excess, kept[i].Name)
		total -= int64(kept[i].Size)
		kept = append(kept[:i], kept[i+1:]...)
	}
	return excess
}

// mostDispensable returns the index of the checkpoint whose removal leaves the smallest gap for its
// age. It is not the newest. Before the oldest, the gap begins with the history.
func mostDispensable(kept []StoredCheckpoint, now, since time.Time) (index int) {
	least := math.Inf(1)
	for i := range len(kept) - 1 {
		at := kept[i].Name.Time()
		before := since
		if i > 0 {
			before = kept[i-1].Name.Time()
		}
		gap := kept[i+1].Name.Time().Sub(before).Seconds()
		if ratio := gap / max(now.Sub(at).Seconds(), 1); ratio < least {
			least, index = ratio, i
		}
	}
	return index
}

// knowsCauses reports whether the event recorder or a poll told of causes.
func (m *Manager) knowsCauses() bool {
	for _, name := range m.observed.names() {
		if s := m.observed.known(name); s != nil && s.toldCauses() {
			return true
		}
	}
	return false
}

// toldCauses reports whether an event recorder or a poll of the source was heard.
func (s *sourceMemory) toldCauses() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.polls) > 0 || !s.recorder.lastAt.IsZero()
}

// Checkpoints returns the stored checkpoints, the oldest first.
func (m *Manager) Checkpoints(ctx context.Context) ([]StoredCheckpoint, error) {
	if err := m.startOperation(ctx, "checkpoints"); err != nil {
		return nil, err
	}
	return m.storage.Checkpoints(ctx)
}

// LoadCheckpoint returns a checkpoint, or nil if it is not stored or damaged. It shares with the
// current state what did not change.
func (m *Manager) LoadCheckpoint(ctx context.Context, name Stamp) (*Checkpoint, error) {
	if err := m.startOperation(ctx, "load_checkpoint"); err != nil {
		return nil, err
	}
	data, err := m.storage.LoadCheckpoint(ctx, name)
	if err != nil || data == nil {
		return nil, err
	}
	c, err := DecodeCheckpoint(data, m.index.get)
	if err != nil {
		m.logger.Warn("Skipping a checkpoint that cannot be read", "checkpoint", name, "err", err)
		return nil, nil
	}
	return c, nil
}

// HistorySince returns the time since which the history is whole, as History describes.
func (m *Manager) HistorySince(ctx context.Context) (time.Time, error) {
	if err := m.startOperation(ctx, "history_since"); err != nil {
		return time.Time{}, err
	}
	return m.storage.HistorySince(ctx)
}
