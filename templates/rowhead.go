package templates

import (
	"bytes"
	"fmt"
	"html/template"
	"reflect"
	"sync"
)

// maxHeads bounds the heads that are kept, some 1 kB each.
const maxHeads = 1000

// rowHeads keeps the HTML of rows, all but their ages, as it was last made: in
// a storm most rows of a page are those of the page before.
type rowHeads struct {
	template *template.Template

	mu   sync.Mutex
	kept map[string]rowHead // guarded by mu; by the row's key
}

type rowHead struct {
	row  GroupRow
	html template.HTML
}

func (h *rowHeads) get(row GroupRow) (template.HTML, error) {
	row.Since = Moment{} // not part of it
	h.mu.Lock()
	kept, ok := h.kept[row.Key]
	h.mu.Unlock()
	if ok && reflect.DeepEqual(kept.row, row) {
		return kept.html, nil
	}
	var b bytes.Buffer
	if err := h.template.ExecuteTemplate(&b, "rowHead", row); err != nil {
		return "", fmt.Errorf("row: %w", err)
	}
	html := template.HTML(b.String()) //nolint:gosec // G203: html/template has just made it
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.kept == nil || len(h.kept) >= maxHeads {
		h.kept = map[string]rowHead{}
	}
	h.kept[row.Key] = rowHead{row, html}
	return html, nil
}
