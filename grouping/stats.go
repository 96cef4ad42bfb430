package grouping

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics counts what is held, for gauges.
type Metrics struct {
	Groups map[State]int
	Alerts map[Status]int
}

// Stats is a summary of what is held.
type Stats struct {
	Metrics

	Receivers        map[string]int // groups by receiver
	Sources          map[string]SourceStats
	LastNotification time.Time
}

// SourceStats is a summary of one source.
type SourceStats struct {
	Groups           int
	LastNotification time.Time
	// Alertmanagers holds the time of the last notification per external URL.
	Alertmanagers map[string]time.Time
}

// GetMetrics counts the groups by state and the alerts by status.
func (m *Manager) GetMetrics(ctx context.Context) (Metrics, error) {
	stats, err := m.stats(ctx, "metrics")
	return stats.Metrics, err
}

// GetStats returns a summary of what is held.
func (m *Manager) GetStats(ctx context.Context) (Stats, error) { return m.stats(ctx, "stats") }

func (m *Manager) stats(ctx context.Context, operation string) (Stats, error) {
	s := Stats{
		Metrics:   Metrics{Groups: map[State]int{}, Alerts: map[Status]int{}},
		Receivers: map[string]int{}, Sources: map[string]SourceStats{},
	}
	if err := m.begin(ctx, operation); err != nil {
		return s, err
	}
	for _, state := range States() {
		s.Groups[state] = 0
	}
	for g, err := range m.readable(ctx) {
		if err != nil {
			return s, err
		}
		s.add(g)
	}
	return s, nil
}

func (s *Stats) add(g *AlertGroup) {
	s.Groups[g.State]++
	s.Alerts[StatusFiring] += g.Counts.Firing
	s.Alerts[StatusResolved] += g.Counts.Resolved
	s.Alerts[StatusUnreported] += g.Counts.Unreported
	s.Receivers[g.Receiver]++
	src, ok := s.Sources[g.Source]
	if !ok {
		src.Alertmanagers = map[string]time.Time{}
	}
	src.Groups++
	at := g.LastNotifiedAt
	src.LastNotification = latest(src.LastNotification, at)
	src.Alertmanagers[g.ExternalURL] = latest(src.Alertmanagers[g.ExternalURL], at)
	s.Sources[g.Source] = src
	s.LastNotification = latest(s.LastNotification, at)
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

type metrics struct {
	operations *prometheus.CounterVec
	conflicts  prometheus.Counter
	flushes    prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, m *Manager) *metrics {
	factory := promauto.With(reg)
	if reg != nil {
		reg.MustRegister(&gauges{
			manager: m,
			groups:  prometheus.NewDesc("muster_groups", "Alert groups held, by state.", []string{"state"}, nil),
			alerts:  prometheus.NewDesc("muster_alerts", "Alerts held, by status; one that is in several groups counts in each.", []string{"status"}, nil),
		})
	}
	return &metrics{
		operations: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_group_operations_total", Help: "Operations of the group manager, by operation.",
		}, []string{"operation"}),
		conflicts: factory.NewCounter(prometheus.CounterOpts{
			Name: "muster_version_conflicts_total", Help: "Writes that found a group changed meanwhile and were joined and tried again.",
		}),
		flushes: factory.NewCounter(prometheus.CounterOpts{
			Name: "muster_timer_flushes_total", Help: "Flushes of groups that changed something: of several replicas one counts it.",
		}),
	}
}

// gauges counts what is held when it is scraped.
type gauges struct {
	manager        *Manager
	groups, alerts *prometheus.Desc
}

func (c *gauges) Describe(ch chan<- *prometheus.Desc) { ch <- c.groups; ch <- c.alerts }

func (c *gauges) Collect(ch chan<- prometheus.Metric) {
	held, err := c.manager.GetMetrics(context.Background())
	if err != nil {
		ch <- prometheus.NewInvalidMetric(c.groups, err)
		return
	}
	for state, n := range held.Groups {
		ch <- prometheus.MustNewConstMetric(c.groups, prometheus.GaugeValue, float64(n), string(state))
	}
	for status, n := range held.Alerts {
		ch <- prometheus.MustNewConstMetric(c.alerts, prometheus.GaugeValue, float64(n), string(status))
	}
}
