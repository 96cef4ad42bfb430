package web

import (
	"io"
	"net/http"

	"github.com/gin-gonic/gin"

	"muster/internal/limit"
)

// ContentSecurityPolicy is the policy of every answer. It allows only content that
// Muster serves, and nothing inline, because all text on a page can come from an
// attacker.
const ContentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

func securityHeaders(c *gin.Context) { setSecurityHeaders(c.Writer.Header()) }

// headerValues are the security headers of every answer. Answers share the lists of values: who
// sets a header replaces its list, and who adds a value gets another list.
var headerValues = []struct {
	name   string
	values []string
}{
	{"Content-Security-Policy", []string{ContentSecurityPolicy}},
	{"X-Content-Type-Options", []string{"nosniff"}},
	{"Referrer-Policy", []string{"no-referrer"}},
	{"Cross-Origin-Opener-Policy", []string{"same-origin"}},
	{"Cache-Control", []string{"no-store"}},
}

func setSecurityHeaders(h http.Header) {
	for _, header := range headerValues {
		h[header.name] = header.values
	}
}

// rejectCrossOrigin wraps a handler and rejects requests that a browser sends from
// another site, unless they only read. The address at which people reach Muster is no
// other site, also if a proxy in front of Muster changes the Host header.
func (r *Router) rejectCrossOrigin(next http.Handler) (http.Handler, error) {
	protection := http.NewCrossOriginProtection()
	if origin := r.opts.ExternalOrigin; origin != "" {
		if err := protection.AddTrustedOrigin(origin); err != nil {
			return nil, err
		}
	}
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.limits.Reject(req.Context(), req.RemoteAddr, http.StatusForbidden, limit.CrossOrigin, "sent by a browser from another site")
		setSecurityHeaders(w.Header())
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"error":"requests from a browser on another site are not allowed"}`+"\n")
	}))
	return protection.Handler(next), nil
}
