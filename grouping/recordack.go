package grouping

import (
	"cmp"
	"slices"
	"time"
)

// ackRecords are the acknowledgements of a group. The key of a record is the ID of its
// acknowledgement.
var ackRecords = groupRecords[Ack, *Ack]{"ack:", func(g *AlertGroup) *[]*Ack { return &g.Acks }, maxAcks}

// Ack is an acknowledgement: a person took an episode of a group on. It is immutable.
type Ack struct {
	// ID is the stamp of the write that made the acknowledgement. So the text order of IDs is
	// their time order.
	ID string `json:"-"`
	Person

	At time.Time `json:"at"`
	// Until is when the acknowledgement ends by itself. Zero means with the episode.
	Until time.Time `json:"until,omitzero"`
	Note  string    `json:"note,omitempty"`
	// Episode is the group's Opened of that time.
	Episode Stamp `json:"episode,omitzero"`
	// Undone says who undid it, or is nil.
	Undone *Undone `json:"undone,omitempty"`

	// Stamp is the stamp of the record. It follows that of the group's own fields, and is not
	// the time of the write: so the write of a person never wins over a notification that the
	// writer did not know.
	Stamp Stamp `json:"-"`
	// Unknown holds unknown stored fields, as in an Alert.
	Unknown string `json:"-"`
}

// Undone says who undid an acknowledgement, and when.
type Undone struct {
	Person

	At time.Time `json:"at"`
}

func (a *Ack) stampedFields() stampedFields { return stampedFields{&a.ID, &a.Stamp, &a.Unknown} }

func (a *Ack) compare(o *Ack) int { return cmp.Compare(a.ID, o.ID) }

// Equal reports whether both acknowledgements are equal in every field, including stamps.
func (a *Ack) Equal(o *Ack) bool {
	return a.ID == o.ID && a.Stamp == o.Stamp && a.Unknown == o.Unknown && a.Person == o.Person && a.Note == o.Note &&
		a.Episode == o.Episode && a.At.Equal(o.At) && a.Until.Equal(o.Until) && equalUndone(a.Undone, o.Undone)
}

func equalUndone(x, y *Undone) bool {
	return x == y || x != nil && y != nil && x.Person == y.Person && x.At.Equal(y.At)
}

// IsOpen reports whether an episode of the group runs: an alert did not end, and nobody closed
// the group.
func (g *AlertGroup) IsOpen() bool { return g.State != StateResolved && g.ClosedBy == nil }

// lastAck returns the newest acknowledgement of the present episode that nobody undid, or nil.
func (g *AlertGroup) lastAck() *Ack {
	if len(g.Acks) == 0 || !g.IsOpen() {
		return nil
	}
	for _, a := range slices.Backward(g.Acks) {
		if a.Undone == nil && a.Stamp > g.Ended {
			return a
		}
	}
	return nil
}

// Ack returns the acknowledgement of the present episode that counts, or nil: the newest one
// that nobody undid, unless it ran out.
func (g *AlertGroup) Ack(now time.Time) *Ack {
	if a := g.lastAck(); a != nil && !a.ranOut(now) {
		return a
	}
	return nil
}

// AckThatEnded returns the last acknowledgement of the present episode if it ran out, or nil.
func (g *AlertGroup) AckThatEnded(now time.Time) *Ack {
	if a := g.lastAck(); a != nil && a.ranOut(now) {
		return a
	}
	return nil
}

func (a *Ack) ranOut(now time.Time) bool { return !a.Until.IsZero() && !now.Before(a.Until) }

// Precedes reports whether an alert fires, and its episode was first recorded after the
// acknowledgement. An alert that was reopened, or that returned, is not new.
func (a *Ack) Precedes(alert *Alert) bool {
	return alert.ShownStatus() == StatusFiring && alert.EpisodeSeenAt().After(a.At)
}

// NewSince returns the number of alerts that the acknowledgement precedes.
func (g *AlertGroup) NewSince(a *Ack) int {
	n := 0
	for _, alert := range g.Alerts {
		if a.Precedes(alert) {
			n++
		}
	}
	return n
}

// IsAcknowledged reports whether an acknowledgement counts and no alert is new since.
func (g *AlertGroup) IsAcknowledged(now time.Time) bool { return g.AckState(now) == AckYes }

// AckState says whether somebody took the present episode of a group on.
type AckState string

// The states of a group. Each group has one of them.
const (
	AckYes AckState = "yes" // it is acknowledged, and no alert is new since
	AckNo  AckState = "no"  // no acknowledgement counts
	AckNew AckState = "new" // it is acknowledged, and an alert is new since
)

// AckStates lists every state.
func AckStates() []AckState { return []AckState{AckYes, AckNo, AckNew} }

// AckState returns the state of the group at a time.
func (g *AlertGroup) AckState(now time.Time) AckState {
	switch a := g.Ack(now); {
	case a == nil:
		return AckNo
	case g.NewSince(a) > 0:
		return AckNew
	}
	return AckYes
}
