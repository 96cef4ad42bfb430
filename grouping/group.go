package grouping

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// State is the state of a group. It follows from the statuses of its alerts.
type State string

// The states of a group. If its last notification was truncated, a group is
// unreported and not resolved, because the truncated alerts may still fire.
const (
	StateFiring     State = "firing"     // all known alerts fire
	StateMixed      State = "mixed"      // some fire, some do not
	StateSuppressed State = "suppressed" // no alert fires, some are suppressed
	StateResolved   State = "resolved"   // all are resolved
	StateUnreported State = "unreported" // no alert fires, some are unreported
)

// States lists every state, the most urgent first.
func States() []State {
	return []State{StateFiring, StateMixed, StateSuppressed, StateUnreported, StateResolved}
}

// Counts holds the number of alerts of a group by shown status.
type Counts struct {
	Firing     int `json:"firing"`
	Resolved   int `json:"resolved"`
	Suppressed int `json:"suppressed"`
	Unreported int `json:"unreported"`
}

// Meta holds the fields of a group without its alerts. They are one record: the
// newest write replaces all of them.
type Meta struct {
	Key

	GroupLabels       Labels `json:"groupLabels,omitzero"`
	CommonLabels      Labels `json:"commonLabels,omitzero"`
	CommonAnnotations Labels `json:"commonAnnotations,omitzero"`
	RouteLabels       Labels `json:"routeLabels,omitzero"`
	ExternalURL       string `json:"externalURL,omitempty"`

	CreatedAt      time.Time `json:"createdAt,omitzero"`
	UpdatedAt      time.Time `json:"updatedAt,omitzero"`
	LastNotifiedAt time.Time `json:"lastNotifiedAt,omitzero"`
	LastReason     string    `json:"lastReason,omitempty"`
	// Truncated is the number of alerts truncated from the last notification.
	Truncated uint64 `json:"truncated,omitzero"`

	// CompleteAt and CompleteBy are the arrival and the sender of the last complete
	// notification. Such a notification reports every alert that fires.
	CompleteAt time.Time `json:"completeAt,omitzero"`
	CompleteBy string    `json:"completeBy,omitempty"`

	// Settling is true until the group's first flush, at FlushAt. A flush sets Stale
	// if the group fires and had no notification for the time Options.StaleAfter.
	Settling bool      `json:"settling,omitzero"`
	Stale    bool      `json:"stale,omitzero"`
	FlushAt  time.Time `json:"flushAt,omitzero"`

	// Opened is the stamp of the opened event of the group's last episode. It names the
	// episode, so a start that moves back does not change it. Earlier versions did not write
	// it. Ended is the stamp of the write that ended the episode before, or the last one if none
	// runs.
	Opened Stamp `json:"opened,omitzero"`
	Ended  Stamp `json:"ended,omitzero"`
	// ClosedBy is set if a person closed the group, until an alert fires again.
	ClosedBy *Closing `json:"closedBy,omitempty"`

	// Beats holds the arrivals at a group of heartbeats, one element per
	// Alertmanager.
	Beats []Beat `json:"beats,omitempty"`

	// Stamp is the stamp of the write that last changed these fields.
	Stamp Stamp `json:"-"`
	// Unknown holds unknown stored fields, as in an Alert.
	Unknown string `json:"-"`
}

// AlertGroup mirrors one aggregation group of Alertmanager for one receiver. It is
// immutable. Use NewAlertGroup to make one.
type AlertGroup struct {
	ID ID
	Meta

	// Alerts is sorted by fingerprint.
	Alerts []*Alert
	// Mutes is sorted by fingerprint. It may hold the mutes of an alert that the group does
	// not hold, if the record of the alert is not known yet.
	Mutes []*AlertMutes
	// Acks are the last acknowledgements, and Notes all notes, oldest first. Most groups have
	// neither.
	Acks  []*Ack
	Notes []*Note
	// Removed holds the removal stamps of removed alerts for a while. So an older
	// copy of the group does not restore them.
	Removed map[Fingerprint]Stamp
	// Deleted is the stamp of the group's last deletion. Everything written at or
	// before it is deleted. A group that has nothing else is a tombstone.
	Deleted Stamp

	// Version and Notifications are counters for display only. After a rollback of
	// the storage, they may repeat.
	Version       int64
	Notifications int64

	// The fields below are derived from those above. Name is the group's alertname,
	// else its group labels, else its receiver. Severity is the most urgent severity
	// of the firing alerts, or of the suppressed ones if no alert fires, or else of all.
	// NewestAt is the start
	// of the newest alert with that severity.
	State    State
	Counts   Counts
	Name     string
	Severity Severity
	// Severities holds the number of firing alerts by the value of their severity
	// label.
	Severities map[string]int
	NewestAt   time.Time
	// mostUrgent is the number of alerts that have both Severity and NewestAt.
	mostUrgent int
	// second is the urgency that follows that of the most urgent alerts. It is not known if
	// no alert has it.
	second urgency
	// lacking is the number of alerts that do not have all of the group labels.
	// Alertmanager groups by these labels, so it is usually 0.
	lacking int
	// shared is nil if nobody needed it yet.
	shared *sharedLabels
}

const (
	// removalRetention is how long a group keeps the removal stamp of an alert. A
	// replica that is cut off for longer may restore the alert. Then the alert comes
	// back as resolved, and expires once more.
	removalRetention = 24 * time.Hour
	// maxRemovals is the maximum number of removal stamps that a group keeps.
	maxRemovals = 1000
	// prunedRemovals is the number that remains if the maximum is exceeded. It is
	// lower than the maximum, so that a flood does not sort the stamps at each write.
	prunedRemovals = maxRemovals * 3 / 4
)

// PruneRemovals returns the group without old removal stamps: those that exceeded
// their retention at the group's last write, and the oldest if there are too many.
// It returns g itself if there is nothing to prune.
func (g *AlertGroup) PruneRemovals() *AlertGroup {
	removed := pruneRemovals(g.Removed, g.Stamp)
	if len(removed) == len(g.Removed) {
		return g
	}
	next := *g
	next.Removed = removed
	return &next
}

// pruneRemovals returns the removal stamps without the old ones. stamp is that of the last
// write. If there is nothing to prune, it returns removed itself.
func pruneRemovals[K comparable](removed map[K]Stamp, stamp Stamp) map[K]Stamp {
	if len(removed) == 0 {
		return removed
	}
	before := NewStamp(stamp.Time().Add(-removalRetention), 0, "")
	if len(removed) > maxRemovals {
		newest := slices.Sorted(maps.Values(removed))
		before = max(before, newest[len(newest)-prunedRemovals])
	}
	old := 0
	for _, s := range removed {
		if s < before {
			old++
		}
	}
	if old == 0 {
		return removed
	}
	kept := make(map[K]Stamp, len(removed)-old)
	for key, s := range removed {
		if s >= before {
			kept[key] = s
		}
	}
	return kept
}

func groupName(m *Meta) string {
	if name := m.GroupLabels.Get("alertname"); name != "" {
		return name
	}
	if m.GroupLabels.IsZero() {
		return m.Receiver
	}
	parts := make([]string, 0, m.GroupLabels.Len())
	for name, value := range m.GroupLabels.All() {
		parts = append(parts, name+" "+value)
	}
	return strings.Join(parts, ", ")
}

func compareFingerprints(a, b *Alert) int { return cmp.Compare(a.Fingerprint, b.Fingerprint) }

// Tombstone returns the tombstone of a group that was deleted at the stamp.
func Tombstone(id ID, deleted Stamp) *AlertGroup {
	return &AlertGroup{ID: id, Deleted: deleted}
}

// IsTombstone reports whether the group was deleted: it has neither alerts nor
// fields of its own.
func (g *AlertGroup) IsTombstone() bool { return g.Stamp == "" && len(g.Alerts) == 0 }

// Alert returns the alert with the fingerprint, or nil if the group does not hold
// it. The group may be nil.
func (g *AlertGroup) Alert(fp Fingerprint) *Alert {
	if g == nil {
		return nil
	}
	i, ok := slices.BinarySearchFunc(g.Alerts, fp, func(a *Alert, fp Fingerprint) int {
		return cmp.Compare(a.Fingerprint, fp)
	})
	if !ok {
		return nil
	}
	return g.Alerts[i]
}

func (g *AlertGroup) fingerprints() []Fingerprint {
	fps := make([]Fingerprint, 0, len(g.Alerts))
	for _, a := range g.Alerts {
		fps = append(fps, a.Fingerprint)
	}
	return fps
}

// LastSeen returns when the alert was last reported, and the external URL of the
// Alertmanager that reported it. Every complete notification of a group reports all
// its firing alerts that were notified, but only changes are written to the alert itself.
func (g *AlertGroup) LastSeen(a *Alert) (at time.Time, by string) {
	if a.Status == StatusFiring && !a.Unnotified && g.CompleteAt.After(a.LastSeenAt) {
		return g.CompleteAt, g.CompleteBy
	}
	return a.LastSeenAt, a.ReportedBy
}

// ResolvedAt returns when the group's last alert was reported as resolved. It is
// zero if the group is not resolved.
func (g *AlertGroup) ResolvedAt() time.Time {
	if g.State != StateResolved {
		return time.Time{}
	}
	return g.ChangedAt()
}

// ChangedAt returns when the status of an alert of the group last changed.
func (g *AlertGroup) ChangedAt() time.Time {
	var at time.Time
	for _, a := range g.Alerts {
		at = latest(at, a.ChangedAt)
	}
	return at
}

// Disputed returns the number of alerts about which the Alertmanagers of a cluster
// disagree.
func (g *AlertGroup) Disputed() int {
	n := 0
	for _, a := range g.Alerts {
		if a.Disputed {
			n++
		}
	}
	return n
}

// maxGroupEpisodes is the maximum number of episodes that are listed for a group.
const maxGroupEpisodes = 50

// Episodes returns the newest episodes of the group, oldest first. An episode of a
// group is a time during which at least one alert fired.
func (g *AlertGroup) Episodes() []Episode { return g.AppendEpisodes(nil) }

// AppendEpisodes appends what Episodes returns.
func (g *AlertGroup) AppendEpisodes(to []Episode) []Episode {
	before := len(to)
	for _, a := range g.Alerts {
		last := len(to)
		// Alerts often fire together. Equal episodes are one episode of the group.
		if to = a.AppendEpisodes(to); last > before && len(to) == last+1 && to[last] == to[last-1] {
			to = to[:last]
		}
	}
	eps := to[before:]
	slices.SortFunc(eps, func(x, y Episode) int { return x.StartsAt.Compare(y.StartsAt) })
	n := 0
	for _, e := range eps {
		switch {
		case n == 0 || !eps[n-1].EndsAt.IsZero() && eps[n-1].EndsAt.Before(e.StartsAt):
			eps[n] = e
			n++
		case eps[n-1].EndsAt.IsZero():
		case e.EndsAt.IsZero() || e.EndsAt.After(eps[n-1].EndsAt):
			eps[n-1].EndsAt = e.EndsAt
		}
	}
	if n > maxGroupEpisodes {
		n = copy(eps, eps[n-maxGroupEpisodes:n])
	}
	return to[:before+n]
}

// Equal reports whether both groups have equal records, including stamps. It ignores
// the counters for display. Either group may be nil.
func (g *AlertGroup) Equal(o *AlertGroup) bool {
	if g == o {
		return true
	}
	if g == nil || o == nil || g.ID != o.ID || g.Deleted != o.Deleted || !equalMeta(&g.Meta, &o.Meta) {
		return false
	}
	for _, kind := range groupKinds {
		if !kind.equal(g, o) {
			return false
		}
	}
	return true
}

func equalMeta(m, o *Meta) bool {
	return m.Stamp == o.Stamp && m.Unknown == o.Unknown && m.Key == o.Key && m.ExternalURL == o.ExternalURL && m.LastReason == o.LastReason &&
		m.Truncated == o.Truncated && m.CompleteBy == o.CompleteBy && m.Settling == o.Settling && m.Stale == o.Stale &&
		m.CreatedAt.Equal(o.CreatedAt) && m.UpdatedAt.Equal(o.UpdatedAt) && m.FlushAt.Equal(o.FlushAt) &&
		m.Opened == o.Opened && m.Ended == o.Ended && equalClosing(m.ClosedBy, o.ClosedBy) &&
		m.LastNotifiedAt.Equal(o.LastNotifiedAt) && slices.EqualFunc(m.Beats, o.Beats, equalBeat) && m.CompleteAt.Equal(o.CompleteAt) &&
		m.GroupLabels.Equal(o.GroupLabels) && m.CommonLabels.Equal(o.CommonLabels) &&
		m.CommonAnnotations.Equal(o.CommonAnnotations) && m.RouteLabels.Equal(o.RouteLabels)
}
