package grouping

import (
	"cmp"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

// stampedRecord is the type of a record that a group or a source document keeps beside its
// own fields. It is a *T.
type stampedRecord[T any] interface {
	*T

	// stampedFields returns the fields that are not in the JSON of the record.
	stampedFields() stampedFields

	// Equal reports whether both records are equal in every field, including stamps.
	Equal(o *T) bool
}

// stampedFields are the fields of a record that are not in its JSON.
type stampedFields struct {
	key     *string // the rest of its name, after the prefix
	stamp   *Stamp
	unknown *string // the stored fields that this version does not know
}

// storedRecord is the stored form of a record. Unknown holds the fields that a later
// version added. They are written back unchanged.
type storedRecord[T any] struct {
	Record *T `json:",embed"`

	Unknown jsontext.Value `json:",embed"`
}

// maxRecordKey is the maximum length of the key of a record. The name of a record is
// part of a key of the file, and 32 KiB are the maximum there. URLs have less than 2 KiB.
const maxRecordKey = 2048

// decodeStamped decodes the stored text of the record with the key.
func decodeStamped[T any, R stampedRecord[T]](key string, text []byte) (R, error) {
	stored := storedRecord[T]{Record: new(T)}
	stamp, err := decodeText(text, &stored)
	if err != nil {
		return nil, err
	}
	f := R(stored.Record).stampedFields()
	*f.key, *f.stamp, *f.unknown = key, stamp, string(stored.Unknown)
	return stored.Record, nil
}

// appendStamped adds the stored text of a record whose name has the prefix to a buffer.
func appendStamped[T any, R stampedRecord[T]](buffer []byte, prefix string, r R) ([]byte, error) {
	f := r.stampedFields()
	if n := len(*f.key); n == 0 || n > maxRecordKey {
		return buffer, fmt.Errorf("record %s: the key has %d bytes, the minimum is 1 and the maximum %d", prefix, n, maxRecordKey)
	}
	buffer, err := appendRecord(buffer, *f.stamp, storedRecord[T]{r, jsontext.Value(*f.unknown)})
	if err != nil {
		return buffer, fmt.Errorf("record %s%s: %w", prefix, *f.key, err)
	}
	return buffer, nil
}

// newerStamped returns the newer one of two records with the same key. Either may be nil.
// Stamps are unique, so equal stamps occur only in damaged or foreign data. Replicas must
// agree there too, so the content decides then.
func newerStamped[T any, R stampedRecord[T]](x, y R) R {
	switch {
	case x == nil:
		return y
	case y == nil || x == y || x.Equal(y):
		return x
	}
	f, o := x.stampedFields(), y.stampedFields()
	order := cmp.Compare(*f.stamp, *o.stamp)
	if order == 0 {
		order = cmp.Or(compareContent(x, y), cmp.Compare(*f.unknown, *o.unknown))
	}
	if order < 0 {
		return y
	}
	return x
}
