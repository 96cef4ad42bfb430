package receiver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"muster/grouping"
	"muster/internal/limit"
	"muster/internal/reply"
)

// Path is the path of the webhook. A source may follow it.
const Path = "/webhook"

// ingester is what the webhook needs from the domain. It is safe for concurrent use.
type ingester interface {
	// Stamp returns the stamp of a notification that arrives now.
	Stamp() grouping.Stamp
	// Ingest stores a notification. If it returns nil, the notification is as
	// durable as the storage promises. The sender retries after an error. If a
	// limit leaves no room, the error is a *grouping.FullError. Ingest does not keep the
	// list of alerts.
	Ingest(ctx context.Context, n grouping.Notification) (grouping.Outcome, error)
}

// domain is what the door needs from the domain.
type domain interface {
	ingester
	observer
}

// Door receives notifications and events. It is safe for concurrent use.
type Door struct {
	groups     domain
	limits     *limit.Registry
	logger     *slog.Logger
	metrics    *metrics
	decoder    *decoder
	rules      eventRules
	saidEvents *eventMemory
	webhook    *admission
	events     *admission
	draining   atomic.Bool
}

// New returns the way in.
func New(groups domain, limits *limit.Registry, reg prometheus.Registerer, logger *slog.Logger, opts Options) (*Door, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	tokens, err := newWebhookTokens(opts.TokenFile, logger)
	if err != nil {
		return nil, err
	}
	limits.ShowReason("Body size", limit.Bytes, opts.MaxBodySize, limit.TooLarge)
	limits.ShowReason("Alerts in a notification", limit.Requests, int64(opts.MaxAlerts), limit.TooManyAlerts)
	limits.ShowReason("Labels of an alert", limit.Requests, int64(opts.MaxLabels), limit.LabelsOfAlert)
	d := &Door{
		groups: groups, limits: limits, logger: logger, metrics: newMetrics(reg, opts.MaxSources),
		decoder: newDecoder(opts.MaxAlerts, opts.MaxLabels),
		rules:   eventRules{maxAlerts: opts.MaxAlerts, maxLabels: opts.MaxLabels}, saidEvents: newEventMemory(),
	}
	d.webhook = newAdmission("notification", tokens, &d.draining, limits, admissionOptions{
		title: "notifications", maxBodySize: opts.MaxBodySize, maxRequests: opts.MaxRequests, maxMemory: opts.MaxMemory,
		decodedSize: decodedSize,
	})
	// Most events are not decoded, so each one is counted when it is.
	d.events = newAdmission("event", tokens, &d.draining, limits, admissionOptions{
		title: "event requests", maxBodySize: opts.MaxBodySize, maxRequests: opts.MaxEventRequests, maxMemory: opts.MaxEventMemory,
	})
	return d, nil
}

// Routes adds the routes of the webhook and of the event recorder.
func (d *Door) Routes(r gin.IRouter) {
	webhook := r.Group(Path, recordPanic(d.limits.Reject), d.requireToken(d.webhook, d.reject))
	events := r.Group(EventsPath, recordPanic(d.limits.RejectEvents), d.requireToken(d.events, d.rejectEvents))
	for _, path := range []string{"", "/", "/:source", "/:source/"} {
		webhook.POST(path, d.serveWebhook)
		webhook.PUT(path, d.serveWebhook)
		events.POST(path, d.serveEvents)
		events.PUT(path, d.serveEvents)
	}
}

// Drain makes all routes answer 503. Alertmanager then retries, or sends to another
// replica.
func (d *Door) Drain() { d.draining.Store(true) }

// Problems returns the problems of the configuration, one sentence each.
func (d *Door) Problems() []string {
	if problem := d.webhook.tokens.problem(); problem != "" {
		return []string{problem}
	}
	return nil
}

// HasToken reports whether a request has a token of the webhook. Such a request is of a
// sender, not of a person.
func (d *Door) HasToken(r *http.Request) bool { return d.webhook.tokens.acceptsRequest(r) }

// rejecter counts a rejected request and lists it on the status page.
type rejecter func(ctx context.Context, remote string, code int, reason limit.Reason, text string)

// recordPanic counts a request whose handler panics as rejected. The router answers.
func recordPanic(reject rejecter) gin.HandlerFunc {
	return func(c *gin.Context) {
		defer func() {
			r := recover()
			if r == nil {
				return
			}
			if err, ok := r.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
				reject(c.Request.Context(), c.Request.RemoteAddr, http.StatusServiceUnavailable, limit.Panic,
					"internal error, see the log of Muster")
			}
			panic(r)
		}()
		c.Next()
	}
}

// requireToken rejects a request without a valid token.
func (d *Door) requireToken(a *admission, reject func(*gin.Context, *refusal)) gin.HandlerFunc {
	return func(c *gin.Context) {
		if refused := a.checkToken(c); refused != nil {
			reject(c, refused)
		}
	}
}

// refusal is why a request is rejected: the error, with the status code and the reason.
type refusal struct {
	code   int
	reason limit.Reason
	err    error
	// cause is the error of the domain, which decides the answer, or nil.
	cause error
}

func refuse(code int, reason limit.Reason, format string, args ...any) *refusal {
	return &refusal{code: code, reason: reason, err: fmt.Errorf(format, args...)}
}

// unstored is the refusal of a request that the domain did not store.
func unstored(request context.Context, err error) *refusal {
	if full, ok := errors.AsType[*grouping.FullError](err); ok {
		// Alertmanager retries and shows that the delivery failed.
		return &refusal{code: http.StatusServiceUnavailable, reason: limit.Full, err: full}
	}
	refused := refuse(http.StatusServiceUnavailable, limit.Storage, "storage is unavailable")
	if request.Err() != nil {
		refused = refuse(http.StatusServiceUnavailable, limit.Cancelled, "the client disconnected")
	}
	refused.cause = err
	return refused
}

// fail answers with the error of a refusal.
func (d *Door) fail(c *gin.Context, r *refusal) {
	if r.cause != nil {
		reply.Error(c, d.logger, r.cause)
		return
	}
	reply.Fail(c, r.code, r.err.Error())
}
