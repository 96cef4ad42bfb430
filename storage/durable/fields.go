package durable

import (
	"errors"
	"fmt"
	"strconv"

	"muster/grouping"
)

// A backend keeps each group as a set of fields. A field is a record, whose text
// only the domain can read, or one of the backend's own fields below.

// Schema is the version of the stored form. It must increase with each change that
// older versions of Muster cannot read.
const Schema = "1"

// SchemaError means that the stored data has another schema.
type SchemaError struct{ Found string }

func (e *SchemaError) Error() string {
	which := "another version of Muster"
	if isNewer(e.Found) {
		which = "a newer version of Muster"
	}
	return fmt.Sprintf("%s (schema %s, this version reads schema %s)", which, e.Found, Schema)
}

// isNewer reports whether the schema is newer than the one of this version.
func isNewer(found string) bool {
	theirs, err := strconv.Atoi(found)
	ours, _ := strconv.Atoi(Schema) // it is a number
	return err == nil && theirs > ours
}

// The names of the fields of a stored group that are not records. They have one
// letter, and no record has such a name, except for the head.
const (
	FieldDeleted       = "d"
	FieldVersion       = "v"
	FieldNotifications = "n"
	FieldToken         = "w" // of the last write
	FieldSchema        = "s" // of a group in Redis
)

// Decode decodes a group from all or some of its fields. It returns nil if
// there are no fields.
func Decode(id grouping.ID, fields map[string]string) (*grouping.AlertGroup, *grouping.DamagedGroupError) {
	if len(fields) == 0 {
		return nil, nil
	}
	g := grouping.StoredDocument{ID: id, Records: make(map[string]string, len(fields))}
	for name, value := range fields {
		if err := decodeField(&g, name, value); err != nil {
			return nil, &grouping.DamagedGroupError{ID: id, Err: fmt.Errorf("field %s: %w", name, err)}
		}
	}
	decoded, err := g.Decode()
	if damaged, ok := errors.AsType[*grouping.DamagedGroupError](err); ok {
		return nil, damaged
	}
	return grouping.AsGroup(decoded), nil
}

func decodeField(g *grouping.StoredDocument, name, value string) (err error) {
	switch name {
	case FieldDeleted:
		if value != "" {
			g.Deleted, err = grouping.ParseStamp(value)
		}
	case FieldVersion:
		g.Version, err = strconv.ParseInt(value, 10, 64)
	case FieldNotifications:
		g.Notifications, err = strconv.ParseInt(value, 10, 64)
	case FieldToken:
	case FieldSchema:
		if isNewer(value) {
			return fmt.Errorf("written by %w", &SchemaError{value})
		}
	default:
		g.Records[name] = value
	}
	return err
}
