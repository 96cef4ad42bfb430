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

// rowCache caches the HTML of rows in three parts: what changes with time alone is the age,
// and the time that is left in the sentence about the cause. During an alert storm, most
// rows do not change between two pages. It is safe for concurrent use.
type rowCache struct {
	template *template.Template

	mu    sync.Mutex
	heads map[string]cachedRow // by row key; guarded by mu
	whys  map[string]cachedRow // by row key; guarded by mu
	ages  map[string]cachedRow // by row key; guarded by mu
}

// cachedRow is what a part of a row shows, and its HTML. The part may be interrupted by
// another one.
type cachedRow struct {
	row  *GroupRow
	html [2]template.HTML
}

// all returns the HTML of the rows.
func (c *rowCache) all(rows []GroupRow) (template.HTML, error) {
	var b strings.Builder
	for i := range rows {
		row := rows[i]
		row.Since, row.Why = Moment{}, nil
		head, err := c.get(&c.heads, &row, "rowTop", "rowBottom")
		if err != nil {
			return "", err
		}
		// Many pages can be rendered before an age changes.
		age, err := c.get(&c.ages, &GroupRow{Key: row.Key, Since: rows[i].Since, Verb: row.Verb, Ago: row.Ago}, "rowAge")
		if err != nil {
			return "", err
		}
		b.WriteString(string(head[0]))
		if len(rows[i].Why) > 0 {
			why, err := c.get(&c.whys, &GroupRow{Key: row.Key, Why: rows[i].Why}, "rowWhy")
			if err != nil {
				return "", err
			}
			b.WriteString(string(why[0]))
		}
		b.WriteString(string(head[1]))
		b.WriteString(string(age[0]))
	}
	return template.HTML(b.String()), nil //nolint:gosec // G203: html/template has escaped it
}

// once returns the HTML of the rows of a past state. It keeps nothing, so that such a page does
// not displace the rows of the present.
func (c *rowCache) once(rows []GroupRow) (template.HTML, error) {
	return (&rowCache{template: c.template}).all(rows)
}

// get returns the HTML of a part of a row: that of one template, or of two. The row has only
// what the part shows.
func (c *rowCache) get(rows *map[string]cachedRow, row *GroupRow, names ...string) (html [2]template.HTML, err error) {
	c.mu.Lock()
	kept, ok := (*rows)[row.Key]
	c.mu.Unlock()
	if ok && reflect.DeepEqual(kept.row, row) {
		return kept.html, nil
	}
	for i, name := range names {
		var b bytes.Buffer
		if err := c.template.ExecuteTemplate(&b, name, row); err != nil {
			return html, fmt.Errorf("row: %w", err)
		}
		html[i] = template.HTML(b.String()) //nolint:gosec // G203: html/template has escaped it
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if *rows == nil || len(*rows) >= maxCachedRows {
		*rows = map[string]cachedRow{}
	}
	(*rows)[row.Key] = cachedRow{row, html}
	return html, nil
}
