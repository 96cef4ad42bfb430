package reply

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

// Get registers a handler for GET and HEAD. The answer to HEAD has the same headers
// and no body.
func Get(r gin.IRoutes, path string, handlers ...gin.HandlerFunc) {
	r.GET(path, handlers...)
	r.HEAD(path, handlers...)
}

// streamKey is the gin context key that marks a stream.
const streamKey = "stream"

// Stream marks the answer as a stream, which may last for hours. The router does not
// measure its duration, and does not limit it.
func Stream(c *gin.Context) {
	c.Set(streamKey, true)
	for w := http.ResponseWriter(c.Writer); ; {
		if limited, ok := w.(interface{ RemoveLastDeadline() }); ok {
			limited.RemoveLastDeadline()
			return
		}
		inner, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return
		}
		w = inner.Unwrap()
	}
}

// IsStream reports whether the answer is a stream.
func IsStream(c *gin.Context) bool { return c.GetBool(streamKey) }
