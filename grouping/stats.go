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
	Firing           int // groups that fire
	LastNotification time.Time
	// Alertmanagers holds the time of the last notification per external URL.
	Alertmanagers map[string]time.Time

	groupsOf map[string]int // by external URL
}

// GetMetrics returns the number of groups by state and of alerts by status.
func (m *Manager) GetMetrics(ctx context.Context) (Metrics, error) {
	if err := m.startOperation(ctx, "metrics"); err != nil {
		return Metrics{}, err
	}
	return m.index.totals().Metrics, nil
}

// GetStats returns a summary of what is held.
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

// count counts a group in (by is 1) or out (-1). A time is that of the last
// notification, whether its group is still held or not.
func (s *Stats) addGroup(g *AlertGroup, by int) {
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
	if g.Counts.Firing > 0 {
		src.Firing += by
	}
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
			Name: "muster_group_operations_total", Help: "Operations of the group manager, by operation.",
		}, []string{"operation"}),
		conflicts: factory.NewCounter(prometheus.CounterOpts{
			Name: "muster_version_conflicts_total", Help: "Writes that found a group changed meanwhile and were joined and tried again.",
		}),
		flushes: factory.NewCounter(prometheus.CounterOpts{
			Name: "muster_timer_flushes_total", Help: "Flushes of groups that changed something: of several replicas one counts it.",
		}),
		evictedGroups: factory.NewCounter(prometheus.CounterOpts{
			Name: "muster_groups_evicted_total", Help: "Groups removed before their retention ended, to make room for new ones.",
		}),
		rejectedAlerts: factory.NewCounter(prometheus.CounterOpts{
			Name: "muster_alerts_cut_total", Help: "Firing alerts of notifications that were left out since their group is full.",
		}),
	}
}

// gauges tells what is held when it is scraped.
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
		groups:       desc("muster_groups", "Alert groups held, by state.", "state"),
		alerts:       desc("muster_alerts", "Alerts held, by status; one that is in several groups counts in each.", "status"),
		sourceFiring: desc("muster_source_firing_groups", "Number of alert groups of which an alert fires, by source.", "source"),
		lastNotification: desc("muster_last_notification_timestamp_seconds",
			"Unix time of the last notification, by source; after a restart that of the restored groups.", "source"),
		heartbeats: desc("muster_heartbeats", "Number of heartbeats, by source and state: arrives, late, ended, or unknown, which is before its rhythm is known.",
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
	held, err := c.manager.GetStats(context.Background())
	if err != nil {
		ch <- prometheus.NewInvalidMetric(c.groups, err)
		return
	}
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	for state, n := range held.Groups {
		gauge(c.groups, float64(n), string(state))
	}
	for status, n := range held.Alerts {
		gauge(c.alerts, float64(n), string(status))
	}
	for name, source := range held.Sources {
		gauge(c.sourceFiring, float64(source.Firing), name)
		gauge(c.lastNotification, float64(source.LastNotification.UnixMilli())/1000, name)
	}
	c.collectHeartbeats(held.Sources, gauge)
}

func (c *gauges) collectHeartbeats(sources map[string]SourceStats, gauge func(*prometheus.Desc, float64, ...string)) {
	beats, err := c.manager.Heartbeats(context.Background())
	if err != nil {
		return
	}
	type key struct {
		source string
		state  HeartbeatState
	}
	counts := map[key]int{}
	for _, b := range beats {
		counts[key{b.Source, b.State}]++
	}
	for name := range sources {
		for _, state := range HeartbeatStates() {
			gauge(c.heartbeats, float64(counts[key{name, state}]), name, string(state))
		}
	}
}
