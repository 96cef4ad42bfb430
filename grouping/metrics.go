package grouping

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

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

	groups, alerts, sourceFiring, lastNotification, heartbeats, missedDeliveries *prometheus.Desc
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
		missedDeliveries: desc("muster_events_missing_total",
			"Total number of notifications that arrived, and whose delivery the event recorder of the source did not report, by source.",
			"source"),
	}
}

// Describe implements prometheus.Collector.
func (c *gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{c.groups, c.alerts, c.sourceFiring, c.lastNotification, c.heartbeats, c.missedDeliveries} {
		ch <- desc
	}
}

// Collect implements prometheus.Collector.
func (c *gauges) Collect(ch chan<- prometheus.Metric) {
	totals, err := c.manager.Totals(context.Background())
	if err != nil {
		ch <- prometheus.NewInvalidMetric(c.groups, err)
		return
	}
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	for state, n := range totals.Groups {
		gauge(c.groups, float64(n), string(state))
	}
	for status, n := range totals.Alerts {
		gauge(c.alerts, float64(n), string(status))
	}
	for name, source := range totals.Sources {
		gauge(c.sourceFiring, float64(source.Firing), name)
		gauge(c.lastNotification, float64(source.LastNotification.UnixMilli())/1000, name)
	}
	c.collectHeartbeats(totals.Sources, gauge)
	for name, n := range c.manager.missedDeliveries() {
		ch <- prometheus.MustNewConstMetric(c.missedDeliveries, prometheus.CounterValue, float64(n), name)
	}
}

func (c *gauges) collectHeartbeats(sources map[string]SourceTotals, gauge func(*prometheus.Desc, float64, ...string)) {
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
		for _, state := range heartbeatStates() {
			gauge(c.heartbeats, float64(counts[key{name, state}]), name, string(state))
		}
	}
}
