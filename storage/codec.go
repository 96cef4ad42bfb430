package storage

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"muster/grouping"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A stored record is its stamp followed by its JSON. The text order of stamps is
// their time order, so records are compared without decoding them. A stamp alone is
// the tombstone of a record.
//
// The JSON library is go-json-experiment, which will become encoding/json/v2. It
// reads and writes all fields of Muster like encoding/json, in half of the time.

// schema is the version of the stored form. It must increase with each change that
// older versions of Muster cannot read.
const schema = "1"

// schemaError means that the stored data has another schema.
type schemaError struct{ found string }

func (e *schemaError) Error() string {
	which := "another version of Muster"
	if isNewer(e.found) {
		which = "a newer version of Muster"
	}
	return fmt.Sprintf("%s (schema %s, this version reads schema %s)", which, e.found, schema)
}

// isNewer reports whether the schema is newer than the one of this version.
func isNewer(found string) bool {
	theirs, err := strconv.Atoi(found)
	ours, _ := strconv.Atoi(schema) // it is a number
	return err == nil && theirs > ours
}

const stampLen = 32

// The names of the fields of a stored group.
const (
	fieldMeta          = "m"
	fieldDeleted       = "d"
	fieldVersion       = "v"
	fieldNotifications = "n"
	fieldToken         = "w"  // of the last write
	fieldSchema        = "s"  // of a group in Redis
	fieldAlert         = "a:" // followed by the fingerprint
)

// encoding are the options for writing records. Bytes that are not UTF-8 become
// U+FFFD. Otherwise an alert with such bytes could never be stored.
var encoding = json.JoinOptions(json.Deterministic(true), jsontext.AllowInvalidUTF8(true))

// The stored forms. Unknown holds the fields that a later version added. They are
// written back unchanged.
type (
	storedMeta struct {
		*grouping.Meta

		Unknown jsontext.Value `json:",embed"`
	}
	storedAlert struct {
		*grouping.Alert

		Unknown jsontext.Value `json:",embed"`
	}
	storedEvent struct {
		*grouping.Event

		Unknown jsontext.Value `json:",embed"`
	}
)

func encodeMeta(m *grouping.Meta) (string, error) {
	return encode(m.Stamp, storedMeta{m, jsontext.Value(m.Unknown)})
}

func encodeAlert(a *grouping.Alert) (string, error) {
	return encode(a.Stamp, storedAlert{a, jsontext.Value(a.Unknown)})
}

func encode(stamp grouping.Stamp, v any) (string, error) {
	if !stamp.Valid() {
		return "", fmt.Errorf("%q is not a stamp", stamp)
	}
	text, err := json.Marshal(v, encoding)
	if err != nil {
		return "", err
	}
	return string(stamp) + string(text), nil
}

func decode(text string, v any) (grouping.Stamp, error) {
	if len(text) <= stampLen {
		return "", fmt.Errorf("%d bytes are too few for a record: the minimum is %d", len(text), stampLen+1)
	}
	stamp, err := decodeStamp(text[:stampLen])
	if err != nil {
		return "", err
	}
	return stamp, json.Unmarshal([]byte(text[stampLen:]), v)
}

func decodeStamp(text string) (grouping.Stamp, error) {
	if stamp := grouping.Stamp(text); stamp.Valid() {
		return stamp, nil
	}
	return "", fmt.Errorf("%q is not a stamp", text)
}

// decodeGroup decodes a group from all or some of its fields. It returns nil if
// there are no fields. It ignores unknown fields, which a later version may add.
func decodeGroup(id grouping.ID, fields map[string]string) (*grouping.AlertGroup, *grouping.DamagedGroupError) {
	if len(fields) == 0 {
		return nil, nil
	}
	g := grouping.AlertGroup{ID: id, Removed: map[grouping.Fingerprint]grouping.Stamp{}}
	for name, value := range fields {
		if err := decodeField(&g, name, value); err != nil {
			return nil, &grouping.DamagedGroupError{ID: id, Err: fmt.Errorf("field %s: %w", name, err)}
		}
	}
	// The writer of a deletion may not know all alerts that the deletion removes.
	g.Alerts = slices.DeleteFunc(g.Alerts, func(a *grouping.Alert) bool { return a.Stamp <= g.Deleted })
	maps.DeleteFunc(g.Removed, func(_ grouping.Fingerprint, s grouping.Stamp) bool { return s <= g.Deleted })
	if g.IsTombstone() {
		return &g, nil // a tombstone has no derived fields
	}
	return grouping.NewAlertGroup(g), nil
}

func decodeField(g *grouping.AlertGroup, name, value string) (err error) {
	switch fp, isAlert := strings.CutPrefix(name, fieldAlert); {
	case isAlert && len(value) == 0: // a conflict reports that the alert is not stored
	case isAlert && !grouping.Fingerprint(fp).Valid():
		return fmt.Errorf("%q is not a fingerprint", fp)
	case isAlert && len(value) == stampLen:
		g.Removed[grouping.Fingerprint(fp)], err = decodeStamp(value)
	case isAlert:
		a := &grouping.Alert{}
		s := storedAlert{Alert: a}
		if a.Stamp, err = decode(value, &s); err == nil {
			a.Fingerprint, a.Unknown = grouping.Fingerprint(fp), string(s.Unknown)
			g.Alerts = append(g.Alerts, a)
		}
	case name == fieldMeta:
		s := storedMeta{Meta: &g.Meta}
		g.Stamp, err = decode(value, &s)
		g.Unknown = string(s.Unknown)
	case name == fieldDeleted && value != "":
		g.Deleted, err = decodeStamp(value)
	case name == fieldSchema && isNewer(value):
		return fmt.Errorf("written by %w", &schemaError{value})
	case name == fieldVersion:
		g.Version, err = strconv.ParseInt(value, 10, 64)
	case name == fieldNotifications:
		g.Notifications, err = strconv.ParseInt(value, 10, 64)
	}
	return err
}

// field is one field that a change writes. expected is the stamp that the writer
// expects to be stored. value is the new value; "" deletes the field.
type field struct {
	name     string
	expected grouping.Stamp
	value    string
}

// changedFields returns the fields of the alerts that the change writes.
func changedFields(c *grouping.Change) ([]field, error) {
	var (
		fields []field
		failed error
		base   grouping.AlertGroup
		next   grouping.AlertGroup
	)
	if c.Base != nil {
		base = *c.Base
	}
	if c.Group != nil {
		next = *c.Group
	}
	c.Delta(func(before, after *grouping.Alert) {
		f := field{}
		if after != nil && !after.Fingerprint.Valid() {
			failed = fmt.Errorf("%q is not a fingerprint", after.Fingerprint)
		}
		switch {
		case after != nil:
			f.name = fieldAlert + string(after.Fingerprint)
			f.expected = base.Removed[after.Fingerprint]
			value, err := encodeAlert(after)
			if err != nil {
				failed = fmt.Errorf("alert %s: %w", after.Fingerprint, err)
			}
			f.value = value
		default:
			f.name = fieldAlert + string(before.Fingerprint)
			f.value = string(next.Removed[before.Fingerprint])
		}
		if before != nil {
			f.expected = before.Stamp
		}
		fields = append(fields, f)
	})
	for fp, stamp := range next.Removed {
		if base.Alert(fp) == nil && base.Removed[fp] != stamp {
			fields = append(fields, field{fieldAlert + string(fp), base.Removed[fp], string(stamp)})
		}
	}
	if c.Group == nil {
		return fields, failed
	}
	for fp, stamp := range base.Removed {
		if _, remains := next.Removed[fp]; !remains && next.Alert(fp) == nil {
			fields = append(fields, field{fieldAlert + string(fp), stamp, ""})
		}
	}
	return fields, failed
}

// An event is stored as its ID followed by its JSON. So the text order of events is
// their time order, and one event has one text.

func encodeEvent(e *grouping.Event) (string, error) {
	text, err := json.Marshal(storedEvent{e, jsontext.Value(e.Unknown)}, encoding)
	return e.ID + string(text), err
}

func decodeEvent(text string) (e grouping.Event, err error) {
	i := strings.IndexByte(text, '{')
	if i < 0 {
		return e, fmt.Errorf("%q is not an event", text)
	}
	s := storedEvent{Event: &e}
	err = json.Unmarshal([]byte(text[i:]), &s)
	e.Unknown = string(s.Unknown)
	return e, err
}
