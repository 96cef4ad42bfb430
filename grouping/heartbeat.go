package grouping

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/alertmanager/pkg/labels"
)

// A heartbeat is an alert that always fires. It proves that the path from its
// Prometheus to Muster works. A missing heartbeat is the problem, so each one is
// watched separately: per source, Alertmanager and label set.

// DefaultHeartbeats returns matchers that select the heartbeats of common rule sets.
func DefaultHeartbeats() []labels.Matchers {
	return []labels.Matchers{{heartbeatNameMatcher}}
}

var heartbeatNameMatcher = func() *labels.Matcher {
	m, err := labels.NewMatcher(labels.MatchRegexp, "alertname", defaultHeartbeatNames)
	if err != nil {
		panic(err) // the expression is a constant
	}
	return m
}()

// defaultHeartbeatNames is a regular expression that matches the names of common
// heartbeats.
const defaultHeartbeatNames = "Watchdog|.*Dead.?Man.?s?.?Switch"

// HeartbeatState is the state of a heartbeat.
type HeartbeatState string

// The states of a heartbeat. A heartbeat without a known interval is unknown, unless
// it arrived recently.
const (
	HeartbeatArrives HeartbeatState = "arrives"
	HeartbeatLate    HeartbeatState = "late"
	HeartbeatEnded   HeartbeatState = "ended" // resolved or unreported
	HeartbeatUnknown HeartbeatState = "unknown"
)

// heartbeatStates lists every state, the worst first.
func heartbeatStates() []HeartbeatState {
	return []HeartbeatState{HeartbeatEnded, HeartbeatLate, HeartbeatUnknown, HeartbeatArrives}
}

// IsBroken reports whether the heartbeat is late or ended.
func (s HeartbeatState) IsBroken() bool { return s == HeartbeatLate || s == HeartbeatEnded }

// Heartbeat is one heartbeat with its state at a given time.
type Heartbeat struct {
	Group        ID
	Source       string
	Alertmanager string // external URL
	Fingerprint  Fingerprint
	Labels       Labels
	State        HeartbeatState
	At           time.Time     // last arrival
	Every        time.Duration // usual interval; 0: not known
}

// Beat records the notifications of one Alertmanager about a group of heartbeats.
type Beat struct {
	By    string    `json:"by,omitempty"` // external URL of the Alertmanager
	At    time.Time `json:"at"`           // last notification
	Since time.Time `json:"since"`        // first notification after the last long pause
	// EveryMillis is the usual interval in milliseconds; 0: not known.
	EveryMillis int64 `json:"everyMillis,omitzero"`
}

func (b Beat) interval() time.Duration { return time.Duration(b.EveryMillis) * time.Millisecond }

func equalBeat(b, o Beat) bool {
	return b.By == o.By && b.EveryMillis == o.EveryMillis && b.At.Equal(o.At) && b.Since.Equal(o.Since)
}

const (
	// maxBeats is the maximum number of Alertmanagers that are recorded for a group.
	maxBeats = 8
	// lateIntervals is the number of usual intervals after which a heartbeat is late.
	lateIntervals = 3
	// minLateness is the minimum time after which a heartbeat is late. A busy host
	// delays notifications by seconds.
	minLateness = time.Minute
	// retryWindow is the time within which a notification counts as a retry of the
	// previous one.
	retryWindow = 5 * time.Second
	// freshWindow is the time for which a single arrival shows that the path works.
	freshWindow = 5 * time.Minute
)

// IsHeartbeat reports whether an element of matchers selects an alert with the labels.
// An element without a matcher selects nothing.
func IsHeartbeat(matchers []labels.Matchers, l Labels) bool {
	return slices.ContainsFunc(matchers, func(m labels.Matchers) bool { return len(m) > 0 && AllMatch(m, l) })
}

// IsHeartbeatGroup reports whether a group contains only heartbeats, and at least one.
func IsHeartbeatGroup(matchers []labels.Matchers, g *AlertGroup) bool {
	return len(g.Alerts) > 0 && !slices.ContainsFunc(g.Alerts, func(a *Alert) bool { return !IsHeartbeat(matchers, a.Labels) })
}

// RecordBeat returns beats after a notification that arrived at the given time from
// the Alertmanager with the external URL by. It does not change beats.
func RecordBeat(beats []Beat, by string, at time.Time) []Beat {
	beats = slices.Clone(beats)
	i := slices.IndexFunc(beats, func(b Beat) bool { return b.By == by })
	if i < 0 {
		if len(beats) >= maxBeats {
			oldest := 0
			for i := range beats {
				if beats[i].At.Before(beats[oldest].At) {
					oldest = i
				}
			}
			beats = slices.Delete(beats, oldest, oldest+1)
		}
		return append(beats, Beat{By: by, At: at, Since: at})
	}
	b := &beats[i]
	interval := at.Sub(b.At)
	switch {
	case interval <= 0:
		return beats // a newer notification is already recorded
	case interval < retryWindow:
	case b.EveryMillis == 0:
		b.EveryMillis = interval.Milliseconds()
	default:
		if interval > lateIntervals*b.interval() {
			b.Since = at
		}
		// A single long pause must not set the interval, or the next pause would not
		// be late.
		b.EveryMillis += (min(interval, 2*b.interval()) - b.interval()).Milliseconds() / 4
	}
	b.At = at
	return beats
}

// isLate reports whether the next notification is late at the time now. The time
// before the start of Muster does not count, because Muster could not receive then.
func (b Beat) isLate(started, now time.Time) bool {
	return b.EveryMillis > 0 && now.Sub(latest(b.At, started)) > max(lateIntervals*b.interval(), minLateness)
}

// wasReplaced reports whether another Alertmanager replaced this one: the other one
// started to notify after the last notification of this one. Only one replica of a
// cluster notifies, and a replaced pod has another name.
func (b Beat) wasReplaced(all []Beat) bool {
	return slices.ContainsFunc(all, func(other Beat) bool {
		return other.By != b.By && other.At.After(b.At) && other.Since.After(b.At.Add(-retryWindow))
	})
}

// heartbeatsOfGroup returns the heartbeats of a group of heartbeats, with their states
// at the time now.
func heartbeatsOfGroup(g *AlertGroup, started, now time.Time) []Heartbeat {
	beats := g.Beats
	if len(beats) == 0 { // an earlier version of Muster stored the group
		beats = []Beat{{By: g.ExternalURL, At: g.LastNotifiedAt, Since: g.LastNotifiedAt}}
	}
	var out []Heartbeat
	for _, a := range g.Alerts {
		for _, b := range beats {
			if b.wasReplaced(beats) {
				continue
			}
			h := Heartbeat{
				Group: g.ID, Source: g.Source, Alertmanager: b.By, Fingerprint: a.Fingerprint, Labels: a.Labels, At: b.At, Every: b.interval(),
				State: HeartbeatArrives,
			}
			switch {
			case a.Status != StatusFiring:
				h.State = HeartbeatEnded
				h.At, _ = g.LastSeen(a)
			case b.isLate(started, now) || g.Stale:
				h.State = HeartbeatLate
			case b.EveryMillis == 0 && now.Sub(b.At) > freshWindow || b.isLate(b.At, now): // none arrived since the start
				h.State = HeartbeatUnknown
			}
			out = append(out, h)
			if a.Status != StatusFiring {
				break // one entry is enough, whichever Alertmanager notified
			}
		}
	}
	return out
}

// Heartbeats returns every heartbeat with its current state, the worst first.
func (m *Manager) Heartbeats(ctx context.Context) ([]Heartbeat, error) {
	if err := m.startOperation(ctx, "heartbeats"); err != nil {
		return nil, err
	}
	return m.index.listHeartbeats(m.started, m.clock.Now()), nil
}

// listHeartbeats returns the heartbeats of all groups that contain only heartbeats.
func (x *index) listHeartbeats(started, now time.Time) []Heartbeat {
	x.mu.RLock()
	groups := slices.Collect(maps.Values(x.heartbeats))
	x.mu.RUnlock()
	return HeartbeatsOf(groups, started, now)
}

// HeartbeatsOf returns the heartbeats of groups that contain only heartbeats, with
// their states at the time now, the worst first. started is the time since which
// Muster could receive them. Several groups may hold the same heartbeat, if a route
// was edited or leads to two receivers. Then the last notified group counts.
func HeartbeatsOf(groups []*AlertGroup, started, now time.Time) []Heartbeat {
	type path struct {
		source, alertmanager string
		fingerprint          Fingerprint
	}
	newest := map[path]Heartbeat{}
	for _, g := range groups {
		for _, h := range heartbeatsOfGroup(g, started, now) {
			at := path{h.Source, h.Alertmanager, h.Fingerprint}
			if known, ok := newest[at]; !ok || cmp.Or(h.At.Compare(known.At), cmp.Compare(h.Group, known.Group)) > 0 {
				newest[at] = h
			}
		}
	}
	out := slices.Collect(maps.Values(newest))
	rank := func(s HeartbeatState) int { return slices.Index(heartbeatStates(), s) }
	slices.SortFunc(out, func(a, b Heartbeat) int {
		return cmp.Or(cmp.Compare(rank(a.State), rank(b.State)), cmp.Compare(a.Source, b.Source), a.At.Compare(b.At),
			cmp.Compare(a.Fingerprint, b.Fingerprint), cmp.Compare(a.Alertmanager, b.Alertmanager))
	})
	return out
}

// MainHeartbeat returns the heartbeat that matters most: the worst broken one, or else
// the one that arrived last. It returns nil for an empty list. The heartbeats must be
// sorted, the worst first.
func MainHeartbeat(heartbeats []Heartbeat) *Heartbeat {
	if len(heartbeats) == 0 {
		return nil
	}
	if heartbeats[0].State.IsBroken() {
		return &heartbeats[0]
	}
	newest := slices.MaxFunc(heartbeats, func(a, b Heartbeat) int { return a.At.Compare(b.At) })
	return &newest
}

// PathState returns what the heartbeats say about the path from a source to Muster: the
// worst state of its heartbeats, or "" if it has none. A heartbeat proves the path from
// its own source only. The heartbeats must be sorted, the worst first.
func PathState(heartbeats []Heartbeat, source string) HeartbeatState {
	for i := range heartbeats {
		if heartbeats[i].Source == source {
			return heartbeats[i].State
		}
	}
	return ""
}

// HasBrokenHeartbeat reports whether the group holds a heartbeat that is late or ended.
func HasBrokenHeartbeat(heartbeats []Heartbeat, group ID) bool {
	return slices.ContainsFunc(heartbeats, func(h Heartbeat) bool { return h.Group == group && h.State.IsBroken() })
}
