package web

import (
	"bytes"
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// maxScrapeSize is the maximum size of one scrape. The usual size is 50 kB.
const maxScrapeSize = 4 << 20

// errScrapeTooLarge reports a scrape of more than maxScrapeSize bytes.
var errScrapeTooLarge = errors.New("the metrics are too large")

// serveMetrics returns the handler of /metrics. It gathers into a buffer and
// has limits of its own, so that slow scrapers do not block others.
func (r *Router) serveMetrics(gatherer prometheus.Gatherer) gin.HandlerFunc {
	handler := promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{})
	return func(c *gin.Context) {
		slot, ok := r.scrapes.Take(1)
		if !ok {
			c.String(http.StatusServiceUnavailable, "Too many concurrent scrapes, try again.\n")
			return
		}
		defer slot.Release()
		answer := &bufferedResponse{headers: c.Writer.Header(), code: http.StatusOK}
		handler.ServeHTTP(answer, c.Request)
		slot.Release()
		if answer.tooLarge {
			c.Writer.Header().Del("Content-Encoding")
			c.String(http.StatusServiceUnavailable, "The metrics are larger than the limit of 4 MiB.\n")
			return
		}
		hold, ok := r.scrapeBytes.Take(int64(answer.body.Len()))
		if !ok {
			c.Writer.Header().Del("Content-Encoding")
			c.String(http.StatusServiceUnavailable, "Scrape memory is in use by slow clients, try again.\n")
			return
		}
		defer hold.Release()
		c.Status(answer.code)
		_, _ = c.Writer.Write(answer.body.Bytes()) // a disconnected client is not a fault
	}
}

// bufferedResponse buffers a response of at most maxScrapeSize bytes.
type bufferedResponse struct {
	headers  http.Header
	code     int
	body     bytes.Buffer
	tooLarge bool
}

func (a *bufferedResponse) Header() http.Header  { return a.headers }
func (a *bufferedResponse) WriteHeader(code int) { a.code = code }
func (a *bufferedResponse) Write(p []byte) (int, error) {
	if a.body.Len()+len(p) > maxScrapeSize {
		a.tooLarge = true
		return 0, errScrapeTooLarge
	}
	return a.body.Write(p)
}
