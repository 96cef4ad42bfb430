package templates

import (
	"bytes"
	"fmt"
	"html/template"
	"reflect"
	"strings"
	"sync"
)

// maxCachedRows is the maximum number of cached rows. A row has about 1 kB.
const maxCachedRows = 1000

// rowCache caches the HTML of rows in two parts: the head without the age, and the age.
// During an alert storm, most rows do not change between two pages. It is safe for
// concurrent use.
type rowCache struct {
	template *template.Template

	mu    sync.Mutex
	heads map[string]cachedRow // by row key; guarded by mu
	ages  map[string]cachedRow // by row key; guarded by mu
}

// cachedRow is what a part of a row shows, and its HTML.
type cachedRow struct {
	row  *GroupRow
	html template.HTML
}

// all returns the HTML of the rows.
func (c *rowCache) all(rows []GroupRow) (template.HTML, error) {
	var b strings.Builder
	for i := range rows {
		row := rows[i]
		row.Since = Moment{}
		head, err := c.get(&c.heads, "rowHead", &row)
		if err != nil {
			return "", err
		}
		// Many pages can be rendered before an age changes.
		age, err := c.get(&c.ages, "rowAge", &GroupRow{Key: row.Key, Since: rows[i].Since, Verb: row.Verb})
		if err != nil {
			return "", err
		}
		b.WriteString(string(head))
		b.WriteString(string(age))
	}
	return template.HTML(b.String()), nil //nolint:gosec // G203: html/template has escaped it
}

// get returns the HTML of a part of a row. The row has only what the part shows.
func (c *rowCache) get(rows *map[string]cachedRow, part string, row *GroupRow) (template.HTML, error) {
	c.mu.Lock()
	kept, ok := (*rows)[row.Key]
	c.mu.Unlock()
	if ok && reflect.DeepEqual(kept.row, row) {
		return kept.html, nil
	}
	var b bytes.Buffer
	if err := c.template.ExecuteTemplate(&b, part, row); err != nil {
		return "", fmt.Errorf("row: %w", err)
	}
	html := template.HTML(b.String()) //nolint:gosec // G203: html/template has escaped it
	c.mu.Lock()
	defer c.mu.Unlock()
	if *rows == nil || len(*rows) >= maxCachedRows {
		*rows = map[string]cachedRow{}
	}
	(*rows)[row.Key] = cachedRow{row, html}
	return html, nil
}
