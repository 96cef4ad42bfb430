package pages

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
)

const (
	// etagInterval is the time for which an unchanged page keeps its ETag.
	// After it the page must show new ages.
	etagInterval = 5 * time.Second
	// maxCachedPages is the maximum number of cached pages. A page has some 60
	// kB.
	maxCachedPages = 64
	// maxCachedBytes is the maximum size of all cached pages, because pages
	// with huge labels are large.
	maxCachedBytes = 8 << 20
)

// serveCached answers 304 if the client has the current page, or answers from
// the cache. It returns false if the page must be rendered. The ETag covers the
// state, the storage's health and the time.
func (d *Door) serveCached(c *gin.Context) bool {
	st := d.status.Storage()
	etag := fmt.Sprintf(`W/"%s-%d-%t-%d-%t-%t"`, d.live.LastEventID(),
		time.Now().UnixNano()/int64(etagInterval), st.Healthy, st.DirtyGroups, st.Partial, d.limits.Rejected() > 0)
	c.Header("ETag", etag)
	c.Header("Cache-Control", "no-cache")
	if c.GetHeader("If-None-Match") == etag {
		c.Status(http.StatusNotModified)
		return true
	}
	p, ok := d.cache.get(etag, cacheKey(c))
	if ok {
		d.sendPage(c, p)
	}
	return ok
}

// cacheKey returns the key of a page in the cache. It contains the scheme and
// the host, because links begin with them.
func cacheKey(c *gin.Context) string {
	return fmt.Sprint(c.Request.TLS != nil, c.Request.Host, c.Request.RequestURI)
}

// renderedPage is a page as it is sent, plain and compressed.
type renderedPage struct {
	code          int
	body, gzipped []byte
}

// pageCache caches rendered pages of the current state. In a storm, many people
// open the same few pages.
type pageCache struct {
	mu    sync.Mutex
	etag  string                  // guarded by mu; of the current state
	pages map[string]renderedPage // guarded by mu; by cache key
	size  int                     // guarded by mu; in bytes
}

func (m *pageCache) get(etag, address string) (renderedPage, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, ok := m.pages[address]
	return p, ok && m.etag == etag
}

func (m *pageCache) put(etag, address string, p renderedPage) {
	m.mu.Lock()
	defer m.mu.Unlock()
	size := len(p.body) + len(p.gzipped)
	if size > maxCachedBytes/4 {
		return
	}
	if m.etag != etag || len(m.pages) >= maxCachedPages || m.size+size > maxCachedBytes {
		m.etag, m.pages, m.size = etag, map[string]renderedPage{}, 0
	}
	m.size += size - len(m.pages[address].body) - len(m.pages[address].gzipped)
	m.pages[address] = p
}
