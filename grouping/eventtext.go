package grouping

import (
	"bytes"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// An event is stored as its ID followed by its JSON. So the text order of events is
// their time order, and one event has one text.

// storedEvent is the stored form of an Event. Unknown holds the fields that a later
// version added. They are written back unchanged.
type storedEvent struct {
	*Event

	Unknown jsontext.Value `json:",embed"`
}

// Encode returns the stored text of the event.
func (e *Event) Encode() (string, error) {
	if text, ok := encodeObject(e.ID, e); ok {
		return text, nil
	}
	return e.encodeUnusual()
}

// encodeUnusual returns the stored text of an event that needs the library.
func (e *Event) encodeUnusual() (string, error) {
	text, err := json.Marshal(storedEvent{e, jsontext.Value(e.Unknown)}, encoding)
	return e.ID + string(text), err
}

// Append adds the stored text of the event to a buffer.
func (e *Event) Append(buffer []byte) ([]byte, error) {
	if all, ok := appendObject(buffer, e.ID, e); ok {
		return all, nil
	}
	text, err := e.encodeUnusual()
	return append(buffer, text...), err
}

// DecodeEvent decodes the stored text of an event.
func DecodeEvent(text string) (Event, error) { return decodeEvent([]byte(text)) }

func decodeEvent(text []byte) (e Event, err error) {
	err = e.decodeText(text, nil)
	return e, err
}

// decodeText decodes the event, which is zero before. The decoder may be nil.
func (e *Event) decodeText(text []byte, d *EventDecoder) error {
	i := bytes.IndexByte(text, '{')
	if i < 0 {
		return fmt.Errorf("%q is not an event", text)
	}
	if decodedObject(text[i:], func(r *objectReader) { e.decodeWith(r, d) }) {
		return nil
	}
	*e = Event{}
	s := storedEvent{Event: e}
	err := json.Unmarshal(text[i:], &s)
	e.Unknown = string(s.Unknown)
	if e.Kind != EventNotified && e.Notification() == (Notified{}) {
		e.Notified = nil // earlier versions wrote its numbers, zero, into every event
	}
	return err
}
