package templates

import (
	"bytes"
	"fmt"
	"html/template"
	"reflect"
	"sync"
)

// maxHeads bounds the heads that are kept, some 1 kB each.
const maxCachedRows = 1000

// rowHeads keeps the HTML of rows, all but their ages, as it was last made: in
// a storm most rows of a page are those of the page before.
type rowCache struct {
	template *template.Template

	mu   sync.Mutex
	kept map[string]cachedRow // guarded by mu; by the row's key
}

type cachedRow struct {
	row  GroupRow
	html template.HTML
}

func (c *rowCache) get(row GroupRow) (template.HTML, error) {
	row.Since = Moment{} // not part of it
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
	html := template.HTML(b.String()) //nolint:gosec // G203: html/template has just made it
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept == nil || len(c.kept) >= maxCachedRows {
		c.kept = map[string]cachedRow{}
	}
	c.kept[row.Key] = cachedRow{row, html}
	return html, nil
}
