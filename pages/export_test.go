package pages

// What the tests over the whole HTTP side need.
const (
	EtagInterval   = etagInterval
	MaxCachedPages = maxCachedPages
)

// CachedPages returns the number of cached pages.
func (d *Door) CachedPages() int {
	d.cache.mu.Lock()
	defer d.cache.mu.Unlock()
	return len(d.cache.pages)
}

// ClearCache removes all pages from the cache.
func (d *Door) ClearCache() { d.cache.put("none", "", &renderedPage{}) }
