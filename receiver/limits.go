package receiver

import (
	"bytes"
	"math"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"muster/internal/limit"
	"muster/templates"
)

const (
	// maxScrapes bounds the scrapes that are gathered at once: two Prometheus
	// and who looks by hand.
	maxScrapes = 16
	// maxScrapeBytes bounds the scrapes that are on their way to their clients:
	// some hundred of the usual size.
	maxScrapeBytes = 16 << 20
	// maxProfiles bounds the profiles at once: they are for one person.
	maxProfiles = 4
	// defaultMemory bounds the memory of notifications, and a quarter of it that
	// of responses, if Go has no memory limit.
	maxDefaultMemory = 256 << 20
	// smallNotification is from where on a notification counts against the
	// memory of notifications: smaller ones are bounded by their number.
	minCountedSize = 64 << 10
	// largeBody is from where on a body is refused before it is read, if there is
	// no place for twice its size, which it and what it becomes take at least.
	largeBody = 1 << 20
)

// DefaultMemory returns the memory that notifications may take, and responses,
// if Go keeps to a memory limit: a quarter of it, and a sixteenth.
func DefaultMemory(limit int64) (notifications, responses int64) {
	notifications = min(limit/4, maxDefaultMemory)
	return notifications, notifications / 4
}

// limits are what the HTTP side bounds.
type limits struct {
	notifications *limit.Limit // webhook requests that are worked on
	bodyBytes     *limit.Limit // bytes of bodies that have arrived or arrive
	decodedBytes  *limit.Limit // bytes that these become
	readers       *limit.Limit // requests for pages and the API that are made
	responseBytes *limit.Limit // bytes of answers that are made or on their way
	scrapes       *limit.Limit // scrapes that are gathered
	scrapeBytes   *limit.Limit // bytes of scrapes on their way
	profiles      *limit.Limit // profiles of the process
}

func newLimits(reg prometheus.Registerer, opts Options) (limits, error) {
	l := limits{
		notifications: limit.New("notifications", limit.Requests, int64(opts.MaxRequests)),
		// A slow sender must not keep out the largest body that is allowed.
		bodyBytes:     limit.New("notification_bodies", limit.Bytes, max(opts.MaxNotificationMemory, opts.MaxBodySize)),
		decodedBytes:  limit.New("notification_memory", limit.Bytes, opts.MaxNotificationMemory),
		readers:       limit.New("readers", limit.Requests, int64(opts.MaxReaders)),
		responseBytes: limit.New("responses", limit.Bytes, opts.MaxResponseMemory),
		scrapes:       limit.New("scrapes", limit.Requests, maxScrapes),
		scrapeBytes:   limit.New("scrape_responses", limit.Bytes, maxScrapeBytes),
		profiles:      limit.New("profiles", limit.Requests, maxProfiles),
	}
	return l, limit.Register(reg, l.notifications, l.bodyBytes, l.decodedBytes, l.readers, l.responseBytes, l.scrapes, l.scrapeBytes, l.profiles)
}

// rows lists them for the status page.
func (l limits) rows() []templates.Limit {
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	return []templates.Limit{
		{Name: "Notifications at once", Value: number(l.notifications.Max()), Met: l.notifications.Rejected()},
		{Name: "Memory of notifications", Value: bytesText(l.decodedBytes.Max()), Met: l.bodyBytes.Rejected() + l.decodedBytes.Rejected()},
		{Name: "Readers at once", Value: number(l.readers.Max()), Met: l.readers.Rejected()},
		{Name: "Memory of responses", Value: bytesText(l.responseBytes.Max()), Met: l.responseBytes.Rejected()},
		{Name: "Scrapes at once", Value: number(l.scrapes.Max()), Met: l.scrapes.Rejected() + l.scrapeBytes.Rejected()},
	}
}

// readerKey is where a request keeps its place among the readers.
const readerKey = "reader"

// read bounds those whose answers are being made.
func (s *Server) limitReaders(c *gin.Context) {
	place, ok := s.limits.readers.Take(1)
	if !ok {
		fail(c, http.StatusServiceUnavailable, "too many read at once, try again soon")
		return
	}
	c.Set(readerKey, &place)
	defer place.Release()
	c.Next()
}

// made gives the reader's place to another: from here on the client's speed
// decides, and the bytes count.
func releaseReader(c *gin.Context) {
	if place, ok := c.Get(readerKey); ok {
		place.(*limit.Hold).Release()
	}
}

// tooManyBytes ends a request that found no room for its answer.
func failResponseLimit(c *gin.Context) {
	for _, name := range []string{"ETag", "Content-Encoding", "Content-Length"} {
		c.Writer.Header().Del(name)
	}
	c.Header("Cache-Control", "no-store")
	fail(c, http.StatusServiceUnavailable, "too many bytes wait for slow readers, try again soon")
}

// decodedSize estimates how much memory a body takes from its decoding until it
// is kept. Most of it are maps, two for each alert, of 280 bytes each if small;
// in large ones it is 16 bytes for each quoted text. Measured on bodies of tiny
// alerts, of usual ones and of ones with many labels, it is 1.0 to 2.3 times
// what decoding takes; the rest is for keeping it.
func decodedSize(body []byte) int64 {
	const object, text = 280, 16
	size := int64(len(body)) + object*int64(bytes.Count(body, []byte{'{'})) + text*int64(bytes.Count(body, []byte{'"'}))
	return min(size, math.MaxInt64/2)
}
