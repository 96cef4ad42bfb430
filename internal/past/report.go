package past

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"muster/grouping"
	"muster/history"
)

const (
	// maxReports is the maximum number of reports that are made or waited for at once.
	maxReports = 16
	// maxDigests is the maximum number of digests that are kept, and maxDigestBytes that of
	// their bytes. A digest of 250,000 events has some 10 MiB.
	maxDigests     = 4
	maxDigestBytes = 48 << 20
	// maxDigestAge is the maximum time for which a digest is extended. After it, it is made
	// again, because other replicas can write events late.
	maxDigestAge = 10 * time.Minute
	// minDigestAge is the age from which a digest is made again at once if an event came late.
	// In a storm on several replicas, some event is late at each report.
	minDigestAge = 10 * time.Second
	// maxRecent is the number of the newest events that a digest reads again, to see whether one
	// came late.
	maxRecent = 1000
	// endsLate is how much later than a window its ends can be written. A notification waits
	// for the group_interval.
	endsLate = time.Hour
)

// digests keeps the last digests, so that a report reads only new events.
type digests struct {
	mu sync.Mutex
	// kept has the last used one at the end.
	kept []*keptDigest // guarded by mu
	// users is the number of reports that are made or waited for.
	users int // guarded by mu
}

// keptDigest is a digest with what it covers.
type keptDigest struct {
	turn    chan struct{} // has a token while a report uses the digest
	from    time.Time     // where it should begin
	startAt time.Time     // when it was made

	// The holder of the token owns these. All events until read are in the digest.
	digest *history.Digest // nil: it is not made yet
	read   time.Time
	recent []string // the IDs of its newest events, in order

	to    time.Time // guarded by digests.mu; it has all events until then, or will have them
	whole bool      // guarded by digests.mu; it begins where the history does
	size  int       // guarded by digests.mu; in bytes
}

// Report returns the report of the query. It reads the part of the history that no kept
// digest has. If too many reports are asked for, it returns grouping.ErrBusy.
func (r *Reader) Report(ctx context.Context, q history.ReportQuery) (report *history.Report, err error) {
	err = r.ask(ctx, &q, func(d *history.Digest) { report = d.Report(q) })
	return report, err
}

// Counted returns what a number of a report counts. It reads what Report reads.
func (r *Reader) Counted(ctx context.Context, q history.CountedQuery) (counted *history.Counted, err error) {
	err = r.ask(ctx, &q.ReportQuery, func(d *history.Digest) { counted = d.Counted(q) })
	return counted, err
}

// ask calls a function with a digest that has the window of the query and the one before.
// It ends the window now if it ends later. The function must not keep the digest.
func (r *Reader) ask(ctx context.Context, q *history.ReportQuery, question func(*history.Digest)) error {
	now := time.Now()
	if q.Until.After(now) {
		q.Until = now
	}
	to := q.Until.Add(endsLate)
	if to.After(now) {
		to = now
	}
	for {
		answered, err := r.askKept(ctx, q.Before().Since, to, now, question)
		if answered || err != nil {
			return err
		}
	}
}

// askKept calls the function with a digest that has the part of the history. It returns false if
// an event came late. Then it has dropped the digest, and the next one has the event.
func (r *Reader) askKept(ctx context.Context, from, to, now time.Time, question func(*history.Digest)) (answered bool, err error) {
	k, err := r.digests.take(ctx, from, to, now)
	if err != nil {
		return false, err
	}
	defer r.digests.release(k)
	late, err := r.fill(ctx, k, to)
	if err != nil {
		k.digest, k.read, k.recent = nil, time.Time{}, nil
	} else if !late || now.Sub(k.startAt) < minDigestAge {
		question(k.digest)
		return true, nil
	}
	r.digests.drop(k)
	return false, err
}

// fill reads what the digest does not have until the time. It reports what extend does.
func (r *Reader) fill(ctx context.Context, k *keptDigest, to time.Time) (late bool, err error) {
	if k.digest == nil {
		if err := r.begin(ctx, k); err != nil {
			return false, err
		}
	}
	return r.extend(ctx, k, to)
}

// begin makes the digest with the state at its beginning.
func (r *Reader) begin(ctx context.Context, k *keptDigest) error {
	wall, err := r.At(ctx, k.from)
	var before *history.BeforeError
	switch {
	case errors.As(err, &before):
		k.digest = history.NewDigest(before.KnownSince, nil)
		r.digests.setWhole(k)
	case err != nil:
		return err
	default:
		k.digest = history.NewDigest(k.from, wall.Groups)
	}
	k.read = k.digest.Since()
	return nil
}

// extend adds the events until the time that the digest does not have. It reports whether there is
// an event among its newest ones that it does not have.
func (r *Reader) extend(ctx context.Context, k *keptDigest, to time.Time) (late bool, err error) {
	if !to.After(k.read) {
		return false, nil
	}
	if err := r.acquire(ctx); err != nil {
		return false, err
	}
	defer r.release()
	known, from := k.recent, k.digest.Read()
	if len(known) > 0 {
		first := grouping.Event{ID: known[0]}
		from = first.Stamp().Time()
	}
	for e, err := range r.events.StreamEvents(ctx, from) {
		if err != nil {
			return false, err
		}
		if e.Time.After(to) {
			break
		}
		if len(known) > 0 && e.ID <= known[len(known)-1] {
			i, has := slices.BinarySearch(known, e.ID)
			late = late || !has && i > 0 // what is older than all known ones can be in the digest
			continue
		}
		k.digest.Add(&e)
		if k.recent = append(k.recent, e.ID); len(k.recent) >= 2*maxRecent {
			k.recent = slices.Clone(k.recent[maxRecent:])
		}
	}
	k.recent = k.recent[max(0, len(k.recent)-maxRecent):]
	k.read = to
	r.digests.setRead(k)
	return late, nil
}

// take returns a digest that has the part of the history, or that can be extended to have
// it. The caller releases it.
func (c *digests) take(ctx context.Context, from, to, now time.Time) (*keptDigest, error) {
	k, err := c.find(from, to, now)
	if err != nil {
		return nil, err
	}
	select {
	case k.turn <- struct{}{}:
		return k, nil
	case <-ctx.Done():
		c.leave()
		return nil, context.Cause(ctx)
	}
}

func (c *digests) find(from, to, now time.Time) (*keptDigest, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.users == maxReports {
		return nil, grouping.ErrBusy
	}
	c.users++
	c.kept = slices.DeleteFunc(c.kept, func(k *keptDigest) bool { return now.Sub(k.startAt) > maxDigestAge })
	i := slices.IndexFunc(c.kept, func(k *keptDigest) bool { return k.suits(from) })
	if i < 0 {
		k := &keptDigest{turn: make(chan struct{}, 1), from: from, startAt: now, to: to}
		c.kept = append(c.kept, k)
		return k, nil
	}
	k := c.kept[i]
	c.kept = append(slices.Delete(c.kept, i, i+1), k)
	return k, nil
}

// suits reports whether the digest has a part of the history, or should be extended.
// Extending it must not read more than a new digest would. The caller holds digests.mu.
func (k *keptDigest) suits(from time.Time) bool {
	return (k.whole || !from.Before(k.from)) && !from.After(k.to)
}

func (c *digests) setWhole(k *keptDigest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k.whole = true
}

// setRead notes how much the digest has. The caller has its token.
func (c *digests) setRead(k *keptDigest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k.size = k.digest.Size()
	if k.read.After(k.to) {
		k.to = k.read
	}
}

// drop forgets a digest that could not be filled.
func (c *digests) drop(k *keptDigest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept = slices.DeleteFunc(c.kept, func(o *keptDigest) bool { return o == k })
}

func (c *digests) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.users--
}

// release ends the use of a digest. It forgets those that were not used for longest, until
// the others are few and small.
func (c *digests) release(k *keptDigest) {
	<-k.turn
	c.mu.Lock()
	defer c.mu.Unlock()
	c.users--
	bytes := 0
	for _, o := range c.kept {
		bytes += o.size
	}
	for len(c.kept) > maxDigests || bytes > maxDigestBytes {
		bytes -= c.kept[0].size
		c.kept = c.kept[1:]
	}
}
