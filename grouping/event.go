package grouping

import (
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

// EventKind is the kind of an event. Only changes make events of an alert: a repeated
// notification writes one notified event and no event per alert.
type EventKind string

// The kinds of events.
const (
	EventOpened     EventKind = "opened"     // a new or resolved group has a firing alert
	EventFired      EventKind = "fired"      // an alert fires for the first time
	EventRefired    EventKind = "refired"    // an alert fires again: a new episode
	EventReopened   EventKind = "reopened"   // a resolved alert fires again, same episode
	EventResolved   EventKind = "resolved"   // an alert is reported resolved
	EventUnreported EventKind = "unreported" // a firing alert is no longer reported
	EventReturned   EventKind = "returned"   // an unreported alert is reported firing again
	EventNotified   EventKind = "notified"   // a notification arrived
	EventClosed     EventKind = "closed"     // all alerts of a group are resolved, or a person closed it
	EventStale      EventKind = "stale"      // a firing group had no notification for a long time
	EventExpired    EventKind = "expired"    // a group or an alert exceeded its retention, or was removed

	EventSuppressed   EventKind = "suppressed"   // an alert that fires is muted
	EventUnsuppressed EventKind = "unsuppressed" // nothing mutes the alert any more
	EventDelivered    EventKind = "delivered"    // an integration of a receiver accepted a notification

	EventSilenceCreated EventKind = "silenceCreated" // of the source: a silence is new
	EventSilenceChanged EventKind = "silenceChanged" // of the source: its end, its comment or its creator changed
	EventSilenceExpired EventKind = "silenceExpired" // of the source: it ended

	EventAcknowledged   EventKind = "acknowledged"   // a person acknowledged the group
	EventUnacknowledged EventKind = "unacknowledged" // a person undid an acknowledgement
	EventNoted          EventKind = "noted"          // a person wrote a note

	EventGap EventKind = "gap" // of Muster itself: a time in which it could not hear of anything
)

// EventChanged says what changed of an alert, or of what is common to the alerts of a group, in
// a write whose other events do not say it. For an alert these are mostly the annotations, the
// generator URL, the start, or what mutes it. Annotations can have values, so
// each notification can make one such event per alert. They are kept apart from the other
// events, with a limit of their own, and only StreamEvents reads them.
const EventChanged EventKind = "changed"

// EventKinds lists every kind of the history. EventChanged is not one of them.
func EventKinds() []EventKind {
	return []EventKind{
		EventOpened, EventFired, EventRefired, EventReopened, EventResolved, EventUnreported,
		EventReturned, EventNotified, EventClosed, EventStale, EventExpired, EventSuppressed, EventUnsuppressed,
		EventDelivered, EventSilenceCreated, EventSilenceChanged, EventSilenceExpired,
		EventAcknowledged, EventUnacknowledged, EventNoted, EventGap,
	}
}

// TransitionKinds lists every kind except for notifications and deliveries. Most events are
// notifications that change nothing.
func TransitionKinds() []EventKind {
	return slices.DeleteFunc(EventKinds(), func(k EventKind) bool { return k == EventNotified || k == EventDelivered })
}

// eventNumberLen is the length of the number of an event in its write. The number is
// the end of the ID.
const eventNumberLen = 6

// Event is one entry of the history. Its ID is unique and has a fixed length. The text
// order of IDs is the time order of events.
type Event struct {
	ID          string      `json:"id"`
	Time        time.Time   `json:"time"`
	Kind        EventKind   `json:"kind"`
	GroupID     ID          `json:"groupId"` // "": an event of the source, or of Muster itself if Source is "" too
	Source      string      `json:"source"`
	Receiver    string      `json:"receiver"`
	Fingerprint Fingerprint `json:"fingerprint,omitempty"`
	// Labels holds the labels of the alert, or the group labels if the event is not
	// about one alert.
	Labels Labels `json:"labels,omitzero"`

	// Was is the status of the alert before the event, or "" if the alert was not
	// known. StartsAt and EndsAt are those of its episode after the event, in the clock
	// of the source. They are set in all events about an alert. An opened event has the
	// start of the group's episode, and a closed event its end.
	Was      Status    `json:"was,omitempty"`
	StartsAt time.Time `json:"startsAt,omitzero"`
	EndsAt   time.Time `json:"endsAt,omitzero"`
	// Content is the hash of the alert's content after the event. It is set if an episode
	// begins, and if the content changed. In an event of a group it is what is common to the
	// alerts, if that changed and Opened does not say it. The contents themselves are stored
	// beside the events.
	Content string `json:"content,omitempty"`
	// ObservedAt is when the source observed the event, in its own clock. It is zero
	// if the source did not say.
	ObservedAt time.Time `json:"observedAt,omitzero"`

	// An event has at most one of the details below: Opened only in the first event of a group,
	// Notified only in notified events, Delivery only in delivered ones, Silence only in
	// those about a silence, Gap only in gap events, People only in those of a person. Mute
	// says what mutes the alert of a suppressed event, or muted that of an unsuppressed or
	// resolved one. Alert can be beside Mute: it says what the other fields do not say about the
	// alert. The stored fields of Notified are those of the event itself, because they are older
	// than details.
	Opened   *Opened        `json:"opened,omitempty"`
	Delivery *Delivery      `json:"delivery,omitempty"`
	Mute     *Mute          `json:"mute,omitempty"`
	Silence  *SilenceChange `json:"silence,omitempty"`
	Gap      *Gap           `json:"gap,omitempty"`
	People   *PeopleDetail  `json:"people,omitempty"`
	Alert    *AlertDetail   `json:"alert,omitempty"`
	Notified *Notified      `json:",embed"`

	// Unknown holds unknown stored fields, as in an Alert.
	Unknown string `json:"-"`
}

// Opened has the identity of a group, which its ID does not tell.
type Opened struct {
	GroupKey    string `json:"groupKey"`
	ExternalURL string `json:"externalURL,omitempty"`
	// Shared says that after the write what is common to the alerts is what they share. So no
	// content needs to say it.
	Shared bool `json:"shared,omitzero"`
}

// SilenceChange says what a silence is after an event about it. OldEndsAt is its end before,
// if that changed.
type SilenceChange struct {
	ID        string           `json:"id"`
	Matchers  []SilenceMatcher `json:"matchers,omitempty"` // of its first set
	CreatedBy string           `json:"createdBy,omitempty"`
	Comment   string           `json:"comment,omitempty"`
	StartsAt  time.Time        `json:"startsAt,omitzero"`
	EndsAt    time.Time        `json:"endsAt,omitzero"`
	OldEndsAt time.Time        `json:"oldEndsAt,omitzero"`
	Early     bool             `json:"early,omitzero"` // it ended before its planned end
	// By made the change through Muster. It is nil if Muster does not know who did it.
	By *Person `json:",embed"`
}

// Notified says what a notification said about its group.
type Notified struct {
	Reason      string `json:"reason,omitempty"`
	ExternalURL string `json:"externalURL,omitempty"` // of the Alertmanager that sent it
	Firing      int    `json:"firing,omitzero"`
	Resolved    int    `json:"resolved,omitzero"`
	Truncated   uint64 `json:"truncated,omitzero"`
}

// Notification returns the detail of a notified event, or a zero value if the event has
// none.
func (e *Event) Notification() Notified {
	if e.Notified == nil {
		return Notified{}
	}
	return *e.Notified
}

// DocumentID returns the ID of the document that the event was written with: the group of
// the event, or else its source. An event of Muster itself has a source without a name.
func (e *Event) DocumentID() ID {
	if e.GroupID == "" {
		return SourceID(e.Source)
	}
	return e.GroupID
}

// Stamp returns the stamp of the write that made the event.
func (e *Event) Stamp() Stamp { return Stamp(e.ID[:min(StampLen, len(e.ID))]) }

// eventLog collects the events of one write and gives them their IDs.
type eventLog struct {
	stamp  Stamp
	key    Key
	id     ID
	events []Event
	// ids are the IDs of the events from the number firstID on.
	ids     string
	firstID int
	// observedAt is when the source observed what the events are about, or zero.
	observedAt time.Time
	// changed holds the changed events. They get their IDs at the end.
	changed []Event
	// contents holds the contents of all events.
	contents ContentTexts
}

func (l *eventLog) add(e Event) {
	if e.ObservedAt.IsZero() {
		e.ObservedAt = l.observedAt
	}
	l.identify(&e, len(l.events))
	l.events = append(l.events, e)
}

// addFirst adds an event before the others, whose numbers change.
func (l *eventLog) addFirst(e Event) {
	if e.ObservedAt.IsZero() {
		e.ObservedAt = l.observedAt
	}
	l.events = slices.Insert(l.events, 0, e)
	for i := range l.events {
		l.identify(&l.events[i], i)
	}
}

// identify gives an event its ID, its time and its group.
func (l *eventLog) identify(e *Event, number int) {
	e.ID = l.eventID(number)
	e.Time = l.stamp.Time()
	e.GroupID, e.Source, e.Receiver = l.id, l.key.Source, l.key.Receiver
}

// eventID returns the ID of the event with the number. The IDs of the events for which there
// is space are parts of one text: a storage keeps the events of a write for the same time.
func (l *eventLog) eventID(number int) string {
	size := len(l.stamp) + eventNumberLen
	if at := size * (number - l.firstID); l.ids != "" && at >= 0 && at+size <= len(l.ids) {
		return l.ids[at : at+size]
	}
	end := max(number+1, cap(l.events))
	var ids strings.Builder
	ids.Grow(size * (end - number))
	var digits [eventNumberLen]byte
	for n := number; n < end; n++ {
		hex.Encode(digits[:], []byte{byte(n >> 16), byte(n >> 8), byte(n)}) //nolint:gosec // G115: these are its digits
		ids.WriteString(string(l.stamp))
		ids.Write(digits[:])
	}
	l.ids, l.firstID = ids.String(), number
	return l.ids[:size]
}

// takeChanged returns the changed events. Their numbers follow those of the others.
func (l *eventLog) takeChanged() []Event {
	for i := range l.changed {
		l.identify(&l.changed[i], len(l.events)+i)
	}
	return l.changed
}

func (l *eventLog) addForGroup(kind EventKind, labels Labels) {
	l.add(Event{Kind: kind, Labels: labels})
}

// addForAlert adds an event about an alert. before is the alert before the event, or
// nil if it was not known.
func (l *eventLog) addForAlert(kind EventKind, before, a *Alert) {
	l.add(alertEvent(kind, before, a))
}

func alertEvent(kind EventKind, before, a *Alert) Event {
	e := Event{Kind: kind, Fingerprint: a.Fingerprint, Labels: a.Labels, StartsAt: a.StartsAt, EndsAt: a.EndsAt}
	if before != nil {
		e.Was = before.Status
	}
	return e
}

// addForMute adds an event about what mutes an alert.
func (l *eventLog) addForMute(kind EventKind, before, a *Alert, m Mute) {
	e := alertEvent(kind, before, a)
	e.Mute = &m
	l.add(e)
}
