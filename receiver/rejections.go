package receiver

import (
	"cmp"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"muster/templates"
)

// The reasons to reject a notification: values of a metric label.
const (
	rejectedBadMessage    = "bad_message"
	rejectedBadSource     = "bad_source"
	rejectedCancelled     = "cancelled"
	rejectedCrossOrigin   = "cross_origin"
	rejectedDraining      = "draining"
	rejectedFull          = "full"
	rejectedIncomplete    = "incomplete"
	rejectedMedia         = "unsupported_media"
	rejectedMethod        = "method"
	rejectedNotFound      = "not_found"
	rejectedOverloaded    = "overloaded"
	rejectedPanic         = "panic"
	rejectedStorage       = "storage"
	rejectedTLS           = "tls"
	rejectedTooLarge      = "too_large"
	rejectedTooManyAlerts = "too_many_alerts"
	rejectedUnauthorized  = "unauthorized"
)

func rejectionReasons() []string {
	return []string{
		rejectedBadMessage, rejectedBadSource, rejectedCancelled, rejectedCrossOrigin, rejectedDraining, rejectedFull,
		rejectedIncomplete, rejectedMedia, rejectedMethod, rejectedNotFound, rejectedOverloaded, rejectedPanic, rejectedStorage,
		rejectedTLS, rejectedTooLarge, rejectedTooManyAlerts, rejectedUnauthorized,
	}
}

const (
	// maxSendersPerReason is the maximum number of senders that the status page
	// lists for one reason. A port scan must not hide a sender with a wrong
	// token.
	maxSendersPerReason = 5
	// rejectionLogInterval is the time after which the limits on log lines
	// start again. Within it, the log does not repeat the last text of a
	// sender, and shows at most maxLogLinesPerSender texts for each reason.
	rejectionLogInterval = 10 * time.Second
	maxLogLinesPerSender = 10
	// maxLogLinesPerReason is the maximum number of log lines for one reason in
	// an interval. A scan from many addresses must not fill the log.
	maxLogLinesPerReason = 20

	// reasonAlert is the internal reason for rejected alerts of an accepted
	// notification.
	reasonAlert = "left_out"
)

// rejections stores the last rejections and how often each limit was reached.
// It is safe for concurrent use.
type rejections struct {
	mu            sync.Mutex
	senders       []*rejectedSender    // guarded by mu; unordered
	counts        map[string]int       // guarded by mu; by reason
	notifications int                  // guarded by mu; rejected notifications
	logLimits     map[string]*logLimit // guarded by mu; by reason
}

// logLimit limits the number of log lines in an interval.
type logLimit struct {
	start time.Time // of the interval
	lines int       // in the interval
}

// used returns the number of lines in the interval at a time. It starts a new
// interval if the last one is over.
func (l *logLimit) used(at time.Time) int {
	if at.Sub(l.start) >= rejectionLogInterval {
		*l = logLimit{start: at}
	}
	return l.lines
}

// allow counts a line and returns true if the interval has room for it.
func (l *logLimit) allow(at time.Time, maximum int) bool {
	if l.used(at) >= maximum {
		return false
	}
	l.lines++
	return true
}

// rejectedSender stores the last rejection for one reason and one address.
type rejectedSender struct {
	templates.Rejection

	reason string
	limit  logLimit
}

// allowLog reports whether to log the next rejection. It skips a rejection that
// repeats the text of the last one.
func (r *rejectedSender) allowLog(next templates.Rejection) bool {
	if next.Reason == r.Reason && r.limit.used(next.At) > 0 {
		return false
	}
	return r.limit.allow(next.At, maxLogLinesPerSender)
}

// add stores a rejected notification and reports whether to log it.
func (r *rejections) add(reason string, rejection templates.Rejection) (log bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notifications++
	return r.record(reason, rejection) && r.allowLog(reason, rejection.At)
}

// allowLog reports whether the limit on log lines for the reason has room for
// another line, and counts the line. The caller holds mu.
func (r *rejections) allowLog(reason string, at time.Time) bool {
	if r.logLimits == nil {
		r.logLimits = map[string]*logLimit{}
	}
	if r.logLimits[reason] == nil {
		r.logLimits[reason] = &logLimit{}
	}
	return r.logLimits[reason].allow(at, maxLogLinesPerReason)
}

// record stores a rejection without counting a notification. The caller holds
// mu.
func (r *rejections) record(reason string, rejection templates.Rejection) (log bool) {
	r.increment(reason)
	var same []*rejectedSender
	for _, known := range r.senders {
		if known.reason == reason && known.From == rejection.From && (reason != reasonAlert || known.Reason == rejection.Reason) {
			log = known.allowLog(rejection)
			rejection.Times = known.Times + 1
			known.Rejection = rejection
			return log
		}
		if known.reason == reason {
			same = append(same, known)
		}
	}
	if len(same) >= maxSendersPerReason {
		oldest := slices.MinFunc(same, func(a, b *rejectedSender) int { return a.At.Compare(b.At) })
		r.senders = slices.DeleteFunc(r.senders, func(known *rejectedSender) bool { return known == oldest })
	}
	rejection.Times = 1
	sender := &rejectedSender{reason: reason}
	log = sender.allowLog(rejection)
	sender.Rejection = rejection
	r.senders = append(r.senders, sender)
	return log
}

// addAlert stores a rejected alert of an accepted notification and reports
// whether to log it. The status page lists each such alert separately.
func (r *rejections) addAlert(rejection templates.Rejection) (log bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.record(reasonAlert, rejection) && r.allowLog(reasonAlert, rejection.At)
}

// countLimit counts that a limit was reached without rejecting a notification.
func (r *rejections) countLimit(reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.increment(reason)
}

func (r *rejections) increment(reason string) {
	if r.counts == nil {
		r.counts = map[string]int{}
	}
	r.counts[reason]++
}

func (r *rejections) timesReached(reason string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts[reason]
}

// total returns the number of rejected notifications.
func (r *rejections) total() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.notifications
}

// list returns the stored rejections, newest first.
func (r *rejections) list() []templates.Rejection {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]templates.Rejection, 0, len(r.senders))
	for _, known := range r.senders {
		out = append(out, known.Rejection)
	}
	slices.SortFunc(out, func(a, b templates.Rejection) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.From, b.From)) })
	return out
}

// RecordRejection counts a rejected notification, lists it on the status page
// and logs it. It may also be called before a handler runs. It is safe for
// concurrent use.
func (s *Server) RecordRejection(remote string, code int, reason, text string) {
	if host, _, err := net.SplitHostPort(remote); err == nil {
		remote = host
	}
	if !slices.Contains(rejectionReasons(), reason) {
		reason = rejectedBadMessage
	}
	s.metrics.notificationsRejected.WithLabelValues(reason).Inc()
	if s.rejections.add(reason, templates.Rejection{At: time.Now(), From: remote, Status: code, Reason: text}) {
		s.logger.Info("Notification rejected", "reason", reason, "code", code, "remote", remote, "err", text)
	}
}

// reject rejects a notification and answers with the error.
func (s *Server) reject(c *gin.Context, code int, reason string, err error) {
	s.RecordRejection(c.Request.RemoteAddr, code, reason, err.Error())
	fail(c, code, err.Error())
}

// serveNotFound answers a request for an unknown path.
func (s *Server) serveNotFound(c *gin.Context) {
	switch {
	case isPost(c.Request):
		s.reject(c, http.StatusNotFound, rejectedNotFound, errors.New("path not found: send notifications to "+s.webhookPath()))
	case wantsPage(c.Request):
		s.uncachedPageHandler(notFoundPage)(c)
	default:
		fail(c, http.StatusNotFound, "path not found")
	}
}

// serveMethodNotAllowed answers a request with a wrong method. A POST to the
// path of a page may be a notification without /webhook. A GET of the webhook
// may come from a redirecting proxy, because Alertmanager follows redirects
// without the body.
func (s *Server) serveMethodNotAllowed(c *gin.Context) {
	path, webhook := c.Request.URL.Path, s.webhookPath()
	toWebhook := path == webhook || strings.HasPrefix(path, webhook+"/")
	isRead := slices.Contains([]string{http.MethodHead, http.MethodOptions}, c.Request.Method) || wantsPage(c.Request)
	switch {
	case toWebhook && !isRead:
		s.reject(c, http.StatusMethodNotAllowed, rejectedMethod, errors.New("method not allowed"))
	case isPost(c.Request):
		s.reject(c, http.StatusMethodNotAllowed, rejectedMethod, errors.New("this method is not allowed here: notifications go to "+webhook))
	default:
		fail(c, http.StatusMethodNotAllowed, "method not allowed")
	}
}

func (s *Server) webhookPath() string { return strings.TrimRight(s.opts.RoutePrefix, "/") + "/webhook" }

func wantsPage(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/html") }

// isPost reports whether a request may be a notification. Alertmanager and
// Grafana use POST or PUT.
func isPost(r *http.Request) bool { return r.Method == http.MethodPost || r.Method == http.MethodPut }
