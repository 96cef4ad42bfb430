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
	// maxRead is the maximum number of events that are read for one group, or for one alert
	// of a group. A file needs 3 ms for them, Redis 20 ms. A group that is notified every five
	// minutes has as many in ten days.
	maxRead = 3000
	// maxTracks is the maximum number of groups and alerts whose episodes are kept in memory.
	// Most have a few.
	maxTracks = 1000
	// readAgain is the time after which the episodes are read again. Events can come late, if
	// another replica could not store them.
	readAgain = 10 * time.Minute
	// replicaLag is the time in which events of other replicas usually come.
	replicaLag = time.Minute
	// knownFor is the time for which the begin of the history is kept in memory.
	knownFor = time.Minute
)

// tracked names the episodes of a group, or those of an alert in a group.
type tracked struct {
	group grouping.ID
	alert grouping.Fingerprint // "": those of the group
}

// track holds the episodes that the history has until a time. It is immutable.
type track struct {
	episodes history.Episodes
	since    time.Time // the episodes are complete since then
	until    time.Time // what was written before is read
	readAt   time.Time // everything was read
	last     string    // ID of the last event
	stamp    grouping.Stamp
}

// tracks keeps the episodes that were read last. It is safe for concurrent use.
type tracks struct {
	mu  sync.Mutex
	all map[tracked]*track // guarded by mu

	knownSince time.Time // guarded by mu
	knownAt    time.Time // guarded by mu; when knownSince was read
}

func (t *tracks) get(id tracked) *track {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.all[id]
}

func (t *tracks) put(id tracked, one *track) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == nil || len(t.all) >= maxTracks {
		t.all = map[tracked]*track{}
	}
	t.all[id] = one
}

// GroupBefore says how often the group fired before the time now. It reads little: what is
// new since the last call, or the newest events of the group. read has the newest events of the
// group as the caller has just read them, or it is nil. now can be in the past if g is the group
// at that time, and read is nil.
func (r *Reader) GroupBefore(
	ctx context.Context, g *grouping.AlertGroup, read *grouping.EventPage, now time.Time,
) (history.Before, error) {
	t, err := r.track(ctx, tracked{group: g.ID}, time.Time{}, g.Stamp, read)
	if err != nil {
		return history.Before{}, err
	}
	return r.before(ctx, t.episodes.OfGroup(g), t.since, now)
}

// AlertBefore says how often the alert fired before the time now, in a source. The groups hold
// it and are of this source. It reads only what is older than the episodes that the groups
// record. read has the newest events of the alert in these groups, or is nil, as in
// GroupBefore.
func (r *Reader) AlertBefore(
	ctx context.Context, fp grouping.Fingerprint, groups []*grouping.AlertGroup, read *grouping.EventPage, now time.Time,
) (history.Before, error) {
	var episodes []grouping.Episode
	var since time.Time
	for _, g := range groups {
		a := g.Alert(fp)
		if a == nil {
			continue
		}
		own := a.Episodes()
		if recorded := a.EpisodesSince(); recorded.After(now.Add(-history.BeforeWindow)) {
			t, err := r.track(ctx, tracked{g.ID, fp}, recorded, "", read)
			if err != nil {
				return history.Before{}, err
			}
			own, since = history.JoinEpisodes(t.episodes.List, own), latest(since, t.since)
		}
		episodes = joinReceivers(episodes, own)
	}
	return r.before(ctx, episodes, since, now)
}

// joinReceivers joins the episodes of one alert in the groups of two receivers. It fires as
// long as one of them says so.
func joinReceivers(a, b []grouping.Episode) []grouping.Episode {
	if len(a) > 0 && len(b) > 0 && a[len(a)-1].EndsAt.IsZero() {
		return history.JoinEpisodes(b, a)
	}
	return history.JoinEpisodes(a, b)
}

func (r *Reader) before(ctx context.Context, episodes []grouping.Episode, since, now time.Time) (b history.Before, err error) {
	known, err := r.historySince(ctx)
	if err != nil {
		return b, err
	}
	gaps, err := r.events.Gaps(ctx, now.Add(-history.BeforeWindow), now)
	if err != nil {
		return b, err
	}
	return history.NewBefore(episodes, gaps, latest(since, known), now), nil
}

// lastSince returns what historySince returned last, however long ago.
func (t *tracks) lastSince() (since time.Time, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.knownSince, !t.knownAt.IsZero()
}

// historySince is knownSince, but reads the history seldom.
func (r *Reader) historySince(ctx context.Context) (time.Time, error) {
	t := &r.tracks
	t.mu.Lock()
	since, fresh := t.knownSince, time.Since(t.knownAt) < knownFor
	t.mu.Unlock()
	if fresh {
		return since, nil
	}
	since, err := r.knownSince(ctx)
	if err == nil {
		t.mu.Lock()
		t.knownSince, t.knownAt = since, time.Now()
		t.mu.Unlock()
	}
	return since, err
}

// track returns the episodes that the history has until a time. A zero time is now: then
// nothing is read if the group did not change after the stamp.
func (r *Reader) track(
	ctx context.Context, id tracked, until time.Time, stamp grouping.Stamp, read *grouping.EventPage,
) (*track, error) {
	now := time.Now()
	known := r.tracks.get(id)
	if known != nil && now.Sub(known.readAt) > readAgain {
		known = nil
	}
	if known != nil && (until.IsZero() && stamp <= known.stamp || !until.IsZero() && !until.After(known.until)) {
		return known, nil
	}
	next := track{readAt: now, stamp: stamp, until: until, since: now.Add(-history.BeforeWindow)}
	from := next.since
	if until.IsZero() {
		next.until = now
	}
	if known != nil {
		next.episodes, next.since, next.readAt, next.last = known.episodes.Since(from), known.since, known.readAt, known.last
		from = known.until.Add(-replicaLag)
	}
	page, err := r.readTrack(ctx, id, from, until, read)
	if err != nil {
		return nil, err
	}
	if complete := page.CompleteSince(); !complete.IsZero() {
		if known != nil { // more happened than is read at once
			next.episodes, next.last, next.readAt = history.Episodes{}, "", now
		}
		next.since = complete
	}
	for i := range slices.Backward(page.Events) {
		if e := &page.Events[i]; e.ID > next.last {
			next.episodes.Add(e)
			next.last = e.ID
		}
	}
	if page.CopySince.IsZero() {
		r.tracks.put(id, &next)
	}
	return &next, nil
}

// readTrack returns the events that tell of episodes. It reads no event if they are among
// those that were read already.
func (r *Reader) readTrack(
	ctx context.Context, id tracked, since, until time.Time, read *grouping.EventPage,
) (page grouping.EventPage, err error) {
	q := grouping.EventQuery{
		Group: id.group, Fingerprint: id.alert, Since: since, Until: until, Kinds: history.GroupKinds(),
		Limit: grouping.MaxLimit, MaxRead: maxRead,
	}
	if id.alert != "" {
		q.Kinds = history.AlertKinds()
	}
	if read == nil || !read.CopySince.IsZero() || read.CompleteSince().After(since) {
		return r.events.Events(ctx, q)
	}
	for i := range read.Events {
		if e := &read.Events[i]; q.Matches(e) {
			page.Events = append(page.Events, *e)
		}
	}
	return page, nil
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
