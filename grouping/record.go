package grouping

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// What a storage keeps under one ID is a document: a group or the document of a source.
// A document is a set of records. Each record has a name, and a text: its stamp
// followed by its JSON. The text order of stamps is their time order, so a storage
// compares records without decoding them. A stamp alone is the tombstone of a record.
//
// The record HeadRecord has the document's own fields. The other records are of one of
// the kinds in groupKinds or sourceKinds.
//
// The JSON library is go-json-experiment, which will become encoding/json/v2. It
// reads and writes all fields of Muster like encoding/json, in half of the time.

// recordKind is one kind of record of the documents of type T. A kind is one file of
// this package, and a line in groupKinds or sourceKinds. A storage compares, writes and
// reads the records of every kind in the same way, so a new kind does not change it.
type recordKind[T any] interface {
	// prefix begins the names of the records of this kind. The rest of a name is the
	// key of the record. No prefix may begin with another prefix, or equal the name of
	// a field that storages use for themselves. Those names have one letter.
	prefix() string

	// decode adds a record to the document. text is the stored text, which must not be kept.
	// It is empty if the record is not stored.
	decode(d *T, key string, text []byte) error

	// writes adds the records that differ between two states of a document. next is
	// nil if the document is deleted.
	writes(base, next *T, to *RecordWrites) error

	// conflicts reports whether a record that differs between base and next is in
	// stored another than in base. Records that are not newer than the deletion of
	// base count as absent. next is nil if the document is deleted.
	conflicts(base, next, stored *T) bool

	// merge sets the records of merged to those of a and b. For each record the
	// newest write wins, by a total order, and the deletion of merged is regarded.
	merge(merged, a, b *T)

	// equal reports whether both documents have equal records.
	equal(a, b *T) bool
}

// groupRecordKind is one kind of record of a group. Only groups can be deleted.
type groupRecordKind interface {
	recordKind[AlertGroup]

	// dropDeleted removes the records from the group that are not newer than its
	// deletion. The writer of a deletion may not know all of them.
	dropDeleted(g *AlertGroup)

	// sameStamps reports whether both groups have the same records with the same
	// stamps.
	sameStamps(a, b *AlertGroup) bool
}

// groupKinds and sourceKinds are all kinds of records of groups and of sources, except
// the heads. The lists never change.
var (
	groupKinds  = []groupRecordKind{alertRecords{}, muteRecords{}, ackRecords, noteRecords} // mutes are merged after their alerts
	sourceKinds = []recordKind[SourceDocument]{silenceRecords, alertmanagerRecords, leaseRecords, lifeRecords, gapRecords}
)

// RecordPrefixes returns the prefixes of the names of all records except
// HeadRecord. A storage needs it to tell the records that this version knows from
// those of a later version. It keeps the latter, and never compares them.
func RecordPrefixes() []string {
	prefixes := make([]string, 0, len(groupKinds)+len(sourceKinds))
	for _, kind := range groupKinds {
		prefixes = append(prefixes, kind.prefix())
	}
	for _, kind := range sourceKinds {
		prefixes = append(prefixes, kind.prefix())
	}
	return prefixes
}

// RecordWrite is the write of one record.
type RecordWrite struct {
	Name     string
	Expected Stamp  // the stamp that the writer expects to be stored; "": none
	Text     []byte // the new text; empty: the record is deleted
}

// RecordWrites are the writes of records, and the memory of their texts.
type RecordWrites struct {
	List   []RecordWrite
	Memory []byte
}

// maxPooledRecords is the maximum size of the texts whose memory is used again. It fits the
// records of some hundred alerts.
const maxPooledRecords = 256 << 10

var allRecordWrites = sync.Pool{New: func() any { return new(RecordWrites) }}

// NewRecordWrites returns no writes. The caller releases them when the records are stored.
func NewRecordWrites() *RecordWrites {
	return allRecordWrites.Get().(*RecordWrites) //nolint:forcetypeassert // the pool holds nothing else
}

// Release makes the memory of the writes available to others. Their texts are not valid after it.
func (w *RecordWrites) Release() {
	if w.reset(); cap(w.Memory) <= maxPooledRecords {
		allRecordWrites.Put(w)
	}
}

// reset removes the writes, and keeps their memory.
func (w *RecordWrites) reset() {
	clear(w.List)
	w.List, w.Memory = w.List[:0], w.Memory[:0]
}

// add adds the write of a record. Its text is what the memory has after the length from.
func (w *RecordWrites) add(name string, expected Stamp, from int) {
	w.List = append(w.List, RecordWrite{name, expected, slices.Clip(w.Memory[from:])})
}

// addTombstone adds the write of a stamp alone, or of nothing.
func (w *RecordWrites) addTombstone(name string, expected, stamp Stamp) {
	from := len(w.Memory)
	w.Memory = append(w.Memory, stamp...)
	w.add(name, expected, from)
}

// recordWrites adds the records of all kinds that differ between two states of a document.
func recordWrites[T any, K recordKind[T]](kinds []K, base, next *T, to *RecordWrites) error {
	for _, kind := range kinds {
		if err := kind.writes(base, next, to); err != nil {
			return err
		}
	}
	return nil
}

// decodeRecord adds one record, which is not the head, to a document. It ignores a record
// of an unknown kind, which a later version may add.
func decodeRecord[T any, K recordKind[T]](kinds []K, d *T, name string, text []byte) error {
	for _, kind := range kinds {
		if key, ok := strings.CutPrefix(name, kind.prefix()); ok {
			return kind.decode(d, key, text)
		}
	}
	return nil
}

// conflicts reports whether the stored document conflicts with a write to it.
func conflicts[T any, D interface {
	*T
	Document
}, K recordKind[T]](w *Write, kinds []K, base, next, stored D) bool {
	had, has := base.Header(), stored.Header()
	// A change cannot be applied if the rest of the document is missing.
	if stored.IsTombstone() != base.IsTombstone() || (w.Exclusive || next == nil) && has.Stamp != had.Stamp || has.Deleted > had.Deleted {
		return true
	}
	return slices.ContainsFunc(kinds, func(kind K) bool { return kind.conflicts(base, next, stored) })
}

// noGroup and noSource are documents without records, in place of nil. They are never changed.
var (
	noGroup  = &AlertGroup{}
	noSource = &SourceDocument{}
)

// encoding are the options for writing records. Bytes that are not UTF-8 become
// U+FFFD. Otherwise an alert with such bytes could never be stored.
var encoding = json.JoinOptions(json.Deterministic(true), jsontext.AllowInvalidUTF8(true))

// appendRecord adds the text of a record to a buffer.
func appendRecord(buffer []byte, stamp Stamp, v any) ([]byte, error) {
	if !stamp.Valid() {
		return buffer, fmt.Errorf("%q is not a stamp", stamp)
	}
	text, err := json.Marshal(v, encoding)
	if err != nil {
		return buffer, err
	}
	return append(append(buffer, stamp...), text...), nil
}

// appendUsual is appendRecord for a record that mostly needs no library. stored returns
// its form for the library.
func appendUsual[T any](buffer []byte, stamp Stamp, record usualObject, stored func() T) ([]byte, error) {
	if all, ok := appendObject(buffer, string(stamp), record); ok && stamp.Valid() {
		return all, nil
	}
	return appendRecord(buffer, stamp, stored())
}

// decodeText decodes the text of a record into v, and returns its stamp.
func decodeText(text []byte, v any) (Stamp, error) {
	stamp, object, err := splitText(text)
	if err != nil {
		return "", err
	}
	return stamp, json.Unmarshal(object, v)
}

// decodeUsual is decodeText for a record that mostly needs no library. read reads its usual
// form. If that declines, empty resets what was read, and returns where the library decodes
// the record to.
func decodeUsual(text []byte, read func(r *objectReader), empty func() any) (Stamp, error) {
	stamp, object, err := splitText(text)
	if err != nil || decodedObject(object, read) {
		return stamp, err
	}
	return stamp, json.Unmarshal(object, empty())
}

// splitText splits the text of a record into its stamp and its JSON. The stamp does not keep
// the text in memory, and the records of one write share it.
func splitText(text []byte) (stamp Stamp, object []byte, err error) {
	if len(text) <= StampLen {
		return "", nil, fmt.Errorf("%d bytes are too few for a record: the minimum is %d", len(text), StampLen+1)
	}
	stamp, err = ParseStamp(Intern(text[:StampLen]))
	return stamp, text[StampLen:], err
}
