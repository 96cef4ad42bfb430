package receiver

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// countEvents returns the number of events that the API selects.
func (h *testServer) countEvents(t *testing.T, query string) int {
	t.Helper()
	w := h.get("/api/v1/events?" + query)
	require.Equal(t, http.StatusOK, w.Code, "%s: %s", query, w.Body)
	var v struct{ Events []any }
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &v))
	return len(v.Events)
}

// countLines returns the number of events on the page of history.
func (h *testServer) countLines(query string) int {
	return strings.Count(h.get("/history?"+query, "Accept", accept).Body.String(), "<li data-key")
}

// Every page and route rejects a filter that it does not understand. Ignoring
// it would return too much.
func TestUnknownFiltersAreRejected(t *testing.T) {
	h := newTestServer(t, Options{})
	id := h.postKept(t, body())
	const alert = "0011223344556677"
	for path, queries := range map[string][]string{
		"/api/v1/groups": {
			`filter=alertname="Nope;x"`, "receiver=%zz", "state=open", "sort=x", "limit=0", "cursor=x",
			"alerts=x", "source=a&source=b", "sauce=a", "by=x",
		},
		"/": {
			`filter=alertname="Nope;x"`, "receiver=%zz", "state=open", "sort=x", "limit=0", "cursor=x",
			"view=x", "source=a&source=b", "sauce=a", "by=a,b,c,d,e,f", "from=x",
		},
		"/api/v1/events": {
			`filter=alertname="Nope;x"`, "kind=x", "since=x", "until=x", "limit=x", "cursor=x", "group=x",
			"alert=x", "state=firing", "at=2026-01-01",
		},
		"/history": {
			`filter=alertname="Nope;x"`, "kind=x", "since=x", "until=x", "limit=x", "cursor=x", "group=x",
			"alert=x", "state=firing", "at=x", "at=1&at=2",
		},
		"/api/v1/groups/" + id:             {"source=a", "alerts=true", "%zz"},
		"/api/v1/groups/" + id + "/events": {"group=" + id, "kind=x", "a;b"},
		"/groups/" + id:                    {"range=2h", "offset=x", "offset=-1", "filter=a", "a;b"},
		"/api/v1/alerts/" + alert:          {"source=a&source=b", "group=x", "a;b"},
		"/alerts/" + alert:                 {"source=a&source=b", "group=x", "a;b"},
		"/api/v1/stats":                    {"source=prod", "a;b"},
		"/api/v1/status":                   {"source=prod", "a;b"},
		livePath:                           {"source=prod", "after=1&after=2", "a;b"},
		"/go":                              {"receiver=a;b", "receiver=a&receiver=b", "cluster=x"},
	} {
		for _, query := range queries {
			w := h.get(path+"?"+query, "Accept", accept)
			require.Equal(t, http.StatusBadRequest, w.Code, "%s?%s: %s", path, query, w.Body)
			text := w.Body.String()
			require.NotContains(t, text, "<article", "%s?%s", path, query)
			require.NotContains(t, text, "<li data-key", "%s?%s", path, query)
			require.NotContains(t, text, `"Down"`, "%s?%s", path, query)
			name, _, _ := strings.Cut(query, "=")
			if !strings.ContainsAny(query, ";%") {
				require.Contains(t, text, name, "%s?%s says which parameter", path, query)
			}
		}
	}
	w := h.get("/?sort=x&limit=0", "Accept", accept)
	require.Contains(t, w.Body.String(), "Invalid address")
	require.Contains(t, w.Body.String(), "sort: &#34;x&#34; is not one of severity, newest, name, count, updated")
	require.Contains(t, w.Body.String(), "limit: &#34;0&#34; is not a number between 1 and 1000")
	w = h.get("/groups/"+id+"?range=7d&offset=0", "Accept", accept)
	require.Equal(t, http.StatusOK, w.Code)
}

// The pages and the API treat the same parameters the same way.
func TestPagesAndAPIAnswerTheSameQuery(t *testing.T) {
	h := newTestServer(t, Options{})
	const end = "2026-01-01T01:00:00Z"
	h.notify(t, "prod", "team", `{"alertname":"Net"}`,
		wireAlert(`{"alertname":"Net","instance":"10.0.0.1:9100","severity":"warning"}`, ""),
		wireAlert(`{"alertname":"Net","instance":"10.0.0.2:9100","severity":"warning"}`, end))
	h.notify(t, "staging", "team", `{"alertname":"Disk"}`, wireAlert(`{"alertname":"Disk","severity":"critical"}`, ""))
	h.notify(t, "staging", "pager", `{"alertname":"Gone"}`, wireAlert(`{"alertname":"Gone","severity":"critical"}`, end))
	for query, want := range map[string]struct{ groups, fired int }{
		"": {3, 2},
		`filter={alertname="Net"}&filter={severity="warning"}`: {1, 1},
		`filter=alertname="Net",&filter=severity="warning"`:    {1, 1},
		`filter=instance=10.0.0.1:9100`:                        {1, 1},
		`filter=instance=~"10\.0\.0\..*"`:                      {1, 1},
		`filter=instance=~10\.0\.0\.1:\d%2B`:                   {1, 1},
		`filter=disk`:                                          {1, 1},
		`filter=disk critical`:                                 {1, 1},
		`filter=severity="critical", disk`:                     {1, 1},
		`filter=staging`:                                       {2, 1},
		`filter=pager`:                                         {1, 0},
		`source=staging`:                                       {2, 1},
		`source=staging&receiver=team`:                         {1, 1},
		`receiver=pager`:                                       {1, 0},
		`source=nosuch`:                                        {0, 0},
	} {
		escaped := strings.NewReplacer("{", "%7B", "}", "%7D", `"`, "%22", " ", "%20", `\`, "%5C", ",", "%2C").Replace(query)
		require.Equal(t, want.groups, h.countRows(escaped+"&state=all"), "%s: list", query)
		require.Equal(t, want.groups, h.countGroups(t, escaped), "%s: API", query)
		require.Equal(t, want.groups, h.countGroups(t, escaped+"&state=all"), "%s: API", query)
		require.Equal(t, want.fired, h.countLines(escaped+"&kind=fired"), "%s: history", query)
		require.Equal(t, want.fired, h.countEvents(t, escaped+"&kind=fired"), "%s: events", query)
	}
	for _, bad := range []string{`a="b`, `a=="b"`, `a=~"["`, `{`, `{a}`} {
		filter := "filter=" + url.QueryEscape(bad)
		for _, path := range []string{"/?", "/history?", "/api/v1/groups?", "/api/v1/events?"} {
			require.Equal(t, http.StatusBadRequest, h.get(path+filter, "Accept", accept).Code, "%s%s", path, bad)
		}
	}
	for state, want := range map[string]int{
		"firing": 2, "mixed": 1, "firing,mixed": 2, "resolved": 1, "firing,resolved": 3, "unreported": 0,
		"all": 3,
	} {
		require.Equal(t, want, h.countRows("state="+state), state)
		require.Equal(t, want, h.countGroups(t, "state="+state), state)
	}
	for time, want := range map[string]int{
		"since=-1h": 2, "since=7d": 2, "until=-1h": 0, "until=2026-01-01": 0,
		"until=2026-01-01%2002:00": 0, "since=1767225600": 2,
	} {
		require.Equal(t, want, h.countLines("kind=fired&"+time), time)
		require.Equal(t, want, h.countEvents(t, "kind=fired&"+time), time)
	}
}
