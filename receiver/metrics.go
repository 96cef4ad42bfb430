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
			Help: "Notifications kept, by source and by Alertmanager's reason.",
		}, []string{"source", "reason"}),
		notificationsRejected: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_notifications_rejected_total", Help: "Total number of notifications that were refused, by reason.",
		}, []string{"reason"}),
		requests: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_http_requests_total", Help: "HTTP requests, by route, method and status code.",
		}, []string{"handler", "method", "code"}),
		duration: factory.NewHistogramVec(prometheus.HistogramOpts{
			Name: "muster_http_request_duration_seconds", Help: "Duration of HTTP requests, by route and method.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 8), // 0.5 ms to 8 s
		}, []string{"handler", "method"}),
		webhooksInFlight: factory.NewGauge(prometheus.GaugeOpts{
			Name: "muster_webhook_requests_in_flight", Help: "Webhook requests being worked on.",
		}),
		alertsRejected: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_alerts_refused_total", Help: "Total number of alerts that were left out of a notification that was kept, by reason.",
		}, []string{"reason"}),
		liveClients: factory.NewGauge(prometheus.GaugeOpts{
			Name: "muster_live_clients", Help: "Clients that follow live updates.",
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

// sources bounds a label that clients choose: the first few sources are told
// apart, the rest are one.
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

// reasons are the words that Alertmanager gives as notification_reason.
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

// observe counts and times a request by its route, never by its path.
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
	if !strings.HasSuffix(handler, livePath) { // it lasts for hours
		m.duration.WithLabelValues(handler, method).Observe(time.Since(started).Seconds())
	}
}
