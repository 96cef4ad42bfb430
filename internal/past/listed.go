package past

import (
	"context"
	"sync"
	"time"

	"muster/grouping"
	"muster/history"
)

const (
	// maxWanted is the maximum number of groups that wait to be read. A page of the list has 100.
	maxWanted = 300
	// readPause is the time between the reads of two groups: a list that nobody saw for long
	// takes a part of one core and of the storage for some seconds.
	readPause = 10 * time.Millisecond
	// faultPause is the time between reads while the storage fails.
	faultPause = time.Second
	// listedAgain is the time after which the episodes of a listed group are read again, because
	// events of other replicas can come late.
	listedAgain = time.Hour
	// listedInterval is the time for which an answer about an unchanged group is kept. Only
	// minutes matter to a list.
	listedInterval = time.Minute
)

// listed answers for rows of the list. A row must not read the history, so Run reads it later.
type listed struct {
	wanted chan *grouping.AlertGroup

	mu sync.Mutex
	// waits has the groups in wanted, and the one that is read.
	waits map[grouping.ID]bool // guarded by mu
	// answers has those of the present. It is emptied when it is full.
	answers map[grouping.ID]listedAnswer // guarded by mu
}

// listedAnswer is what ListedBefore answers for a version of a group within an interval.
type listedAnswer struct {
	before   history.Before
	stamp    grouping.Stamp
	interval int64
	of       *track
}

func newListed() listed {
	return listed{
		wanted: make(chan *grouping.AlertGroup, maxWanted), waits: map[grouping.ID]bool{}, answers: map[grouping.ID]listedAnswer{},
	}
}

// ListedBefore is GroupBefore for a row of a list. It reads nothing. If the episodes of the group
// are not known, or not all of them, it asks Run to read them. It returns false if nothing is
// known yet.
func (r *Reader) ListedBefore(ctx context.Context, g *grouping.AlertGroup, now time.Time) (before history.Before, ok bool) {
	t := r.tracks.get(tracked{group: g.ID})
	if t == nil || g.Opened.Time().After(t.until) || time.Since(t.readAt) > listedAgain {
		r.listed.want(g)
	}
	since, known := r.tracks.lastSince()
	if t == nil || !known {
		return before, false
	}
	answer := listedAnswer{stamp: g.Stamp, interval: now.UnixNano() / int64(listedInterval), of: t}
	if kept, ok := r.listed.get(g.ID); ok && kept.stamp == answer.stamp && kept.interval == answer.interval && kept.of == t {
		return kept.before, true
	}
	gaps, err := r.events.Gaps(ctx, now.Add(-history.BeforeWindow), now)
	if err != nil {
		return before, false
	}
	answer.before = history.NewBefore(t.ofGroup(g), gaps, latest(t.since, since), now)
	r.listed.put(g.ID, answer)
	return answer.before, true
}

// ofGroup returns the episodes of a group, also those that began after the track was read.
func (t *track) ofGroup(g *grouping.AlertGroup) []grouping.Episode {
	if !g.Opened.Time().After(t.until) {
		return t.episodes.OfGroup(g)
	}
	now := g.Episodes()
	return history.JoinEpisodes(t.episodes.List, now[max(0, len(now)-1):])
}

// Run reads the episodes of listed groups until the context ends.
func (r *Reader) Run(ctx context.Context) error {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-pause.C:
		}
		select {
		case <-ctx.Done():
			return nil
		case g := <-r.listed.wanted:
			next := readPause
			if r.readListed(ctx, g) != nil {
				next = faultPause // the next page asks again
			}
			pause.Reset(next)
		}
	}
}

func (r *Reader) readListed(ctx context.Context, g *grouping.AlertGroup) error {
	defer r.listed.done(g.ID)
	if known := r.tracks.get(tracked{group: g.ID}); known != nil && !g.Opened.Time().After(known.until) &&
		time.Since(known.readAt) <= listedAgain {
		return nil // a page of the group has read them meanwhile
	}
	if _, err := r.historySince(ctx); err != nil {
		return err
	}
	_, err := r.track(ctx, tracked{group: g.ID}, time.Time{}, g.Stamp, nil)
	return err
}

// want asks Run to read a group, if it has room.
func (l *listed) want(g *grouping.AlertGroup) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waits[g.ID] {
		return
	}
	select {
	case l.wanted <- g:
		l.waits[g.ID] = true
	default:
	}
}

func (l *listed) done(id grouping.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.waits, id)
}

func (l *listed) get(id grouping.ID) (a listedAnswer, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a, ok = l.answers[id]
	return a, ok
}

func (l *listed) put(id grouping.ID, a listedAnswer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.answers) >= maxTracks {
		clear(l.answers)
	}
	l.answers[id] = a
}
