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

// Groups is all that the HTTP side wants from the rest of the house. A
// *grouping.Manager is one.
type Groups interface {
	// Stamp returns the stamp of a notification that arrives now.
	Stamp() grouping.Stamp
	// Ingest keeps a notification: durably, as the storage promises, on return
	// without an error.
	Ingest(ctx context.Context, n grouping.Notification) (grouping.Outcome, error)
	// The queries; *grouping.GroupNotFoundError means absent, an error that is
	// grouping.ErrBadQuery that the client asked for something impossible.
	AllGroups(ctx context.Context) ([]*grouping.AlertGroup, error)
	GetGroup(ctx context.Context, id grouping.ID) (*grouping.AlertGroup, error)
	ListGroups(ctx context.Context, q grouping.ListQuery) (grouping.GroupPage, error)
	GetGroupByFingerprint(ctx context.Context, fp grouping.Fingerprint) ([]*grouping.AlertGroup, error)
	Events(ctx context.Context, q grouping.EventQuery) (grouping.EventPage, error)
	GetStats(ctx context.Context) (grouping.Stats, error)
	// Heartbeats returns every heartbeat as it fares now, the worst first.
	Heartbeats(ctx context.Context) ([]grouping.Heartbeat, error)
}

// Options are the settings of a Server. The zero value is usable.
type Options struct {
	// MaxBodySize bounds a webhook body. 0: 64 MiB; 10,000 alerts are 9.3 MB.
	MaxBodySize int64
	// MaxRequests bounds the webhook requests worked on at once, those that have
	// arrived; past it the answer is 503, which Alertmanager retries within a
	// second. 0: 64.
	MaxRequests int
	// MaxAlerts bounds the alerts of a notification, MaxLabels the labels and
	// the annotations of each. 0: 100,000 and 256.
	MaxAlerts, MaxLabels int
	// MaxReaders bounds the requests for pages and for the API whose answers are
	// made at once. 0: 256.
	MaxReaders int
	// MaxNotificationMemory bounds what the notifications that are worked on take
	// in memory, MaxResponseMemory the bytes of answers under way. Past them the
	// answer is 503. 0: what DefaultMemory says if Go has no memory limit.
	MaxNotificationMemory, MaxResponseMemory int64
	// MaxSources bounds the sources told apart in metrics. 0: 32.
	MaxSources int
	// MaxLiveClients bounds the followers of live updates. 0: 500.
	MaxLiveClients int

	// WebhookTokenFile holds a token that a notification must carry: so who
	// reads the pages cannot write. "": none is asked for.
	WebhookTokenFile string
	// EnablePprof serves profiles of the process.
	EnablePprof bool

	// Problems tells in sentences what is wrong with how Muster is set up, for
	// the status page and the API. nil: nothing can be.
	Problems func() []string

	// ExternalURL is where readers reach Muster: what links begin with. "":
	// they are relative to the host. RoutePrefix is the path under which the
	// routes are; it differs where a proxy takes the external one away.
	ExternalURL, RoutePrefix string
	// Groups are the options of the group manager and Settings what else is set,
	// for the status page. Demo says that the data is made up.
	Groups   grouping.Options
	Settings []templates.Fact
	Demo     bool
}

func (o Options) withDefaults() (Options, error) {
	if min(o.MaxBodySize, o.MaxNotificationMemory, o.MaxResponseMemory) < 0 || min(o.MaxRequests, o.MaxSources, o.MaxLiveClients, o.MaxAlerts, o.MaxLabels, o.MaxReaders) < 0 {
		return o, errors.New("receiver: a limit is negative")
	}
	if o.MaxBodySize == 0 {
		o.MaxBodySize = 64 << 20
	}
	notifications, responses := DefaultMemory(math.MaxInt64)
	o.MaxNotificationMemory = cmp.Or(o.MaxNotificationMemory, notifications)
	o.MaxResponseMemory = cmp.Or(o.MaxResponseMemory, responses)
	for _, limit := range []struct {
		value *int
		usual int
	}{
		{&o.MaxRequests, 64},
		{&o.MaxReaders, 256},
		{&o.MaxSources, 32},
		{&o.MaxLiveClients, 500},
		{&o.MaxAlerts, 100_000},
		{&o.MaxLabels, 256},
	} {
		if *limit.value == 0 {
			*limit.value = limit.usual
		}
	}
	return o, nil
}

// Server answers HTTP requests.
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
	writeTimeout time.Duration // how long a client may take to read a chunk
	draining     atomic.Bool
	rejections   rejections
	pages        pageCache

	summary summary
}

// New returns a server. Status tells how the storage fares.
func New(groups Groups, status func() grouping.StorageStatus, reg prometheus.Registerer, gatherer prometheus.Gatherer, logger *slog.Logger, opts Options) (*Server, error) {
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
	// A redirect is poison to a webhook: Alertmanager follows it with an empty
	// GET and takes the answer for a delivery.
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
		s.RecordRejection(r.RemoteAddr, http.StatusForbidden, rejectedCrossOrigin, "a browser sent it from another site")
		setSecurityHeaders(w.Header())
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"error":"a browser may not send this from another site"}`+"\n")
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

// get registers a handler for GET and for HEAD, which is answered with the same
// header and without the body.
func handleGet(r *gin.RouterGroup, path string, handlers ...gin.HandlerFunc) {
	r.GET(path, handlers...)
	r.HEAD(path, handlers...)
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Publish takes note of a change and passes it on to those who follow live
// updates. It never blocks.
func (s *Server) Publish(u grouping.Update) {
	s.summary.apply(u)
	s.live.broadcast(u)
}

// Drain makes the webhook refuse with 503, which Alertmanager takes to another
// replica or retries, and ends the live streams.
func (s *Server) Drain() {
	s.draining.Store(true)
	s.live.close()
}

// NewHTTPServer returns a server with every timeout set: a slow client cannot
// hold a connection for long.
func NewHTTPServer(s *Server, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second, // a body of 64 MiB at 17 Mbit/s
		WriteTimeout:      30 * time.Second, // until the first byte; see pacedWriter
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ConnContext:       limitSendBuffer,
		// With deadlines for the streams alone, who reads none of them holds the
		// connection.
		HTTP2:    &http.HTTP2Config{WriteByteTimeout: writeTimeout},
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
}

// profileRoutes leaves out cmdline: a password can be on the command line.
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

// ready is true also while the storage is degraded: a sidecar must not take its
// pod's Alertmanager out of service.
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

// recoverPanic answers a panic with 503: Alertmanager sends again, and what
// brought the panic about is in the log, not in the answer.
func (s *Server) recoverPanic(c *gin.Context) {
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		if err, ok := r.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(r)
		}
		s.logger.Error("A request made Muster panic", "handler", c.FullPath(), "err", fmt.Sprint(r))
		if _, webhook := c.Get(webhookRequestKey); webhook {
			s.RecordRejection(c.Request.RemoteAddr, http.StatusServiceUnavailable, rejectedPanic, "Muster failed; its log has more")
		}
		if c.Writer.Written() {
			panic(http.ErrAbortHandler) // half an answer must not look like a whole one
		}
		fail(c, http.StatusServiceUnavailable, "something went wrong here")
	}()
	c.Next()
}

// contentSecurityPolicy allows what Muster itself serves, and nothing else.
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

// fail ends a request with an error in JSON.
func fail(c *gin.Context, code int, message string) {
	c.AbortWithStatusJSON(code, gin.H{"error": message})
}

// failWith ends a request with the status that belongs to the error.
func (s *Server) failWith(c *gin.Context, err error) {
	switch {
	case errors.Is(err, grouping.ErrBadQuery):
		fail(c, http.StatusBadRequest, err.Error())
	case errors.Is(err, grouping.ErrGroupNotFound):
		fail(c, http.StatusNotFound, err.Error())
	case c.Request.Context().Err() != nil:
		// A client that only closed its sending side still reads: no answer at
		// all would be a 200.
		c.AbortWithStatus(http.StatusServiceUnavailable)
	case errors.Is(err, grouping.ErrStorage):
		fail(c, http.StatusServiceUnavailable, "the storage is not available, try again soon")
	default:
		s.logger.Error("A request failed", "handler", c.FullPath(), "err", err)
		fail(c, http.StatusServiceUnavailable, "something went wrong here")
	}
}
