package pages_test

import (
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
)

func TestPostmortem(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	id := h.PostKept(t, wiretest.Body())
	path := "/groups/" + id + "/postmortem.md"
	require.Contains(t, h.Get("/groups/"+id).Body.String(), `href="`+path+`"`)
	w := h.Get(path)
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	require.Equal(t, "text/markdown; charset=utf-8", w.Header().Get("Content-Type"))
	for _, text := range []string{
		"# Post-mortem: team\n", "- Alerts: 1, which fired 1 times\n", "still firing", "| opened |", "- Notifications: 1\n",
	} {
		require.Contains(t, w.Body.String(), text)
	}
	require.NotContains(t, h.Get(path+"?until=7d").Body.String(), "| opened |")
	require.Contains(t, h.Get(path+"?since=7d").Body.String(), "| opened |")
	require.Equal(t, http.StatusBadRequest, h.Get(path+"?since=yesterday").Code)
	require.Equal(t, http.StatusBadRequest, h.Get(path+"?at=1h").Code)
	require.Equal(t, http.StatusNotFound, h.Get("/groups/nope/postmortem.md").Code)
	require.Equal(t, http.StatusNotFound, h.Get("/groups/00000000000000000000/postmortem.md").Code)

	// A group that was removed keeps its history.
	require.NoError(t, h.Manager.RemoveAlertFromGroup(t.Context(), grouping.ID(id), "0011223344556677"))
	w = h.Get(path)
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	for _, text := range []string{"# Post-mortem: Down\n", "- State now: the group was removed\n", "- Group key: `{}:{}`\n", "| expired |"} {
		require.Contains(t, w.Body.String(), text)
	}
	require.Zero(t, h.Limits.Limit("responses").Used())
}

// The links to files select what the page lists, with absolute times.
func TestLinksToFiles(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	h.PostKept(t, wiretest.Body())
	h.PostKept(t, wiretest.Body(
		wiretest.Key, `"groupKey":"other"`, wiretest.Labels, `{"alertname":"Other"}`, wiretest.Fingerprint, `"fingerprint":""`,
	))
	link := regexp.MustCompile(`<a href="(/api/v1/[^"]*format=(?:csv|ndjson))" download>`)
	for path, want := range map[string]struct {
		rows int
		has  string
	}{
		"/":                                    {2, "state=firing"},
		"/?state=all&sort=name":                {2, "state=all"},
		"/?filter=Other&by=alertname":          {1, "filter=Other"},
		"/?state=resolved":                     {0, "state=resolved"},
		"/history":                             {4, "kind=fired"},
		"/history?kind=all&filter=Other":       {1, "kind=all"},
		"/history?kind=fired&since=1h":         {2, "since=20"},
		"/history?until=1h":                    {0, "until=20"},
		"/history?at=2026-01-01T00:00&limit=1": {0, "until=2026-01-01T00%3A01%3A00Z"},
	} {
		links := link.FindAllStringSubmatch(h.Get(path, "Accept", testserver.HTML).Body.String(), -1)
		require.Len(t, links, 2, path)
		for _, l := range links {
			href := html.UnescapeString(l[1])
			require.Contains(t, href, want.has)
			w := h.Get(href)
			require.Equal(t, http.StatusOK, w.Code, "%s: %s", href, w.Body)
			header := strings.Count(href, "format=csv")
			require.Equal(t, want.rows, strings.Count(w.Body.String(), "\n")-header, "%s\n%s", href, w.Body)
		}
	}
	require.NotContains(t, h.Get("/?filter=a%3D%3D%22", "Accept", testserver.HTML).Body.String(), "format=csv")
}
