package receiver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/pprof"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"muster/grouping"
	"muster/templates"
)

// Groups is what the server needs from the domain. *grouping.Manager implements
// it. All methods are safe for concurrent use, and returned groups must not be
// modified.
type Groups interface {
	// Stamp returns the stamp of a notification that arrives now.
	Stamp() grouping.Stamp
	// Ingest stores a notification. If it returns nil, the notification is as
	// durable as the storage promises.
	Ingest(ctx context.Context, n grouping.Notification) (grouping.Outcome, error)
	// The queries return a *grouping.GroupNotFoundError if the group or alert
	// does not exist. They return grouping.ErrBadQuery if the query is invalid.
	AllGroups(ctx context.Context) ([]*grouping.AlertGroup, error)
	GetGroup(ctx context.Context, id grouping.ID) (*grouping.AlertGroup, error)
	ListGroups(ctx context.Context, q grouping.ListQuery) (grouping.GroupPage, error)
	GetGroupByFingerprint(ctx context.Context, fp grouping.Fingerprint) ([]*grouping.AlertGroup, error)
	Events(ctx context.Context, q grouping.EventQuery) (grouping.EventPage, error)
	GetStats(ctx context.Context) (grouping.Stats, error)
	// Heartbeats returns the current state of every heartbeat, the worst first.
	Heartbeats(ctx context.Context) ([]grouping.Heartbeat, error)
}

// Options are the settings of a Server. A zero limit means the default that its
// comment names.
type Options struct {
	// MaxBodySize is the maximum size of a webhook body in bytes. The default
	// is 64 MiB; 10,000 alerts have 9.3 MB.
	MaxBodySize int64
	// MaxRequests is the maximum number of webhook requests that are processed
	// at once. A request counts after its body was received. Further requests
	// get 503, which Alertmanager retries within a second. The default is 64.
	MaxRequests int
	// MaxAlerts is the maximum number of alerts of a notification; the default
	// is 100,000. MaxLabels is the maximum number of labels, and of
	// annotations, of an alert; the default is 256.
	MaxAlerts, MaxLabels int
	// MaxReaders is the maximum number of requests for pages and the API whose
	// answers are prepared at once. The default is 256.
	MaxReaders int
	// MaxNotificationMemory is the maximum number of bytes of notifications in
	// memory. MaxResponseMemory is the maximum number of bytes of answers that
	// are prepared or sent. Further requests get 503. The defaults are those of
	// DefaultMemory without a memory limit.
	MaxNotificationMemory, MaxResponseMemory int64
	// MaxSources is the maximum number of sources that metrics name. The
	// default is 32.
	MaxSources int
	// MaxLiveClients is the maximum number of clients of live updates. The
	// default is 500.
	MaxLiveClients int

	// WebhookTokenFile is the path of a file with the tokens that a
	// notification may carry. With it, people who may only read pages cannot
	// send notifications. Empty: the webhook requires no token.
	WebhookTokenFile string
	// EnablePprof enables profiles of the process.
	EnablePprof bool

	// Problems returns the configuration problems for the status page and the
	// API, one sentence each. It may be nil and must be safe for concurrent
	// use.
	Problems func() []string

	// ExternalURL is the URL at which people reach Muster, and links begin with
	// it. Without it, links are relative to the host. RoutePrefix is the path
	// prefix of all routes. It differs from the path of ExternalURL if a proxy
	// removes that path.
	ExternalURL, RoutePrefix string
	// Groups are the options of the group manager. The status page shows them
	// and the other Settings. Demo reports whether the data is invented.
	Groups   grouping.Options
	Settings []templates.Fact
	Demo     bool
}

func (o Options) withDefaults() (Options, error) {
	if min(o.MaxBodySize, o.MaxNotificationMemory, o.MaxResponseMemory) < 0 ||
		min(o.MaxRequests, o.MaxSources, o.MaxLiveClients, o.MaxAlerts, o.MaxLabels, o.MaxReaders) < 0 {
		return o, errors.New("receiver: limits must not be negative")
	}
	if o.MaxBodySize == 0 {
		o.MaxBodySize = 64 << 20
	}
	notifications, responses := DefaultMemory(math.MaxInt64)
	o.MaxNotificationMemory = cmp.Or(o.MaxNotificationMemory, notifications)
	o.MaxResponseMemory = cmp.Or(o.MaxResponseMemory, responses)
	for _, limit := range []struct {
		value        *int
		defaultValue int
	}{
		{&o.MaxRequests, 64},
		{&o.MaxReaders, 256},
		{&o.MaxSources, 32},
		{&o.MaxLiveClients, 500},
		{&o.MaxAlerts, 100_000},
		{&o.MaxLabels, 256},
	} {
		if *limit.value == 0 {
			*limit.value = limit.defaultValue
		}
	}
	return o, nil
}

// Server is the HTTP handler of Muster. It is safe for concurrent use.
type Server struct {
	groups       Groups
	storage      func() grouping.StorageStatus
	logger       *slog.Logger
	opts         Options
	metrics      *metrics
	live         *broadcaster
	tokens       *webhookTokens
	renderer     *templates.Renderer
	links        templates.Links
	handler      http.Handler
	startedAt    time.Time
	decoder      *decoder
	limits       limits
	writeTimeout time.Duration // for each chunk of an answer
	draining     atomic.Bool
	rejections   rejections
	pages        pageCache

	summary summary
}

// New returns a server. The function status returns the state of the storage
// and must be safe for concurrent use.
func New(
	groups Groups, status func() grouping.StorageStatus, reg prometheus.Registerer, gatherer prometheus.Gatherer,
	logger *slog.Logger, opts Options,
) (*Server, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	external, err := url.Parse(opts.ExternalURL)
	if err != nil {
		return nil, fmt.Errorf("external URL: %w", err)
	}
	prefix := strings.TrimRight(external.Path, "/")
	origin := ""
	if external.Host != "" {
		origin = external.Scheme + "://" + external.Host
	}
	token, err := newWebhookTokens(opts.WebhookTokenFile, logger)
	if err != nil {
		return nil, err
	}
	renderer, err := templates.New(prefix)
	if err != nil {
		return nil, err
	}
	m := newMetrics(reg, opts.MaxSources)
	limits, err := newLimits(reg, opts)
	if err != nil {
		return nil, err
	}
	s := &Server{
		tokens: token, renderer: renderer, links: templates.NewLinks(origin, prefix),
		groups: groups, storage: status, logger: logger, opts: opts, metrics: m,
		live: newBroadcaster(opts.MaxLiveClients, m.liveClients), startedAt: time.Now(),
		limits: limits, writeTimeout: writeTimeout,
		decoder: newDecoder(opts.MaxAlerts, opts.MaxLabels),
	}
	s.summary.counter.Heartbeats = opts.Groups.Heartbeats
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	// The webhook must never redirect: Alertmanager follows with an empty GET
	// and takes the answer for a successful delivery.
	r.RedirectTrailingSlash, r.RedirectFixedPath = false, false
	r.HandleMethodNotAllowed = true
	r.UseRawPath, r.UnescapePathValues = true, true
	if err := r.SetTrustedProxies(nil); err != nil {
		return nil, err
	}
	r.Use(m.instrument, s.recoverPanic, securityHeaders)
	routePrefix := strings.TrimRight(opts.RoutePrefix, "/")
	r.NoRoute(s.serveNotFound)
	r.NoMethod(s.serveMethodNotAllowed)
	routes := r.Group(routePrefix)
	s.routes(routes, gatherer)
	s.pageRoutes(routes)
	if opts.EnablePprof {
		profileRoutes(routes.Group("", s.limitProfiles))
	}
	if routePrefix != "" {
		handleGet(&r.RouterGroup, "/", func(c *gin.Context) { c.Redirect(http.StatusFound, routePrefix+"/") })
		handleGet(&r.RouterGroup, routePrefix, s.redirectHome)
	}
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.RecordRejection(r.RemoteAddr, http.StatusForbidden, rejectedCrossOrigin, "sent by a browser from another site")
		setSecurityHeaders(w.Header())
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"error":"requests from a browser on another site are not allowed"}`+"\n")
	}))
	s.handler = s.withDeadlines(protection.Handler(r))
	return s, nil
}

const livePath = "/api/v1/live"

func (s *Server) routes(r *gin.RouterGroup, gatherer prometheus.Gatherer) {
	for _, path := range []string{"/webhook", "/webhook/", "/webhook/:source", "/webhook/:source/"} {
		r.POST(path, s.requireToken, s.serveWebhook)
		r.PUT(path, s.requireToken, s.serveWebhook)
	}
	handleGet(r, "/-/healthy", s.serveHealthy)
	handleGet(r, "/-/ready", s.serveReady)
	handleGet(r, "/metrics", s.serveMetrics(gatherer))
	handleGet(r, livePath, s.serveLive)
	api := r.Group("/api/v1", s.limitReaders)
	handleGet(api, "/groups", s.serveGroups)
	handleGet(api, "/groups/:id", s.rejectParameters, s.serveGroup)
	handleGet(api, "/groups/:id/events", s.serveGroupEvents)
	handleGet(api, "/alerts/:fingerprint", s.serveAlert)
	handleGet(api, "/events", s.serveEvents)
	handleGet(api, "/stats", s.rejectParameters, s.serveStats)
	handleGet(api, "/status", s.rejectParameters, s.serveStatus)
}

// handleGet registers a handler for GET and HEAD. The answer to HEAD has the
// same headers and no body.
func handleGet(r *gin.RouterGroup, path string, handlers ...gin.HandlerFunc) {
	r.GET(path, handlers...)
	r.HEAD(path, handlers...)
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Publish applies a change to the summary and passes it to the live clients. It
// never blocks.
func (s *Server) Publish(u grouping.Update) {
	s.summary.apply(u)
	s.live.broadcast(u)
}

// Drain ends the live streams and makes the webhook answer 503. Alertmanager
// then retries, or sends to another replica.
func (s *Server) Drain() {
	s.draining.Store(true)
	s.live.close()
}

// NewHTTPServer returns a server with all timeouts set, so that a slow client
// cannot keep a connection for long.
func NewHTTPServer(s *Server, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second, // a body of 64 MiB at 17 Mbit/s
		WriteTimeout:      30 * time.Second, // until the first byte; see deadlineWriter
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ConnContext:       limitSendBuffer,
		// Deadlines of streams alone do not close a connection whose client
		// reads none of its streams.
		HTTP2:    &http.HTTP2Config{WriteByteTimeout: writeTimeout},
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
}

// profileRoutes registers the profiles except cmdline, because the command line
// can contain a password.
func profileRoutes(r *gin.RouterGroup) {
	handleGet(r, "/debug/pprof/", gin.WrapF(pprof.Index))
	handleGet(r, "/debug/pprof/profile", gin.WrapF(pprof.Profile))
	handleGet(r, "/debug/pprof/symbol", gin.WrapF(pprof.Symbol))
	handleGet(r, "/debug/pprof/trace", gin.WrapF(pprof.Trace))
	for _, name := range []string{"allocs", "block", "goroutine", "heap", "mutex", "threadcreate"} {
		handleGet(r, "/debug/pprof/"+name, gin.WrapH(pprof.Handler(name)))
	}
}

func (s *Server) serveHealthy(c *gin.Context) { c.String(http.StatusOK, "Muster is healthy.\n") }

// serveReady answers 200 even if the storage is degraded. Muster runs as a
// sidecar and must not take its pod's Alertmanager out of service.
func (s *Server) serveReady(c *gin.Context) {
	if s.draining.Load() {
		c.String(http.StatusServiceUnavailable, "Muster is shutting down.\n")
		return
	}
	text := "Muster is ready.\n"
	if st := s.storage(); !st.Healthy {
		text += fmt.Sprintf("Storage: %s is down (%s).\n", st.Mode, st.Reason)
	}
	c.String(http.StatusOK, text)
}

// recoverPanic answers a panic with 503, so that Alertmanager retries. The
// cause is logged and not sent to the client.
func (s *Server) recoverPanic(c *gin.Context) {
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		if err, ok := r.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(r)
		}
		s.logger.Error("Handler panicked", "handler", c.FullPath(), "err", fmt.Sprint(r))
		if _, webhook := c.Get(webhookRequestKey); webhook {
			s.RecordRejection(c.Request.RemoteAddr, http.StatusServiceUnavailable, rejectedPanic, "internal error, see the log of Muster")
		}
		if c.Writer.Written() {
			panic(http.ErrAbortHandler) // an incomplete answer must not look complete
		}
		fail(c, http.StatusServiceUnavailable, "internal error")
	}()
	c.Next()
}

// contentSecurityPolicy allows only content that Muster serves.
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

func securityHeaders(c *gin.Context) { setSecurityHeaders(c.Writer.Header()) }

func setSecurityHeaders(h http.Header) {
	h.Set("Content-Security-Policy", contentSecurityPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// fail ends a request with an error as JSON.
func fail(c *gin.Context, code int, message string) {
	c.AbortWithStatusJSON(code, gin.H{"error": message})
}

// failWith ends a request with the status code that matches the error.
func (s *Server) failWith(c *gin.Context, err error) {
	switch {
	case errors.Is(err, grouping.ErrBadQuery):
		fail(c, http.StatusBadRequest, err.Error())
	case errors.Is(err, grouping.ErrGroupNotFound):
		fail(c, http.StatusNotFound, err.Error())
	case c.Request.Context().Err() != nil:
		// A client that closed only its sending side still reads. Without an
		// answer it would read 200.
		c.AbortWithStatus(http.StatusServiceUnavailable)
	case errors.Is(err, grouping.ErrStorage):
		fail(c, http.StatusServiceUnavailable, "storage is unavailable, try again")
	default:
		s.logger.Error("Request failed", "handler", c.FullPath(), "err", err)
		fail(c, http.StatusServiceUnavailable, "internal error")
	}
}
