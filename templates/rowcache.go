package templates

import (
	"bytes"
	"fmt"
	"html/template"
	"reflect"
	"sync"
)

// maxCachedRows is the maximum number of cached rows. A row has about 1 kB.
const maxCachedRows = 1000

// rowCache caches the HTML of rows without their ages. During an alert storm, most
// rows do not change between two pages. It is safe for concurrent use.
type rowCache struct {
	template *template.Template

	mu   sync.Mutex
	kept map[string]cachedRow // by row key; guarded by mu
}

type cachedRow struct {
	row  GroupRow
	html template.HTML
}

// get returns the HTML of a row without its age.
func (c *rowCache) get(row GroupRow) (template.HTML, error) {
	row.Since = Moment{} // the cached HTML has no age
	c.mu.Lock()
	kept, ok := c.kept[row.Key]
	c.mu.Unlock()
	if ok && reflect.DeepEqual(kept.row, row) {
		return kept.html, nil
	}
	var b bytes.Buffer
	if err := c.template.ExecuteTemplate(&b, "rowHead", row); err != nil {
		return "", fmt.Errorf("row: %w", err)
	}
	html := template.HTML(b.String()) //nolint:gosec // G203: html/template has escaped it
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept == nil || len(c.kept) >= maxCachedRows {
		c.kept = map[string]cachedRow{}
	}
	c.kept[row.Key] = cachedRow{row, html}
	return html, nil
}
