// Package limit bounds what is in use at once, a number of requests or their
// bytes, and counts what was rejected.
//
// A [Limit] is a maximum with a name. Who wants a part of it takes a [Hold] and
// releases it:
//
//	hold, ok := readers.Take(1)
//	if !ok {
//		// answer 503
//	}
//	defer hold.Release()
//
// Nothing waits: past the maximum Take says no, and the client tries again.
package limit

import (
	"math"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Unit is what a limit counts.
type Unit string

// The units, as the names of metrics have them.
const (
	Requests Unit = "requests"
	Bytes    Unit = "bytes"
)

// Limit is a maximum of what may be in use at once. It is safe for concurrent
// use.
type Limit struct {
	name string
	unit Unit
	max  int64

	mu       sync.Mutex
	used     int64  // guarded by mu
	rejected uint64 // guarded by mu
}

// New returns a limit. The name is the value of the metrics' label.
func New(name string, unit Unit, maximum int64) *Limit {
	return &Limit{name: name, unit: unit, max: maximum}
}

// Take takes n, unless that passes the maximum. What is larger than the maximum
// is taken if nothing else is in use: it would be rejected for ever otherwise.
func (l *Limit) Take(n int64) (Hold, bool) {
	hold := Hold{limit: l}
	return hold, hold.Grow(n)
}

// Fits reports whether Take would take n now. If not, that counts as rejected.
func (l *Limit) Fits(n int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.used > 0 && n > l.max-l.used {
		l.rejected++
		return false
	}
	return true
}

// Max returns the maximum.
func (l *Limit) Max() int64 { return l.max }

// Used returns how much is in use.
func (l *Limit) Used() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.used
}

// Rejected returns how often the limit said no.
func (l *Limit) Rejected() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int(min(l.rejected, math.MaxInt))
}

// Hold is a part of a limit that one request has. It is not safe for concurrent
// use. The zero value holds nothing and may be released.
type Hold struct {
	limit *Limit
	size  int64
}

// Grow takes n more, under the rules of [Limit.Take]. If the limit says no, the
// hold stays as it is.
func (h *Hold) Grow(n int64) bool {
	l := h.limit
	l.mu.Lock()
	defer l.mu.Unlock()
	if alone := l.used == h.size; !alone && n > l.max-l.used {
		l.rejected++
		return false
	}
	l.used += n
	h.size += n
	return true
}

// Add takes n more, also past the maximum: for what is in use already, and for
// an answer that has begun and must end.
func (h *Hold) Add(n int64) {
	h.limit.mu.Lock()
	defer h.limit.mu.Unlock()
	h.limit.used += n
	h.size += n
}

// Size returns how much is held.
func (h *Hold) Size() int64 { return h.size }

// Release gives everything back. It may be called again.
func (h *Hold) Release() {
	if h.limit == nil || h.size == 0 {
		return
	}
	h.limit.mu.Lock()
	defer h.limit.mu.Unlock()
	h.limit.used -= h.size
	h.size = 0
}

// collector reads the limits when it is asked for metrics.
type collector struct {
	limits    []*Limit
	used, max map[Unit]*prometheus.Desc
	rejected  *prometheus.Desc
}

// Register registers the metrics of the limits.
func Register(reg prometheus.Registerer, limits ...*Limit) error {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, []string{"limit"}, nil)
	}
	return reg.Register(&collector{
		limits: limits,
		used: map[Unit]*prometheus.Desc{
			Requests: desc("muster_limit_used_requests", "Number of requests under way that count against the limit."),
			Bytes:    desc("muster_limit_used_bytes", "Number of bytes under way that count against the limit."),
		},
		max: map[Unit]*prometheus.Desc{
			Requests: desc("muster_limit_max_requests", "Maximum number of requests under way."),
			Bytes:    desc("muster_limit_max_bytes", "Maximum number of bytes under way."),
		},
		rejected: desc("muster_limit_rejections_total", "Total number of requests that were rejected because the limit was reached."),
	})
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, unit := range []Unit{Requests, Bytes} {
		ch <- c.used[unit]
		ch <- c.max[unit]
	}
	ch <- c.rejected
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	for _, l := range c.limits {
		ch <- prometheus.MustNewConstMetric(c.used[l.unit], prometheus.GaugeValue, float64(l.Used()), l.name)
		ch <- prometheus.MustNewConstMetric(c.max[l.unit], prometheus.GaugeValue, float64(l.max), l.name)
		ch <- prometheus.MustNewConstMetric(c.rejected, prometheus.CounterValue, float64(l.Rejected()), l.name)
	}
}
