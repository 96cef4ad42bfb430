package receiver

import (
	"errors"
	"mime"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"muster/grouping"
	"muster/templates"
)

// errDecodeMemory reports that the limit on decoded bytes leaves no room for a
// notification.
var errDecodeMemory = errors.New("too many concurrent large notifications, try again")

// webhookRequestKey is the gin context key that marks a notification.
const webhookRequestKey = "notification"

// defaultSource is the source of notifications to /webhook.
const defaultSource = "default"

var validSource = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// serveWebhook stores a notification.
//
// The status code decides what Alertmanager does next. 200: the notification is
// stored. 503: Alertmanager retries within a second. 4xx: Alertmanager sends it
// again only after a group_interval. So 4xx is for errors that a retry cannot
// fix.
func (s *Server) serveWebhook(c *gin.Context) {
	c.Set(webhookRequestKey, true)
	// Take the stamp on arrival: receiving the body may take a while.
	stamp := s.groups.Stamp()
	if s.draining.Load() {
		c.Header("Connection", "close")
		s.reject(c, http.StatusServiceUnavailable, rejectedDraining, errors.New("shutting down, try again"))
		return
	}
	s.metrics.webhooksInFlight.Inc()
	defer s.metrics.webhooksInFlight.Dec()

	source := defaultSource
	if c.Param("source") != "" {
		source = c.Param("source")
	}
	if !validSource.MatchString(source) {
		s.reject(c, http.StatusBadRequest, rejectedBadSource, errors.New("source: must have 1 to 64 letters, digits, '_', '.' or '-'"))
		return
	}
	if err := validateMediaType(c.Request.Header); err != nil {
		s.reject(c, http.StatusUnsupportedMediaType, rejectedMedia, err)
		return
	}
	// Reject a large body before it is read if its decoded form would not fit.
	if size := c.Request.ContentLength; size > largeBody && !s.limits.decodedBytes.Fits(2*size) {
		s.reject(c, http.StatusServiceUnavailable, rejectedOverloaded, errDecodeMemory)
		return
	}
	body := s.newRequestBody(c.Request.ContentLength)
	defer body.close()
	if code, reason, err := body.receive(http.MaxBytesReader(c.Writer, c.Request.Body, s.opts.MaxBodySize)); err != nil {
		s.reject(c, code, reason, err)
		return
	}
	// Take a slot only after the body was received, so that slow clients do not
	// block others.
	slot, ok := s.limits.notifications.Take(1)
	if !ok {
		s.reject(c, http.StatusServiceUnavailable, rejectedOverloaded, errors.New("too many concurrent requests, try again"))
		return
	}
	defer slot.Release()
	if size := decodedSize(body.buf.Bytes()); size > minCountedSize {
		memory, ok := s.limits.decodedBytes.Take(size)
		if !ok {
			s.reject(c, http.StatusServiceUnavailable, rejectedOverloaded, errDecodeMemory)
			return
		}
		defer memory.Release()
	}
	m, rejected, err := s.decoder.decode(body.buf.Bytes())
	body.close()
	if err != nil {
		code, reason := http.StatusBadRequest, rejectedBadMessage
		if bad, ok := errors.AsType[*messageError](err); ok && bad.tooLarge {
			code, reason = http.StatusRequestEntityTooLarge, rejectedTooManyAlerts
		}
		s.reject(c, code, reason, err)
		return
	}
	n := s.decoder.notification(m, source, &rejected)
	n.Stamp = stamp
	out, err := s.groups.Ingest(c.Request.Context(), n)
	if full, ok := errors.AsType[*grouping.FullError](err); ok {
		// Alertmanager retries and shows that the delivery failed.
		s.reject(c, http.StatusServiceUnavailable, rejectedFull, full)
		return
	}
	if err != nil {
		reason, text := rejectedStorage, "storage is unavailable"
		if c.Request.Context().Err() != nil {
			reason, text = rejectedCancelled, "the client disconnected"
		}
		s.RecordRejection(c.Request.RemoteAddr, http.StatusServiceUnavailable, reason, text)
		s.failWith(c, err)
		return
	}
	s.recordRejectedAlerts(c, rejected)
	if out.Cut > 0 {
		s.rejections.countLimit("cut")
	}
	s.metrics.notificationsReceived.WithLabelValues(s.metrics.sourceLabels.label(source), reasonLabel(n.Reason)).Inc()
	c.JSON(http.StatusOK, keptView{Group: out.Group.ID, Status: "kept", Cut: out.Cut + rejected.count, LeftOut: rejected.details})
}

// keptView is the answer to a stored notification. Cut is the number of alerts
// that were not stored, because they are invalid or the group is full. LeftOut
// describes the first invalid alerts.
type keptView struct {
	Group   grouping.ID `json:"group"`
	Status  string      `json:"status"`
	Cut     uint64      `json:"cut,omitempty"`
	LeftOut []string    `json:"leftOut,omitempty"`
}

// recordRejectedAlerts counts the rejected alerts of a stored notification and
// lists the first ones on the status page.
func (s *Server) recordRejectedAlerts(c *gin.Context, rejected rejectedAlerts) {
	for reason, n := range rejected.byReason {
		s.metrics.alertsRejected.WithLabelValues(reason).Add(float64(n))
	}
	if rejected.byReason[alertRejectedLabels] > 0 {
		s.rejections.countLimit("labels")
	}
	log := false
	for _, detail := range rejected.details {
		r := templates.Rejection{At: time.Now(), From: c.RemoteIP(), Status: http.StatusOK, Reason: "alert rejected: " + detail}
		log = s.rejections.addAlert(r) || log
	}
	if log {
		s.logger.Info("Alerts rejected", "alerts", rejected.count, "remote", c.RemoteIP(), "first", rejected.details[0])
	}
}

// validateMediaType rejects everything but uncompressed JSON. It treats a
// missing Content-Type as JSON.
func validateMediaType(h http.Header) error {
	if encoding := h.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return errors.New("Content-Encoding: must be identity")
	}
	text := h.Get("Content-Type")
	if text == "" {
		return nil
	}
	media, params, err := mime.ParseMediaType(text)
	if err != nil || media != "application/json" && !strings.HasSuffix(media, "+json") {
		return errors.New("Content-Type: must be application/json")
	}
	// utf8 is common but not a registered name.
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "utf8") {
		return errors.New("Content-Type: charset must be utf-8")
	}
	return nil
}
