package history

import (
	"cmp"
	"slices"
	"time"

	"muster/grouping"
)

const (
	// BeforeWindow is the time in which Before counts episodes.
	BeforeWindow = 30 * 24 * time.Hour
	// RecentWindow is the shorter time in which Before counts episodes, too.
	RecentWindow = 7 * 24 * time.Hour
	// minForLonger is the minimum number of resolved episodes that say how long an episode
	// usually takes at most.
	minForLonger = 5
)

// Before says how often an alert or a group fired, and for how long. An episode counts if it
// fired within the window, so the newest one usually counts too.
type Before struct {
	// KnownSince is the begin of the window, or later if the history does not reach so far
	// back. NoData is the part of the time since then for which there is no data.
	KnownSince time.Time
	NoData     time.Duration
	// Firings is the number of episodes since KnownSince, and RecentFirings the number of
	// those within the RecentWindow.
	Firings, RecentFirings int
	// Resolved is the number of these episodes that were resolved. The durations are theirs:
	// half of them took at most Median, and nine of ten at most P90.
	Resolved             int
	Median, P90, Longest time.Duration
	// Newest is the newest episode. Last is the one before it, if it counts. A zero EndsAt
	// means that the episode did not end, or that nobody reported its end.
	Newest, Last grouping.Episode
}

// NewBefore returns what episodes say at the time now. They are sorted by their starts, and
// complete since knownSince. The gaps are sorted and do not overlap.
func NewBefore(episodes []grouping.Episode, gaps []grouping.Gap, knownSince, now time.Time) Before {
	b := Before{KnownSince: latest(knownSince, now.Add(-BeforeWindow))}
	for _, g := range gaps {
		b.NoData += max(0, earliest(g.To, now).Sub(latest(g.From, b.KnownSince)))
	}
	for len(episodes) > 0 && episodes[len(episodes)-1].StartsAt.After(now) {
		episodes = episodes[:len(episodes)-1]
	}
	var took []time.Duration
	for i, e := range episodes {
		isNewest := i == len(episodes)-1
		if e.EndsAt.After(now) {
			e.EndsAt = time.Time{}
		}
		lastFired := latest(e.StartsAt, e.EndsAt)
		if isNewest && e.EndsAt.IsZero() {
			lastFired = now
		}
		if isNewest {
			b.Newest = e
		}
		if lastFired.Before(b.KnownSince) {
			continue
		}
		b.Firings++
		if now.Sub(lastFired) <= RecentWindow {
			b.RecentFirings++
		}
		if !e.EndsAt.IsZero() {
			took = append(took, e.EndsAt.Sub(e.StartsAt))
		}
		if !isNewest {
			b.Last = e
		}
	}
	if b.Resolved = len(took); b.Resolved > 0 {
		slices.Sort(took)
		b.Median, b.P90, b.Longest = nearestRank(took, 50), nearestRank(took, 90), took[len(took)-1]
	}
	return b
}

// Covers reports whether the count reaches back for the duration.
func (b *Before) Covers(d time.Duration, now time.Time) bool { return !b.KnownSince.After(now.Add(-d)) }

// LongerThanUsual reports whether the newest episode, which did not end, lasts longer than nine
// of ten that were resolved.
func (b *Before) LongerThanUsual(now time.Time) bool {
	return b.Resolved >= minForLonger && b.Newest.EndsAt.IsZero() && now.Sub(b.Newest.StartsAt) > b.P90
}

// Episodes collects the episodes of a group or of an alert from its events. The zero value
// has none.
type Episodes struct {
	List []grouping.Episode // sorted by their starts
	open bool               // of a group: the last one did not end
}

// GroupKinds lists the kinds of the events that tell of the episodes of a group.
func GroupKinds() []grouping.EventKind {
	return []grouping.EventKind{grouping.EventOpened, grouping.EventClosed, grouping.EventExpired}
}

// AlertKinds lists the kinds of the events that tell of the episodes of an alert.
func AlertKinds() []grouping.EventKind {
	return []grouping.EventKind{grouping.EventFired, grouping.EventRefired, grouping.EventReopened, grouping.EventResolved}
}

// Add adds what an event tells. Events are added in their order. All are about one group, or
// about one alert.
func (p *Episodes) Add(e *grouping.Event) {
	switch e.Kind {
	case grouping.EventOpened:
		p.startOfGroup(e)
		p.open = true
	case grouping.EventClosed:
		if p.open { // an earlier version wrote no other time than that of the event
			end(&p.List[len(p.List)-1], cmp.Or(e.EndsAt, e.Time))
			p.open = false
		}
	case grouping.EventExpired:
		// A group is removed with its last alert, also before it resolved.
		p.open = p.open && e.Fingerprint != ""
	case grouping.EventFired, grouping.EventRefired, grouping.EventReopened:
		if i := p.at(e.StartsAt); i >= 0 {
			p.List[i].EndsAt = time.Time{}
		}
	case grouping.EventResolved:
		if i := p.at(e.StartsAt); i >= 0 {
			end(&p.List[i], e.EndsAt)
		}
	default: // it begins and ends no episode
	}
}

// startOfGroup starts an episode. If the group opens because an alert of the last episode is
// reopened, that one continues.
func (p *Episodes) startOfGroup(e *grouping.Event) {
	at := cmp.Or(e.StartsAt, e.Time)
	if n := len(p.List); n > 0 {
		last := &p.List[n-1]
		switch {
		case at.Before(last.StartsAt):
			at = e.Time // an alert of an older episode is reopened
		case at.Equal(last.StartsAt), at.Before(last.EndsAt):
			last.EndsAt = time.Time{}
			return
		}
	}
	p.List = append(p.List, grouping.Episode{StartsAt: at})
}

// at returns the index of the alert's episode with this start, which may be a new one. It
// returns -1 if an episode that is not known is older than others.
func (p *Episodes) at(start time.Time) int {
	for i, e := range slices.Backward(p.List) {
		if sameStart(e.StartsAt, start) || start.After(e.StartsAt) && start.Before(e.EndsAt) {
			return i
		}
	}
	last := len(p.List) - 1
	if last < 0 || start.After(p.List[last].StartsAt) {
		p.List = append(p.List, grouping.Episode{StartsAt: start})
		return last + 1
	}
	if last > 0 && start.Before(latest(p.List[last-1].StartsAt, p.List[last-1].EndsAt)) {
		return -1
	}
	p.List[last].StartsAt = start // a source can move a start back
	return last
}

// Since returns a copy without the episodes that were over before a time.
func (p *Episodes) Since(t time.Time) Episodes {
	first := 0
	for first < len(p.List)-1 && latest(p.List[first].StartsAt, p.List[first].EndsAt).Before(t) {
		first++
	}
	return Episodes{List: slices.Clone(p.List[first:]), open: p.open}
}

// OfGroup returns the episodes of a group, with the newest one as its state says. The events
// about it can be older than the history.
func (p *Episodes) OfGroup(g *grouping.AlertGroup) []grouping.Episode {
	now := g.Episodes()
	if p.open || g.State == grouping.StateResolved || len(now) == 0 {
		return p.List
	}
	return JoinEpisodes(p.List, now[len(now)-1:])
}

// sameStart reports whether both are the start of one episode. The API of Alertmanager has
// milliseconds only.
func sameStart(a, b time.Time) bool { return a.Sub(b).Abs() < time.Millisecond }

// end ends an episode. A sender can report an end before the start.
func end(e *grouping.Episode, at time.Time) { e.EndsAt = latest(at, e.StartsAt) }

// JoinEpisodes returns the episodes of both lists, which are sorted by their starts. If both
// lists have an episode, the second one is right about it.
func JoinEpisodes(known, right []grouping.Episode) []grouping.Episode {
	all := slices.Clone(right)
	for _, e := range known {
		if !slices.ContainsFunc(right, func(o grouping.Episode) bool { return isSameEpisode(e, o) }) {
			all = append(all, e)
		}
	}
	slices.SortStableFunc(all, func(x, y grouping.Episode) int { return x.StartsAt.Compare(y.StartsAt) })
	return all
}

// isSameEpisode reports whether both have the same start, or one contains the start of the
// other one.
func isSameEpisode(x, y grouping.Episode) bool {
	if y.StartsAt.Before(x.StartsAt) {
		x, y = y, x
	}
	return sameStart(x.StartsAt, y.StartsAt) || y.StartsAt.Before(x.EndsAt)
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
