package pages_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
	"muster/pages"
)

func TestPages(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	first := h.Get("/").Body.String()
	require.Contains(t, first, "No webhook has arrived yet")
	require.Contains(t, first, "url: http://example.com/webhook", "the host of the request")
	id := h.PostKept(t, wiretest.Body())
	for path, text := range map[string]string{
		"/": "Down", "/groups/" + id: "Down", "/alerts/0011223344556677": "Down", "/history": "fired", "/status": "memory", "/help": "Filter",
		"/?by=alertname": "Down", "/?filter=Down": "Down", "/?filter=nosuch": "No matching groups",
		`/?filter=alertname%3D"Dwn"`: "Did you mean", `/?filter=alertname%3D"Dwn"&by=alertname`: "Did you mean",
	} {
		w := h.Get(path, "Accept", testserver.HTML)
		require.Equal(t, http.StatusOK, w.Code, path)
		require.Contains(t, w.Body.String(), text, path)
		require.Equal(t, "text/html; charset=utf-8", w.Header().Get("Content-Type"), path)
	}
	w := h.Get("/?filter=a%3D%3D%22", "Accept", testserver.HTML)
	require.Equal(t, http.StatusBadRequest, w.Code)
	require.Contains(t, w.Body.String(), "Down", "the rest of the page is intact")
	require.Equal(t, http.StatusNotFound, h.Get("/nothing", "Accept", testserver.HTML).Code)
	require.Contains(t, h.Get("/nothing", "Accept", testserver.HTML).Body.String(), "<html")
}

// A page shows a webhook address that Alertmanager can use: the host of the
// request, or a marked example.
func TestAHostileHostIsNotLinkedTo(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	page := func(host string) string {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Body.String()
	}
	for _, host := range []string{
		`evil"><script>`, "a b", "user@host", "host:99999999", "host:65536", "host:", "", "host/path", "[::1",
		"bücher.example", strings.Repeat("x", 255), "host:000080", "[:]",
	} {
		require.Contains(t, page(host), "url: http://muster.example.net:9095/webhook", host)
		require.Contains(t, page(host), "does not know its own address", host)
	}
	for _, host := range []string{
		"mon_muster_1:9095", "stack_service", "xn--bcher-kva.example", "muster.example.net.:9095", "10.0.0.1:80",
		"[2001:db8::1]:9095", "localhost", strings.Repeat("x", 254), "host:65535",
	} {
		require.Contains(t, page(host), "url: http://"+host+"/webhook", host)
		require.NotContains(t, page(host), "does not know its own address", host)
	}
}

func TestRemovedGroupAndAlertPages(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	id := h.PostKept(t, wiretest.Body())
	require.NoError(t, h.Manager.RemoveAlertFromGroup(t.Context(), grouping.ID(id), "0011223344556677"))
	w := h.Get("/groups/"+id, "Accept", testserver.HTML)
	require.Equal(t, http.StatusNotFound, w.Code)
	require.Contains(t, w.Body.String(), id)
	require.Contains(t, w.Body.String(), "<nav", "the page has its navigation")
}

func TestUnchangedPageIsNotSentAgain(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	h.PostKept(t, wiretest.Body())
	// An ETag is valid for a few seconds. If it expires between the requests,
	// the test repeats them.
	require.Eventually(t, func() bool {
		etag := h.Get("/").Header().Get("ETag")
		return h.Get("/", "If-None-Match", etag).Code == http.StatusNotModified
	}, pages.EtagInterval, pages.EtagInterval/100)
	etag := h.Get("/").Header().Get("ETag")
	h.PostKept(t, wiretest.Body(wiretest.Key, `"groupKey":"another"`, "Down", "Brandnew"))
	w := h.Get("/", "If-None-Match", etag)
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, w.Body.String(), "Brandnew")

	h.SetStatus(grouping.StorageStatus{Mode: "redis", Reason: "refused"})
	require.Equal(t, http.StatusOK, h.Get("/", "If-None-Match", w.Header().Get("ETag")).Code)
}

func TestPagesAreCompressed(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	for range 2 { // rendered, then cached
		w := h.Get("/", "Accept-Encoding", "gzip, br")
		require.Equal(t, "gzip", w.Header().Get("Content-Encoding"))
		require.Equal(t, "Accept-Encoding", w.Header().Get("Vary"))
		z, err := gzip.NewReader(w.Body)
		require.NoError(t, err)
		text, err := io.ReadAll(z)
		require.NoError(t, err)
		require.Contains(t, string(text), "</html>")
	}
	require.Empty(t, h.Get("/").Header().Get("Content-Encoding"))
	for _, header := range []string{"gzip;q=0", "nogzip", "*;q=0", "identity"} {
		w := h.Get("/", "Accept-Encoding", header)
		require.Empty(t, w.Header().Get("Content-Encoding"), header)
		require.Contains(t, w.Body.String(), "</html>", header)
	}
}

func TestCachedPagesAreLimited(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	for i := range 3 * pages.MaxCachedPages {
		h.Get(fmt.Sprintf("/?filter=word%d", i))
	}
	require.LessOrEqual(t, h.Pages.CachedPages(), pages.MaxCachedPages)
}

func TestEverythingIsUnderThePrefix(t *testing.T) {
	h := testserver.New(t, testserver.Options{ExternalURL: "https://ops.example.net/muster/", RoutePrefix: "/muster"})
	require.Equal(t, http.StatusOK, h.Do(http.MethodPost, "/muster/webhook", strings.NewReader(wiretest.Body())).Code)
	require.Equal(t, http.StatusNotFound, h.Do(http.MethodPost, "/webhook", strings.NewReader(wiretest.Body())).Code)
	for _, path := range []string{"/muster/-/ready", "/muster/metrics", "/muster/api/v1/groups", "/muster/status"} {
		require.Equal(t, http.StatusOK, h.Get(path).Code, path)
	}
	text := h.Get("/muster/").Body.String()
	for _, part := range strings.Split(text, `href="`)[1:] {
		href, _, _ := strings.Cut(part, `"`)
		require.True(t, strings.HasPrefix(href, "/muster/") || strings.HasPrefix(href, "#") || strings.HasPrefix(href, "http"), href)
	}
	require.Equal(t, "/muster/", h.Get("/").Header().Get("Location"))
}

func TestStaticFilesAreKeptForEver(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	text := h.Get("/").Body.String()
	_, rest, found := strings.Cut(text, `src="/static/`)
	require.True(t, found)
	name, _, _ := strings.Cut(rest, `"`)
	w := h.Get("/static/" + name)
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, w.Header().Get("Cache-Control"), "immutable")
	for _, forbidden := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("} {
		require.NotContains(t, w.Body.String(), forbidden)
	}
	require.Equal(t, http.StatusNotFound, h.Get("/static/app.js").Code)
	require.Equal(t, http.StatusNotFound, h.Get("/static/..%2fserver.go").Code)
}

func TestRedirectToGroup(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	id := h.PostKept(t, wiretest.Body(`"groupLabels":{}`, `"groupLabels":{"alertname":"Down","cluster":"a b"}`))
	require.Equal(t, "/groups/"+id, h.Get("/go?receiver=team&l=alertname%3DDown&l=cluster%3Da+b").Header().Get("Location"))
	other := h.Get("/go?receiver=team&l=alertname%3DDown")
	require.Equal(t, http.StatusFound, other.Code)
	require.Contains(t, other.Header().Get("Location"), "filter=")
	for _, evil := range []string{"/go?receiver=%2F%2Fevil&l=", "/go?receiver=x&l=%3Dhttps://evil.example", "/go"} {
		require.True(t, strings.HasPrefix(h.Get(evil).Header().Get("Location"), "/?"), evil)
	}
}

// The line about unreported groups counts the groups that the filter selects.
// An empty list counts the groups in the selected state.
func TestTheCountsBelowTheListFollowItsFilter(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	notify := func(group, status string, pods ...string) {
		t.Helper()
		alerts := make([]string, 0, len(pods))
		for _, pod := range pods {
			alerts = append(alerts, fmt.Sprintf(`{"status":%q,"labels":{"alertname":"Down","namespace":%q,"pod":%q},`+
				`"startsAt":"2026-01-01T00:00:00Z","endsAt":"0001-01-01T00:00:00Z"}`,
				status, group, pod))
		}
		h.PostKept(t, fmt.Sprintf(`{"version":"4","groupKey":%q,"receiver":"team","status":%q,"groupLabels":{"namespace":%q},"alerts":[%s]}`,
			group, status, group, strings.Join(alerts, ",")))
	}
	notify("search", "firing", "a")
	notify("payments", "firing", "b")
	notify("batch", "firing", "c", "d")
	notify("batch", "resolved", "c") // omits d
	const line = ": no longer listed, cause unknown."
	page := func(query string) string { return h.Get("/?"+query, "Accept", testserver.HTML).Body.String() }
	for _, by := range []string{"", "&by=namespace"} {
		require.Contains(t, page("filter=namespace%3D%22batch%22"+by), "1 unreported group"+line, by)
		require.NotContains(t, page("filter=namespace%3D%22payments%22"+by), line, by)
		require.Contains(t, page(by), "1 unreported group"+line, by)
		require.NotContains(t, page("state=all"+by), line, by)
	}
	require.Contains(t, page("filter=namespace%3D%22nosuch%22&state=unreported"), "Without this filter, 1 group is unreported.")
	require.Contains(t, page("filter=namespace%3D%22nosuch%22"), "Without this filter, 2 groups are firing.")
	require.Contains(t, page("filter=namespace%3D%22nosuch%22&state=resolved"), "Without this filter, 0 groups are resolved.")
}
