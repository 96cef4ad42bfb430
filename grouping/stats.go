package grouping

import (
	"context"
	"maps"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics holds the numbers of groups and alerts.
type Metrics struct {
	Groups map[State]int
	Alerts map[Status]int // an alert counts once in each of its groups
}

// Stats is a summary of all groups.
type Stats struct {
	Metrics

	Receivers        map[string]int         // number of groups by receiver
	Sources          map[string]SourceStats // by name of the source
	LastNotification time.Time
}

// SourceStats is a summary of the groups of one source.
type SourceStats struct {
	Groups           int
	Firing           int // number of groups with a firing alert
	LastNotification time.Time
	// Alertmanagers holds the time of the last notification by external URL.
	Alertmanagers map[string]time.Time

	groupsOf map[string]int // number of groups by external URL
}

// GetMetrics returns the number of groups by state and of alerts by status.
func (m *Manager) GetMetrics(ctx context.Context) (Metrics, error) {
	if err := m.startOperation(ctx, "metrics"); err != nil {
		return Metrics{}, err
	}
	return m.index.totals().Metrics, nil
}

// GetStats returns a summary of all groups.
func (m *Manager) GetStats(ctx context.Context) (Stats, error) {
	if err := m.startOperation(ctx, "stats"); err != nil {
		return Stats{}, err
	}
	return m.index.totals(), nil
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

// addGroup adds a group to the numbers if sign is 1, and subtracts it if sign is -1.
// The times of the last notification also count groups that were removed since.
func (s *Stats) addGroup(g *AlertGroup, sign int) {
	s.Groups[g.State] += sign
	s.Alerts[StatusFiring] += sign * g.Counts.Firing
	s.Alerts[StatusResolved] += sign * g.Counts.Resolved
	s.Alerts[StatusUnreported] += sign * g.Counts.Unreported
	if s.Receivers[g.Receiver] += sign; s.Receivers[g.Receiver] == 0 {
		delete(s.Receivers, g.Receiver)
	}
	s.LastNotification = latest(s.LastNotification, g.LastNotifiedAt)

	src, ok := s.Sources[g.Source]
	if !ok {
		src.Alertmanagers, src.groupsOf = map[string]time.Time{}, map[string]int{}
	}
	src.Groups += sign
	if g.Counts.Firing > 0 {
		src.Firing += sign
	}
	src.LastNotification = latest(src.LastNotification, g.LastNotifiedAt)
	src.Alertmanagers[g.ExternalURL] = latest(src.Alertmanagers[g.ExternalURL], g.LastNotifiedAt)
	if src.groupsOf[g.ExternalURL] += sign; src.groupsOf[g.ExternalURL] == 0 {
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

// managerMetrics holds the counters of a Manager.
type managerMetrics struct {
	operations     *prometheus.CounterVec
	conflicts      prometheus.Counter
	flushes        prometheus.Counter
	evictedGroups  prometheus.Counter
	rejectedAlerts prometheus.Counter
}

func newManagerMetrics(reg prometheus.Registerer, m *Manager) *managerMetrics {
	factory := promauto.With(reg)
	if reg != nil {
		reg.MustRegister(newGauges(m))
	}
	return &managerMetrics{
		operations: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_group_operations_total", Help: "Total number of operations of the group manager, by operation.",
		}, []string{"operation"}),
		conflicts: factory.NewCounter(prometheus.CounterOpts{
			Name: "muster_version_conflicts_total", Help: "Total number of writes that conflicted with another writer and were merged and retried.",
		}),
		flushes: factory.NewCounter(prometheus.CounterOpts{
			Name: "muster_timer_flushes_total", Help: "Total number of flushes that changed a group. Only one of several replicas counts a flush.",
		}),
		evictedGroups: factory.NewCounter(prometheus.CounterOpts{
			Name: "muster_groups_evicted_total", Help: "Total number of groups evicted before their retention ended, to make room for new groups.",
		}),
		rejectedAlerts: factory.NewCounter(prometheus.CounterOpts{
			Name: "muster_alerts_cut_total", Help: "Total number of firing alerts rejected because their group had its maximum number of alerts.",
		}),
	}
}

// gauges is a collector. It reads the values from the manager at each scrape.
type gauges struct {
	manager *Manager

	groups, alerts, sourceFiring, lastNotification, heartbeats *prometheus.Desc
}

func newGauges(m *Manager) *gauges {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &gauges{
		manager:      m,
		groups:       desc("muster_groups", "Number of alert groups, by state.", "state"),
		alerts:       desc("muster_alerts", "Number of alerts, by status. An alert in several groups counts once in each.", "status"),
		sourceFiring: desc("muster_source_firing_groups", "Number of alert groups with a firing alert, by source.", "source"),
		lastNotification: desc("muster_last_notification_timestamp_seconds",
			"Unix time of the last notification, by source. After a restart, it is the time from the restored groups.", "source"),
		heartbeats: desc("muster_heartbeats",
			"Number of heartbeats, by source and state: arrives, late, ended, or unknown (interval not known yet).",
			"source", "state"),
	}
}

// Describe implements prometheus.Collector.
func (c *gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{c.groups, c.alerts, c.sourceFiring, c.lastNotification, c.heartbeats} {
		ch <- desc
	}
}

// Collect implements prometheus.Collector.
func (c *gauges) Collect(ch chan<- prometheus.Metric) {
	stats, err := c.manager.GetStats(context.Background())
	if err != nil {
		ch <- prometheus.NewInvalidMetric(c.groups, err)
		return
	}
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	for state, n := range stats.Groups {
		gauge(c.groups, float64(n), string(state))
	}
	for status, n := range stats.Alerts {
		gauge(c.alerts, float64(n), string(status))
	}
	for name, source := range stats.Sources {
		gauge(c.sourceFiring, float64(source.Firing), name)
		gauge(c.lastNotification, float64(source.LastNotification.UnixMilli())/1000, name)
	}
	c.collectHeartbeats(stats.Sources, gauge)
}

func (c *gauges) collectHeartbeats(sources map[string]SourceStats, gauge func(*prometheus.Desc, float64, ...string)) {
	heartbeats, err := c.manager.Heartbeats(context.Background())
	if err != nil {
		return
	}
	type key struct {
		source string
		state  HeartbeatState
	}
	counts := map[key]int{}
	for _, h := range heartbeats {
		counts[key{h.Source, h.State}]++
	}
	for name := range sources {
		for _, state := range HeartbeatStates() {
			gauge(c.heartbeats, float64(counts[key{name, state}]), name, string(state))
		}
	}
}
