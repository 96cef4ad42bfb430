package grouping

import (
	"slices"
	"time"
)

// PastAlert is what the events of an alert say about it, apart from its content. A writer
// compares it with the alert, and adds what the events do not say.
type PastAlert struct {
	Labels           Labels
	Status           Status
	StartsAt, EndsAt time.Time
	ChangedAt        time.Time
	// RecordedAt is that of the alert.
	RecordedAt       time.Time
	GoneFrom, GoneBy time.Time
	Mutes            []Mute
}

// AlertDetail is the detail of an event about an alert whose other fields do not say the whole
// state of the alert after it.
type AlertDetail struct {
	Status   Status    `json:"status"`
	GoneFrom time.Time `json:"goneFrom,omitzero"`
	GoneBy   time.Time `json:"goneBy,omitzero"`
	// RecordedAt is that of the alert, if it does not follow from the events.
	RecordedAt time.Time `json:"recordedAt,omitzero"`
	// Mutes are the active ones and those that ended. It is empty if they follow from the
	// other fields.
	Mutes []Mute `json:"mutes,omitempty"`
}

// Past returns the alert as its events describe it. The alert may be nil.
func (a *Alert) Past() PastAlert {
	if a == nil {
		return PastAlert{}
	}
	p := PastAlert{
		Labels: a.Labels, Status: a.Status, StartsAt: a.StartsAt, EndsAt: a.EndsAt, ChangedAt: a.ChangedAt,
		RecordedAt: a.RecordedAt, GoneFrom: a.GoneFrom, GoneBy: a.GoneBy,
	}
	if a.muted != nil {
		p.Mutes = a.muted.Mutes
	}
	return p
}

// Apply applies an event about the alert that does not remove it.
func (p *PastAlert) Apply(e *Event) {
	status := p.Status
	switch e.Kind {
	case EventFired, EventRefired, EventReopened, EventReturned:
		status, p.GoneFrom, p.GoneBy = StatusFiring, time.Time{}, time.Time{}
	case EventResolved:
		status, p.GoneFrom, p.GoneBy = StatusResolved, time.Time{}, time.Time{}
		p.endMutes(e.EndsAt)
	case EventUnreported:
		status = StatusUnreported
	case EventSuppressed:
		p.addMute(e.Mute)
	case EventUnsuppressed:
		if p.endMutes(e.ObservedAt); e.ObservedAt.IsZero() {
			p.endMutes(e.Time)
		}
	default: // the detail says what changed
	}
	if e.Alert != nil {
		status, p.GoneFrom, p.GoneBy = e.Alert.Status, e.Alert.GoneFrom, e.Alert.GoneBy
		if len(e.Alert.Mutes) > 0 {
			p.Mutes = e.Alert.Mutes
		}
	}
	if status != p.Status || e.Kind == EventRefired || e.Kind == EventResolved && e.StartsAt.After(p.StartsAt) {
		p.ChangedAt = e.Time
	}
	if p.Status != "" && e.StartsAt.After(p.StartsAt) {
		p.RecordedAt = e.Time // another episode
	}
	if e.Alert != nil && !e.Alert.RecordedAt.IsZero() {
		p.RecordedAt = e.Alert.RecordedAt
	}
	p.Labels, p.Status, p.StartsAt, p.EndsAt = e.Labels, status, e.StartsAt, e.EndsAt
}

// addMute applies that the alert gets its first active mute.
func (p *PastAlert) addMute(m *Mute) {
	if m == nil {
		return
	}
	mutes := make([]Mute, 0, len(p.Mutes)+1)
	for _, known := range p.Mutes {
		if !known.same(*m) {
			mutes = append(mutes, known)
		}
	}
	p.Mutes = boundedMutes(append(mutes, *m))
}

// endMutes applies that the active mutes ended, unless the time is zero.
func (p *PastAlert) endMutes(at time.Time) {
	if at.IsZero() || !slices.ContainsFunc(p.Mutes, Mute.Active) {
		return
	}
	p.Mutes = slices.Clone(p.Mutes)
	for i := range p.Mutes {
		if m := &p.Mutes[i]; m.Active() {
			m.Ended = latest(at, m.Since)
		}
	}
	p.Mutes = boundedMutes(p.Mutes)
}

// sameEpisode reports whether both have the same labels and the same start and end.
func (p *PastAlert) sameEpisode(o *PastAlert) bool {
	return p.StartsAt.Equal(o.StartsAt) && p.EndsAt.Equal(o.EndsAt) && p.Labels.Equal(o.Labels)
}

// lacks returns the detail that makes p, after an event, the state o. It returns nil if the event
// says it all.
func (p *PastAlert) lacks(o *PastAlert) *AlertDetail {
	sameMutes := slices.EqualFunc(p.Mutes, o.Mutes, equalMute)
	if sameMutes && p.Status == o.Status && p.GoneFrom.Equal(o.GoneFrom) && p.GoneBy.Equal(o.GoneBy) && p.RecordedAt.Equal(o.RecordedAt) {
		return nil
	}
	d := &AlertDetail{Status: o.Status, GoneFrom: o.GoneFrom, GoneBy: o.GoneBy}
	if !p.RecordedAt.Equal(o.RecordedAt) {
		d.RecordedAt = o.RecordedAt
	}
	if !sameMutes {
		d.Mutes = o.Mutes
	}
	return d
}
