package templates

import (
	"strings"
	"time"

	"muster/internal/query"
)

// File is a link to what a page lists, as a file.
type File struct{ Href, Text string }

// newFiles returns the links to the files of an address of the API.
func newFiles(href string) []File {
	separator := "?"
	if strings.Contains(href, "?") {
		separator = "&"
	}
	return []File{
		{href + separator + "format=" + string(query.FormatCSV), "CSV"},
		{href + separator + "format=" + string(query.FormatNDJSON), "NDJSON"},
	}
}

// files returns the links to all groups that the view selects. They have no pages and labels
// to group by.
func (v View) files(l Links) []File {
	if v.Err != nil {
		return nil
	}
	v = v.ungrouped()
	v.Wall, v.Limit = false, 0
	q := v.encode()
	if v.State == query.StateFiring { // not the default of the API
		q = "?" + strings.TrimPrefix(strings.TrimPrefix(q, "?")+"&state="+query.StateFiring, "&")
	}
	return newFiles(l.timed(l.path("api", "v1", "groups") + q))
}

// files returns the links to all events that the view selects. Their times are absolute.
func (v HistoryView) files(l Links) []File {
	if v.Err != nil {
		return nil
	}
	q := v.EventQuery()
	v.Since, v.Until, v.At, v.Limit, v.Cursor = q.Since, q.Until, time.Time{}, 0, ""
	v.Kinds = q.Kinds
	return newFiles(l.path("api", "v1", "events") + v.encode())
}
