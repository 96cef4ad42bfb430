package limit

import (
	"math"
	"sync"
)

// Unit is the unit of a limit.
type Unit string

// The units, as they appear in the names of the metrics.
const (
	Requests Unit = "requests"
	Bytes    Unit = "bytes"
)

// Limit is a maximum for what is in use at the same time. It is safe for concurrent
// use.
type Limit struct {
	name    string
	unit    Unit
	maximum int64

	mu         sync.Mutex
	inUse      int64  // guarded by mu
	rejections uint64 // guarded by mu
}

func newLimit(name string, unit Unit, maximum int64) *Limit {
	return &Limit{name: name, unit: unit, maximum: maximum}
}

// Take takes n, unless that exceeds the maximum. An n that is larger than the maximum
// is taken if nothing else is in use: otherwise it would be rejected forever. If
// Take returns false, the hold is empty.
func (l *Limit) Take(n int64) (Hold, bool) {
	hold := Hold{limit: l}
	return hold, hold.Grow(n)
}

// Fits reports whether Take would take n now. If not, it counts a rejection.
func (l *Limit) Fits(n int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fits(n, 0)
}

// fits is Fits for a hold with that size. The caller holds mu.
func (l *Limit) fits(n, size int64) bool {
	if alone := l.inUse == size; !alone && n > l.maximum-l.inUse {
		l.rejections++
		return false
	}
	return true
}

// Max returns the maximum.
func (l *Limit) Max() int64 { return l.maximum }

// Used returns the amount in use.
func (l *Limit) Used() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.inUse
}

// Rejected returns the number of rejections.
func (l *Limit) Rejected() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int(min(l.rejections, math.MaxInt))
}

// Hold is the part of a limit that one request uses. It is not safe for concurrent
// use. The zero value is an empty hold, which may only be released.
type Hold struct {
	limit *Limit
	size  int64
}

// Grow takes n more, under the rules of [Limit.Take]. If it returns false, the hold
// is unchanged.
func (h *Hold) Grow(n int64) bool {
	l := h.limit
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.fits(n, h.size) {
		return false
	}
	l.inUse += n
	h.size += n
	return true
}

// Add takes n more, even above the maximum. It is for memory that is already in use,
// and for a response that has started and must be completed.
func (h *Hold) Add(n int64) {
	h.limit.mu.Lock()
	defer h.limit.mu.Unlock()
	h.limit.inUse += n
	h.size += n
}

// Size returns the amount that the hold uses.
func (h *Hold) Size() int64 { return h.size }

// Release gives back the whole amount. It may be called several times.
func (h *Hold) Release() {
	if h.limit == nil || h.size == 0 {
		return
	}
	h.limit.mu.Lock()
	defer h.limit.mu.Unlock()
	h.limit.inUse -= h.size
	h.size = 0
}
