package receiver

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	notificationsReceived *prometheus.CounterVec
	webhooksInFlight      prometheus.Gauge
	alertsRejected        *prometheus.CounterVec
	eventsReceived        *prometheus.CounterVec
	eventsRefused         *prometheus.CounterVec
	eventRequestsInFlight prometheus.Gauge
	sourceLabels          sourceLabels
}

func newMetrics(reg prometheus.Registerer, maxSources int) *metrics {
	factory := promauto.With(reg)
	m := &metrics{
		notificationsReceived: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_notifications_received_total",
			Help: "Total number of notifications that were stored, by source and by Alertmanager's reason.",
		}, []string{"source", "reason"}),
		webhooksInFlight: factory.NewGauge(prometheus.GaugeOpts{
			Name: "muster_webhook_requests_in_flight", Help: "Number of webhook requests that are processed.",
		}),
		alertsRejected: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_alerts_refused_total", Help: "Total number of alerts that were rejected while their notification was stored, by reason.",
		}, []string{"reason"}),
		eventsReceived: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_events_received_total",
			Help: "Total number of events of the event recorder that were received, by source and by Alertmanager's type.",
		}, []string{"source", "type"}),
		eventsRefused: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_events_refused_total",
			Help: "Total number of events that were rejected while the others of their request were kept, by reason.",
		}, []string{"reason"}),
		eventRequestsInFlight: factory.NewGauge(prometheus.GaugeOpts{
			Name: "muster_event_requests_in_flight", Help: "Number of requests of the event recorder that are processed.",
		}),
		sourceLabels: sourceLabels{maximum: maxSources, known: map[string]bool{}},
	}
	for _, reason := range alertRejectionReasons() {
		m.alertsRejected.WithLabelValues(reason)
	}
	for _, reason := range eventRefusalReasons() {
		m.eventsRefused.WithLabelValues(reason)
	}
	return m
}

// sourceLabels limits the number of values of the source label, because clients
// choose them. The first sources keep their names, and all others share
// "other".
type sourceLabels struct {
	maximum int

	mu    sync.Mutex
	known map[string]bool // guarded by mu
}

func (s *sourceLabels) label(source string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.known[source] {
		if len(s.known) >= s.maximum {
			return "other"
		}
		s.known[source] = true
	}
	return source
}

// labelByReason maps Alertmanager's notification_reason to a label value.
var labelByReason = map[string]string{
	"":                        "none", // before Alertmanager 0.32
	"none":                    "none",
	"first notification":      "first",
	"new alerts added":        "new_alerts",
	"some alerts resolved":    "some_resolved",
	"all alerts resolved":     "all_resolved",
	"repeat interval elapsed": "repeat",
}

func reasonLabel(reason string) string {
	if label, ok := labelByReason[reason]; ok {
		return label
	}
	return "unknown"
}
