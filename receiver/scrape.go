package receiver

import (
	"bytes"
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// maxScrape bounds one scrape, which is some 50 kB.
const maxScrapeSize = 4 << 20

// errScrape says that a scrape passes maxScrape.
var errScrapeTooLarge = errors.New("the metrics are too large")

// scrape answers with the metrics. They are gathered into a buffer under a limit
// of their own, so that slow scrapers keep nobody out.
func (s *Server) serveMetrics(gatherer prometheus.Gatherer) gin.HandlerFunc {
	handler := promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{})
	return func(c *gin.Context) {
		place, ok := s.limits.scrapes.Take(1)
		if !ok {
			c.String(http.StatusServiceUnavailable, "Too many scrapes at once, try again soon.\n")
			return
		}
		defer place.Release()
		answer := &bufferedResponse{headers: c.Writer.Header(), code: http.StatusOK}
		handler.ServeHTTP(answer, c.Request)
		place.Release()
		if answer.tooLarge {
			c.Writer.Header().Del("Content-Encoding")
			c.String(http.StatusServiceUnavailable, "The metrics are larger than 4 MiB.\n")
			return
		}
		hold, ok := s.limits.scrapeBytes.Take(int64(answer.body.Len()))
		if !ok {
			c.Writer.Header().Del("Content-Encoding")
			c.String(http.StatusServiceUnavailable, "Too many bytes wait for slow scrapers, try again soon.\n")
			return
		}
		defer hold.Release()
		c.Status(answer.code)
		_, _ = c.Writer.Write(answer.body.Bytes()) // a client that went away is not a fault
	}
}

// madeAnswer keeps an answer of no more than maxScrape bytes.
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

// profiled bounds the profiles at once.
func (s *Server) limitProfiles(c *gin.Context) {
	place, ok := s.limits.profiles.Take(1)
	if !ok {
		fail(c, http.StatusServiceUnavailable, "too many profiles at once, try again soon")
		return
	}
	defer place.Release()
	c.Next()
}
