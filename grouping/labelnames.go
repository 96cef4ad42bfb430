package grouping

import (
	"hash/maphash"
	"math/bits"
	"slices"
	"sync/atomic"
)

// labelNames are the names of labels, which many sets share. They are immutable.
type labelNames struct {
	list  []string // sorted, without repetitions, and not empty
	plain bool     // in JSON, each name stands for itself
}

func (n *labelNames) equal(o *labelNames) bool { return n == o || slices.Equal(n.list, o.list) }

// The last sets of names are kept here, like strings by Intern. So the memory is limited,
// whatever clients send: 1,024 sets with 4 KiB of text are 4 MiB.
var nameSlots [1 << 10]atomic.Pointer[labelNames]

// maxSharedNames and maxSharedNameBytes are the maximum size of a set of names that is shared.
const maxSharedNames, maxSharedNameBytes = 64, 4 << 10

// sharedNames returns the sorted names, which are shared with earlier equal ones. It does not keep
// the list.
func sharedNames(list []string) *labelNames {
	size, hash := 0, uint64(0)
	for _, name := range list {
		size += len(name)
		hash = bits.RotateLeft64(hash, 7) ^ maphash.String(internSeed, name) // of each order another one
	}
	if len(list) > maxSharedNames || size > maxSharedNameBytes {
		return newLabelNames(list)
	}
	slot := &nameSlots[hash%uint64(len(nameSlots))]
	if known := slot.Load(); known != nil && slices.Equal(known.list, list) {
		return known
	}
	names := newLabelNames(list)
	slot.Store(names)
	return names
}

func newLabelNames(list []string) *labelNames {
	names := &labelNames{list: slices.Clone(list), plain: true}
	for _, name := range list {
		names.plain = names.plain && IsPlain(name)
	}
	return names
}
