package alertmanager

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics are the metrics of all Alertmanagers.
type metrics struct {
	requests, failures *prometheus.CounterVec
	duration           *prometheus.HistogramVec
	lastSuccess        *prometheus.GaugeVec
	polling            *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	factory := promauto.With(reg)
	return &metrics{
		requests: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_alertmanager_requests_total",
			Help: "Total number of requests to Alertmanagers, by source, Alertmanager and what was read or changed.",
		}, []string{"source", "alertmanager", "request"}),
		failures: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_alertmanager_failures_total",
			Help: "Total number of requests to Alertmanagers that failed, by source, Alertmanager and reason.",
		}, []string{"source", "alertmanager", "reason"}),
		duration: factory.NewHistogramVec(prometheus.HistogramOpts{
			Name: "muster_alertmanager_request_duration_seconds",
			Help: "Duration of requests to Alertmanagers in seconds with reading the answer, by source, Alertmanager and what was read or changed.",
			// 1 ms to 66 s: the limit of a request is 30 s.
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 9),
		}, []string{"source", "alertmanager", "request"}),
		lastSuccess: factory.NewGaugeVec(prometheus.GaugeOpts{
			Name: "muster_alertmanager_last_success_timestamp_seconds",
			Help: "Unix time of the last poll that read the alerts and silences of an Alertmanager, by source and Alertmanager.",
		}, []string{"source", "alertmanager"}),
		polling: factory.NewGaugeVec(prometheus.GaugeOpts{
			Name: "muster_alertmanager_polling",
			Help: "Whether this Muster polls the Alertmanagers of the source. Of several Musters, one polls at a time.",
		}, []string{"source"}),
	}
}

// targetMetrics are the metrics of one Alertmanager.
type targetMetrics struct {
	requests, failures *prometheus.CounterVec
	duration           prometheus.ObserverVec
	lastSuccess        prometheus.Gauge
}

// of returns the metrics of an Alertmanager. It creates all values, so that a rule sees the
// first increase. The last success is 0 before the first one.
func (m *metrics) of(source, name string) *targetMetrics {
	labels := prometheus.Labels{"source": source, "alertmanager": name}
	t := &targetMetrics{
		requests: m.requests.MustCurryWith(labels), failures: m.failures.MustCurryWith(labels),
		duration: m.duration.MustCurryWith(labels), lastSuccess: m.lastSuccess.With(labels),
	}
	t.create(readings())
	for _, reason := range Reasons() {
		t.failures.WithLabelValues(string(reason))
	}
	return t
}

// create creates the values of some requests.
func (t *targetMetrics) create(all []reading) {
	for _, what := range all {
		t.requests.WithLabelValues(string(what))
		t.duration.WithLabelValues(string(what))
	}
}

// record counts a request.
func (t *targetMetrics) record(what reading, duration time.Duration) {
	t.requests.WithLabelValues(string(what)).Inc()
	t.duration.WithLabelValues(string(what)).Observe(duration.Seconds())
}
