package receiver

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	notificationsReceived *prometheus.CounterVec
	notificationsRejected *prometheus.CounterVec
	requests              *prometheus.CounterVec
	duration              *prometheus.HistogramVec
	webhooksInFlight      prometheus.Gauge

	alertsRejected *prometheus.CounterVec
	liveClients    prometheus.Gauge
	sourceLabels   sourceLabels
}

func newMetrics(reg prometheus.Registerer, maxSources int) *metrics {
	factory := promauto.With(reg)
	m := &metrics{
		notificationsReceived: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_notifications_received_total",
			Help: "Total number of notifications that were stored, by source and by Alertmanager's reason.",
		}, []string{"source", "reason"}),
		notificationsRejected: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_notifications_rejected_total", Help: "Total number of notifications that were rejected, by reason.",
		}, []string{"reason"}),
		requests: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_http_requests_total", Help: "Total number of HTTP requests, by route, method and status code.",
		}, []string{"handler", "method", "code"}),
		duration: factory.NewHistogramVec(prometheus.HistogramOpts{
			Name: "muster_http_request_duration_seconds", Help: "Duration of HTTP requests in seconds, by route and method.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 8), // 0.5 ms to 8 s
		}, []string{"handler", "method"}),
		webhooksInFlight: factory.NewGauge(prometheus.GaugeOpts{
			Name: "muster_webhook_requests_in_flight", Help: "Number of webhook requests that are processed.",
		}),
		alertsRejected: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_alerts_refused_total", Help: "Total number of alerts that were rejected while their notification was stored, by reason.",
		}, []string{"reason"}),
		liveClients: factory.NewGauge(prometheus.GaugeOpts{
			Name: "muster_live_clients", Help: "Number of clients of live updates.",
		}),
		sourceLabels: sourceLabels{maximum: maxSources, known: map[string]bool{}},
	}
	for _, reason := range rejectionReasons() {
		m.notificationsRejected.WithLabelValues(reason)
	}
	for _, reason := range alertRejectionReasons() {
		m.alertsRejected.WithLabelValues(reason)
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

var knownMethods = []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"}

// instrument counts requests and measures their duration. It uses the route as
// a label, because clients choose the path.
func (m *metrics) instrument(c *gin.Context) {
	started := time.Now()
	c.Next()
	handler, method := c.FullPath(), c.Request.Method
	if handler == "" {
		handler = "unmatched"
	}
	if !slices.Contains(knownMethods, method) {
		method = "other"
	}
	m.requests.WithLabelValues(handler, method, strconv.Itoa(c.Writer.Status())).Inc()
	if !strings.HasSuffix(handler, livePath) { // a live stream lasts for hours
		m.duration.WithLabelValues(handler, method).Observe(time.Since(started).Seconds())
	}
}
