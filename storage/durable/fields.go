package durable

import (
	"errors"
	"fmt"
	"strconv"

	"muster/grouping"
)

// A backend keeps each document as a set of fields. A field is a record, whose text
// only the domain can read, or one of the backend's own fields below.

// Schema is the version of the stored form. It must increase with each change that
// older versions of Muster cannot read. Schema 2 has contents and changed events.
const Schema = "2"

// IsOlder reports whether this version reads data of the schema and writes its own one.
func IsOlder(found string) bool { return found == "1" }

// SchemaError means that the stored data has another schema.
type SchemaError struct{ Found string }

func (e *SchemaError) Error() string {
	which := "another version of Muster"
	if IsNewer(e.Found) {
		which = "a newer version of Muster"
	}
	return fmt.Sprintf("%s (schema %s, this version reads schema %s)", which, e.Found, Schema)
}

// IsNewer reports whether the schema is newer than the one of this version.
func IsNewer(found string) bool {
	theirs, err := strconv.Atoi(found)
	ours, _ := strconv.Atoi(Schema) // it is a number
	return err == nil && theirs > ours
}

// The names of the fields of a stored document that are not records. They have one
// letter, and no record has such a name, except for the head.
const (
	FieldDeleted       = "d"
	FieldVersion       = "v"
	FieldNotifications = "n"
	FieldToken         = "w" // of the last write
	FieldSchema        = "s" // of a document in Redis
)

// Decode decodes a document from all or some of its fields. It returns nil if there are
// no fields. It changes the list of the fields, but keeps neither the list nor the texts.
func Decode(id grouping.ID, fields []grouping.StoredRecord) (grouping.Document, *grouping.DamagedGroupError) {
	if len(fields) == 0 {
		return nil, nil
	}
	d := grouping.StoredDocument{ID: id, Records: fields[:0]}
	for _, field := range fields {
		if !isOwnField(field.Name) {
			d.Records = append(d.Records, field)
		} else if err := decodeField(&d, field.Name, string(field.Text)); err != nil {
			return nil, &grouping.DamagedGroupError{ID: id, Err: fmt.Errorf("field %s: %w", field.Name, err)}
		}
	}
	decoded, err := d.Decode()
	if damaged, ok := errors.AsType[*grouping.DamagedGroupError](err); ok {
		return nil, damaged
	}
	return decoded, nil
}

// isOwnField reports whether the name is that of a field that is not a record.
func isOwnField(name string) bool {
	switch name {
	case FieldDeleted, FieldVersion, FieldNotifications, FieldToken, FieldSchema:
		return true
	}
	return false
}

// decodeField decodes a field that is not a record. The token says nothing about a document.
func decodeField(d *grouping.StoredDocument, name, value string) (err error) {
	switch name {
	case FieldDeleted:
		if value != "" {
			d.Deleted, err = grouping.ParseStamp(value)
		}
	case FieldVersion:
		d.Version, err = strconv.ParseInt(value, 10, 64)
	case FieldNotifications:
		d.Notifications, err = strconv.ParseInt(value, 10, 64)
	case FieldSchema:
		if IsNewer(value) {
			return fmt.Errorf("written by %w", &SchemaError{value})
		}
	}
	return err
}
