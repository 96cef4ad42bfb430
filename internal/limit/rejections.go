package limit

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Reason is why a notification was rejected, or which limit was reached. It is the
// value of a metric label, so there are few of them.
type Reason string

// The reasons to reject a notification.
const (
	BadMessage    Reason = "bad_message"
	BadSource     Reason = "bad_source"
	Cancelled     Reason = "cancelled"
	CrossOrigin   Reason = "cross_origin"
	Draining      Reason = "draining"
	Full          Reason = "full"
	Incomplete    Reason = "incomplete"
	Media         Reason = "unsupported_media"
	Method        Reason = "method"
	NotFound      Reason = "not_found"
	Overloaded    Reason = "overloaded"
	Panic         Reason = "panic"
	Storage       Reason = "storage"
	TLS           Reason = "tls"
	TooLarge      Reason = "too_large"
	TooManyAlerts Reason = "too_many_alerts"
	Unauthorized  Reason = "unauthorized"
)

// Reasons returns the reasons to reject a notification.
func Reasons() []Reason {
	return []Reason{
		BadMessage, BadSource, Cancelled, CrossOrigin, Draining, Full, Incomplete, Media, Method, NotFound, Overloaded, Panic, Storage,
		TLS, TooLarge, TooManyAlerts, Unauthorized,
	}
}

// The limits that reject a part of a notification, or a reader. They are counted for
// the status page, and have metrics of their own elsewhere.
const (
	AlertsOfGroup Reason = "group_alerts" // the group has its maximum number of alerts
	LabelsOfAlert Reason = "labels"       // the alert has too many labels or annotations
	LiveClients   Reason = "live_clients"
)

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

	// leftOut is the internal reason for rejected alerts and events of an accepted
	// request.
	leftOut Reason = "left_out"
)

// Rejection is a notification that was rejected completely or in part. Repeated
// rejections for the same reason and from the same sender are one Rejection, with the
// time and the text of the last.
type Rejection struct {
	At    time.Time
	From  string // address of the sender
	Code  int    // status code of the answer
	Text  string
	Times int
}

// rejections stores the last rejections and how often each limit was reached.
// It is safe for concurrent use.
type rejections struct {
	mu            sync.Mutex
	senders       []*rejectedSender    // guarded by mu; unordered
	counts        map[Reason]int       // guarded by mu
	notifications int                  // guarded by mu; rejected notifications
	logLimits     map[Reason]*logLimit // guarded by mu
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
	Rejection

	reason Reason
	limit  logLimit
}

// allowLog reports whether to log the next rejection. It skips a rejection that
// repeats the text of the last one.
func (r *rejectedSender) allowLog(next Rejection) bool {
	if next.Text == r.Text && r.limit.used(next.At) > 0 {
		return false
	}
	return r.limit.allow(next.At, maxLogLinesPerSender)
}

// add stores a rejected notification and reports whether to log it.
func (r *rejections) add(reason Reason, rejection Rejection) (log bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notifications++
	return r.record(reason, rejection) && r.allowLog(reason, rejection.At)
}

// allowLog reports whether the limit on log lines for the reason has room for
// another line, and counts the line. The caller holds mu.
func (r *rejections) allowLog(reason Reason, at time.Time) bool {
	if r.logLimits == nil {
		r.logLimits = map[Reason]*logLimit{}
	}
	if r.logLimits[reason] == nil {
		r.logLimits[reason] = &logLimit{}
	}
	return r.logLimits[reason].allow(at, maxLogLinesPerReason)
}

// record stores a rejection without counting a notification. The caller holds
// mu.
func (r *rejections) record(reason Reason, rejection Rejection) (log bool) {
	r.increment(reason)
	var same []*rejectedSender
	for _, known := range r.senders {
		if known.reason == reason && known.From == rejection.From && (reason != leftOut || known.Text == rejection.Text) {
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

// addEvents stores a rejected request of the event recorder and reports whether to log it.
// Its senders and its log lines are apart from those of notifications.
func (r *rejections) addEvents(reason Reason, rejection Rejection) (log bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.increment(reason)
	reason = "event_" + reason
	return r.record(reason, rejection) && r.allowLog(reason, rejection.At)
}

// addPart stores a rejected part of an accepted request and reports whether to log it. The
// status page lists each such part separately.
func (r *rejections) addPart(rejection Rejection) (log bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.record(leftOut, rejection) && r.allowLog(leftOut, rejection.At)
}

// countLimit counts that a limit was reached without rejecting a notification.
func (r *rejections) countLimit(reason Reason) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.increment(reason)
}

func (r *rejections) increment(reason Reason) {
	if r.counts == nil {
		r.counts = map[Reason]int{}
	}
	r.counts[reason]++
}

func (r *rejections) timesReached(reason Reason) int {
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
func (r *rejections) list() []Rejection {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]Rejection, 0, len(r.senders))
	for _, known := range r.senders {
		out = append(out, known.Rejection)
	}
	slices.SortFunc(out, func(a, b Rejection) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.From, b.From)) })
	return out
}

// Reject counts a rejected notification, stores it for the status page and logs it.
// remote is the address of the sender.
func (r *Registry) Reject(ctx context.Context, remote string, code int, reason Reason, text string) {
	r.notifications.WithLabelValues(string(reason)).Inc()
	from := hostOf(remote)
	if r.rejections.add(reason, Rejection{At: time.Now(), From: from, Code: code, Text: text}) {
		r.logger.InfoContext(ctx, "Notification rejected", "reason", string(reason), "code", code, "remote", from, "err", text)
	}
}

// RejectEvents is Reject for a request of the event recorder. Alertmanager's own log does
// not say why it was rejected.
func (r *Registry) RejectEvents(ctx context.Context, remote string, code int, reason Reason, text string) {
	r.events.WithLabelValues(string(reason)).Inc()
	from := hostOf(remote)
	if r.rejections.addEvents(reason, Rejection{At: time.Now(), From: from, Code: code, Text: "events: " + text}) {
		r.logger.InfoContext(ctx, "Events rejected", "reason", string(reason), "code", code, "remote", from, "err", text)
	}
}

// RejectAlerts stores rejected alerts of a notification whose other alerts were kept.
// There is one text for each alert.
func (r *Registry) RejectAlerts(ctx context.Context, remote string, alerts uint64, texts []string) {
	if r.addParts(remote, "alert rejected: ", texts) {
		r.logger.InfoContext(ctx, "Alerts rejected", "alerts", alerts, "remote", hostOf(remote), "first", texts[0])
	}
}

// RejectSomeEvents stores rejected events of a request whose other events were kept. There is
// one text for each of the first events.
func (r *Registry) RejectSomeEvents(ctx context.Context, remote string, events int, texts []string) {
	if r.addParts(remote, "event rejected: ", texts) {
		r.logger.InfoContext(ctx, "Some events rejected", "events", events, "remote", hostOf(remote), "first", texts[0])
	}
}

// addParts stores rejected parts of a request that was accepted, and reports whether to log
// them.
func (r *Registry) addParts(remote, prefix string, texts []string) (log bool) {
	for _, text := range texts {
		log = r.rejections.addPart(Rejection{At: time.Now(), From: hostOf(remote), Code: http.StatusOK, Text: prefix + text}) || log
	}
	return log
}

// hostOf returns the address without the port.
func hostOf(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}

// Count counts that a limit was reached, if no notification was rejected for it.
func (r *Registry) Count(reason Reason) { r.rejections.countLimit(reason) }

// TimesReached returns how often a limit was reached.
func (r *Registry) TimesReached(reason Reason) int { return r.rejections.timesReached(reason) }

// Rejected returns the number of rejected notifications.
func (r *Registry) Rejected() int { return r.rejections.total() }

// Rejections returns the last rejections, newest first.
func (r *Registry) Rejections() []Rejection { return r.rejections.list() }
