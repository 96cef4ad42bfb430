package web

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"muster/internal/limit"
	"muster/internal/reply"
)

// The paths of the probes, which need no password.
const (
	HealthyPath = "/-/healthy"
	ReadyPath   = "/-/ready"
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
)

// Door is a part of the HTTP side: it adds its routes to the router.
type Door interface {
	Routes(r gin.IRouter)
}

// RouterOptions are the settings of a Router.
type RouterOptions struct {
	// RoutePrefix is the path prefix of all routes.
	RoutePrefix string
	// ExternalOrigin is the origin at which people reach Muster, such as
	// https://muster.example.net, or "". It is written as a browser writes it.
	ExternalOrigin string
	// EnablePprof enables profiles of the process.
	EnablePprof bool
	// WriteTimeout is the time after which a client that reads nothing is
	// disconnected.
	WriteTimeout time.Duration
	// WebhookPath is the path that notifications belong to, without the prefix.
	// The answer to a notification that was sent elsewhere names it. EventsPath is the same
	// for the event recorder.
	WebhookPath, EventsPath string
	// NotFound answers a browser that asks for an unknown path.
	NotFound gin.HandlerFunc
	// ReadyNote returns more lines for the answer of the ready probe, or "". It
	// must be safe for concurrent use.
	ReadyNote func() string
}

// DefaultRouterOptions returns the default options. The caller sets the functions and
// the paths of the webhook and of events.
func DefaultRouterOptions() RouterOptions { return RouterOptions{WriteTimeout: writeTimeout} }

// Validate returns an error if the options are not complete.
func (o RouterOptions) Validate() error {
	switch {
	case o.WriteTimeout <= 0:
		return fmt.Errorf("the write timeout %s is not positive", o.WriteTimeout)
	case o.WebhookPath == "" || o.EventsPath == "" || o.NotFound == nil || o.ReadyNote == nil:
		return errors.New("the paths of the webhook and of events, the answer to unknown paths and the note of the ready probe are required")
	}
	return nil
}

// Router sends each request to the handler of its path. It is safe for concurrent
// use.
type Router struct {
	opts     RouterOptions
	engine   *gin.Engine
	handler  http.Handler
	limits   *limit.Registry
	metrics  *routeMetrics
	logger   *slog.Logger
	draining atomic.Bool

	scrapes     *limit.Limit // scrapes that are gathered
	scrapeBytes *limit.Limit // bytes of scrapes that are sent
	profiles    *limit.Limit // profiles of the process
}

// NewRouter returns a router with the routes of the doors, the probes and the
// metrics.
func NewRouter(
	limits *limit.Registry, reg prometheus.Registerer, gatherer prometheus.Gatherer, logger *slog.Logger, opts RouterOptions, doors ...Door,
) (*Router, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	opts.RoutePrefix = strings.TrimRight(opts.RoutePrefix, "/")
	r := &Router{
		opts: opts, limits: limits, logger: logger, metrics: newRouteMetrics(reg),
		scrapes:     limits.New("scrapes", limit.Requests, maxScrapes),
		scrapeBytes: limits.New("scrape_responses", limit.Bytes, maxScrapeBytes),
		profiles:    limits.New("profiles", limit.Requests, maxProfiles),
	}
	limits.Show("Concurrent scrapes", r.scrapes, r.scrapeBytes)
	var err error
	if r.engine, err = r.newEngine(); err != nil {
		return nil, err
	}
	routes := r.engine.Group(opts.RoutePrefix)
	r.ownRoutes(routes, gatherer)
	for _, door := range doors {
		door.Routes(routes)
	}
	sameOrigin, err := r.rejectCrossOrigin(r.engine)
	if err != nil {
		return nil, err
	}
	r.handler = withRequestID(r.withDeadlines(sameOrigin))
	return r, nil
}

// setGinMode makes gin write nothing to the standard output. The mode is a variable of gin without
// a lock, so it is set once: other routers may be built, or serve, at the same time.
var setGinMode = sync.OnceFunc(func() { gin.SetMode(gin.ReleaseMode) })

// newEngine returns an engine without routes.
func (r *Router) newEngine() (*gin.Engine, error) {
	setGinMode()
	e := gin.New()
	// The webhook must never redirect: Alertmanager follows with an empty GET
	// and takes the answer for a successful delivery.
	e.RedirectTrailingSlash, e.RedirectFixedPath = false, false
	e.HandleMethodNotAllowed = true
	e.UseRawPath, e.UnescapePathValues = true, true
	if err := e.SetTrustedProxies(nil); err != nil {
		return nil, err
	}
	e.Use(r.metrics.instrument, r.recoverPanic, securityHeaders)
	e.NoRoute(r.serveNotFound)
	e.NoMethod(r.serveMethodNotAllowed)
	return e, nil
}

// ownRoutes adds the routes that belong to no door.
func (r *Router) ownRoutes(routes *gin.RouterGroup, gatherer prometheus.Gatherer) {
	reply.Get(routes, HealthyPath, serveHealthy)
	reply.Get(routes, ReadyPath, r.serveReady)
	reply.Get(routes, "/metrics", r.serveMetrics(gatherer))
	if r.opts.EnablePprof {
		profileRoutes(routes.Group("", r.limitProfiles))
	}
	if prefix := r.opts.RoutePrefix; prefix != "" {
		reply.Get(r.engine, "/", func(c *gin.Context) { c.Redirect(http.StatusFound, prefix+"/") })
	}
}

// ServeHTTP implements http.Handler.
func (r *Router) ServeHTTP(w http.ResponseWriter, req *http.Request) { r.handler.ServeHTTP(w, req) }

// RouteTable returns all routes.
func (r *Router) RouteTable() gin.RoutesInfo { return r.engine.Routes() }

// Drain makes the ready probe answer 503.
func (r *Router) Drain() { r.draining.Store(true) }

// withRequestID gives each request an ID.
func withRequestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		next.ServeHTTP(w, reply.Identify(w, req))
	})
}

// recoverPanic answers a panic with 503, so that Alertmanager retries. The
// cause is logged and not sent to the client.
func (r *Router) recoverPanic(c *gin.Context) {
	defer func() {
		cause := recover()
		if cause == nil {
			return
		}
		if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(cause)
		}
		r.logger.ErrorContext(c.Request.Context(), "Handler panicked", "handler", c.FullPath(), "err", fmt.Sprint(cause))
		if c.Writer.Written() {
			panic(http.ErrAbortHandler) // an incomplete answer must not look complete
		}
		reply.Fail(c, http.StatusServiceUnavailable, "internal error")
	}()
	c.Next()
}
