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
	st := d.Storage()
	etag := fmt.Sprintf(`W/"%s-%d-%t-%d-%t-%t"`, d.Live.LastEventID(),
		time.Now().UnixNano()/int64(etagInterval), st.Healthy, st.DirtyGroups, st.Partial, d.Limits.Rejected() > 0)
	return d.serveFrom(&d.cache, c, etag)
}

// serveFrom answers 304 if the client has the page with the ETag, or answers from a cache.
// It returns false if the page must be rendered. The page is then added to the cache.
func (d *Door) serveFrom(cache *pageCache, c *gin.Context, etag string) bool {
	c.Header("ETag", etag)
	c.Header("Cache-Control", "no-cache")
	if c.GetHeader("If-None-Match") == etag {
		c.Status(http.StatusNotModified)
		return true
	}
	p, ok := cache.get(etag, cacheKey(c))
	if ok {
		d.sendPage(c, p)
	}
	c.Set(cacheOfPage, cache)
	return ok
}

// cacheOfPage is the key under which a request has the cache of its page.
const cacheOfPage = "cache"

// cacheKey returns the key of a page in the cache. It contains the scheme and
// the host, because links begin with them.
func cacheKey(c *gin.Context) string {
	return fmt.Sprint(c.Request.TLS != nil, c.Request.Host, c.Request.RequestURI)
}

// renderedPage is a page as it is sent. The first client that accepts it compresses it
// for all.
type renderedPage struct {
	code int
	body []byte
	once sync.Once
	// compressed is body with gzip. Only gzipped reads it.
	compressed []byte
}

// gzipped returns the compressed page.
func (p *renderedPage) gzipped() []byte {
	p.once.Do(func() { p.compressed = compress(p.body) })
	return p.compressed
}

// size returns the memory of the page in bytes. Compressed, a page has less than half of
// its size.
func (p *renderedPage) size() int { return len(p.body) + len(p.body)/2 }

// pageCache caches rendered pages of the current state, or those of past states. In a storm, many people
// open the same few pages.
type pageCache struct {
	mu    sync.Mutex
	etag  string                   // guarded by mu; of the current state
	pages map[string]*renderedPage // guarded by mu; by cache key
	size  int                      // guarded by mu; in bytes
}

func (m *pageCache) get(etag, address string) (*renderedPage, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, ok := m.pages[address]
	return p, ok && m.etag == etag
}

func (m *pageCache) put(etag, address string, p *renderedPage) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p.size() > maxCachedBytes/4 {
		return
	}
	if m.etag != etag || len(m.pages) >= maxCachedPages || m.size+p.size() > maxCachedBytes {
		m.etag, m.pages, m.size = etag, map[string]*renderedPage{}, 0
	}
	if earlier := m.pages[address]; earlier != nil {
		m.size -= earlier.size()
	}
	m.size += p.size()
	m.pages[address] = p
}
