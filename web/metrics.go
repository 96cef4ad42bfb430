package web

import (
	"slices"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"muster/internal/reply"
)

// routeMetrics are the metrics of all routes.
type routeMetrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

func newRouteMetrics(reg prometheus.Registerer) *routeMetrics {
	factory := promauto.With(reg)
	return &routeMetrics{
		requests: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_http_requests_total", Help: "Total number of HTTP requests, by route, method and status code.",
		}, []string{"handler", "method", "code"}),
		duration: factory.NewHistogramVec(prometheus.HistogramOpts{
			Name: "muster_http_request_duration_seconds", Help: "Duration of HTTP requests in seconds, by route and method.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 8), // 0.5 ms to 8 s
		}, []string{"handler", "method"}),
	}
}

var knownMethods = []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"}

// instrument counts requests and measures their duration. It uses the route as
// a label, because clients choose the path.
func (m *routeMetrics) instrument(c *gin.Context) {
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
	if !reply.IsStream(c) {
		m.duration.WithLabelValues(handler, method).Observe(time.Since(started).Seconds())
	}
}
