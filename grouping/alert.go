package grouping

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Status is the last known status of an alert.
type Status string

// The statuses of an alert. A firing alert becomes unreported if a complete
// notification of its group omits it: it was muted, or Alertmanager no longer knows
// it. It is not resolved. StatusSuppressed is never stored: see Alert.ShownStatus.
const (
	StatusFiring     Status = "firing"
	StatusSuppressed Status = "suppressed"
	StatusResolved   Status = "resolved"
	StatusUnreported Status = "unreported"
)

// Episode is one firing of an alert, in the times of the source. A zero EndsAt
// means that the alert still fires. If another episode follows, it means that the
// end was never reported.
type Episode struct {
	StartsAt time.Time `json:"startsAt,omitzero"`
	EndsAt   time.Time `json:"endsAt,omitzero"`
	// Stamp is the stamp of the write that last changed the episode.
	Stamp Stamp `json:"stamp,omitzero"`
}

// maxEpisodes is the maximum number of recorded episodes of an alert. A flapping
// alert makes one every few minutes. Sixteen show the pattern, and the history has
// the others.
const maxEpisodes = 16

// Alert is one alert of one group. It is immutable.
type Alert struct {
	Fingerprint  Fingerprint `json:"fingerprint"`
	Status       Status      `json:"status"`
	Labels       Labels      `json:"labels,omitzero"`
	Annotations  Labels      `json:"annotations,omitzero"`
	GeneratorURL string      `json:"generatorURL,omitempty"`
	// Grafana holds the fields that only Grafana sends, or nil if Alertmanager sent
	// the alert.
	Grafana *Grafana `json:"grafana,omitempty"`

	// StartsAt and EndsAt belong to the newest episode. They are the times that the
	// source reported. EndsAt is zero unless the alert is resolved.
	StartsAt time.Time `json:"startsAt,omitzero"`
	EndsAt   time.Time `json:"endsAt,omitzero"`

	// FirstSeenAt, LastSeenAt and ChangedAt are times of Muster's clock: of the
	// first report of the alert, of its last recorded report and of the last change
	// of its status. AlertGroup.LastSeen also knows reports that were not recorded
	// because they changed nothing.
	FirstSeenAt time.Time `json:"firstSeenAt,omitzero"`
	LastSeenAt  time.Time `json:"lastSeenAt,omitzero"`
	ChangedAt   time.Time `json:"changedAt,omitzero"`

	// RecordedAt is when the newest episode was first recorded, or zero if it is the first one
	// of the alert. It is a time of Muster's clock. See EpisodeSeenAt.
	RecordedAt time.Time `json:"recordedAt,omitzero"`

	// ReportedBy is the external URL of the Alertmanager that sent the last recorded
	// report.
	ReportedBy string `json:"reportedBy,omitempty"`
	// Disputed is true while the Alertmanagers of one cluster disagree: one reports
	// the newest episode as resolved, another still reports it as firing.
	Disputed bool `json:"disputed,omitzero"`

	// Unnotified is true if no notification ever listed the alert: only an observation
	// told of it.
	Unnotified bool `json:"unnotified,omitzero"`
	// ObservedAt is when the source observed what last changed the status, in its own
	// clock. It is zero if a notification changed the status.
	ObservedAt time.Time `json:"observedAt,omitzero"`
	// GoneFrom and GoneBy are set if the API of Alertmanager no longer lists the alert,
	// and nobody reported its end: it was last listed at GoneFrom, and not at GoneBy.
	GoneFrom time.Time `json:"goneFrom,omitzero"`
	GoneBy   time.Time `json:"goneBy,omitzero"`

	// Recorded holds the newest episodes as they were written, oldest first. The
	// newest one keeps its last reported end even if the alert fires again. To show
	// episodes, use Episodes.
	Recorded []Episode `json:"episodes,omitempty"`

	// RemovalStamp is the stamp of the alert's last removal from the group.
	// Everything written at or before it is deleted.
	RemovalStamp Stamp `json:"since,omitzero"`
	// Stamp is the stamp of the write that last changed the alert.
	Stamp Stamp `json:"-"`
	// Unknown holds the stored fields that this version of Muster does not know, as
	// a JSON object or "". A later version wrote them. A change of the alert keeps
	// them.
	Unknown string `json:"-"`

	// muted is the record of the group with the alert's mutes, or nil.
	muted *AlertMutes
}

// Name returns the alert's name, or "" if it has none.
func (a *Alert) Name() string { return a.Labels.Get("alertname") }

// EpisodeSeenAt returns when the alert's newest episode was first recorded. An alert that was
// reopened, or that returned, still has the same episode.
func (a *Alert) EpisodeSeenAt() time.Time {
	if a.RecordedAt.IsZero() {
		return a.FirstSeenAt
	}
	return a.RecordedAt
}

// Began returns the time at which the alert started, for ages and sort orders. If
// StartsAt is in the future, it returns the time of the report instead. Otherwise
// the alert would be the newest for years.
func (a *Alert) Began() time.Time {
	if a.StartsAt.After(a.ChangedAt) && !a.ChangedAt.IsZero() {
		return a.ChangedAt
	}
	return a.StartsAt
}

// Episodes returns the alert's episodes, oldest first, without their stamps. The
// newest one has the alert's own StartsAt and EndsAt. If the end of an earlier one
// was never reported, it ends at the start of the next one.
func (a *Alert) Episodes() []Episode { return a.AppendEpisodes(make([]Episode, 0, len(a.Recorded)+1)) }

// AppendEpisodes appends what Episodes returns.
func (a *Alert) AppendEpisodes(to []Episode) []Episode {
	before := len(to)
	var last Episode // the episode with the newest stamp so far
	for i := range a.Recorded {
		e := &a.Recorded[i]
		if !e.StartsAt.Before(a.StartsAt) {
			break
		}
		// This episode starts after last, but was written before it. If it has no end,
		// or starts before last ends, both are one episode: the source moved its start
		// back.
		if e.Stamp < last.Stamp && (e.EndsAt.IsZero() || e.StartsAt.Before(last.EndsAt)) {
			continue
		}
		if e.Stamp > last.Stamp {
			last = *e
		}
		to = append(to, Episode{StartsAt: e.StartsAt, EndsAt: e.EndsAt})
	}
	to = append(to, Episode{StartsAt: a.StartsAt, EndsAt: a.EndsAt})
	eps := to[before:]
	for i := range eps {
		e := &eps[i]
		if i+1 < len(eps) && (e.EndsAt.IsZero() || e.EndsAt.After(eps[i+1].StartsAt)) {
			e.EndsAt = eps[i+1].StartsAt
		}
		if !e.EndsAt.IsZero() && e.EndsAt.Before(e.StartsAt) {
			e.EndsAt = e.StartsAt // the sender reported an end before the start
		}
	}
	return to
}

// EpisodesSince returns the time since which all episodes of the alert are recorded.
func (a *Alert) EpisodesSince() time.Time {
	switch len(a.Recorded) {
	case 0: // of a past state, only the newest episode is known
		return a.ChangedAt
	case maxEpisodes: // what was written before these is discarded
		oldest := slices.MinFunc(a.Recorded, func(x, y Episode) int { return cmp.Compare(x.Stamp, y.Stamp) })
		return latest(a.FirstSeenAt, oldest.Stamp.Time())
	default:
		return a.FirstSeenAt
	}
}

// KnownEnd returns the end of the alert's newest episode, as far as it is known. For an
// unreported alert it is the last time at which Alertmanager knew it: that of the
// notification that omitted it, or a later one if something muted it or the API listed it.
// Zero means that the episode has not ended. A suppressed alert has not ended.
func (a *Alert) KnownEnd() time.Time {
	if a.Status != StatusUnreported || !a.EndsAt.IsZero() {
		return a.EndsAt
	}
	switch last, wasMuted := a.LastMute(); {
	case a.muted.muted():
		return time.Time{}
	case !a.GoneFrom.IsZero():
		return a.GoneFrom
	case wasMuted:
		return latest(a.ChangedAt, last.Ended)
	}
	return a.ChangedAt
}

// Equal reports whether both alerts are equal in every field, including stamps. Their mutes
// are another record.
func (a *Alert) Equal(b *Alert) bool {
	if a == b {
		return true
	}
	return a.Stamp == b.Stamp && a.RemovalStamp == b.RemovalStamp && a.Fingerprint == b.Fingerprint && a.Status == b.Status &&
		a.GeneratorURL == b.GeneratorURL && a.Grafana.Equal(b.Grafana) && a.ReportedBy == b.ReportedBy && a.Disputed == b.Disputed &&
		a.Unnotified == b.Unnotified && a.ObservedAt.Equal(b.ObservedAt) && a.GoneFrom.Equal(b.GoneFrom) && a.GoneBy.Equal(b.GoneBy) &&
		a.StartsAt.Equal(b.StartsAt) && a.EndsAt.Equal(b.EndsAt) && a.FirstSeenAt.Equal(b.FirstSeenAt) && a.RecordedAt.Equal(b.RecordedAt) &&
		a.Unknown == b.Unknown && a.LastSeenAt.Equal(b.LastSeenAt) && a.ChangedAt.Equal(b.ChangedAt) &&
		a.Labels.Equal(b.Labels) && a.Annotations.Equal(b.Annotations) &&
		slices.EqualFunc(a.Recorded, b.Recorded, equalEpisode)
}

func equalEpisode(x, y Episode) bool {
	return x.Stamp == y.Stamp && x.StartsAt.Equal(y.StartsAt) && x.EndsAt.Equal(y.EndsAt)
}

// putEpisode returns eps with e. An episode with the same start is replaced. The
// result holds no more than the maxEpisodes newest writes.
func putEpisode(eps []Episode, e Episode) []Episode {
	return mergeEpisodes(eps, []Episode{e}, "")
}

// mergeEpisodes merges two lists. For each start, the newest write wins. Episodes
// written at or before the stamp since are discarded, and only the maxEpisodes
// newest writes are kept. It is commutative, associative and idempotent.
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

// compareEpisodes orders episodes by stamp. Equal stamps are ordered by content, so
// that the order is total.
func compareEpisodes(x, y Episode) int {
	if c := strings.Compare(string(x.Stamp), string(y.Stamp)); c != 0 {
		return c
	}
	if c := x.EndsAt.Compare(y.EndsAt); c != 0 {
		return c
	}
	return x.StartsAt.Compare(y.StartsAt)
}
