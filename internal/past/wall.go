package past

import (
	"context"
	"slices"
	"sync"
	"time"

	"muster/grouping"
	"muster/history"
)

const (
	// maxWalls is the maximum number of walls in memory. Somebody who steps through the past
	// returns to the last ones, and the next one is near them.
	maxWalls = 3
	// wallsLag is the age from which a wall stays as it is: the events of other replicas come
	// within seconds.
	wallsLag = 2 * time.Minute
)

// walls keeps the walls that were asked for last. It is safe for concurrent use.
type walls struct {
	mu   sync.Mutex
	last []*history.Wall // guarded by mu; the last used first
}

// get returns the wall at the time, or nil.
func (w *walls) get(t time.Time) *history.Wall {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.IndexFunc(w.last, func(known *history.Wall) bool { return known.At.Equal(t) })
	if i < 0 {
		return nil
	}
	found := w.last[i]
	w.last = slices.Insert(slices.Delete(w.last, i, i+1), 0, found)
	return found
}

// before returns the last wall before the time, or nil.
func (w *walls) before(t time.Time) (last *history.Wall) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, known := range w.last {
		if known.At.Before(t) && (last == nil || known.At.After(last.At)) {
			last = known
		}
	}
	return last
}

func (w *walls) put(wall *history.Wall) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = slices.Insert(w.last, 0, wall)
	w.last = w.last[:min(len(w.last), maxWalls)]
}

// At returns the state of all groups at time t, by the time of the writes. If t is before
// the history begins, it returns a *history.BeforeError.
func (r *Reader) At(ctx context.Context, t time.Time) (*history.Wall, error) {
	if err := r.acquire(ctx); err != nil {
		return nil, err
	}
	defer r.release()
	known, err := r.known(ctx)
	if err != nil {
		return nil, err
	}
	if t.Before(known.since) {
		return nil, &history.BeforeError{At: t, KnownSince: known.since}
	}
	wall := r.walls.get(t)
	if wall == nil {
		if wall, err = r.replay(ctx, t, known.usable); err != nil {
			return nil, err
		}
		if time.Since(t) > wallsLag {
			r.walls.put(wall)
		}
	}
	answer := *wall
	answer.KnownSince = known.since
	answer.Gap, err = r.gapAt(ctx, t)
	return &answer, err
}

// replay replays the events until t on the nearest wall in memory or checkpoint, or from the
// first event if there is none.
func (r *Reader) replay(ctx context.Context, t time.Time, usable []grouping.StoredCheckpoint) (*history.Wall, error) {
	base, from, err := r.base(ctx, t, usable)
	if err != nil {
		return nil, err
	}
	return history.At(base, r.events.StreamEvents(ctx, from), t, func(events []grouping.Event) (map[string]grouping.Content, error) {
		return r.events.Contents(ctx, events)
	})
}

// base returns the nearest state before t, and the time from which the events follow.
func (r *Reader) base(ctx context.Context, t time.Time, usable []grouping.StoredCheckpoint) (history.Base, time.Time, error) {
	warm := r.walls.before(t)
	for _, stored := range slices.Backward(usable) {
		if stored.Name.Time().After(t) {
			continue
		}
		if warm != nil && warm.At.After(stored.Name.Time()) {
			break
		}
		c, err := r.events.LoadCheckpoint(ctx, stored.Name)
		if err != nil {
			return history.Base{}, time.Time{}, err
		}
		if c != nil {
			return history.Base{Groups: c.Groups, CausesKnown: c.CausesKnown, Silences: history.SilencesOf(c.Silences)}, c.ReplayFrom(), nil
		}
	}
	if warm != nil {
		return history.Base{Groups: warm.Groups, CausesKnown: warm.CausesKnown, Silences: warm.Silences, Until: warm.At}, warm.At, nil
	}
	return history.Base{}, time.Time{}, nil
}

// gapAt returns the gap that contains the time, or nil.
func (r *Reader) gapAt(ctx context.Context, t time.Time) (*grouping.Gap, error) {
	gaps, err := r.events.Gaps(ctx, t, t.Add(1))
	if err != nil || len(gaps) == 0 {
		return nil, err
	}
	return &gaps[0], nil
}

// known is what can be known of the past.
type known struct {
	since time.Time
	// usable are the checkpoints after which no event is missing, the oldest first.
	usable []grouping.StoredCheckpoint
}

// densest is the maximum time from the begin of the history to the first checkpoint, if a
// checkpoint before was removed with the history.
const densest = 25 * time.Hour

// known returns since when the state is known. It is not known if the storage cannot be read.
// Without events and checkpoints it is known from now on.
func (r *Reader) known(ctx context.Context) (k known, err error) {
	whole, err := r.events.HistorySince(ctx)
	if err != nil {
		return k, err
	}
	// In an outage there are no checkpoints, and the copy has its own history.
	stored, err := r.events.Checkpoints(ctx)
	if err != nil && ctx.Err() != nil {
		return k, err
	}
	k.usable = slices.DeleteFunc(stored, func(c grouping.StoredCheckpoint) bool { return c.ReplayFrom().Before(whole) })
	if k.since, err = r.firstEvent(ctx); err != nil {
		return k, err
	}
	if k.since.Before(whole) {
		k.since = whole
	}
	if len(k.usable) == 0 {
		return k, nil
	}
	// Alerts that fired before the history begins have no event. So if it began earlier once,
	// the first checkpoint is the first state that is known as a whole.
	first := k.usable[0].Name.Time()
	if first.Before(k.since) || first.Sub(whole) < densest {
		k.since = first
	}
	return k, nil
}

// knownSince returns the earliest time of which the state is known.
func (r *Reader) knownSince(ctx context.Context) (time.Time, error) {
	k, err := r.known(ctx)
	return k.since, err
}

// emptyLag is how much earlier than now an empty history begins. The first event can have a time
// that is earlier than now: the clock that all replicas share can be behind that of this host.
const emptyLag = time.Minute

// firstEvent returns the time of the first event. Without any, it is a little before now.
func (r *Reader) firstEvent(ctx context.Context) (time.Time, error) {
	for e, err := range r.events.StreamEvents(ctx, time.Time{}) {
		return e.Time, err
	}
	return time.Now().Add(-emptyLag), nil
}
