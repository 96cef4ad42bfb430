package pages_test

import (
	"context"
	"html"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/history"
	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
)

// busyPast has no time for reports.
type busyPast struct{ testserver.Past }

func (busyPast) Counted(context.Context, history.CountedQuery) (*history.Counted, error) {
	return nil, grouping.ErrBusy
}

func (busyPast) Report(context.Context, history.ReportQuery) (*history.Report, error) {
	return nil, grouping.ErrBusy
}

func TestReportPage(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	w := h.Get("/report", "Accept", testserver.HTML)
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, w.Body.String(), "Nothing fired in this time")
	require.Equal(t, "max-age=60", w.Header().Get("Cache-Control"))

	start := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	h.PostKept(t, wiretest.Body(wiretest.Start, `"startsAt":"`+start+`"`))
	page := h.Get("/report?since=24h", "Accept", testserver.HTML).Body.String()
	require.Contains(t, page, "Down")
	require.Contains(t, page, "Who was notified")
	require.Contains(t, page, ">now</a>")
	for by, text := range map[string]string{"receiver": "team", "severity": "Rows", "pod": "no pod"} {
		require.Contains(t, h.Get("/report?by="+by, "Accept", testserver.HTML).Body.String(), text, by)
	}
	// Each link of the page leads to a page or to data.
	for _, part := range strings.Split(page, `href="`)[1:] {
		href, _, _ := strings.Cut(part, `"`)
		if strings.HasPrefix(href, "/") && !strings.HasPrefix(href, "/static") &&
			!strings.HasPrefix(href, "/api/v1/live") && href != "/?at=-15m" {
			require.Equal(t, http.StatusOK, h.Get(html.UnescapeString(href), "Accept", testserver.HTML).Code, href)
		}
	}
	// The list and the field of the form have one name.
	require.Equal(t, http.StatusOK, h.Get("/report?filter=&since=7d&by=alertname&since=&until=").Code)
	require.Equal(t, http.StatusOK, h.Get("/report?filter=&since=7d&by=alertname&since=2026-01-01T00:00&until=2026-01-02T00:00").Code)
	for _, bad := range []string{"since=yesterday", "since=-1h&until=-2h", "sort=colour", "x=1"} {
		w := h.Get("/report?"+bad, "Accept", testserver.HTML)
		require.Equal(t, http.StatusBadRequest, w.Code, bad)
		require.NotEqual(t, "max-age=60", w.Header().Get("Cache-Control"))
	}
	w = h.Get("/report?filter=a%3D%3D%22", "Accept", testserver.HTML)
	require.Equal(t, http.StatusBadRequest, w.Code)
	require.Contains(t, w.Body.String(), "Noisiest", "the rest of the page is intact")

	h.UsePast(busyPast{})
	w = h.Get("/report", "Accept", testserver.HTML)
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Contains(t, w.Body.String(), "Muster is busy")
	require.NotContains(t, w.Body.String(), "An error happened")
}
