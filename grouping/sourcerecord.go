package grouping

import (
	"maps"
	"strings"
)

// sourceRecords is a recordKind: one kind of record of a source document. The records
// are values in a map by their keys. The tombstones of all kinds are in
// SourceDocument.Removed.
type sourceRecords[T any, R stampedRecord[T]] struct {
	namePrefix string
	// of returns the map of these records in a document.
	of func(d *SourceDocument) *map[string]R
}

func (k sourceRecords[T, R]) prefix() string { return k.namePrefix }

func (k sourceRecords[T, R]) decode(d *SourceDocument, key string, text []byte) (err error) {
	switch len(text) {
	case 0:
		return nil
	case StampLen:
		d.Removed[k.namePrefix+key], err = ParseStamp(string(text))
		return err
	}
	r, err := decodeStamped[T, R](key, text)
	if err != nil {
		return err
	}
	(*k.of(d))[key] = r
	return nil
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

func (k sourceRecords[T, R]) writes(base, next *SourceDocument, to *RecordWrites) (failed error) {
	k.changed(base, next, func(key string) {
		name, expected := k.namePrefix+key, k.lastWrite(base, key)
		after := (*k.of(next))[key]
		if after == nil {
			to.addTombstone(name, expected, next.Removed[name])
			return
		}
		from := len(to.Memory)
		var err error
		if to.Memory, err = appendStamped[T](to.Memory, k.namePrefix, after); err != nil {
			failed = err
		}
		to.add(name, expected, from)
	})
	return failed
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
		winner := newerStamped[T]((*k.of(a))[key], (*k.of(b))[key])
		if winner != nil && *winner.stampedFields().stamp > removal {
			(*k.of(merged))[key] = winner
		} else if removal != "" {
			merged.Removed[name] = removal
		}
	})
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
