package grouping

import (
	"iter"
	"slices"
)

// idSets holds a set of groups for each key, which is a hash. Most sets have one group, which
// needs no memory of its own: a list for each would take a third more.
type idSets struct {
	first map[uint64]ID   // one group of each set
	more  map[uint64][]ID // the others of the sets that have several
}

func newIDSets() idSets { return idSets{map[uint64]ID{}, map[uint64][]ID{}} }

// of yields the groups of a set, in no particular order.
func (s idSets) of(key uint64) iter.Seq[ID] {
	return func(yield func(ID) bool) {
		first, found := s.first[key]
		if !found || !yield(first) {
			return
		}
		for _, id := range s.more[key] {
			if !yield(id) {
				return
			}
		}
	}
}

// add adds a group that the set does not have.
func (s idSets) add(key uint64, id ID) {
	if _, found := s.first[key]; found {
		s.more[key] = append(s.more[key], id)
		return
	}
	s.first[key] = id
}

func (s idSets) remove(key uint64, id ID) {
	others := s.more[key]
	i := slices.Index(others, id)
	if first, found := s.first[key]; found && first == id {
		if len(others) == 0 {
			delete(s.first, key)
			return
		}
		i, s.first[key] = 0, others[0]
	}
	switch {
	case i < 0:
	case len(others) == 1:
		delete(s.more, key)
	default:
		s.more[key] = slices.Delete(others, i, i+1)
	}
}
