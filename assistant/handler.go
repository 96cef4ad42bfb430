package assistant

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"muster/internal/limit"
)

// Path is the path of the streamable HTTP transport.
const Path = "/mcp"

// HandlerOptions are the settings of a Handler.
type HandlerOptions struct {
	// MaxRequests is the maximum number of requests that are answered at the same time.
	MaxRequests int
	// AllowedHosts are the host names under which clients reach it. localhost and IP addresses
	// are always allowed.
	AllowedHosts []string
	// MaxBodySize is the maximum size of a request, and MaxDuration that of its answer.
	MaxBodySize int64
	MaxDuration time.Duration
}

// DefaultHandlerOptions returns the default options. A question has some hundred bytes. The time
// is longer than that of a question to Muster, and shorter than that of the HTTP server.
func DefaultHandlerOptions() HandlerOptions {
	return HandlerOptions{MaxRequests: 8, MaxBodySize: 64 << 10, MaxDuration: 25 * time.Second}
}

// Validate returns an error that names the flag of a wrong value.
func (o HandlerOptions) Validate() error {
	if o.MaxRequests < 1 {
		return fmt.Errorf("--web.max-requests: %d is less than 1", o.MaxRequests)
	}
	for _, host := range o.AllowedHosts {
		if host == "" || strings.ContainsAny(host, ":/@ *") {
			return fmt.Errorf("--web.allowed-host: %q is not a host name without a port", host)
		}
	}
	return nil
}

// Handler serves the tools over HTTP. It keeps no session: each request is on its own. It is safe
// for concurrent use.
type Handler struct {
	next   http.Handler
	slots  *limit.Limit
	opts   HandlerOptions
	logger *slog.Logger
}

// NewHandler returns a handler for Path.
func NewHandler(server *mcp.Server, limits *limit.Registry, logger *slog.Logger, opts HandlerOptions) *Handler {
	return &Handler{
		next: mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{
			Stateless: true, JSONResponse: true, PropagateRequestCancellation: true, Logger: slog.New(slog.DiscardHandler),
			DisableLocalhostProtection: true, // isAllowedHost is stricter, and knows the names of proxies
		}),
		slots: limits.New("mcp", limit.Requests, int64(opts.MaxRequests)), opts: opts, logger: logger,
	}
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	switch {
	case !h.isAllowedHost(r.Host):
		h.reject(w, r, http.StatusForbidden, "this host name is not allowed: the operator can add it with --web.allowed-host")
		return
	case !isSameOrigin(r):
		h.reject(w, r, http.StatusForbidden, "requests from a page in a browser are not allowed")
		return
	}
	// Take a slot only after the body was read, so that slow clients do not block others.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, h.opts.MaxBodySize))
	if err != nil {
		code := http.StatusBadRequest
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			code = http.StatusRequestEntityTooLarge
		}
		h.reject(w, r, code, fmt.Sprintf("the request is not complete, or has more than %d bytes", h.opts.MaxBodySize))
		return
	}
	hold, ok := h.slots.Take(1)
	if !ok {
		w.Header().Set("Retry-After", "1")
		h.reject(w, r, http.StatusServiceUnavailable, "too many concurrent requests, try again")
		return
	}
	defer hold.Release()
	ctx, cancel := context.WithTimeout(r.Context(), h.opts.MaxDuration)
	defer cancel()
	r = r.WithContext(ctx)
	r.Body = io.NopCloser(bytes.NewReader(body))
	h.next.ServeHTTP(w, r)
}

func (h *Handler) reject(w http.ResponseWriter, r *http.Request, code int, reason string) {
	h.logger.InfoContext(r.Context(), "Request rejected", "remote", r.RemoteAddr, "code", code, "host", r.Host,
		"origin", r.Header.Get("Origin"), "err", reason)
	http.Error(w, reason, code)
}

// isAllowedHost reports whether a request names a host that is ours. Otherwise a page on the web
// could reach a Muster inside a network, by a host name of its own that resolves to an address of
// that network (DNS rebinding). An address needs no such name, so it is always allowed.
func (h *Handler) isAllowedHost(host string) bool {
	u, err := url.Parse("http://" + host)
	if err != nil || u.Host != host || u.Hostname() == "" {
		return false
	}
	name := strings.TrimSuffix(u.Hostname(), ".")
	if _, err := netip.ParseAddr(name); err == nil || strings.EqualFold(name, "localhost") {
		return true
	}
	return slices.ContainsFunc(h.opts.AllowedHosts, func(allowed string) bool { return strings.EqualFold(name, allowed) })
}

// isSameOrigin reports whether no page sent a request, or one of the same host. Browsers send
// Origin with every POST.
func isSameOrigin(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return false
	}
	origins := r.Header.Values("Origin")
	if len(origins) == 0 {
		return true
	}
	u, err := url.Parse(origins[0])
	return err == nil && len(origins) == 1 && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}
