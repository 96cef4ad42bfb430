package grouping

import (
	"iter"
	"slices"
)

// idSets holds a set of groups for each key. Most sets have one group, which needs no memory of
// its own: a list for each would take a third more.
type idSets[K comparable] struct {
	first map[K]ID   // one group of each set
	more  map[K][]ID // the others of the sets that have several
}

func newIDSets[K comparable]() idSets[K] { return idSets[K]{map[K]ID{}, map[K][]ID{}} }

// of yields the groups of a set, in no particular order.
func (s idSets[K]) of(key K) iter.Seq[ID] {
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
func (s idSets[K]) add(key K, id ID) {
	if _, found := s.first[key]; found {
		s.more[key] = append(s.more[key], id)
		return
	}
	s.first[key] = id
}

func (s idSets[K]) remove(key K, id ID) {
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
