package grouping

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"
)

const (
	// lifeInterval is the time between two signs of life. A process may have lived so long
	// after its last sign, so it is the precision of the begin of a gap.
	lifeInterval = 10 * time.Second
	// minGap is the minimum length of a gap. A process that lives can be silent that long. A
	// shorter time without a process also loses nothing: Alertmanager sends again what it could
	// not deliver.
	minGap = lifeInterval
	// lifeRetry is the time after which a sign of life is tried again that could not be
	// stored. While the backend fails, a try costs nothing.
	lifeRetry = time.Second
	// lifeSettle is how long a process waits after its first sign of life before it looks for
	// gaps, if other processes may write to the storage. Those that lived while the storage
	// failed say so when it is back. They need the interval, and some time to write back what
	// only they have.
	lifeSettle = lifeInterval + 5*time.Second
	// lifeRetention is how long the record of a process is kept after its last sign of life.
	// Its time before is covered by the process that removes it.
	lifeRetention = time.Minute
	// maxLives is the maximum number of records of processes. They only accumulate if each
	// process ends before it looks for gaps.
	maxLives = 100
)

// RecordLife writes signs of life of this process into the storage until the context ends,
// and a last one then. At the start it looks for times in which no process lived, and writes
// them into the history as gaps. It begins when stored is closed, because then the storage can
// say when others lived. It returns nil.
//
// A sign of life that cannot be stored durably is dropped. So a process that ends while the
// storage fails counts as dead from its last stored sign.
func (m *Manager) RecordLife(ctx context.Context, stored <-chan struct{}) error {
	select {
	case <-stored:
	case <-ctx.Done():
		return nil
	}
	l := lifeRecorder{Manager: m}
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			l.sign(context.WithoutCancel(ctx))
			return nil
		case <-next.C:
			next.Reset(l.sign(ctx))
		}
	}
}

// lifeRecorder writes the signs of life of one process.
type lifeRecorder struct {
	*Manager

	startedAt time.Time     // zero before the first sign
	settledAt time.Duration // uptime from which gaps are looked for
}

// sign writes a sign of life, and the gaps. It returns the time until the next sign.
func (r *lifeRecorder) sign(ctx context.Context) time.Duration {
	uptime := r.clock.uptime()
	startedAt := r.startedAt
	if startedAt.IsZero() {
		startedAt = wallClock(r.clock.Now().Add(r.startedUptime - uptime))
	}
	settled := r.opts.OnlyMuster || !r.startedAt.IsZero() && uptime >= r.settledAt
	err := r.changeSource(ctx, "", true, func(base *SourceDocument, log *eventLog) *SourceDocument {
		now := wallClock(r.clock.Now())
		next := lifeRecords.put(base, log.stamp, Life{Writer: r.clock.Writer(), StartedAt: startedAt, LastAt: now})
		if settled {
			next = next.withGaps(log, now, r.opts.HistoryRetention)
		}
		if dead := next.deadLives(r.clock.Writer(), now, settled, r.opts.OnlyMuster); len(dead) > 0 {
			next = lifeRecords.remove(next, log.stamp, dead...)
		}
		return next
	})
	if err != nil {
		r.logger.Debug("Failed to store a sign of life, will retry", "err", err)
		return lifeRetry
	}
	if r.startedAt.IsZero() {
		r.startedAt, r.settledAt = startedAt, uptime+lifeSettle
	}
	if wait := r.settledAt - uptime; !settled && wait < lifeInterval {
		return max(wait, 0)
	}
	return lifeInterval
}

// wallClock returns the time as it is stored, in UTC and without a monotonic reading.
func wallClock(t time.Time) time.Time { return t.UTC().Round(0) }

// deadLives returns the writer IDs of the processes whose records are not needed any more:
// those of other processes that gave no sign of life for a while, and the oldest ones beyond
// the maximum. settled says that the gaps between them are recorded. only says that there is
// no other process.
func (d *SourceDocument) deadLives(writer string, now time.Time, settled, only bool) (dead []string) {
	others := slices.DeleteFunc(slices.Collect(maps.Values(d.Lives)), func(l *Life) bool { return l.Writer == writer })
	slices.SortFunc(others, func(a, b *Life) int { return cmp.Or(a.LastAt.Compare(b.LastAt), cmp.Compare(a.Writer, b.Writer)) })
	excess := len(d.Lives) - maxLives
	for i, l := range others {
		if i < excess || settled && (only || now.Sub(l.LastAt).Abs() > lifeRetention) {
			dead = append(dead, l.Writer)
		}
	}
	return dead
}
