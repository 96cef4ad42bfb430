package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"iter"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"muster/grouping"
)

// Event is an event of Alertmanager's event recorder. It has the same fields for the form
// of Alertmanager 0.33 and 0.34 and for that of 0.35. Zero values are left out on the wire.
type Event struct {
	// At is when the event was recorded, in the clock of that Alertmanager. Instance is its
	// host name, which other Alertmanagers may have too.
	At       time.Time `json:"@timestamp"`
	Instance string    `json:"instance"`
	Data     EventData `json:"data"`
}

// EventData has one field that is not nil: the event has one type.
type EventData struct {
	Startup              *StartupEvent      `json:"alertmanagerStartupEvent"`
	Shutdown             *struct{}          `json:"alertmanagerShutdownEvent"`
	AlertCreated         *AlertEvent        `json:"alertCreated"`
	AlertGrouped         *GroupedEvent      `json:"alertGrouped"`
	AlertResolved        *GroupedEvent      `json:"alertResolved"`
	Notification         *NotificationEvent `json:"notification"`
	SilenceCreated       *SilenceEvent      `json:"silenceCreated"`
	SilenceUpdated       *SilenceEvent      `json:"silenceUpdated"`
	SilenceMutedAlert    *SilencedEvent     `json:"silenceMutedAlert"`
	InhibitionMutedAlert *InhibitedEvent    `json:"inhibitionMutedAlert"`

	// Unknown has types that this version does not know, which Alertmanager may add.
	Unknown map[string]jsontext.Value `json:",embed"`
}

// Type returns the name of the type of the event, as Alertmanager writes it. It is "" if
// the event has no type.
func (d *EventData) Type() string {
	for _, t := range []struct {
		name string
		set  bool
	}{
		{"alertGrouped", d.AlertGrouped != nil},
		{"alertResolved", d.AlertResolved != nil},
		{"alertCreated", d.AlertCreated != nil},
		{"notification", d.Notification != nil},
		{"silenceMutedAlert", d.SilenceMutedAlert != nil},
		{"inhibitionMutedAlert", d.InhibitionMutedAlert != nil},
		{"silenceCreated", d.SilenceCreated != nil},
		{"silenceUpdated", d.SilenceUpdated != nil},
		{"alertmanagerStartupEvent", d.Startup != nil},
		{"alertmanagerShutdownEvent", d.Shutdown != nil},
	} {
		if t.set {
			return t.name
		}
	}
	for name := range d.Unknown {
		return name
	}
	return ""
}

// StartupEvent is the first event of a process.
type StartupEvent struct {
	Version string `json:"version"`
}

// AlertEvent is about an alert that was posted for the first time.
type AlertEvent struct {
	Alert AlertDetails `json:"alert"`
}

// AlertDetails is an alert as Alertmanager holds it. EndsAt of an alert that fires is when
// it ends if nobody posts it again. In a notification it is the zero time.
type AlertDetails struct {
	Fingerprint EventFingerprint `json:"fingerprint"`
	Labels      EventLabels      `json:"labels"`
	Annotations EventLabels      `json:"annotations"`
	StartsAt    time.Time        `json:"startsAt"`
	EndsAt      time.Time        `json:"endsAt"`
	Resolved    bool             `json:"resolved"`
}

// GroupedEvent is about an alert in one of its groups: it was posted, or a flush dropped it
// after its end.
type GroupedEvent struct {
	Alert EventAlert `json:"alert"`
	Group EventGroup `json:"groupInfo"`
}

// EventAlert is an alert in a list. Alertmanager 0.33 and 0.34 have the hash of the labels
// instead of the fingerprint. The lists of firing, resolved and muted alerts of a
// notification have no details. Fingerprint is "" there if the hash is that of an alert
// which the event does not describe.
type EventAlert struct {
	Hash        uint64           `json:"hash,string"`
	Fingerprint EventFingerprint `json:"fingerprint"`
	Details     *AlertDetails    `json:"details"`
}

// EventGroup is the group of an event. Receiver is the name as in the configuration: the
// webhook quotes it as a regular expression.
type EventGroup struct {
	GroupKey    string      `json:"groupKey"`
	GroupLabels EventLabels `json:"groupLabels"`
	Receiver    string      `json:"receiverName"`
	// UUID is that of the group in the memory of one Alertmanager. Only notifications
	// have it.
	UUID string `json:"groupUuid"`
}

// NotificationEvent is a notification that an integration accepted. What was sent are the
// firing and, if the integration sends them, the resolved alerts. Alerts has the details.
type NotificationEvent struct {
	Alerts         []EventAlert `json:"alerts"`
	Firing         []EventAlert `json:"firingAlerts"`
	Resolved       []EventAlert `json:"resolvedAlerts"`
	Muted          []EventAlert `json:"mutedAlerts"`
	Group          EventGroup   `json:"groupInfo"`
	RepeatInterval string       `json:"repeatInterval"`
	Reason         string       `json:"reason"`
	FlushID        uint64       `json:"flushId,string"`
	Integration    Integration  `json:"integration"`
}

// Integration is one integration of a receiver. Index counts the integrations of one name
// in the receiver, from 0.
type Integration struct {
	Name  string `json:"name"`
	Index uint64 `json:"index,string"`
}

// SilenceEvent is about a new or changed silence.
type SilenceEvent struct {
	Silence EventSilence `json:"silence"`
}

// EventSilence is a silence. An alert must match all matchers of one of the sets.
type EventSilence struct {
	ID          string            `json:"id"`
	Matchers    []EventMatcher    `json:"matchers"` // the first of MatcherSets
	MatcherSets []EventMatcherSet `json:"matcherSets"`
	StartsAt    time.Time         `json:"startsAt"`
	EndsAt      time.Time         `json:"endsAt"`
	UpdatedAt   time.Time         `json:"updatedAt"`
	CreatedBy   string            `json:"createdBy"`
	Comment     string            `json:"comment"`
	Annotations EventLabels       `json:"annotations"`
}

// EventMatcherSet is a set of matchers, all of which must match.
type EventMatcherSet struct {
	Matchers []EventMatcher `json:"matchers"`
}

// EventMatcher is a matcher.
type EventMatcher struct {
	Type    MatcherType `json:"type"`
	Name    string      `json:"name"`
	Pattern string      `json:"pattern"`
}

// SilencedEvent says that a silence muted an alert in a flush.
type SilencedEvent struct {
	Silence EventSilence `json:"silence"`
	Alert   MutedAlert   `json:"mutedAlert"`
}

// InhibitedEvent says that another alert muted an alert in a flush. Each list names one
// rule and one alert, though others may mute it too.
type InhibitedEvent struct {
	Rules        []InhibitRule      `json:"inhibitRules"`
	Alert        MutedAlert         `json:"mutedAlert"`
	InhibitingBy []EventFingerprint `json:"inhibitingFingerprints"`
}

// InhibitRule is a rule of inhibition. Alertmanager 0.33 has no names.
type InhibitRule struct {
	Name           string         `json:"name"`
	SourceMatchers []EventMatcher `json:"sourceMatchers"`
	TargetMatchers []EventMatcher `json:"targetMatchers"`
	EqualLabels    []string       `json:"equalLabels"`
}

// MutedAlert is an alert that is muted. The event says neither its group nor its start.
type MutedAlert struct {
	Fingerprint EventFingerprint `json:"fingerprint"`
	Labels      EventLabels      `json:"labels"`
}

// EventFingerprint is a fingerprint in the form of the webhook. Events have it as a decimal
// number in a string.
type EventFingerprint grouping.Fingerprint

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (f *EventFingerprint) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	value, err := dec.ReadValue()
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(string(bytes.Trim(value, `"`)), 10, 64)
	if err != nil || value.Kind() != jsontext.KindString {
		return &ShapeError{"must be a decimal number of 64 bits in a string"}
	}
	*f = EventFingerprint(hex.EncodeToString(binary.BigEndian.AppendUint64(nil, n)))
	return nil
}

// EventLabels are labels or annotations: {"name": "value"} since Alertmanager 0.35, and
// {"labels": [{"key": "name", "value": "value"}]} before.
type EventLabels struct{ grouping.Labels }

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (l *EventLabels) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	value, err := dec.ReadValue()
	if err != nil {
		return err
	}
	var pairs struct {
		// In the other form, a label with this name has a string as its value.
		Labels []struct {
			Key   string `json:"key"`
			Value string `json:"value"`
		} `json:"labels"`
	}
	if bytes.Contains(value, []byte(`"labels"`)) && json.Unmarshal(value, &pairs) == nil && pairs.Labels != nil {
		list := make([]grouping.Label, len(pairs.Labels))
		for i, p := range pairs.Labels {
			list[i] = grouping.Label{Name: p.Key, Value: p.Value}
		}
		l.Labels = grouping.LabelsOf(list)
		return nil
	}
	if json.Unmarshal(value, &l.Labels) != nil {
		return &ShapeError{"must be texts by name, or a list of such pairs"}
	}
	return nil
}

// MatcherType is the operator of a matcher: "=", "!=", "=~" or "!~".
type MatcherType string

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (t *MatcherType) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	var name string
	if err := json.UnmarshalDecode(dec, &name); err != nil {
		return err
	}
	switch name {
	case "TYPE_EQUAL":
		*t = "="
	case "TYPE_NOT_EQUAL":
		*t = "!="
	case "TYPE_REGEXP":
		*t = "=~"
	case "TYPE_NOT_REGEXP":
		*t = "!~"
	default:
		return &ShapeError{"is not a type of matchers"}
	}
	return nil
}

// ShapeError says how an event differs from what Alertmanager sends. It repeats no part of
// the event.
type ShapeError struct{ What string }

// Error implements error.
func (e *ShapeError) Error() string { return e.What }

// RawEvent is an event as it arrived. Text is its JSON text. It is valid until the next
// one.
type RawEvent struct {
	Text jsontext.Value
}

// Decode decodes the event. Unknown fields are ignored.
func (r RawEvent) Decode() (*Event, error) {
	var e Event
	if err := json.Unmarshal(r.Text, &e); err != nil {
		return nil, err
	}
	switch {
	case e.Data.Type() == "":
		return nil, &ShapeError{`the event has no type: "data" is missing or empty`}
	case e.At.IsZero():
		return nil, &ShapeError{`the event has no time: "@timestamp" is missing`}
	}
	if n := e.Data.Notification; n != nil {
		n.identify()
	}
	return &e, nil
}

// identify sets the fingerprints of alerts that have a hash only, if the notification has
// their details.
func (n *NotificationEvent) identify() {
	byHash := map[uint64]EventFingerprint{}
	for i := range n.Alerts {
		a := &n.Alerts[i]
		if a.Fingerprint == "" && a.Details != nil {
			a.Fingerprint = a.Details.Fingerprint
			byHash[a.Hash] = a.Fingerprint
		}
	}
	for _, list := range [][]EventAlert{n.Firing, n.Resolved, n.Muted} {
		for i := range list {
			if list[i].Fingerprint == "" {
				list[i].Fingerprint = byHash[list[i].Hash]
			}
		}
	}
}

// RawEvents yields the events of a body of the event recorder, which is one object or an
// array of objects. If the text is not JSON from some place on, the last error says so, and
// the events before it are good.
func RawEvents(body []byte) iter.Seq2[RawEvent, error] {
	return func(yield func(RawEvent, error) bool) {
		// The names and the texts of one event are checked when it is decoded, so that
		// they cost no other event.
		dec := jsontext.NewDecoder(bytes.NewBuffer(body), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
		for {
			if kind := dec.PeekKind(); kind == jsontext.KindBeginArray && dec.InputOffset() == 0 || kind == jsontext.KindEndArray {
				if _, err := dec.ReadToken(); err != nil {
					yield(RawEvent{}, err)
					return
				}
				continue
			}
			text, err := dec.ReadValue()
			if errors.Is(err, io.EOF) && dec.InputOffset() > 0 {
				return
			}
			if !yield(RawEvent{text}, err) || err != nil {
				return
			}
		}
	}
}
