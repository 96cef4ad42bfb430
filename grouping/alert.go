package grouping

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// Status is what is known of an alert.
type Status string

// An alert that a complete notification of its group omitted is unreported:
// it was muted, or Alertmanager no longer knows it. It is not resolved.
const (
	StatusFiring     Status = "firing"
	StatusResolved   Status = "resolved"
	StatusUnreported Status = "unreported"
)

// Episode is one firing of an alert, in the source's own times. A zero EndsAt
// means that it goes on, or, where another follows, that its end was never
// reported.
type Episode struct {
	StartsAt time.Time `json:"startsAt,omitzero"`
	EndsAt   time.Time `json:"endsAt,omitzero"`
	// Stamp is that of the write that last changed the episode.
	Stamp Stamp `json:"stamp,omitzero"`
}

// maxEpisodes bounds the episodes kept per alert. A flapping alert makes one
// every few minutes; sixteen show the pattern, the history has the rest.
const maxEpisodes = 16

// Alert is what is known of one alert in one group. It is immutable.
type Alert struct {
	Fingerprint  Fingerprint `json:"fingerprint"`
	Status       Status      `json:"status"`
	Labels       Labels      `json:"labels,omitempty"`
	Annotations  Labels      `json:"annotations,omitempty"`
	GeneratorURL string      `json:"generatorURL,omitempty"`
	// Grafana is what Grafana adds; nil if Alertmanager sent the alert.
	Grafana *Grafana `json:"grafana,omitempty"`

	// StartsAt and EndsAt are those of the newest episode, as the source gave
	// them. EndsAt is zero unless the alert is resolved.
	StartsAt time.Time `json:"startsAt,omitzero"`
	EndsAt   time.Time `json:"endsAt,omitzero"`

	// FirstSeenAt, LastSeenAt and ChangedAt are our times: of the first word
	// of the alert, the last one written down (AlertGroup.LastSeen knows the
	// true last), and the last change of its status.
	FirstSeenAt time.Time `json:"firstSeenAt,omitzero"`
	LastSeenAt  time.Time `json:"lastSeenAt,omitzero"`
	ChangedAt   time.Time `json:"changedAt,omitzero"`

	// ReportedBy is the external URL of the Alertmanager whose word this is.
	ReportedBy string `json:"reportedBy,omitempty"`
	// Disputed says that the Alertmanagers of one cluster disagree: one holds
	// the newest episode for over, another goes on reporting it as firing.
	Disputed bool `json:"disputed,omitempty"`

	// Recorded holds the newest episodes, oldest first, as they were written
	// down: the newest keeps the end that was last reported of it even where it
	// fires again. Episodes makes the readable list of them.
	Recorded []Episode `json:"episodes,omitempty"`

	// RemovalStamp is the stamp of the alert's last removal from the group: what was
	// written at or before it is gone.
	RemovalStamp Stamp `json:"since,omitzero"`
	// Stamp is that of the write that last changed the alert.
	Stamp Stamp `json:"-"`
	// Unknown is what a later version of Muster stored beside these fields, as a
	// JSON object or "". It stays when the alert changes.
	Unknown string `json:"-"`
}

// Name returns the alert's name, or "" if it has none.
func (a *Alert) Name() string { return a.Labels["alertname"] }

// Began returns when the alert began, for ages and orders. A start in the future
// counts from when it was reported: it would be the newest for years.
func (a *Alert) Began() time.Time {
	if a.StartsAt.After(a.ChangedAt) && !a.ChangedAt.IsZero() {
		return a.ChangedAt
	}
	return a.StartsAt
}

// Episodes returns the alert's episodes, oldest first, without their stamps.
// The newest is the alert's own StartsAt and EndsAt. An earlier one whose end
// was never reported is shown to end where the next begins.
func (a *Alert) Episodes() []Episode {
	eps := make([]Episode, 0, len(a.Recorded)+1)
	var last Episode // the last written of those so far
	for _, e := range a.Recorded {
		if !e.StartsAt.Before(a.StartsAt) {
			break
		}
		// A start that was written down before an earlier one, and no end with
		// it, is that one's own: the source moved it back since.
		if e.Stamp < last.Stamp && (e.EndsAt.IsZero() || e.StartsAt.Before(last.EndsAt)) {
			continue
		}
		if e.Stamp > last.Stamp {
			last = e
		}
		eps = append(eps, Episode{StartsAt: e.StartsAt, EndsAt: e.EndsAt})
	}
	eps = append(eps, Episode{StartsAt: a.StartsAt, EndsAt: a.EndsAt})
	for i := range eps {
		e := &eps[i]
		if i+1 < len(eps) && (e.EndsAt.IsZero() || e.EndsAt.After(eps[i+1].StartsAt)) {
			e.EndsAt = eps[i+1].StartsAt
		}
		if !e.EndsAt.IsZero() && e.EndsAt.Before(e.StartsAt) {
			e.EndsAt = e.StartsAt // the sender's times are beyond reason
		}
	}
	return eps
}

// Equal reports whether both say the same, stamps included.
func (a *Alert) Equal(b *Alert) bool {
	if a == b {
		return true
	}
	return a.Stamp == b.Stamp && a.RemovalStamp == b.RemovalStamp && a.Fingerprint == b.Fingerprint && a.Status == b.Status &&
		a.GeneratorURL == b.GeneratorURL && a.Grafana.Equal(b.Grafana) && a.ReportedBy == b.ReportedBy && a.Disputed == b.Disputed &&
		a.StartsAt.Equal(b.StartsAt) && a.EndsAt.Equal(b.EndsAt) && a.FirstSeenAt.Equal(b.FirstSeenAt) &&
		a.Unknown == b.Unknown && a.LastSeenAt.Equal(b.LastSeenAt) && a.ChangedAt.Equal(b.ChangedAt) &&
		maps.Equal(a.Labels, b.Labels) && maps.Equal(a.Annotations, b.Annotations) &&
		slices.EqualFunc(a.Recorded, b.Recorded, equalEpisode)
}

func equalEpisode(x, y Episode) bool {
	return x.Stamp == y.Stamp && x.StartsAt.Equal(y.StartsAt) && x.EndsAt.Equal(y.EndsAt)
}

// record returns eps with e in the place of the episode that starts with it,
// bounded to the newest written.
func putEpisode(eps []Episode, e Episode) []Episode {
	return mergeEpisodes(eps, []Episode{e}, "")
}

// mergeEpisodes unites two lists: per start the newest write wins, what was
// written at or before the stamp since is left out, and the maxEpisodes newest
// writes stay. It is commutative, associative and idempotent.
func mergeEpisodes(a, b []Episode, since Stamp) []Episode {
	out := make([]Episode, 0, len(a)+len(b))
	for _, e := range slices.Concat(a, b) {
		if e.Stamp <= since {
			continue
		}
		same := func(o Episode) bool { return o.StartsAt.Equal(e.StartsAt) }
		if i := slices.IndexFunc(out, same); i < 0 {
			out = append(out, e)
		} else if compareEpisodes(out[i], e) < 0 {
			out[i] = e
		}
	}
	slices.SortFunc(out, compareEpisodes)
	out = out[max(0, len(out)-maxEpisodes):]
	slices.SortFunc(out, func(x, y Episode) int { return x.StartsAt.Compare(y.StartsAt) })
	return out
}

// compareEpisodes orders by write, then, for a total order, by content.
func compareEpisodes(x, y Episode) int {
	if c := strings.Compare(string(x.Stamp), string(y.Stamp)); c != 0 {
		return c
	}
	if c := x.EndsAt.Compare(y.EndsAt); c != 0 {
		return c
	}
	return x.StartsAt.Compare(y.StartsAt)
}
