package grouping

import (
	"cmp"
	"slices"
)

// groupRecord is the type of a record of a group that people wrote, which is a *T.
type groupRecord[T any] interface {
	stampedRecord[T]

	// compare orders the records of a group: the oldest is the least.
	compare(o *T) int
}

// groupRecords is a groupRecordKind: one kind of record of a group that people wrote. The
// records are in a short sorted list, which most groups do not have. Only the deletion of the
// group removes a record before the limit does, so they need no tombstones.
type groupRecords[T any, R groupRecord[T]] struct {
	namePrefix string
	// of returns the list of these records in a group.
	of func(g *AlertGroup) *[]R
	// limit is the maximum number of records that are kept, the newest ones. 0: no limit.
	limit int
}

func (k groupRecords[T, R]) prefix() string { return k.namePrefix }

func (k groupRecords[T, R]) decode(g *AlertGroup, key string, text []byte) error {
	if len(text) <= StampLen {
		return nil
	}
	r, err := decodeStamped[T, R](key, text)
	if err != nil {
		return err
	}
	list := k.of(g)
	*list = k.put(*list, r)
	return nil
}

// find returns the record with the key, or nil.
func (k groupRecords[T, R]) find(list []R, key string) R {
	for _, r := range list {
		if *r.stampedFields().key == key {
			return r
		}
	}
	return nil
}

// put returns a copy of the list with the record, which replaces one with the same key.
func (k groupRecords[T, R]) put(list []R, r R) []R {
	next := make([]R, 0, len(list)+1)
	for _, known := range list {
		if *known.stampedFields().key != *r.stampedFields().key {
			next = append(next, known)
		}
	}
	return k.sorted(append(next, r))
}

// sorted sorts the list, and returns it without the oldest records beyond the limit.
func (k groupRecords[T, R]) sorted(list []R) []R {
	slices.SortFunc(list, func(x, y R) int { return x.compare(y) })
	if k.limit > 0 {
		list = list[max(0, len(list)-k.limit):]
	}
	return list
}

// changed calls fn for each record that differs between two states of a group. It is nil in a
// state that does not have it. next is nil if the group is deleted.
func (k groupRecords[T, R]) changed(base, next *AlertGroup, fn func(before, after R)) {
	was := *k.of(base)
	is := *k.of(cmp.Or(next, noGroup))
	for _, before := range was {
		after := k.find(is, *before.stampedFields().key)
		if before != after && (after == nil || !before.Equal(after)) {
			fn(before, after)
		}
	}
	for _, after := range is {
		if k.find(was, *after.stampedFields().key) == nil {
			fn(nil, after)
		}
	}
}

func (k groupRecords[T, R]) writes(base, next *AlertGroup, to *RecordWrites) (failed error) {
	k.changed(base, next, func(before, after R) {
		from, expected := len(to.Memory), Stamp("")
		if before != nil {
			expected = *before.stampedFields().stamp
		}
		if after != nil {
			var err error
			if to.Memory, err = appendStamped[T](to.Memory, k.namePrefix, after); err != nil {
				failed = err
			}
		}
		to.add(k.namePrefix+*cmp.Or(before, after).stampedFields().key, expected, from)
	})
	return failed
}

func (k groupRecords[T, R]) conflicts(base, next, stored *AlertGroup) (conflict bool) {
	lastWrite := func(g *AlertGroup, key string) Stamp {
		if r := k.find(*k.of(g), key); r != nil && *r.stampedFields().stamp > base.Deleted {
			return *r.stampedFields().stamp
		}
		return ""
	}
	k.changed(base, next, func(before, after R) {
		key := *cmp.Or(before, after).stampedFields().key
		conflict = conflict || lastWrite(stored, key) != lastWrite(base, key)
	})
	return conflict
}

func (k groupRecords[T, R]) merge(merged, a, b *AlertGroup) {
	x, y := *k.of(a), *k.of(b)
	*k.of(merged) = nil
	if len(x)+len(y) == 0 {
		return
	}
	all := make([]R, 0, len(x)+len(y))
	keep := func(r R) {
		if *r.stampedFields().stamp > merged.Deleted {
			all = append(all, r)
		}
	}
	for _, r := range x {
		keep(newerStamped[T](r, k.find(y, *r.stampedFields().key)))
	}
	for _, r := range y {
		if k.find(x, *r.stampedFields().key) == nil {
			keep(r)
		}
	}
	if len(all) > 0 {
		*k.of(merged) = k.sorted(all)
	}
}

func (k groupRecords[T, R]) equal(a, b *AlertGroup) bool {
	return slices.EqualFunc(*k.of(a), *k.of(b), func(x, y R) bool { return x == y || x.Equal(y) })
}

func (k groupRecords[T, R]) dropDeleted(g *AlertGroup) {
	list := k.of(g)
	*list = slices.DeleteFunc(*list, func(r R) bool { return *r.stampedFields().stamp <= g.Deleted })
}

func (k groupRecords[T, R]) sameStamps(a, b *AlertGroup) bool {
	return slices.EqualFunc(*k.of(a), *k.of(b), func(x, y R) bool {
		f, o := x.stampedFields(), y.stampedFields()
		return *f.key == *o.key && *f.stamp == *o.stamp
	})
}
