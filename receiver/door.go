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
)

// Path is the path of the webhook. A source may follow it.
const Path = "/webhook"

// ingester is what the webhook needs from the domain. It is safe for concurrent use.
type ingester interface {
	// Stamp returns the stamp of a notification that arrives now.
	Stamp() grouping.Stamp
	// Ingest stores a notification. If it returns nil, the notification is as
	// durable as the storage promises. The sender retries after an error. If a
	// limit leaves no room, the error is a *grouping.FullError.
	Ingest(ctx context.Context, n grouping.Notification) (grouping.Outcome, error)
}

// Door receives notifications. It is safe for concurrent use.
type Door struct {
	groups   ingester
	limits   *limit.Registry
	logger   *slog.Logger
	metrics  *metrics
	decoder  *decoder
	webhook  *admission
	draining atomic.Bool
}

// New returns the way in.
func New(groups ingester, limits *limit.Registry, reg prometheus.Registerer, logger *slog.Logger, opts Options) (*Door, error) {
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
	}
	d.webhook = newAdmission("notification", tokens, &d.draining, limits, admissionOptions{
		maxBodySize: opts.MaxBodySize, maxRequests: opts.MaxRequests, maxMemory: opts.MaxMemory,
	})
	return d, nil
}

// Routes adds the routes of the webhook.
func (d *Door) Routes(r gin.IRouter) {
	webhook := r.Group(Path, d.recordPanic, d.requireToken)
	for _, path := range []string{"", "/", "/:source", "/:source/"} {
		webhook.POST(path, d.serveWebhook)
		webhook.PUT(path, d.serveWebhook)
	}
}

// Drain makes the webhook answer 503. Alertmanager then retries, or sends to another
// replica.
func (d *Door) Drain() { d.draining.Store(true) }

// Problems returns the problems of the configuration, one sentence each.
func (d *Door) Problems() []string {
	if problem := d.webhook.tokens.problem(); problem != "" {
		return []string{problem}
	}
	return nil
}

// recordPanic counts a notification whose handler panics as rejected. The router
// answers.
func (d *Door) recordPanic(c *gin.Context) {
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		if err, ok := r.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
			d.limits.Reject(c.Request.Context(), c.Request.RemoteAddr, http.StatusServiceUnavailable, limit.Panic,
				"internal error, see the log of Muster")
		}
		panic(r)
	}()
	c.Next()
}

// requireToken rejects a notification without a valid token.
func (d *Door) requireToken(c *gin.Context) {
	if refused := d.webhook.checkToken(c); refused != nil {
		d.reject(c, refused)
	}
}

// refusal is why a request is rejected: the error, with the status code and the reason.
type refusal struct {
	code   int
	reason limit.Reason
	err    error
}

func refuse(code int, reason limit.Reason, format string, args ...any) *refusal {
	return &refusal{code, reason, fmt.Errorf(format, args...)}
}
