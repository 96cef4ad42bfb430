package api_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
)

// Every page and route rejects a filter that it does not understand. Ignoring
// it would return too much.
func TestUnknownFiltersAreRejected(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	id := h.PostKept(t, wiretest.Body())
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
		"/api/v1/silences":                 {`filter=a="b;c"`, "state=open", "limit=0", "cursor=x", "receiver=a"},
		"/silences":                        {`filter=a="b;c"`, "state=open", "limit=0", "cursor=x", "receiver=a"},
		"/api/v1/silences/s1":              {"state=active", "a;b"},
		"/silences/s1":                     {"state=active", "a;b"},
		"/api/v1/stats":                    {"source=prod", "a;b"},
		"/api/v1/status":                   {"source=prod", "a;b"},
		testserver.LivePath:                {"sort=name", "state=open", "source=a&source=b", "after=1&after=2", "a;b"},
		"/go":                              {"receiver=a;b", "receiver=a&receiver=b", "cluster=x"},
	} {
		for _, query := range queries {
			w := h.Get(path+"?"+query, "Accept", testserver.HTML)
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
	w := h.Get("/?sort=x&limit=0", "Accept", testserver.HTML)
	require.Contains(t, w.Body.String(), "Invalid address")
	require.Contains(t, w.Body.String(), "sort: &#34;x&#34; is not one of severity, newest, name, count, updated")
	require.Contains(t, w.Body.String(), "limit: &#34;0&#34; is not a number between 1 and 1000")
	w = h.Get("/groups/"+id+"?range=7d&offset=0", "Accept", testserver.HTML)
	require.Equal(t, http.StatusOK, w.Code)
}

// The pages and the API treat the same parameters the same way.
func TestPagesAndAPIAnswerTheSameQuery(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	const end = "2026-01-01T01:00:00Z"
	h.Notify(t, "prod", "team", `{"alertname":"Net"}`,
		wiretest.Alert(`{"alertname":"Net","instance":"10.0.0.1:9100","severity":"warning"}`, ""),
		wiretest.Alert(`{"alertname":"Net","instance":"10.0.0.2:9100","severity":"warning"}`, end))
	h.Notify(t, "staging", "team", `{"alertname":"Disk"}`, wiretest.Alert(`{"alertname":"Disk","severity":"critical"}`, ""))
	h.Notify(t, "staging", "pager", `{"alertname":"Gone"}`, wiretest.Alert(`{"alertname":"Gone","severity":"critical"}`, end))
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
		require.Equal(t, want.groups, h.CountRows(escaped+"&state=all"), "%s: list", query)
		require.Equal(t, want.groups, h.CountGroups(t, escaped), "%s: API", query)
		require.Equal(t, want.groups, h.CountGroups(t, escaped+"&state=all"), "%s: API", query)
		require.Equal(t, want.fired, h.CountLines(escaped+"&kind=fired"), "%s: history", query)
		require.Equal(t, want.fired, h.CountEvents(t, escaped+"&kind=fired"), "%s: events", query)
	}
	for _, bad := range []string{`a="b`, `a=="b"`, `a=~"["`, `{`, `{a}`} {
		filter := "filter=" + url.QueryEscape(bad)
		for _, path := range []string{"/?", "/history?", "/api/v1/groups?", "/api/v1/events?"} {
			require.Equal(t, http.StatusBadRequest, h.Get(path+filter, "Accept", testserver.HTML).Code, "%s%s", path, bad)
		}
	}
	for state, want := range map[string]int{
		"firing": 2, "mixed": 1, "firing,mixed": 2, "resolved": 1, "firing,resolved": 3, "unreported": 0,
		"all": 3,
	} {
		require.Equal(t, want, h.CountRows("state="+state), state)
		require.Equal(t, want, h.CountGroups(t, "state="+state), state)
	}
	for time, want := range map[string]int{
		"since=-1h": 2, "since=7d": 2, "until=-1h": 0, "until=2026-01-01": 0,
		"until=2026-01-01%2002:00": 0, "since=1767225600": 2,
	} {
		require.Equal(t, want, h.CountLines("kind=fired&"+time), time)
		require.Equal(t, want, h.CountEvents(t, "kind=fired&"+time), time)
	}
}
