package pages_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
)

// Two clusters with the same alert labels can be distinguished and selected
// wherever it matters to a reader.
func TestTwoClustersCanBeToldApart(t *testing.T) {
	h := testserver.New(t, testserver.Options{ExternalURL: "https://muster.example"})
	const labels, group = `{"alertname":"PodCrash","namespace":"pay","pod":"api-0","severity":"critical"}`,
		`{"alertname":"PodCrash","namespace":"pay"}`
	prod := h.Notify(t, "prod", "team", group, wiretest.Alert(labels, ""))
	one := h.Get("/", "Accept", testserver.HTML).Body.String()
	require.NotContains(t, one, "prod", "a single source is not shown")

	staging := h.Notify(t, "staging", "team", group, wiretest.Alert(labels, ""))
	page := func(path string) string { return h.Get(path, "Accept", testserver.HTML).Body.String() }
	for _, source := range []string{"prod", "staging"} {
		require.Contains(t, page("/"), "source: "+source)
		require.Contains(t, page("/"), `<option value="`+source+`">`)
		require.Contains(t, page("/history"), "source: "+source)
		require.Contains(t, page("/help"), "&amp;source="+source)
		require.Equal(t, 1, h.CountRows("source="+source))
		require.Equal(t, 1, h.CountGroups(t, "source="+source))
	}
	require.Equal(t, 2, h.CountRows(""))

	// /go redirects to the group of the given source, or to the list without a
	// source.
	const link = "/go?receiver=team&l=alertname%3DPodCrash&l=namespace%3Dpay"
	require.Equal(t, "/groups/"+prod, h.Get(link+"&source=prod").Header().Get("Location"))
	require.Equal(t, "/groups/"+staging, h.Get(link+"&source=staging").Header().Get("Location"))
	list := h.Get(link).Header().Get("Location")
	require.True(t, strings.HasPrefix(list, "/?filter="), list)
	require.Equal(t, 2, h.CountRows(strings.TrimPrefix(list, "/?")))
	elsewhere := h.Get(link + "&source=nosuch").Header().Get("Location")
	require.Contains(t, elsewhere, "source=nosuch")
	require.Zero(t, h.CountRows(strings.TrimPrefix(elsewhere, "/?")))

	// The page of the alert shows the worst state and its source.
	fingerprint := fingerprintOf(t, h, prod)
	require.Contains(t, page("/alerts/"+fingerprint), "in prod, staging")
	h.Notify(t, "staging", "team", group, wiretest.Alert(labels, "2026-01-01T01:00:00Z"))
	require.Contains(t, page("/alerts/"+fingerprint), "in prod; resolved in staging")
	require.NotContains(t, page("/alerts/"+fingerprint), "http://am.staging/#/silences/new")
	require.Contains(t, page("/alerts/"+fingerprint), "http://am.prod/#/silences/new")
	narrow := page("/alerts/" + fingerprint + "?source=staging")
	require.NotContains(t, narrow, "firing for")
	require.Contains(t, narrow, "in staging")
	require.Equal(t, http.StatusNotFound, h.Get("/alerts/"+fingerprint+"?source=nosuch", "Accept", testserver.HTML).Code)
	for source, want := range map[string]string{"prod": "firing", "staging": "resolved"} {
		w := h.Get("/api/v1/alerts/" + fingerprint + "?source=" + source)
		require.Equal(t, 1, strings.Count(w.Body.String(), `"groupKey"`), source)
		require.Contains(t, w.Body.String(), `"status":"`+want+`"`, source)
	}
	require.Equal(t, http.StatusNotFound, h.Get("/api/v1/alerts/"+fingerprint+"?source=nosuch").Code)

	// The history shows the source on the page and in the API.
	for source, want := range map[string]int{"prod": 2, "staging": 4} { // opened, fired; resolved, closed
		require.Equal(t, want, h.CountEvents(t, "kind=opened,fired,resolved,closed&source="+source), source)
		require.Equal(t, want/2, h.CountLines("source="+source), "one line for two events of the group")
	}
	// Text for other systems also names the source.
	text, err := url.PathUnescape(page("/groups/" + prod))
	require.NoError(t, err)
	require.Contains(t, text, "1 firing, source prod")
	require.Contains(t, text, "/groups/"+prod+" (source prod)")
	require.Contains(t, text, "<title>(1) PodCrash · prod · Muster</title>")
}

func fingerprintOf(t *testing.T, h *testserver.Server, group string) string {
	t.Helper()
	_, rest, found := strings.Cut(h.Get("/api/v1/groups/"+group).Body.String(), `"fingerprint":"`)
	require.True(t, found)
	return rest[:16]
}
