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
	// maxScrapes is the maximum number of scrapes that are gathered at once. It
	// is enough for two Prometheus servers and some manual requests.
	maxScrapes = 16
	// maxScrapeBytes is the maximum number of bytes of scrapes that are being
	// sent. It is enough for some hundred scrapes of the usual size.
	maxScrapeBytes = 16 << 20
	// maxProfiles is the maximum number of concurrent profiles. One person uses
	// them at a time.
	maxProfiles = 4
	// maxDefaultMemory is the maximum that DefaultMemory returns for
	// notifications. It also applies if Go has no memory limit.
	maxDefaultMemory = 256 << 20
	// minCountedSize is the size from which a notification counts toward the
	// limit on decoded bytes. Smaller ones are limited by their number.
	minCountedSize = 64 << 10
	// largeBody is the size from which a body is checked before it is read. The
	// body and its decoded form need at least twice its size. If that much is
	// not free, the body is rejected at once.
	largeBody = 1 << 20
)

// DefaultMemory returns the default limits on the memory of notifications and of
// responses. Notifications get a quarter of Go's memory limit, but at most
// maxDefaultMemory. Responses get a quarter of that.
func DefaultMemory(limit int64) (notifications, responses int64) {
	notifications = min(limit/4, maxDefaultMemory)
	return notifications, notifications / 4
}

// limits holds every limit on concurrent use. A limit rejects what exceeds it;
// nothing waits.
type limits struct {
	notifications *limit.Limit // webhook requests that are processed
	bodyBytes     *limit.Limit // bytes of bodies that are received or complete
	decodedBytes  *limit.Limit // bytes of decoded bodies
	readers       *limit.Limit // requests for pages and the API whose answers are prepared
	responseBytes *limit.Limit // bytes of answers that are prepared or sent
	scrapes       *limit.Limit // scrapes that are gathered
	scrapeBytes   *limit.Limit // bytes of scrapes that are sent
	profiles      *limit.Limit // profiles of the process
}

func newLimits(reg prometheus.Registerer, opts Options) (limits, error) {
	l := limits{
		notifications: limit.New("notifications", limit.Requests, int64(opts.MaxRequests)),
		// One slow sender must not block the largest body that is allowed.
		bodyBytes:     limit.New("notification_bodies", limit.Bytes, max(opts.MaxNotificationMemory, opts.MaxBodySize)),
		decodedBytes:  limit.New("notification_memory", limit.Bytes, opts.MaxNotificationMemory),
		readers:       limit.New("readers", limit.Requests, int64(opts.MaxReaders)),
		responseBytes: limit.New("responses", limit.Bytes, opts.MaxResponseMemory),
		scrapes:       limit.New("scrapes", limit.Requests, maxScrapes),
		scrapeBytes:   limit.New("scrape_responses", limit.Bytes, maxScrapeBytes),
		profiles:      limit.New("profiles", limit.Requests, maxProfiles),
	}
	return l, limit.Register(reg, l.notifications, l.bodyBytes, l.decodedBytes, l.readers, l.responseBytes,
		l.scrapes, l.scrapeBytes, l.profiles)
}

// rows returns the limits for the status page.
func (l limits) rows() []templates.Limit {
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	return []templates.Limit{
		{Name: "Concurrent notifications", Value: number(l.notifications.Max()), Met: l.notifications.Rejected()},
		{Name: "Memory of notifications", Value: bytesText(l.decodedBytes.Max()), Met: l.bodyBytes.Rejected() + l.decodedBytes.Rejected()},
		{Name: "Concurrent readers", Value: number(l.readers.Max()), Met: l.readers.Rejected()},
		{Name: "Memory of responses", Value: bytesText(l.responseBytes.Max()), Met: l.responseBytes.Rejected()},
		{Name: "Concurrent scrapes", Value: number(l.scrapes.Max()), Met: l.scrapes.Rejected() + l.scrapeBytes.Rejected()},
	}
}

// readerKey is the gin context key of a request's slot among the readers.
const readerKey = "reader"

// limitReaders limits the number of requests whose answers are prepared at
// once.
func (s *Server) limitReaders(c *gin.Context) {
	slot, ok := s.limits.readers.Take(1)
	if !ok {
		fail(c, http.StatusServiceUnavailable, "too many concurrent requests, try again")
		return
	}
	c.Set(readerKey, &slot)
	defer slot.Release()
	c.Next()
}

// releaseReader frees the reader's slot before the answer is sent. From here on
// the client's speed decides the duration, and the limit on bytes applies.
func releaseReader(c *gin.Context) {
	if slot, ok := c.Get(readerKey); ok {
		slot.(*limit.Hold).Release()
	}
}

// failResponseLimit answers 503, because the limit on response bytes leaves no
// room for the answer.
func failResponseLimit(c *gin.Context) {
	for _, name := range []string{"ETag", "Content-Encoding", "Content-Length"} {
		c.Writer.Header().Del(name)
	}
	c.Header("Cache-Control", "no-store")
	fail(c, http.StatusServiceUnavailable, "response memory is in use by slow clients, try again")
}

// decodedSize estimates the memory that a body needs until its notification is
// stored. Most of it is maps: two for each alert, 280 bytes for each small one.
// In large maps each quoted text needs 16 bytes.
//
// The estimate was measured on tiny alerts, on usual alerts and on alerts with
// many labels. It is 1.0 to 2.3 times the memory that decoding needs; storing
// needs the rest.
func decodedSize(body []byte) int64 {
	const object, text = 280, 16
	size := int64(len(body)) + object*int64(bytes.Count(body, []byte{'{'})) + text*int64(bytes.Count(body, []byte{'"'}))
	return min(size, math.MaxInt64/2)
}
