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

// errTooLarge says that the memory of notifications is in use.
var errDecodeMemory = errors.New("too many large notifications at once, send it again")

// notificationKey marks a request as that of a notification.
const webhookRequestKey = "notification"

// defaultSource is that of /webhook.
const defaultSource = "default"

var validSource = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// webhook keeps a notification.
//
// The status decides what Alertmanager does next: 200 it is kept; 503 it is
// sent again within a second; any 4xx it is sent again after a group_interval,
// so those are for what no retry mends.
func (s *Server) serveWebhook(c *gin.Context) {
	c.Set(webhookRequestKey, true)
	// The arrival: before the body, which may take a while.
	stamp := s.groups.Stamp()
	if s.draining.Load() {
		c.Header("Connection", "close")
		s.reject(c, http.StatusServiceUnavailable, rejectedDraining, errors.New("shutting down, send it again"))
		return
	}
	s.metrics.webhooksInFlight.Inc()
	defer s.metrics.webhooksInFlight.Dec()

	source := defaultSource
	if c.Param("source") != "" {
		source = c.Param("source")
	}
	if !validSource.MatchString(source) {
		s.reject(c, http.StatusBadRequest, rejectedBadSource, errors.New("source: up to 64 letters, digits, '_', '.' and '-' are allowed"))
		return
	}
	if err := validateMediaType(c.Request.Header); err != nil {
		s.reject(c, http.StatusUnsupportedMediaType, rejectedMedia, err)
		return
	}
	// What finds no place in the end is not read first.
	if size := c.Request.ContentLength; size > largeBody && !s.limits.decodedBytes.Fits(2*size) {
		s.reject(c, http.StatusServiceUnavailable, rejectedOverloaded, errDecodeMemory)
		return
	}
	in := s.newRequestBody(c.Request.ContentLength)
	defer in.close()
	if code, reason, err := in.receive(http.MaxBytesReader(c.Writer, c.Request.Body, s.opts.MaxBodySize)); err != nil {
		s.reject(c, code, reason, err)
		return
	}
	// Only now: a client that sends slowly takes no place from another.
	place, ok := s.limits.notifications.Take(1)
	if !ok {
		s.reject(c, http.StatusServiceUnavailable, rejectedOverloaded, errors.New("too many requests at once"))
		return
	}
	defer place.Release()
	if size := decodedSize(in.buf.Bytes()); size > minCountedSize {
		memory, ok := s.limits.decodedBytes.Take(size)
		if !ok {
			s.reject(c, http.StatusServiceUnavailable, rejectedOverloaded, errDecodeMemory)
			return
		}
		defer memory.Release()
	}
	m, left, err := s.decoder.decode(in.buf.Bytes())
	in.close()
	if err != nil {
		code, reason := http.StatusBadRequest, rejectedBadMessage
		if bad, ok := errors.AsType[*messageError](err); ok && bad.tooLarge {
			code, reason = http.StatusRequestEntityTooLarge, rejectedTooManyAlerts
		}
		s.reject(c, code, reason, err)
		return
	}
	n := s.decoder.notification(m, source, &left)
	n.Stamp = stamp
	out, err := s.groups.Ingest(c.Request.Context(), n)
	if full, ok := errors.AsType[*grouping.FullError](err); ok {
		// Alertmanager sends it again, and shows that it could not be delivered.
		s.reject(c, http.StatusServiceUnavailable, rejectedFull, full)
		return
	}
	if err != nil {
		reason, text := rejectedStorage, "the storage is not available"
		if c.Request.Context().Err() != nil {
			reason, text = rejectedCancelled, "the sender gave up"
		}
		s.RecordRejection(c.Request.RemoteAddr, http.StatusServiceUnavailable, reason, text)
		s.failWith(c, err)
		return
	}
	s.recordRejectedAlerts(c, left)
	if out.Cut > 0 {
		s.rejections.countLimit("cut")
	}
	s.metrics.notificationsReceived.WithLabelValues(s.metrics.sourceLabels.label(source), reasonLabel(n.Reason)).Inc()
	c.JSON(http.StatusOK, keptView{Group: out.Group.ID, Status: "kept", Cut: out.Cut + left.count, LeftOut: left.details})
}

// keptView is the answer to a notification that is kept. Cut counts the alerts
// that were left out: they cannot be taken, or the group is full. LeftOut says
// of the first ones what is wrong with them.
type keptView struct {
	Group   grouping.ID `json:"group"`
	Status  string      `json:"status"`
	Cut     uint64      `json:"cut,omitempty"`
	LeftOut []string    `json:"leftOut,omitempty"`
}

// noteLeftOut counts the alerts that were left out of a notification that was
// kept, and names them on the status page.
func (s *Server) recordRejectedAlerts(c *gin.Context, left rejectedAlerts) {
	for reason, n := range left.byReason {
		s.metrics.alertsRejected.WithLabelValues(reason).Add(float64(n))
	}
	if left.byReason[alertRejectedLabels] > 0 {
		s.rejections.countLimit("labels")
	}
	log := false
	for _, sentence := range left.details {
		log = s.rejections.addAlert(templates.Rejection{At: time.Now(), From: c.RemoteIP(), Status: http.StatusOK, Reason: "left out: " + sentence}) || log
	}
	if log {
		s.logger.Info("Alerts of a notification were left out", "alerts", left.count, "remote", c.RemoteIP(), "first", left.details[0])
	}
}

// checkMedia refuses what is not plain JSON. A missing type is taken for JSON.
func validateMediaType(h http.Header) error {
	if encoding := h.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return errors.New("Content-Encoding: only identity is understood")
	}
	text := h.Get("Content-Type")
	if text == "" {
		return nil
	}
	media, params, err := mime.ParseMediaType(text)
	if err != nil || media != "application/json" && !strings.HasSuffix(media, "+json") {
		return errors.New("Content-Type: must be application/json")
	}
	// utf8 is no registered name, but a common one.
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "utf8") {
		return errors.New("Content-Type: the charset must be utf-8")
	}
	return nil
}
