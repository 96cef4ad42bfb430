package grouping

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/alertmanager/pkg/labels"
)

// A heartbeat is an alert that always fires, to prove that the path from its
// Prometheus to here works. What one looks for is its absence, so each is
// watched by itself: per source, Alertmanager and label set.

// DefaultHeartbeats select the heartbeats of the usual rule sets.
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

// defaultHeartbeatNames is the expression that the names of the usual heartbeats
// match.
const defaultHeartbeatNames = "Watchdog|.*Dead.?Man.?s?.?Switch"

// HeartbeatState is how a heartbeat fares.
type HeartbeatState string

// The states of a heartbeat. One whose rhythm is not known proves nothing,
// except for what it has just said.
const (
	HeartbeatArrives HeartbeatState = "arrives"
	HeartbeatLate    HeartbeatState = "late"
	HeartbeatEnded   HeartbeatState = "ended" // resolved, or no longer reported
	HeartbeatUnknown HeartbeatState = "unknown"
)

// HeartbeatStates lists every state, the worst first.
func HeartbeatStates() []HeartbeatState {
	return []HeartbeatState{HeartbeatEnded, HeartbeatLate, HeartbeatUnknown, HeartbeatArrives}
}

// IsBroken reports whether something is wrong with a heartbeat.
func (s HeartbeatState) IsBroken() bool { return s == HeartbeatLate || s == HeartbeatEnded }

// Heartbeat is one heartbeat as it fares at a time.
type Heartbeat struct {
	Group        ID
	Source       string
	Alertmanager string // external URL
	Fingerprint  Fingerprint
	Labels       Labels
	State        HeartbeatState
	At           time.Time     // of its last arrival
	Every        time.Duration // its usual interval; 0: not known
}

// Beat is what is recorded of the notifications of one Alertmanager about a
// group of heartbeats.
type Beat struct {
	By    string    `json:"by,omitempty"` // external URL
	At    time.Time `json:"at"`           // of the last one
	Since time.Time `json:"since"`        // from when on they came without a long pause
	// EveryMillis is the usual interval in milliseconds; 0: it is not known.
	EveryMillis int64 `json:"everyMillis,omitempty"`
}

func (b Beat) interval() time.Duration { return time.Duration(b.EveryMillis) * time.Millisecond }

func equalBeat(b, o Beat) bool {
	return b.By == o.By && b.EveryMillis == o.EveryMillis && b.At.Equal(o.At) && b.Since.Equal(o.Since)
}

const (
	// maxBeats bounds the Alertmanagers that are recorded of one group.
	maxBeats = 8
	// lateIntervals is how many of its usual intervals a heartbeat may miss.
	lateIntervals = 3
	// minLateness is the least that counts as late: a busy host delays by seconds.
	minLateness = time.Minute
	// retryWindow is within how long a notification is a retry of the one before.
	retryWindow = 5 * time.Second
	// freshWindow is for how long one arrival alone shows that the path works.
	freshWindow = 5 * time.Minute
)

// IsHeartbeat reports whether the matchers select an alert.
func IsHeartbeat(matchers []labels.Matchers, l Labels) bool {
	return slices.ContainsFunc(matchers, func(m labels.Matchers) bool { return len(m) > 0 && matches(m, l) })
}

// IsHeartbeatGroup reports whether a group holds heartbeats and nothing else.
func IsHeartbeatGroup(matchers []labels.Matchers, g *AlertGroup) bool {
	return len(g.Alerts) > 0 && !slices.ContainsFunc(g.Alerts, func(a *Alert) bool { return !IsHeartbeat(matchers, a.Labels) })
}

// recordBeat returns the record after a notification at a time.
func recordBeat(beats []Beat, by string, at time.Time) []Beat {
	beats = slices.Clone(beats)
	i := slices.IndexFunc(beats, func(b Beat) bool { return b.By == by })
	if i < 0 {
		if len(beats) >= maxBeats {
			beats = slices.DeleteFunc(beats, func(b Beat) bool {
				return b == slices.MinFunc(beats, func(x, y Beat) int { return x.At.Compare(y.At) })
			})
		}
		return append(beats, Beat{By: by, At: at, Since: at})
	}
	b := &beats[i]
	interval := at.Sub(b.At)
	switch {
	case interval <= 0:
		return beats // overtaken
	case interval < retryWindow:
	case b.EveryMillis == 0:
		b.EveryMillis = interval.Milliseconds()
	default:
		if interval > lateIntervals*b.interval() {
			b.Since = at
		}
		// One pause must not make the next one go unnoticed.
		b.EveryMillis += (min(interval, 2*b.interval()) - b.interval()).Milliseconds() / 4
	}
	b.At = at
	return beats
}

// isLate reports whether a beat is missed at a time. What could not be heard,
// because Muster started later, does not count.
func (b Beat) isLate(started, now time.Time) bool {
	return b.EveryMillis > 0 && now.Sub(latest(b.At, started)) > max(lateIntervals*b.interval(), minLateness)
}

// wasReplaced reports whether another Alertmanager took the beat's place: it
// began only when this one had ended. Of the replicas of a cluster one notifies,
// and a pod that is replaced comes back under another name.
func (b Beat) wasReplaced(all []Beat) bool {
	return slices.ContainsFunc(all, func(other Beat) bool {
		return other.By != b.By && other.At.After(b.At) && other.Since.After(b.At.Add(-retryWindow))
	})
}

// heartbeats returns those of a group of heartbeats, as they fare at a time.
func heartbeatsOfGroup(g *AlertGroup, started, now time.Time) []Heartbeat {
	beats := g.Beats
	if len(beats) == 0 { // of an earlier version
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
			case b.EveryMillis == 0 && now.Sub(b.At) > freshWindow || b.isLate(b.At, now): // not heard since the start
				h.State = HeartbeatUnknown
			}
			out = append(out, h)
			if a.Status != StatusFiring {
				break // said once, whoever notified
			}
		}
	}
	return out
}

// Heartbeats returns every heartbeat as it fares now, the worst first.
func (m *Manager) Heartbeats(ctx context.Context) ([]Heartbeat, error) {
	if err := m.startOperation(ctx, "heartbeats"); err != nil {
		return nil, err
	}
	return m.index.listHeartbeats(m.started, m.clock.Now()), nil
}

// beating returns the heartbeats of the groups that hold nothing else.
func (x *index) listHeartbeats(started, now time.Time) []Heartbeat {
	x.mu.RLock()
	groups := slices.Collect(maps.Values(x.heartbeats))
	x.mu.RUnlock()
	return HeartbeatsOf(groups, started, now)
}

// HeartbeatsOf returns the heartbeats of groups that hold nothing else as they
// fare at a time, the worst first. started is since when they could be heard. Of
// several groups that hold one heartbeat, since a route was edited or leads to
// two receivers, the one that was notified last tells.
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
	rank := func(s HeartbeatState) int { return slices.Index(HeartbeatStates(), s) }
	slices.SortFunc(out, func(a, b Heartbeat) int {
		return cmp.Or(cmp.Compare(rank(a.State), rank(b.State)), cmp.Compare(a.Source, b.Source), a.At.Compare(b.At),
			cmp.Compare(a.Fingerprint, b.Fingerprint), cmp.Compare(a.Alertmanager, b.Alertmanager))
	})
	return out
}
