package grouping

import (
	"cmp"
	"fmt"
	"maps"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// sourceRecord is the type of a record of a source document, which is a *T.
type sourceRecord[T any] interface {
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

// sourceRecords is a recordKind: one kind of record of a source document. The records
// are values in a map by their keys. The tombstones of all kinds are in
// SourceDocument.Removed.
type sourceRecords[T any, R sourceRecord[T]] struct {
	namePrefix string
	// of returns the map of these records in a document.
	of func(d *SourceDocument) *map[string]R
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

func (k sourceRecords[T, R]) prefix() string { return k.namePrefix }

func (k sourceRecords[T, R]) decode(d *SourceDocument, key, text string) (err error) {
	switch len(text) {
	case 0:
		return nil
	case StampLen:
		d.Removed[k.namePrefix+key], err = ParseStamp(text)
		return err
	}
	var stored storedRecord[T]
	stored.Record = new(T)
	stamp, err := decodeText(text, &stored)
	if err != nil {
		return err
	}
	f := R(stored.Record).stampedFields()
	*f.key, *f.stamp, *f.unknown = key, stamp, string(stored.Unknown)
	(*k.of(d))[key] = stored.Record
	return nil
}

func (k sourceRecords[T, R]) encode(r R) (string, error) {
	f := r.stampedFields()
	if n := len(*f.key); n == 0 || n > maxRecordKey {
		return "", fmt.Errorf("record %s: the key has %d bytes, the minimum is 1 and the maximum %d", k.namePrefix, n, maxRecordKey)
	}
	text, err := encodeRecord(*f.stamp, storedRecord[T]{r, jsontext.Value(*f.unknown)})
	if err != nil {
		return "", fmt.Errorf("record %s%s: %w", k.namePrefix, *f.key, err)
	}
	return text, nil
}

// keys calls fn for the key of each record, and of each tombstone, of two documents.
func (k sourceRecords[T, R]) keys(a, b *SourceDocument, fn func(key string)) {
	done := make(map[string]bool, len(*k.of(a)))
	once := func(key string) {
		if !done[key] {
			done[key] = true
			fn(key)
		}
	}
	for _, d := range []*SourceDocument{a, b} {
		for key := range *k.of(d) {
			once(key)
		}
		for name := range d.Removed {
			if key, ok := strings.CutPrefix(name, k.namePrefix); ok {
				once(key)
			}
		}
	}
}

// lastWrite returns the stamp of the last write or removal of a record.
func (k sourceRecords[T, R]) lastWrite(d *SourceDocument, key string) Stamp {
	if r := (*k.of(d))[key]; r != nil {
		return *r.stampedFields().stamp
	}
	return d.Removed[k.namePrefix+key]
}

// changed calls fn for each key whose record differs between two states.
func (k sourceRecords[T, R]) changed(base, next *SourceDocument, fn func(key string)) {
	k.keys(base, next, func(key string) {
		before, after := (*k.of(base))[key], (*k.of(next))[key]
		same := before == after || before != nil && after != nil && before.Equal(after)
		if !same || base.Removed[k.namePrefix+key] != next.Removed[k.namePrefix+key] {
			fn(key)
		}
	})
}

func (k sourceRecords[T, R]) writes(base, next *SourceDocument) (writes []RecordWrite, failed error) {
	k.changed(base, next, func(key string) {
		w := RecordWrite{k.namePrefix + key, k.lastWrite(base, key), string(next.Removed[k.namePrefix+key])}
		if after := (*k.of(next))[key]; after != nil {
			var err error
			if w.Text, err = k.encode(after); err != nil {
				failed = err
			}
		}
		writes = append(writes, w)
	})
	return writes, failed
}

func (k sourceRecords[T, R]) conflicts(base, next, stored *SourceDocument) (conflict bool) {
	k.changed(base, next, func(key string) {
		conflict = conflict || k.lastWrite(stored, key) != k.lastWrite(base, key)
	})
	return conflict
}

func (k sourceRecords[T, R]) merge(merged, a, b *SourceDocument) {
	k.keys(a, b, func(key string) {
		name := k.namePrefix + key
		removal := max(a.Removed[name], b.Removed[name])
		winner := k.newer((*k.of(a))[key], (*k.of(b))[key])
		if winner != nil && *winner.stampedFields().stamp > removal {
			(*k.of(merged))[key] = winner
		} else if removal != "" {
			merged.Removed[name] = removal
		}
	})
}

// newer returns the newer one of two records. Either may be nil. Stamps are unique, so
// equal stamps occur only in damaged or foreign data. Replicas must agree there too, so
// the content decides then.
func (k sourceRecords[T, R]) newer(x, y R) R {
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

func (k sourceRecords[T, R]) equal(a, b *SourceDocument) bool {
	return maps.EqualFunc(*k.of(a), *k.of(b), func(x, y R) bool { return x == y || x.Equal(y) })
}

// put returns the document with records that are written at the stamp.
func (k sourceRecords[T, R]) put(d *SourceDocument, s Stamp, records ...T) *SourceDocument {
	next := d.writtenAt(s)
	all := maps.Clone(*k.of(d))
	for _, r := range records {
		f := R(&r).stampedFields()
		*f.stamp = s.supersedes(k.lastWrite(next, *f.key))
		all[*f.key] = &r
		delete(next.Removed, k.namePrefix+*f.key)
	}
	*k.of(next) = all
	return next
}

// remove returns the document without the records with the keys, which are removed at the
// stamp. Their tombstones stay for a while.
func (k sourceRecords[T, R]) remove(d *SourceDocument, s Stamp, keys ...string) *SourceDocument {
	next := d.writtenAt(s)
	all := maps.Clone(*k.of(d))
	for _, key := range keys {
		if all[key] == nil {
			continue
		}
		next.Removed[k.namePrefix+key] = s.supersedes(k.lastWrite(next, key))
		delete(all, key)
	}
	*k.of(next) = all
	return next
}
