package receiver

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"muster/grouping"
	"muster/templates"
)

// notificationKey marks a request as that of a notification.
const notificationKey = "notification"

// defaultSource is that of /webhook.
const defaultSource = "default"

var validSource = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// webhook keeps a notification.
//
// The status decides what Alertmanager does next: 200 it is kept; 503 it is
// sent again within a second; any 4xx it is sent again after a group_interval,
// so those are for what no retry mends.
func (s *Server) webhook(c *gin.Context) {
	c.Set(notificationKey, true)
	// The arrival: before the body, which may take a while.
	stamp := s.groups.Stamp()
	if s.draining.Load() {
		c.Header("Connection", "close")
		s.reject(c, http.StatusServiceUnavailable, "draining", errors.New("shutting down, send it again"))
		return
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	default:
		s.reject(c, http.StatusServiceUnavailable, "overloaded", errors.New("too many requests at once"))
		return
	}
	s.metrics.inFlight.Inc()
	defer s.metrics.inFlight.Dec()

	source := defaultSource
	if c.Param("source") != "" {
		source = c.Param("source")
	}
	if !validSource.MatchString(source) {
		s.reject(c, http.StatusBadRequest, "bad_source", errors.New("source: up to 64 letters, digits, '_', '.' and '-' are allowed"))
		return
	}
	if err := checkMedia(c.Request.Header); err != nil {
		s.reject(c, http.StatusUnsupportedMediaType, "unsupported_media", err)
		return
	}
	n, cut, reason, err := s.readBody(c, source)
	if err != nil {
		code := http.StatusBadRequest
		switch reason {
		case "too_large", "too_many_alerts":
			code = http.StatusRequestEntityTooLarge
		case "incomplete":
			code = http.StatusServiceUnavailable // a retry mends it
		}
		s.reject(c, code, reason, err)
		return
	}
	n.Stamp = stamp
	out, err := s.groups.Ingest(c.Request.Context(), n)
	if full, ok := errors.AsType[*grouping.FullError](err); ok {
		// Alertmanager sends it again, and shows that it could not be delivered.
		s.reject(c, http.StatusServiceUnavailable, "full", full)
		return
	}
	if err != nil {
		reason := "storage"
		if c.Request.Context().Err() != nil {
			reason = "cancelled"
		}
		s.metrics.rejected.WithLabelValues(reason).Inc()
		s.failWith(c, err)
		return
	}
	s.metrics.tooManyLabels.Add(float64(cut))
	if cut > 0 {
		s.refusals.count("labels")
	}
	if out.Cut > 0 {
		s.refusals.count("cut")
	}
	s.metrics.received.WithLabelValues(s.metrics.sources.label(source), reasonLabel(n.Reason)).Inc()
	c.JSON(http.StatusOK, keptView{Status: "kept", Group: out.Group.ID, Cut: out.Cut + cut})
}

// keptView is the answer to a notification that is kept. Cut counts the firing
// alerts that were left out: for their number of labels, or as the group is full.
type keptView struct {
	Status string      `json:"status"`
	Group  grouping.ID `json:"group"`
	Cut    uint64      `json:"cut,omitempty"`
}

// readBody reads and decodes the body, and counts the alerts that it cut. It returns
// a word for why it could not.
func (s *Server) readBody(c *gin.Context, source string) (n grouping.Notification, cut uint64, reason string, err error) {
	buf, _ := buffers.Get().(*bytes.Buffer)
	defer func() {
		// A huge body's buffer is not kept for the small ones that follow.
		if buf.Cap() <= 1<<20 {
			buf.Reset()
			buffers.Put(buf)
		}
	}()
	_, err = io.Copy(buf, http.MaxBytesReader(c.Writer, c.Request.Body, s.opts.MaxBodySize))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return n, 0, "too_large", bad("", "the body is larger than %d bytes", tooLarge.Limit)
	case err != nil:
		return n, 0, "incomplete", bad("", "the body ends too early")
	}
	m, err := s.decoder.message(buf.Bytes())
	if err != nil {
		if bad, ok := errors.AsType[*messageError](err); ok && bad.tooLarge {
			return n, 0, "too_many_alerts", err
		}
		return n, 0, "bad_message", err
	}
	n = s.decoder.notification(m, source)
	return n, n.Truncated - m.TruncatedAlerts, "", nil
}

var buffers = sync.Pool{New: func() any { return &bytes.Buffer{} }}

// checkMedia refuses what is not plain JSON. A missing type is taken for JSON.
func checkMedia(h http.Header) error {
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
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return errors.New("Content-Type: the charset must be utf-8")
	}
	return nil
}

// reject refuses a notification: one line in the log, one count, one sentence.
func (s *Server) reject(c *gin.Context, code int, reason string, err error) {
	s.metrics.rejected.WithLabelValues(reason).Inc()
	s.refusals.add(reason, templates.Rejection{At: time.Now(), From: c.RemoteIP(), Status: code, Reason: err.Error()})
	s.logger.Info("Notification refused", "reason", reason, "code", code, "remote", c.RemoteIP(), "err", err)
	fail(c, code, err.Error())
}
