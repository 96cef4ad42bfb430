package grouping

import (
	"time"
)

// Origin says by which way Muster heard of something, other than by a notification.
type Origin string

// The origins.
const (
	OriginEvent Origin = "event" // the event recorder of Alertmanager
	OriginAPI   Origin = "api"   // the API of Alertmanager, which Muster polls
)

// Observation is one thing that an Alertmanager said beside its notifications. Exactly one of
// the pointers is set. Observations can be lost, can come late, in any order and again. So the
// state must come out right without them.
type Observation struct {
	Origin Origin
	// Instance is the Alertmanager that said it: its host name, which others may have too,
	// or the URL of its API.
	Instance string
	// At is when that was true, in the clock of the Alertmanager.
	At time.Time

	Alert    *ObservedAlert
	Muted    *ObservedMute
	Silence  *Silence
	Delivery *ObservedDelivery
	Started  *ObservedStart

	// The manager concludes these itself. Unmuted is a mute of all alerts of a group that
	// ended. NotSeen is a mute of one alert that no flush shows any more.
	Gone    *ObservedGone
	Unmuted *Mute
	NotSeen *NotSeenMute
}

// NotSeenMute is a mute of an alert that no flush shows any more.
type NotSeenMute struct {
	Fingerprint Fingerprint
	Mute        Mute
}

// ObservedGone says that the API no longer lists an alert: it did at From, and not at By.
type ObservedGone struct {
	Fingerprint Fingerprint
	From, By    time.Time
}

// ObservedGroup is the group of an observation. GroupKey is "" if the origin does not know it,
// as the API.
type ObservedGroup struct {
	Receiver    string
	GroupKey    string
	GroupLabels Labels
}

// ObservedAlert says that an alert is in a group.
type ObservedAlert struct {
	Group ObservedGroup
	// Alert is firing or resolved. EndsAt is zero while it fires.
	Alert NotifiedAlert
	// Final is true if a flush dropped the alert after its end. Otherwise an end may still
	// be taken back: two Prometheus servers can take turns.
	Final bool
	// Listed is true if Mutes are all mutes of the alert in this group. The event recorder
	// tells mutes one by one, with ObservedMute.
	Listed bool
	Mutes  []Mute
	// Until is when the alert ends if nobody posts it again. It is zero if that is not known.
	Until time.Time
}

// ObservedMute says that a flush found the alert muted. It does not say in which group. Since
// of the mute is not set.
type ObservedMute struct {
	Fingerprint Fingerprint
	Labels      Labels
	Mute        Mute
	// Silence is the silence, or nil if the mute is no silence.
	Silence *Silence
}

// ObservedDelivery is a notification that an integration of a receiver accepted.
type ObservedDelivery struct {
	Group    ObservedGroup
	Delivery Delivery
	// Firing and Resolved are the alerts that it said. Muted are the alerts of the group that
	// were left out.
	Firing, Resolved, Muted []Fingerprint
}

// ObservedStart says that an Alertmanager started or stops.
type ObservedStart struct {
	Version string // "" if it stops
}

// Delivery is the detail of a delivered event: which integration was notified, and of what.
// Firing and Resolved count the alerts of the event's group.
type Delivery struct {
	Receiver    string `json:"receiver"`
	Integration string `json:"integration"`
	Index       uint64 `json:"index"` // counts the integrations of one kind in the receiver, from 0
	Reason      string `json:"reason,omitempty"`
	Firing      int    `json:"firing"`
	Resolved    int    `json:"resolved"`
	// Flush identifies the flush of one Alertmanager that made it. Several integrations and
	// receivers can be notified by one flush.
	Flush string `json:"flush,omitempty"`
	// Of is the number of alerts that the notification said in all, if it is about another
	// group key.
	Of int `json:"of,omitzero"`
}

// MuteKind says what mutes an alert.
type MuteKind string

// The kinds of mutes.
const (
	MuteSilence    MuteKind = "silence"
	MuteInhibition MuteKind = "inhibition"
	MuteInterval   MuteKind = "interval" // a time interval of the route
)

// MuteKinds lists every kind of mutes.
func MuteKinds() []MuteKind { return []MuteKind{MuteSilence, MuteInhibition, MuteInterval} }

// Mute is one reason for which Alertmanager sends no notification about an alert.
type Mute struct {
	Kind MuteKind `json:"kind"`
	// ID is the ID of the silence, the fingerprint of the inhibiting alert or the name of
	// the time interval. It can be "" for an inhibition.
	ID string `json:"id"`
	// Rule is the name of the inhibition rule, or else its matchers. It is "" if it is not
	// known.
	Rule string `json:"rule,omitempty"`
	// Since is when it was first seen. Ended is when it no longer muted the alert, and zero
	// while it does. Both are in the clock of the source.
	Since time.Time `json:"since,omitzero"`
	Ended time.Time `json:"ended,omitzero"`
	From  Origin    `json:"from"`
}

// Active reports whether it mutes the alert.
func (m Mute) Active() bool { return m.Ended.IsZero() }

// same reports whether both are about the same cause.
func (m Mute) same(o Mute) bool { return m.Kind == o.Kind && m.ID == o.ID }
