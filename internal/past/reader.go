package past

import (
	"context"
	"iter"
	"time"

	"muster/grouping"
)

// maxConcurrent is the maximum number of questions that read the history at the same time.
// Others wait. Each needs memory for the groups of that time, and keeps one core busy.
const maxConcurrent = 2

// events is what a Reader needs from the manager. It is safe for concurrent use.
type events interface {
	Events(ctx context.Context, q grouping.EventQuery) (grouping.EventPage, error)
	// StreamEvents and Contents are those of grouping.History and grouping.ContentLoader.
	StreamEvents(ctx context.Context, from time.Time) iter.Seq2[grouping.Event, error]
	Contents(ctx context.Context, events []grouping.Event) (map[string]grouping.Content, error)
	// Gaps returns the gaps that have any moment from since until before until, oldest first.
	Gaps(ctx context.Context, since, until time.Time) ([]grouping.Gap, error)
	// HistorySince is that of grouping.History.
	HistorySince(ctx context.Context) (time.Time, error)
	// Checkpoints returns the stored checkpoints, the oldest first. LoadCheckpoint returns one, or
	// nil if it is not stored or damaged.
	Checkpoints(ctx context.Context) ([]grouping.StoredCheckpoint, error)
	LoadCheckpoint(ctx context.Context, name grouping.Stamp) (*grouping.Checkpoint, error)
}

// Reader answers questions about the past. It is safe for concurrent use. What Run has not read is
// missing in lists.
type Reader struct {
	events events
	slots  chan struct{}

	walls   walls
	tracks  tracks
	digests digests
	listed  listed
}

// New returns a reader of the manager's history.
func New(events events) *Reader {
	return &Reader{events: events, slots: make(chan struct{}, maxConcurrent), listed: newListed()}
}

// acquire takes a slot, or waits for one until the context ends.
func (r *Reader) acquire(ctx context.Context) error {
	select {
	case r.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (r *Reader) release() { <-r.slots }
