package grouping

import (
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A stored group is a set of records. Each record has a name, and a text: its stamp
// followed by its JSON. The text order of stamps is their time order, so a storage
// compares records without decoding them. A stamp alone is the tombstone of a record.
//
// The record HeadRecord has the group's own fields. The other records are of one of
// the kinds in recordKinds.
//
// The JSON library is go-json-experiment, which will become encoding/json/v2. It
// reads and writes all fields of Muster like encoding/json, in half of the time.

// recordKind is one kind of record of a group. A kind is one file of this package,
// and a line in recordKinds. A storage compares, writes and reads the records of
// every kind in the same way, so a new kind does not change it.
type recordKind interface {
	// prefix begins the names of the records of this kind. The rest of a name is the
	// key of the record. No prefix may begin with another prefix, or equal the name of
	// a field that storages use for themselves. Those names have one letter.
	prefix() string

	// decode adds a record to the group. text is the stored text. It is "" if the
	// record is not stored.
	decode(g *AlertGroup, key, text string) error

	// dropDeleted removes the records from the group that are not newer than its
	// deletion. The writer of a deletion may not know all of them.
	dropDeleted(g *AlertGroup)

	// writes returns the records that differ between two states of a group. next is
	// nil if the group is deleted.
	writes(base, next *AlertGroup) ([]RecordWrite, error)

	// conflicts reports whether a record that differs between base and next is in
	// stored another than in base. Records that are not newer than the deletion of
	// base count as absent. next is nil if the group is deleted.
	conflicts(base, next, stored *AlertGroup) bool

	// sameStamps reports whether both groups have the same records with the same
	// stamps.
	sameStamps(a, b *AlertGroup) bool

	// merge sets the records of merged to those of a and b. For each record the
	// newest write wins, by a total order, and merged.Deleted is regarded.
	merge(merged, a, b *AlertGroup)

	// equal reports whether both groups have equal records.
	equal(a, b *AlertGroup) bool
}

// recordKinds are all kinds of records, except the head. The list never changes.
var recordKinds = []recordKind{alertRecords{}}

// RecordPrefixes returns the prefixes of the names of all records except
// HeadRecord. A storage needs it to tell the records that this version knows from
// those of a later version. It keeps the latter, and never compares them.
func RecordPrefixes() []string {
	prefixes := make([]string, 0, len(recordKinds))
	for _, kind := range recordKinds {
		prefixes = append(prefixes, kind.prefix())
	}
	return prefixes
}

// RecordWrite is the write of one record.
type RecordWrite struct {
	Name     string
	Expected Stamp  // the stamp that the writer expects to be stored; "": none
	Text     string // the new text; "": the record is deleted
}

// Records returns the records that the change writes if the stored ones have the
// expected stamps. The head is not one of them.
func (c *Change) Records() ([]RecordWrite, error) {
	base := c.Base
	if base == nil {
		base = &AlertGroup{}
	}
	var all []RecordWrite
	for _, kind := range recordKinds {
		writes, err := kind.writes(base, c.Group)
		if err != nil {
			return nil, err
		}
		all = append(all, writes...)
	}
	return all, nil
}

// Conflicts reports whether the stored state of what the change touches differs from
// the base of the change. stored is nil if nothing is stored. It compares stamps and
// encodes nothing.
func (c *Change) Conflicts(stored *AlertGroup) bool {
	base := c.Base
	if base == nil {
		base = &AlertGroup{}
	}
	if stored == nil {
		stored = &AlertGroup{}
	}
	deletion := c.Group == nil
	// A change cannot be applied if the rest of the group is missing.
	if stored.IsTombstone() != base.IsTombstone() || (c.Exclusive || deletion) && stored.Stamp != base.Stamp {
		return true
	}
	if stored.Deleted > base.Deleted {
		return true
	}
	for _, kind := range recordKinds {
		if kind.conflicts(base, c.Group, stored) || deletion && !kind.sameStamps(base, stored) {
			return true
		}
	}
	return false
}

// StoredGroup is a group as a storage keeps it.
type StoredGroup struct {
	ID      ID
	Deleted Stamp // of its last deletion
	// Version and Notifications are its counters.
	Version, Notifications int64
	// Records are the texts of its records by name: all of them, or some.
	Records map[string]string
}

// Decode returns the group. It ignores records of unknown kinds, which a later
// version may add. An error is a *DamagedGroupError.
func (s StoredGroup) Decode() (*AlertGroup, error) {
	g := AlertGroup{
		ID: s.ID, Deleted: s.Deleted, Version: s.Version, Notifications: s.Notifications, Removed: map[Fingerprint]Stamp{},
	}
	for name, text := range s.Records {
		if err := decodeRecord(&g, name, text); err != nil {
			return nil, &DamagedGroupError{ID: s.ID, Err: fmt.Errorf("field %s: %w", name, err)}
		}
	}
	for _, kind := range recordKinds {
		kind.dropDeleted(&g)
	}
	if g.IsTombstone() {
		return &g, nil // a tombstone has no derived fields
	}
	return NewAlertGroup(g), nil
}

func decodeRecord(g *AlertGroup, name, text string) error {
	if name == HeadRecord {
		return decodeHead(g, text)
	}
	for _, kind := range recordKinds {
		if key, ok := strings.CutPrefix(name, kind.prefix()); ok {
			return kind.decode(g, key, text)
		}
	}
	return nil
}

// encoding are the options for writing records. Bytes that are not UTF-8 become
// U+FFFD. Otherwise an alert with such bytes could never be stored.
var encoding = json.JoinOptions(json.Deterministic(true), jsontext.AllowInvalidUTF8(true))

// encodeRecord returns the text of a record.
func encodeRecord(stamp Stamp, v any) (string, error) {
	if !stamp.Valid() {
		return "", fmt.Errorf("%q is not a stamp", stamp)
	}
	text, err := json.Marshal(v, encoding)
	if err != nil {
		return "", err
	}
	return string(stamp) + string(text), nil
}

// decodeText decodes the text of a record into v, and returns its stamp.
func decodeText(text string, v any) (Stamp, error) {
	if len(text) <= StampLen {
		return "", fmt.Errorf("%d bytes are too few for a record: the minimum is %d", len(text), StampLen+1)
	}
	stamp, err := ParseStamp(text[:StampLen])
	if err != nil {
		return "", err
	}
	return stamp, json.Unmarshal([]byte(text[StampLen:]), v)
}
