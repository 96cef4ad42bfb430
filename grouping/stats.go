package grouping

import (
	"context"
	"maps"
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

	groupsOf map[string]int // by external URL
}

// GetMetrics returns the number of groups by state and of alerts by status.
func (m *Manager) GetMetrics(ctx context.Context) (Metrics, error) {
	if err := m.begin(ctx, "metrics"); err != nil {
		return Metrics{}, err
	}
	return m.index.counted().Metrics, nil
}

// GetStats returns a summary of what is held.
func (m *Manager) GetStats(ctx context.Context) (Stats, error) {
	if err := m.begin(ctx, "stats"); err != nil {
		return Stats{}, err
	}
	return m.index.counted(), nil
}

func newStats() Stats {
	s := Stats{
		Metrics:   Metrics{Groups: map[State]int{}, Alerts: map[Status]int{StatusFiring: 0, StatusResolved: 0, StatusUnreported: 0}},
		Receivers: map[string]int{}, Sources: map[string]SourceStats{},
	}
	for _, state := range States() {
		s.Groups[state] = 0
	}
	return s
}

// count counts a group in (by is 1) or out (-1). A time is that of the last
// notification, whether its group is still held or not.
func (s *Stats) count(g *AlertGroup, by int) {
	s.Groups[g.State] += by
	s.Alerts[StatusFiring] += by * g.Counts.Firing
	s.Alerts[StatusResolved] += by * g.Counts.Resolved
	s.Alerts[StatusUnreported] += by * g.Counts.Unreported
	if s.Receivers[g.Receiver] += by; s.Receivers[g.Receiver] == 0 {
		delete(s.Receivers, g.Receiver)
	}
	s.LastNotification = latest(s.LastNotification, g.LastNotifiedAt)

	src, ok := s.Sources[g.Source]
	if !ok {
		src.Alertmanagers, src.groupsOf = map[string]time.Time{}, map[string]int{}
	}
	src.Groups += by
	src.LastNotification = latest(src.LastNotification, g.LastNotifiedAt)
	src.Alertmanagers[g.ExternalURL] = latest(src.Alertmanagers[g.ExternalURL], g.LastNotifiedAt)
	if src.groupsOf[g.ExternalURL] += by; src.groupsOf[g.ExternalURL] == 0 {
		delete(src.groupsOf, g.ExternalURL)
		delete(src.Alertmanagers, g.ExternalURL)
	}
	if s.Sources[g.Source] = src; src.Groups == 0 {
		delete(s.Sources, g.Source)
	}
}

func (s *Stats) clone() Stats {
	c := *s
	c.Groups, c.Alerts, c.Receivers, c.Sources = maps.Clone(s.Groups), maps.Clone(s.Alerts), maps.Clone(s.Receivers), maps.Clone(s.Sources)
	for name, src := range c.Sources {
		src.Alertmanagers, src.groupsOf = maps.Clone(src.Alertmanagers), nil
		c.Sources[name] = src
	}
	return c
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
	evicted    prometheus.Counter
	cut        prometheus.Counter
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
		evicted: factory.NewCounter(prometheus.CounterOpts{
			Name: "muster_groups_evicted_total", Help: "Groups removed before their retention ended, to make room for new ones.",
		}),
		cut: factory.NewCounter(prometheus.CounterOpts{
			Name: "muster_alerts_cut_total", Help: "Firing alerts of notifications that were left out since their group is full.",
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
