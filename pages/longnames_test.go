package pages_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
	"muster/web"
)

var pageLink = regexp.MustCompile(`href="([^"]*)"`)

// A name that is too long for a URL can be listed, and no page links to a URL
// that Muster rejects.
func TestNamesThatAreTooLongForURLs(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	srv := httptest.NewUnstartedServer(h)
	srv.Config = web.NewHTTPServer(h, h.Logger)
	srv.Start()
	t.Cleanup(srv.Close)
	get := func(path string) (code int, text string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+path, nil)
		require.NoError(t, err)
		a := testserver.Answer(t, r)
		return a.Code, a.Text
	}
	name := strings.Repeat("x", 30_000)
	var id string
	for i := range 3 {
		id = h.PostKept(t, wiretest.Body(wiretest.Key, fmt.Sprintf(`"groupKey":"k%d"`, i), `"groupLabels":{}`,
			fmt.Sprintf(`"groupLabels":{"alertname":"%s%d"}`, name, i),
			wiretest.Labels, fmt.Sprintf(`{"alertname":"%s%d","pod":"%s"}`, name, i, name)))
	}

	var ids []string
	for cursor := ""; ; {
		code, text := get("/api/v1/groups?limit=1&cursor=" + url.QueryEscape(cursor))
		require.Equal(t, http.StatusOK, code)
		var page struct {
			Groups []struct{ ID string }
			Next   string
		}
		require.NoError(t, json.Unmarshal([]byte(text), &page))
		require.Len(t, page.Groups, 1)
		ids = append(ids, page.Groups[0].ID)
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	require.Len(t, ids, 3)
	require.NotEqual(t, ids[0], ids[1])

	for _, path := range []string{"/", "/?state=all", "/?by=pod", "/groups/" + id, "/history", "/?filter=pod%3D%22xy%22"} {
		code, text := get(path)
		require.Equal(t, http.StatusOK, code, path)
		for _, link := range pageLink.FindAllStringSubmatch(text, -1) {
			if strings.HasPrefix(link[1], "/") {
				require.Less(t, len(link[1]), 16<<10, path)
			}
		}
	}
}
