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
	case isPost(c.Request):
		r.reject(c, http.StatusNotFound, limit.NotFound, "path not found: send notifications to "+r.webhookPath())
	case wantsPage(c.Request):
		r.opts.NotFound(c)
	default:
		reply.Fail(c, http.StatusNotFound, "path not found")
	}
}

// serveMethodNotAllowed answers a request with a wrong method. A POST to the
// path of a page may be a notification without /webhook. A GET of the webhook
// may come from a redirecting proxy, because Alertmanager follows redirects
// without the body.
func (r *Router) serveMethodNotAllowed(c *gin.Context) {
	path, webhook := c.Request.URL.Path, r.webhookPath()
	toWebhook := path == webhook || strings.HasPrefix(path, webhook+"/")
	isRead := slices.Contains([]string{http.MethodHead, http.MethodOptions}, c.Request.Method) || wantsPage(c.Request)
	switch {
	case toWebhook && !isRead:
		r.reject(c, http.StatusMethodNotAllowed, limit.Method, "method not allowed")
	case isPost(c.Request):
		r.reject(c, http.StatusMethodNotAllowed, limit.Method, "this method is not allowed here: notifications go to "+webhook)
	default:
		reply.Fail(c, http.StatusMethodNotAllowed, "method not allowed")
	}
}

// reject rejects a request that may be a notification.
func (r *Router) reject(c *gin.Context, code int, reason limit.Reason, text string) {
	r.limits.Reject(c.Request.Context(), c.Request.RemoteAddr, code, reason, text)
	reply.Fail(c, code, text)
}

func (r *Router) webhookPath() string { return r.opts.RoutePrefix + r.opts.WebhookPath }

func wantsPage(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/html") }

// isPost reports whether a request may be a notification. Alertmanager and
// Grafana use POST or PUT.
func isPost(r *http.Request) bool { return r.Method == http.MethodPost || r.Method == http.MethodPut }
