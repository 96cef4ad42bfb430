package grouping

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// State is what a group's alerts amount to.
type State string

// The states of a group. A group of which a truncated notification cut alerts
// is never resolved: what was cut may still fire, so it is unreported.
const (
	StateFiring     State = "firing"     // all known alerts fire
	StateMixed      State = "mixed"      // some fire, some do not
	StateResolved   State = "resolved"   // none fires, none is unreported
	StateUnreported State = "unreported" // none fires, some are unreported
)

// States lists every state, the most urgent first.
func States() []State {
	return []State{StateFiring, StateMixed, StateUnreported, StateResolved}
}

// Counts says how many alerts of a group have which status.
type Counts struct {
	Firing     int `json:"firing"`
	Resolved   int `json:"resolved"`
	Unreported int `json:"unreported"`
}

// Meta is what a group knows apart from its alerts. The newest write wins it
// whole.
type Meta struct {
	Key

	GroupLabels       Labels `json:"groupLabels,omitempty"`
	CommonLabels      Labels `json:"commonLabels,omitempty"`
	CommonAnnotations Labels `json:"commonAnnotations,omitempty"`
	RouteLabels       Labels `json:"routeLabels,omitempty"`
	ExternalURL       string `json:"externalURL,omitempty"`

	CreatedAt      time.Time `json:"createdAt,omitzero"`
	UpdatedAt      time.Time `json:"updatedAt,omitzero"`
	LastNotifiedAt time.Time `json:"lastNotifiedAt,omitzero"`
	LastReason     string    `json:"lastReason,omitempty"`
	// Truncated is the number of alerts cut from the last notification.
	Truncated uint64 `json:"truncated,omitempty"`

	// CompleteAt and CompleteBy are arrival and sender of the last complete
	// notification: until then every alert that fires was reported by it.
	CompleteAt time.Time `json:"completeAt,omitzero"`
	CompleteBy string    `json:"completeBy,omitempty"`

	// Settling is true until the group's first flush, at FlushAt. Stale is set
	// by a flush that finds a firing group long without a word.
	Settling bool      `json:"settling,omitempty"`
	Stale    bool      `json:"stale,omitempty"`
	FlushAt  time.Time `json:"flushAt,omitzero"`

	// Beats are the arrivals at a group of heartbeats, by Alertmanager.
	Beats []Beat `json:"beats,omitempty"`

	// Stamp is that of the write that last changed these fields.
	Stamp Stamp `json:"-"`
	// Unknown is as that of an Alert.
	Unknown string `json:"-"`
}

// AlertGroup mirrors one aggregation group of Alertmanager for one receiver.
// It is immutable; NewAlertGroup makes one.
type AlertGroup struct {
	ID ID
	Meta

	// Alerts is sorted by fingerprint.
	Alerts []*Alert
	// Removed holds the stamps of removed alerts for a while, so that an older
	// copy of the group does not bring them back.
	Removed map[Fingerprint]Stamp
	// Deleted says that everything written at or before it is gone. A group of
	// which nothing else is left is a tombstone.
	Deleted Stamp

	// Version and Notifications are counters for display: after a rollback of
	// the storage they may repeat.
	Version       int64
	Notifications int64

	// What follows from the rest. Name is what to call the group: its
	// alertname, else its group labels, else its receiver. Severity is the
	// worst of the firing alerts, or, where none fires, of all; NewestAt is when
	// the newest alert of that severity started.
	State    State
	Counts   Counts
	Name     string
	Severity Severity
	// Severities counts the firing alerts by the word in their label severity.
	Severities map[string]int
	NewestAt   time.Time
}

// NewAlertGroup completes g: it sorts the alerts and derives what follows from
// them. The caller hands g over.
func NewAlertGroup(g AlertGroup) *AlertGroup {
	if !slices.IsSortedFunc(g.Alerts, compareFingerprints) {
		slices.SortFunc(g.Alerts, compareFingerprints)
	}
	g.Counts = Counts{}
	for _, a := range g.Alerts {
		switch a.Status {
		case StatusFiring:
			g.Counts.Firing++
		case StatusResolved:
			g.Counts.Resolved++
		case StatusUnreported:
			g.Counts.Unreported++
		}
	}
	switch c := g.Counts; {
	case c.Firing > 0 && c.Resolved+c.Unreported > 0:
		g.State = StateMixed
	case c.Firing > 0:
		g.State = StateFiring
	case c.Unreported > 0 || g.Truncated > 0:
		g.State = StateUnreported
	default:
		g.State = StateResolved
	}
	g.Name = groupName(&g.Meta)
	g.Severity, g.NewestAt, g.Severities = SeverityNone, time.Time{}, nil
	if g.Counts.Firing > 0 {
		g.Severities = map[string]int{}
	}
	for _, a := range g.Alerts {
		if a.Status != StatusFiring && g.Counts.Firing > 0 {
			continue
		}
		if a.Status == StatusFiring {
			g.Severities[a.SeverityWord()]++
		}
		if c := a.Severity().Compare(g.Severity); c < 0 || c == 0 && a.Began().After(g.NewestAt) {
			g.Severity, g.NewestAt = a.Severity(), a.Began()
		}
	}
	return &g
}

// How long and of how many alerts a group remembers that they were removed:
// longer than a replica may be cut off and still bring them back. One that is
// forgotten too early comes back resolved, and expires once more.
const (
	removalRetention = 24 * time.Hour
	maxRemovals      = 1000
	// prunedRemovals is to how many they are cut, so that a flood does not sort
	// them at each write.
	prunedRemovals = maxRemovals * 3 / 4
)

// PruneRemovals returns the group without the removals that are too old to matter at
// its last write, or too many.
func (g *AlertGroup) PruneRemovals() *AlertGroup {
	if len(g.Removed) == 0 {
		return g
	}
	before := NewStamp(g.Stamp.Time().Add(-removalRetention), 0, "")
	if len(g.Removed) > maxRemovals {
		newest := slices.Sorted(maps.Values(g.Removed))
		before = max(before, newest[len(newest)-prunedRemovals])
	}
	old := 0
	for _, s := range g.Removed {
		if s < before {
			old++
		}
	}
	if old == 0 {
		return g
	}
	next := *g
	next.Removed = maps.Clone(g.Removed)
	maps.DeleteFunc(next.Removed, func(_ Fingerprint, s Stamp) bool { return s < before })
	return &next
}

func groupName(m *Meta) string {
	if name := m.GroupLabels["alertname"]; name != "" {
		return name
	}
	if len(m.GroupLabels) == 0 {
		return m.Receiver
	}
	parts := make([]string, 0, len(m.GroupLabels))
	for _, name := range m.GroupLabels.Names() {
		parts = append(parts, name+" "+m.GroupLabels[name])
	}
	return strings.Join(parts, ", ")
}

func compareFingerprints(a, b *Alert) int { return cmp.Compare(a.Fingerprint, b.Fingerprint) }

// Tombstone returns what is left of a group deleted at the stamp.
func Tombstone(id ID, deleted Stamp) *AlertGroup {
	return &AlertGroup{ID: id, Deleted: deleted}
}

// IsTombstone reports whether nothing is left of the group but the fact that
// it was deleted.
func (g *AlertGroup) IsTombstone() bool { return g.Stamp == "" && len(g.Alerts) == 0 }

// Alert returns the alert with the fingerprint, or nil.
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

// LastSeen returns when the alert was last reported, and by which
// Alertmanager: a firing alert was reported by every complete notification of
// its group, though only changes are written to the alert itself.
func (g *AlertGroup) LastSeen(a *Alert) (at time.Time, by string) {
	if a.Status == StatusFiring && g.CompleteAt.After(a.LastSeenAt) {
		return g.CompleteAt, g.CompleteBy
	}
	return a.LastSeenAt, a.ReportedBy
}

// ResolvedAt returns when the group's last alert was reported resolved, or
// zero if the group is not resolved.
func (g *AlertGroup) ResolvedAt() time.Time {
	var at time.Time
	if g.State == StateResolved {
		for _, a := range g.Alerts {
			if a.ChangedAt.After(at) {
				at = a.ChangedAt
			}
		}
	}
	return at
}

// maxGroupEpisodes bounds the episodes listed per group.
const maxGroupEpisodes = 50

// Episodes returns the group's episodes, oldest first: the times during which
// at least one alert fired.
func (g *AlertGroup) Episodes() []Episode {
	var all []Episode
	for _, a := range g.Alerts {
		all = append(all, a.Episodes()...)
	}
	slices.SortFunc(all, func(x, y Episode) int { return x.StartsAt.Compare(y.StartsAt) })
	var out []Episode
	for _, e := range all {
		last := len(out) - 1
		switch {
		case last < 0 || !out[last].EndsAt.IsZero() && out[last].EndsAt.Before(e.StartsAt):
			out = append(out, e)
		case out[last].EndsAt.IsZero():
		case e.EndsAt.IsZero() || e.EndsAt.After(out[last].EndsAt):
			out[last].EndsAt = e.EndsAt
		}
	}
	return out[max(0, len(out)-maxGroupEpisodes):]
}

// Equal reports whether both hold the same records, stamps included. Counters
// for display do not count.
func (g *AlertGroup) Equal(o *AlertGroup) bool {
	if g == o {
		return true
	}
	return g != nil && o != nil && g.ID == o.ID && g.Deleted == o.Deleted && equalMeta(&g.Meta, &o.Meta) &&
		maps.Equal(g.Removed, o.Removed) && slices.EqualFunc(g.Alerts, o.Alerts, (*Alert).Equal)
}

func equalMeta(m, o *Meta) bool {
	return m.Stamp == o.Stamp && m.Unknown == o.Unknown && m.Key == o.Key && m.ExternalURL == o.ExternalURL && m.LastReason == o.LastReason &&
		m.Truncated == o.Truncated && m.CompleteBy == o.CompleteBy && m.Settling == o.Settling && m.Stale == o.Stale &&
		m.CreatedAt.Equal(o.CreatedAt) && m.UpdatedAt.Equal(o.UpdatedAt) && m.FlushAt.Equal(o.FlushAt) &&
		m.LastNotifiedAt.Equal(o.LastNotifiedAt) && slices.EqualFunc(m.Beats, o.Beats, equalBeat) && m.CompleteAt.Equal(o.CompleteAt) &&
		maps.Equal(m.GroupLabels, o.GroupLabels) && maps.Equal(m.CommonLabels, o.CommonLabels) &&
		maps.Equal(m.CommonAnnotations, o.CommonAnnotations) && maps.Equal(m.RouteLabels, o.RouteLabels)
}
