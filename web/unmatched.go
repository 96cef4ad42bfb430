package web

import (
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"muster/internal/limit"
	"muster/internal/reply"
)

// serveNotFound answers a request for an unknown path.
func (r *Router) serveNotFound(c *gin.Context) {
	switch {
	case isPost(c.Request) && r.isToEvents(c.Request):
		r.rejectEvents(c, http.StatusNotFound, limit.NotFound, "path not found: send events to "+r.eventsPath())
	case isPost(c.Request):
		r.reject(c, http.StatusNotFound, limit.NotFound, "path not found: send notifications to "+r.webhookPath())
	case wantsPage(c.Request):
		r.opts.NotFound(c)
	default:
		reply.Fail(c, http.StatusNotFound, "path not found")
	}
}

// serveMethodNotAllowed answers a request with a wrong method. A POST to the
// path of a page may be a notification without /webhook. A GET of the webhook, or of
// the events, may come from a redirecting proxy, because Alertmanager follows redirects
// without the body.
func (r *Router) serveMethodNotAllowed(c *gin.Context) {
	isRead := slices.Contains([]string{http.MethodHead, http.MethodOptions}, c.Request.Method) || wantsPage(c.Request)
	switch {
	case isBelow(c.Request, r.webhookPath()) && !isRead:
		r.reject(c, http.StatusMethodNotAllowed, limit.Method, "method not allowed")
	case r.isToEvents(c.Request) && !isRead:
		r.rejectEvents(c, http.StatusMethodNotAllowed, limit.Method, "method not allowed")
	case isPost(c.Request):
		r.reject(c, http.StatusMethodNotAllowed, limit.Method, "this method is not allowed here: notifications go to "+r.webhookPath())
	default:
		reply.Fail(c, http.StatusMethodNotAllowed, "method not allowed")
	}
}

// reject rejects a request that may be a notification.
func (r *Router) reject(c *gin.Context, code int, reason limit.Reason, text string) {
	r.limits.Reject(c.Request.Context(), c.Request.RemoteAddr, code, reason, text)
	reply.Fail(c, code, text)
}

// rejectEvents rejects a request that may be of the event recorder.
func (r *Router) rejectEvents(c *gin.Context, code int, reason limit.Reason, text string) {
	r.limits.RejectEvents(c.Request.Context(), c.Request.RemoteAddr, code, reason, text)
	reply.Fail(c, code, text)
}

func (r *Router) webhookPath() string { return r.opts.RoutePrefix + r.opts.WebhookPath }

func (r *Router) eventsPath() string { return r.opts.RoutePrefix + r.opts.EventsPath }

func (r *Router) isToEvents(req *http.Request) bool { return isBelow(req, r.eventsPath()) }

// isBelow reports whether a request is sent to the path, or to a path below it.
func isBelow(r *http.Request, path string) bool {
	rest, ok := strings.CutPrefix(r.URL.Path, path)
	return ok && (rest == "" || rest[0] == '/')
}

func wantsPage(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/html") }

// isPost reports whether a request may be a notification. Alertmanager and
// Grafana use POST or PUT.
func isPost(r *http.Request) bool { return r.Method == http.MethodPost || r.Method == http.MethodPut }
