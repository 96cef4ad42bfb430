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

// The reasons for which a notification is refused: labels of a metric.
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
		rejectedBadMessage, rejectedBadSource, rejectedCancelled, rejectedCrossOrigin, rejectedDraining, rejectedFull, rejectedIncomplete, rejectedMedia,
		rejectedMethod, rejectedNotFound, rejectedOverloaded, rejectedPanic, rejectedStorage, rejectedTLS, rejectedTooLarge, rejectedTooManyAlerts,
		rejectedUnauthorized,
	}
}

const (
	// maxRefusalsPerReason bounds what the status page lists of one reason, so
	// that a scan of ports does not hide a sender whose token is wrong.
	maxSendersPerReason = 5
	// refusalLogInterval is how often the log repeats a refusal for the same
	// reason to the same address. In between it has at most maxRefusalsLogged
	// whose texts differ.
	rejectionLogInterval = 10 * time.Second
	maxLogLinesPerSender = 10
	// maxReasonLogged bounds the lines for one reason in such an interval: a
	// scan from many addresses does not fill the log.
	maxLogLinesPerReason = 20

	// reasonLeftOut is the reason under which left out alerts are listed.
	reasonAlert = "left_out"
)

// refusals remembers the last notifications that were refused, and how often
// each limit was reached.
type rejections struct {
	mu            sync.Mutex
	senders       []*rejectedSender // guarded by mu; in no order
	counts        map[string]int    // guarded by mu; by reason
	notifications int               // guarded by mu; refused notifications
	logged        map[string]logged // guarded by mu; by reason
}

// logged counts the lines of the log since the interval began.
type logged struct {
	since time.Time
	lines int
}

// mayLog counts a line for the reason and reports whether there is room for it.
func (r *rejections) mayLog(reason string, at time.Time) bool {
	if r.logged == nil {
		r.logged = map[string]logged{}
	}
	l := r.logged[reason]
	if at.Sub(l.since) >= rejectionLogInterval {
		l = logged{since: at}
	}
	l.lines++
	r.logged[reason] = l
	return l.lines <= maxLogLinesPerReason
}

// refusedSender is what was refused for one reason to one address.
type rejectedSender struct {
	templates.Rejection

	reason   string
	loggedAt time.Time // when the interval of the log began
	logged   int       // lines since then
}

// logs reports whether a further refusal is to be logged.
func (r *rejectedSender) logs(next templates.Rejection) bool {
	if next.At.Sub(r.loggedAt) >= rejectionLogInterval {
		r.loggedAt, r.logged = next.At, 0
	}
	if r.logged > 0 && next.Reason == r.Reason || r.logged >= maxLogLinesPerSender {
		return false
	}
	r.logged++
	return true
}

// add remembers a refusal and reports whether to log it.
func (r *rejections) add(reason string, rejection templates.Rejection) (log bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notifications++
	return r.record(reason, rejection) && r.mayLog(reason, rejection.At)
}

// note remembers a rejection that refuses no whole notification.
func (r *rejections) record(reason string, rejection templates.Rejection) (log bool) {
	r.increment(reason)
	var same []*rejectedSender
	for _, known := range r.senders {
		if known.reason == reason && known.From == rejection.From && (reason != reasonAlert || known.Reason == rejection.Reason) {
			log = known.logs(rejection)
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
	r.senders = append(r.senders, &rejectedSender{Rejection: rejection, reason: reason, loggedAt: rejection.At, logged: 1})
	return true
}

// leftOut remembers an alert that was left out of a notification that was kept,
// and reports whether to log it. Each such alert is listed by itself.
func (r *rejections) addAlert(rejection templates.Rejection) (log bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.record(reasonAlert, rejection) && r.mayLog(reasonAlert, rejection.At)
}

// count counts a limit that was reached by what is not a notification.
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

// total is how many notifications were refused.
func (r *rejections) total() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.notifications
}

// newest lists the refusals, the newest first.
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

// Refused takes note of a notification that was refused, also before a handler
// saw it: it is counted, stands on the status page, and is one line in the log.
func (s *Server) RecordRejection(remote string, code int, reason, text string) {
	if host, _, err := net.SplitHostPort(remote); err == nil {
		remote = host
	}
	if !slices.Contains(rejectionReasons(), reason) {
		reason = rejectedBadMessage
	}
	s.metrics.notificationsRejected.WithLabelValues(reason).Inc()
	if s.rejections.add(reason, templates.Rejection{At: time.Now(), From: remote, Status: code, Reason: text}) {
		s.logger.Info("Notification refused", "reason", reason, "code", code, "remote", remote, "err", text)
	}
}

// reject refuses a notification and answers with the reason.
func (s *Server) reject(c *gin.Context, code int, reason string, err error) {
	s.RecordRejection(c.Request.RemoteAddr, code, reason, err.Error())
	fail(c, code, err.Error())
}

// noRoute answers a request for a path that does not exist.
func (s *Server) serveNotFound(c *gin.Context) {
	switch {
	case isPost(c.Request):
		s.reject(c, http.StatusNotFound, rejectedNotFound, errors.New("nothing is here: notifications go to "+s.webhookPath()))
	case wantsPage(c.Request):
		s.uncachedPageHandler(notFoundPage)(c)
	default:
		fail(c, http.StatusNotFound, "nothing is here")
	}
}

// noMethod refuses a method. A notification posted to the path of a page lacks
// the webhook's. A GET of the webhook may be one that a proxy redirected:
// Alertmanager follows with GET and without the body.
func (s *Server) serveMethodNotAllowed(c *gin.Context) {
	path, webhook := c.Request.URL.Path, s.webhookPath()
	toWebhook := path == webhook || strings.HasPrefix(path, webhook+"/")
	looks := slices.Contains([]string{http.MethodHead, http.MethodOptions}, c.Request.Method) || wantsPage(c.Request)
	switch {
	case toWebhook && !looks:
		s.reject(c, http.StatusMethodNotAllowed, rejectedMethod, errors.New("this method is not allowed here"))
	case isPost(c.Request):
		s.reject(c, http.StatusMethodNotAllowed, rejectedMethod, errors.New("this method is not allowed here: notifications go to "+webhook))
	default:
		fail(c, http.StatusMethodNotAllowed, "this method is not allowed here")
	}
}

func (s *Server) webhookPath() string { return strings.TrimRight(s.opts.RoutePrefix, "/") + "/webhook" }

func wantsPage(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/html") }

// isPost reports whether a request may be meant as a notification: Alertmanager
// and Grafana post or put.
func isPost(r *http.Request) bool { return r.Method == http.MethodPost || r.Method == http.MethodPut }
