package limit

import (
	"log/slog"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Registry has all limits of the process, and all rejected notifications and events. It
// is safe for concurrent use.
type Registry struct {
	logger        *slog.Logger
	notifications *prometheus.CounterVec // rejected ones, by reason
	events        *prometheus.CounterVec // rejected requests with events, by reason

	mu     sync.Mutex
	limits []*Limit // guarded by mu
	rows   []row    // guarded by mu

	rejections rejections
}

// Row is a limit as the status page shows it.
type Row struct {
	Title   string
	Unit    Unit
	Maximum int64
	Reached int // how often the limit was reached
}

// row is a Row whose count is read when it is shown.
type row struct {
	Row

	limits []*Limit // their rejections count
	reason Reason   // rejections for this reason count; "": none
}

// NewRegistry returns a registry whose metrics are registered.
func NewRegistry(reg prometheus.Registerer, logger *slog.Logger) (*Registry, error) {
	r := &Registry{
		logger: logger,
		notifications: promauto.With(reg).NewCounterVec(prometheus.CounterOpts{
			Name: "muster_notifications_rejected_total", Help: "Total number of notifications that were rejected, by reason.",
		}, []string{"reason"}),
		events: promauto.With(reg).NewCounterVec(prometheus.CounterOpts{
			Name: "muster_event_requests_rejected_total", Help: "Total number of requests of the event recorder that were rejected, by reason.",
		}, []string{"reason"}),
	}
	for _, reason := range Reasons() {
		r.notifications.WithLabelValues(string(reason))
		r.events.WithLabelValues(string(reason))
	}
	return r, reg.Register(newCollector(r))
}

// New adds a limit. The name is the value of the label "limit" of its metrics.
func (r *Registry) New(name string, unit Unit, maximum int64) *Limit {
	l := newLimit(name, unit, maximum)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.limits = append(r.limits, l)
	return l
}

// Limit returns the limit with this name. It is nil if the registry has no such limit.
func (r *Registry) Limit(name string) *Limit {
	for _, l := range r.all() {
		if l.name == name {
			return l
		}
	}
	return nil
}

// Show adds a limit to the rows of the status page. The row also counts the
// rejections of others, which limit the same thing in another way.
func (r *Registry) Show(title string, l *Limit, others ...*Limit) {
	r.show(row{Row: Row{Title: title, Unit: l.unit, Maximum: l.maximum}, limits: append([]*Limit{l}, others...)})
}

// ShowReason adds a row for a maximum of one notification or client. The row counts
// how often it was reached with [Registry.Reject] or [Registry.Count].
func (r *Registry) ShowReason(title string, unit Unit, maximum int64, reason Reason) {
	r.show(row{Row: Row{Title: title, Unit: unit, Maximum: maximum}, reason: reason})
}

func (r *Registry) show(added row) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows = append(r.rows, added)
}

// Rows returns the limits for the status page.
func (r *Registry) Rows() []Row {
	r.mu.Lock()
	defer r.mu.Unlock()
	rows := make([]Row, 0, len(r.rows))
	for _, shown := range r.rows {
		shown.Reached = r.TimesReached(shown.reason)
		for _, l := range shown.limits {
			shown.Reached += l.Rejected()
		}
		rows = append(rows, shown.Row)
	}
	return rows
}

func (r *Registry) all() []*Limit {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.limits)
}

// collector reads the limits at each scrape.
type collector struct {
	registry      *Registry
	used, maximum map[Unit]*prometheus.Desc
	rejected      *prometheus.Desc
}

func newCollector(r *Registry) *collector {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, []string{"limit"}, nil)
	}
	return &collector{
		registry: r,
		used: map[Unit]*prometheus.Desc{
			Requests: desc("muster_limit_used_requests", "Number of current requests that count against the limit."),
			Bytes:    desc("muster_limit_used_bytes", "Number of bytes in use that count against the limit."),
		},
		maximum: map[Unit]*prometheus.Desc{
			Requests: desc("muster_limit_max_requests", "Maximum number of concurrent requests."),
			Bytes:    desc("muster_limit_max_bytes", "Maximum number of bytes in use."),
		},
		rejected: desc("muster_limit_rejections_total", "Total number of requests that were rejected because the limit was reached."),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, unit := range []Unit{Requests, Bytes} {
		ch <- c.used[unit]
		ch <- c.maximum[unit]
	}
	ch <- c.rejected
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	for _, l := range c.registry.all() {
		ch <- prometheus.MustNewConstMetric(c.used[l.unit], prometheus.GaugeValue, float64(l.Used()), l.name)
		ch <- prometheus.MustNewConstMetric(c.maximum[l.unit], prometheus.GaugeValue, float64(l.maximum), l.name)
		ch <- prometheus.MustNewConstMetric(c.rejected, prometheus.CounterValue, float64(l.Rejected()), l.name)
	}
}
