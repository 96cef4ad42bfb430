package pages

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"muster/internal/reply"
)

// serveStatic serves a static file under its name, which contains a hash of its
// content. So clients can keep it for ever.
func (d *Door) serveStatic(c *gin.Context) {
	asset, ok := d.static[c.Param("name")]
	if !ok {
		c.String(http.StatusNotFound, "no such file\n")
		return
	}
	c.Header("Cache-Control", "public, max-age=31536000, immutable")
	c.Header("Vary", "Accept-Encoding")
	c.Header("Content-Type", asset.Type)
	body, etag := asset.Body, `"`+asset.Hash+`"`
	zip := reply.Gzip(c.Request.Header.Values("Accept-Encoding"))
	if zip {
		// Another representation needs another tag.
		body, etag = asset.Gzipped(), `"`+asset.Hash+`-gz"`
	}
	c.Header("ETag", etag)
	if matchesETag(c.GetHeader("If-None-Match"), etag) {
		c.Status(http.StatusNotModified)
		return
	}
	if zip {
		c.Header("Content-Encoding", "gzip")
	}
	c.Header("Content-Length", strconv.Itoa(len(body)))
	c.Data(http.StatusOK, asset.Type, body)
}

// matchesETag reports whether an If-None-Match header lists the tag.
func matchesETag(header, etag string) bool {
	for tag := range strings.SplitSeq(header, ",") {
		if tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/"); tag == etag || tag == "*" {
			return true
		}
	}
	return false
}
