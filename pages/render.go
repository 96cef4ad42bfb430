package pages

import (
	"bytes"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"muster/internal/reply"
	"muster/templates"
)

// buildPage makes a page for a request. site is the data that every page shows.
type buildPage func(c *gin.Context, site *templates.Site) (templates.Page, error)

// pageHandler returns the handler of a page that depends on the state alone. It
// renders the page once and caches it until the state changes.
func (d *Door) pageHandler(build buildPage) gin.HandlerFunc {
	return func(c *gin.Context) {
		if d.serveCached(c) {
			return
		}
		d.uncachedPageHandler(build)(c)
	}
}

// uncachedPageHandler returns the handler of a page that is rendered for each
// request.
func (d *Door) uncachedPageHandler(build buildPage) gin.HandlerFunc {
	return func(c *gin.Context) {
		site, err := d.site(c.Request)
		if err != nil {
			d.failPage(c, err)
			return
		}
		p, err := build(c, site)
		if err != nil {
			d.failPage(c, err)
			return
		}
		d.renderPage(c, p)
	}
}

// renderPage renders a page, sends it, and adds it to the cache if it is
// cacheable.
func (d *Door) renderPage(c *gin.Context, p templates.Page) {
	body, err := d.Renderer.Render(p)
	if err != nil {
		d.Logger.ErrorContext(c.Request.Context(), "Rendering a page failed", "handler", c.FullPath(), "err", err)
		c.String(http.StatusInternalServerError, "Rendering this page failed.\n")
		return
	}
	page := &renderedPage{code: p.Code(), body: body}
	if cache, ok := c.Value(cacheOfPage).(*pageCache); ok && page.code == http.StatusOK {
		cache.put(c.Writer.Header().Get("ETag"), cacheKey(c), page)
	}
	d.sendPage(c, page)
}

// sendPage sends a rendered page. Its bytes count toward the limit on responses
// while they are sent.
func (d *Door) sendPage(c *gin.Context, p *renderedPage) {
	c.Header("Vary", "Accept-Encoding")
	body := p.body
	if reply.Gzip(c.Request.Header.Values("Accept-Encoding")) {
		c.Header("Content-Encoding", "gzip")
		body = p.gzipped()
	}
	hold, ok := d.Readers.Hold(c, int64(len(body)))
	if !ok {
		return
	}
	defer hold.Release()
	c.Header("Content-Length", strconv.Itoa(len(body)))
	c.Data(p.code, "text/html; charset=utf-8", body)
}

func compress(body []byte) []byte {
	var b bytes.Buffer
	b.Grow(len(body) / 8)
	z := reply.NewGzipWriter(&b)
	defer reply.RecycleGzipWriter(z)
	_, _ = z.Write(body) // a buffer never fails
	_ = z.Close()
	return b.Bytes()
}
