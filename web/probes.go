package web

import (
	"net/http"
	"net/http/pprof"

	"github.com/gin-gonic/gin"

	"muster/internal/reply"
)

func serveHealthy(c *gin.Context) { c.String(http.StatusOK, "Muster is healthy.\n") }

// serveReady answers 200 even if the storage is degraded. Muster runs as a
// sidecar and must not take its pod's Alertmanager out of service.
func (r *Router) serveReady(c *gin.Context) {
	if r.draining.Load() {
		c.String(http.StatusServiceUnavailable, "Muster is shutting down.\n")
		return
	}
	c.String(http.StatusOK, "Muster is ready.\n"+r.opts.ReadyNote())
}

// profileRoutes registers the profiles except cmdline, because the command line
// can contain a password.
func profileRoutes(r gin.IRoutes) {
	reply.Get(r, "/debug/pprof/", gin.WrapF(pprof.Index))
	reply.Get(r, "/debug/pprof/profile", gin.WrapF(pprof.Profile))
	reply.Get(r, "/debug/pprof/symbol", gin.WrapF(pprof.Symbol))
	reply.Get(r, "/debug/pprof/trace", gin.WrapF(pprof.Trace))
	for _, name := range []string{"allocs", "block", "goroutine", "heap", "mutex", "threadcreate"} {
		reply.Get(r, "/debug/pprof/"+name, gin.WrapH(pprof.Handler(name)))
	}
}

// limitProfiles limits the number of concurrent profiles.
func (r *Router) limitProfiles(c *gin.Context) {
	slot, ok := r.profiles.Take(1)
	if !ok {
		reply.Fail(c, http.StatusServiceUnavailable, "too many concurrent profiles, try again")
		return
	}
	defer slot.Release()
	c.Next()
}
