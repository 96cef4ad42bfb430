package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
)

// Timestamps that Muster sets differ between runs.
var (
	ourTime = regexp.MustCompile(`"(createdAt|updatedAt|lastNotifiedAt|resolvedAt|firstSeenAt|lastSeenAt|time|since|` +
		`lastNotification|startedAt|http://am)":"20[0-9T:.-]+Z"`)
	eventID = regexp.MustCompile(`"id":"[0-9a-f]{38}"`)
)

func shape(t *testing.T, h *testserver.Server, path string) string {
	t.Helper()
	w := h.Get(path)
	require.Equal(t, http.StatusOK, w.Code, "%s: %s", path, w.Body)
	require.Equal(t, "application/json; charset=utf-8", w.Header().Get("Content-Type"))
	body := ourTime.ReplaceAllString(w.Body.String(), `"$1":"T"`)
	return episodeName.ReplaceAllString(eventID.ReplaceAllString(body, `"id":"E"`), `"episode":"O"`)
}

var episodeName = regexp.MustCompile(`"episode":"[0-9a-f]{32}"`)

const groupShape = `"source":"default","receiver":"team","groupKey":"{}:{}","groupLabels":{},
	"commonLabels":{},"commonAnnotations":{},"routeLabels":{},"externalURL":"http://am"`

func TestGroupShape(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	id := h.PostKept(t, wiretest.Body())
	alert := `{"fingerprint":"0011223344556677","status":"firing","labels":{"alertname":"Down"},"annotations":{"summary":"s"},
		"generatorURL":"http://p","startsAt":"2026-11-23T03:00:00Z","firstSeenAt":"T","lastSeenAt":"T",
		"notified":true,"mutes":[],"episodes":[{"startsAt":"2026-11-23T03:00:00Z"}]}`
	group := `{"id":"` + id + `",` + groupShape + `,"state":"firing","settling":true,"stale":false,"truncated":0,
		"counts":{"firing":1,"resolved":0,"suppressed":0,"unreported":0},"createdAt":"T","updatedAt":"T","lastNotifiedAt":"T",
		"notifications":1,"version":1,"episode":"O","episodes":[{"startsAt":"2026-11-23T03:00:00Z"}]`
	const before = `{"since":"T","secondsWithoutData":0,"firings30d":1,"resolved":0,"longerThanUsual":false}`
	require.JSONEq(t, group+`,"before":`+before+`,"alerts":[`+alert+`]}`, shape(t, h, "/api/v1/groups/"+id))
	require.JSONEq(t, `{"groups":[`+group+`}],"total":1}`, shape(t, h, "/api/v1/groups"))
	require.JSONEq(t, `{"groups":[`+group+`,"alerts":[`+alert+`]}],"total":1}`, shape(t, h, "/api/v1/groups?alerts=true"))
	require.JSONEq(t, `{"groups":[`+group+`,"alerts":[`+alert+`]}],"before":{"default":`+before+`}}`,
		shape(t, h, "/api/v1/alerts/0011223344556677"))

	h.PostKept(t, wiretest.Body(`"firing"`, `"resolved"`, "0001-01-01T00:00:00Z", "2026-11-23T03:10:00Z", wiretest.Truncated,
		`"notification_reason":"all alerts resolved"`))
	require.JSONEq(t, `{"id":"`+id+`",`+groupShape+`,"state":"resolved","settling":true,"stale":false,"truncated":0,
		"counts":{"firing":0,"resolved":1,"suppressed":0,"unreported":0},"createdAt":"T","updatedAt":"T","lastNotifiedAt":"T","resolvedAt":"T",
		"notifications":2,"version":2,"episode":"O","lastReason":"all alerts resolved",
		"episodes":[{"startsAt":"2026-11-23T03:00:00Z","endsAt":"2026-11-23T03:10:00Z"}],
		"before":{"since":"T","secondsWithoutData":0,"firings30d":0,"resolved":0,"longerThanUsual":false},
		"alerts":[{"fingerprint":"0011223344556677","status":"resolved","labels":{"alertname":"Down"},"annotations":{"summary":"s"},
		"generatorURL":"http://p","startsAt":"2026-11-23T03:00:00Z","endsAt":"2026-11-23T03:10:00Z","firstSeenAt":"T","lastSeenAt":"T",
		"notified":true,"mutes":[],
		"episodes":[{"startsAt":"2026-11-23T03:00:00Z","endsAt":"2026-11-23T03:10:00Z"}]}]}`, shape(t, h, "/api/v1/groups/"+id))
}

func TestEventShape(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	id := h.PostKept(t, wiretest.Body(wiretest.Truncated, `"truncatedAlerts":3,"notification_reason":"first notification"`))
	common := `"id":"E","time":"T","groupId":"` + id + `","source":"default","receiver":"team"`
	want := `{"events":[
		{` + common + `,"kind":"notified","labels":{},"reason":"first notification","externalURL":"http://am",
			"firing":1,"resolved":0,"truncated":3},
		{` + common + `,"kind":"fired","fingerprint":"0011223344556677","labels":{"alertname":"Down"},
			"startsAt":"2026-11-23T03:00:00Z"},
		{` + common + `,"kind":"opened","labels":{},"startsAt":"2026-11-23T03:00:00Z"}]}`
	require.JSONEq(t, want, shape(t, h, "/api/v1/events"))
	require.JSONEq(t, want, shape(t, h, "/api/v1/groups/"+id+"/events"))

	h.PostKept(t, wiretest.Body(`"firing"`, `"resolved"`, "0001-01-01T00:00:00Z", "2026-11-23T03:10:00Z"))
	require.JSONEq(t, `{"events":[{`+common+`,"kind":"resolved","fingerprint":"0011223344556677","labels":{"alertname":"Down"},
		"was":"firing","startsAt":"2026-11-23T03:00:00Z","endsAt":"2026-11-23T03:10:00Z"}]}`, shape(t, h, "/api/v1/events?kind=resolved"))
}

func TestEventQueries(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	for i := range 5 {
		h.PostKept(t, wiretest.Body(wiretest.Key, fmt.Sprintf(`"groupKey":"k%d"`, i), "Down", fmt.Sprintf("Down%d", i)))
	}
	count := func(query string) int {
		var v struct{ Events []any }
		require.NoError(t, json.Unmarshal(h.Get("/api/v1/events?"+query).Body.Bytes(), &v))
		return len(v.Events)
	}
	require.Equal(t, 15, count(""))
	require.Equal(t, 5, count("kind=fired"))
	require.Equal(t, 10, count("kind=fired,opened"))
	require.Equal(t, 1, count("filter="+url.QueryEscape(`alertname="Down3"`)))
	require.Equal(t, 15, count("since="+url.QueryEscape(time.Now().Add(-time.Minute).Format(time.RFC3339))))
	require.Zero(t, count("until="+fmt.Sprint(time.Now().Add(-time.Minute).Unix())))

	seen, cursor := map[string]bool{}, ""
	for {
		var v struct {
			Events []struct{ ID string }
			Next   string
		}
		require.NoError(t, json.Unmarshal(h.Get("/api/v1/events?limit=4&cursor="+cursor).Body.Bytes(), &v))
		for _, e := range v.Events {
			require.False(t, seen[e.ID])
			seen[e.ID] = true
		}
		if cursor = v.Next; cursor == "" {
			break
		}
	}
	require.Len(t, seen, 15)
}

func TestListQueries(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	for i := range 6 {
		text := wiretest.Body(
			wiretest.Key,
			fmt.Sprintf(`"groupKey":"k%d"`, i),
			wiretest.Labels,
			fmt.Sprintf(`{"alertname":"A%d","odd":"%d"}`, i, i%2),
		)
		if i == 5 {
			text = strings.NewReplacer(`"firing"`, `"resolved"`, "0001-01-01T00:00:00Z", "2026-11-23T03:10:00Z").Replace(text)
		}
		require.Equal(t, http.StatusOK, h.Do(http.MethodPost, "/webhook/"+[]string{"prod", "staging"}[i%2], strings.NewReader(text)).Code)
	}
	total := func(query string) int {
		var v struct{ Total int }
		w := h.Get("/api/v1/groups?" + query)
		require.Equal(t, http.StatusOK, w.Code, w.Body)
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &v))
		return v.Total
	}
	require.Equal(t, 6, total(""))
	require.Equal(t, 3, total("filter="+url.QueryEscape(`odd="1"`)))
	require.Equal(t, 1, total("filter="+url.QueryEscape(`odd="1"`)+"&filter="+url.QueryEscape(`alertname="A3"`)))
	require.Equal(t, 1, total("filter="+url.QueryEscape(`odd="1",alertname=~"A(3|4)"`)))
	require.Equal(t, 5, total("state=firing"))
	require.Equal(t, 6, total("state=firing,resolved"))
	require.Equal(t, 3, total("source=prod"))
	require.Equal(t, 6, total("receiver=team"))
	require.Zero(t, total("receiver=other"))
	var v struct {
		Groups []struct{ GroupKey string }
		Next   string
	}
	require.NoError(t, json.Unmarshal(h.Get("/api/v1/groups?sort=name&limit=2").Body.Bytes(), &v))
	require.Len(t, v.Groups, 2)
	require.NotEmpty(t, v.Next)
}

func TestBadQueries(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	for path, message := range map[string]string{
		"/api/v1/groups?filter=" + url.QueryEscape(`a=="b"`): "bad query: filter: unexpected \"=\" at column 3",
		"/api/v1/groups?filter=" + url.QueryEscape(`a="`):    "bad query: filter: ",
		"/api/v1/groups?sort=colour":                         `bad query: sort: "colour" is not one of severity, newest, name, count, updated`,
		"/api/v1/groups?state=open": `bad query: state: "open" is not one of firing, mixed, suppressed, unreported, ` +
			`resolved, all`,
		"/api/v1/groups?limit=0":         `bad query: limit: "0" is not a number between 1 and 1000`,
		"/api/v1/groups?limit=many":      `bad query: limit: "many" is not a number between 1 and 1000`,
		"/api/v1/groups?cursor=xyz":      "bad query: cursor: not a cursor from an earlier response",
		"/api/v1/groups?alerts=maybe":    `bad query: alerts: "maybe" is neither true nor false`,
		"/api/v1/events?since=yesterday": `bad query: since: "yesterday" is not a time: use RFC 3339`,
		"/api/v1/events?kind=explode":    `bad query: kind: "explode" is not one of `,
	} {
		w := h.Get(path)
		require.Equal(t, http.StatusBadRequest, w.Code, path)
		var answer struct{ Error string }
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
		require.True(t, strings.HasPrefix(answer.Error, message), "%s: %s", path, answer.Error)
	}
	for _, path := range []string{
		"/api/v1/groups/nope", "/api/v1/groups/00000000000000000000", "/api/v1/alerts/x", "/api/v1/alerts/0000000000000000",
		"/api/v1/nothing", "/api/v3/status", "/api/v1/groups/%0d%0aX:1", "/api/v1/groups/..%2f..%2f",
	} {
		w := h.Get(path)
		require.Equal(t, http.StatusNotFound, w.Code, path)
		require.Contains(t, w.Body.String(), `"error"`, path)
	}
}

func TestStatsAndStatus(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	h.PostKept(t, wiretest.Body())
	require.JSONEq(t, `{"groups":{"firing":1,"mixed":0,"resolved":0,"suppressed":0,"unreported":0},
		"alerts":{"firing":1,"resolved":0,"suppressed":0,"unreported":0},
		"receivers":{"team":1},"acknowledged":0,"sources":{"default":{"groups":1,"lastNotification":"T","alertmanagers":{"http://am":"T"}}},
		"lastNotification":"T"}`,
		shape(t, h, "/api/v1/stats"))
	h.SetStatus(grouping.StorageStatus{
		Mode: "redis", Reason: "refused", DegradedSince: time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC), DirtyGroups: 3, Partial: true,
		Restored: 7,
		Problems: []string{"Redis is <slow>."},
	})
	var v map[string]any
	require.NoError(t, json.Unmarshal([]byte(shape(t, h, "/api/v1/status")), &v))
	require.Equal(t, map[string]any{
		"mode": "redis", "healthy": false, "reason": "refused", "degradedSince": "2026-11-23T03:00:00Z", "dirtyGroups": 3.0, "partial": true,
		"problems": []any{"Redis is <slow>."},
	}, v["storage"])
	require.InDelta(t, 7, v["restoredGroups"], 0)
	require.Contains(t, h.Get("/status").Body.String(), "needs attention</b></span> Redis is &lt;slow&gt;.")
	require.Equal(t, []any{}, v["gaps"])
	require.Contains(t, v, "uptimeSeconds")
	require.Contains(t, v["build"], "version")
	require.Equal(t, "T", v["lastNotification"])
	require.Equal(t, http.StatusOK, h.Get("/-/ready").Code, "a degraded storage must not take the pod out of service")
	require.Contains(t, h.Get("/-/ready").Body.String(), "redis is down")
}
