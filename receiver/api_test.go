package receiver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"muster/grouping"
)

// Timestamps that Muster sets differ between runs.
var (
	ourTime = regexp.MustCompile(`"(createdAt|updatedAt|lastNotifiedAt|resolvedAt|firstSeenAt|lastSeenAt|time|` +
		`lastNotification|startedAt|http://am)":"20[0-9T:.-]+Z"`)
	eventID = regexp.MustCompile(`"id":"[0-9a-f]{38}"`)
)

func (h *testServer) shape(t *testing.T, path string) string {
	t.Helper()
	w := h.get(path)
	require.Equal(t, http.StatusOK, w.Code, "%s: %s", path, w.Body)
	require.Equal(t, "application/json; charset=utf-8", w.Header().Get("Content-Type"))
	return eventID.ReplaceAllString(ourTime.ReplaceAllString(w.Body.String(), `"$1":"T"`), `"id":"E"`)
}

func (h *testServer) postKept(t *testing.T, text string) string {
	t.Helper()
	w := h.post(text)
	require.Equal(t, http.StatusOK, w.Code, w.Body.String())
	var answer struct{ Status, Group string }
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
	require.Equal(t, "kept", answer.Status)
	return answer.Group
}

const groupShape = `"source":"default","receiver":"team","groupKey":"{}:{}","groupLabels":{},
	"commonLabels":{},"commonAnnotations":{},"routeLabels":{},"externalURL":"http://am"`

func TestGroupShape(t *testing.T) {
	h := newTestServer(t, Options{})
	id := h.postKept(t, body())
	alert := `{"fingerprint":"0011223344556677","status":"firing","labels":{"alertname":"Down"},"annotations":{"summary":"s"},
		"generatorURL":"http://p","startsAt":"2026-11-23T03:00:00Z","firstSeenAt":"T","lastSeenAt":"T",
		"episodes":[{"startsAt":"2026-11-23T03:00:00Z"}]}`
	group := `{"id":"` + id + `",` + groupShape + `,"state":"firing","settling":true,"stale":false,"truncated":0,
		"counts":{"firing":1,"resolved":0,"unreported":0},"createdAt":"T","updatedAt":"T","lastNotifiedAt":"T",
		"notifications":1,"version":1,"episodes":[{"startsAt":"2026-11-23T03:00:00Z"}]`
	require.JSONEq(t, group+`,"alerts":[`+alert+`]}`, h.shape(t, "/api/v1/groups/"+id))
	require.JSONEq(t, `{"groups":[`+group+`}],"total":1}`, h.shape(t, "/api/v1/groups"))
	require.JSONEq(t, `{"groups":[`+group+`,"alerts":[`+alert+`]}],"total":1}`, h.shape(t, "/api/v1/groups?alerts=true"))
	require.JSONEq(t, `{"groups":[`+group+`,"alerts":[`+alert+`]}]}`, h.shape(t, "/api/v1/alerts/0011223344556677"))

	h.postKept(t, body(`"firing"`, `"resolved"`, "0001-01-01T00:00:00Z", "2026-11-23T03:10:00Z", wireCut,
		`"notification_reason":"all alerts resolved"`))
	require.JSONEq(t, `{"id":"`+id+`",`+groupShape+`,"state":"resolved","settling":true,"stale":false,"truncated":0,
		"counts":{"firing":0,"resolved":1,"unreported":0},"createdAt":"T","updatedAt":"T","lastNotifiedAt":"T","resolvedAt":"T",
		"notifications":2,"version":2,"lastReason":"all alerts resolved",
		"episodes":[{"startsAt":"2026-11-23T03:00:00Z","endsAt":"2026-11-23T03:10:00Z"}],
		"alerts":[{"fingerprint":"0011223344556677","status":"resolved","labels":{"alertname":"Down"},"annotations":{"summary":"s"},
		"generatorURL":"http://p","startsAt":"2026-11-23T03:00:00Z","endsAt":"2026-11-23T03:10:00Z","firstSeenAt":"T","lastSeenAt":"T",
		"episodes":[{"startsAt":"2026-11-23T03:00:00Z","endsAt":"2026-11-23T03:10:00Z"}]}]}`, h.shape(t, "/api/v1/groups/"+id))
}

func TestEventShape(t *testing.T) {
	h := newTestServer(t, Options{})
	id := h.postKept(t, body(wireCut, `"truncatedAlerts":3,"notification_reason":"first notification"`))
	common := `"id":"E","time":"T","groupId":"` + id + `","source":"default","receiver":"team"`
	want := `{"events":[
		{` + common + `,"kind":"notified","labels":{},"reason":"first notification","externalURL":"http://am",
			"firing":1,"resolved":0,"truncated":3},
		{` + common + `,"kind":"fired","fingerprint":"0011223344556677","labels":{"alertname":"Down"}},
		{` + common + `,"kind":"opened","labels":{}}]}`
	require.JSONEq(t, want, h.shape(t, "/api/v1/events"))
	require.JSONEq(t, want, h.shape(t, "/api/v1/groups/"+id+"/events"))
}

func TestEventQueries(t *testing.T) {
	h := newTestServer(t, Options{})
	for i := range 5 {
		h.postKept(t, body(wireKey, fmt.Sprintf(`"groupKey":"k%d"`, i), "Down", fmt.Sprintf("Down%d", i)))
	}
	count := func(query string) int {
		var v struct{ Events []any }
		require.NoError(t, json.Unmarshal(h.get("/api/v1/events?"+query).Body.Bytes(), &v))
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
		require.NoError(t, json.Unmarshal(h.get("/api/v1/events?limit=4&cursor="+cursor).Body.Bytes(), &v))
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
	h := newTestServer(t, Options{})
	for i := range 6 {
		text := body(wireKey, fmt.Sprintf(`"groupKey":"k%d"`, i), wireLabels, fmt.Sprintf(`{"alertname":"A%d","odd":"%d"}`, i, i%2))
		if i == 5 {
			text = strings.NewReplacer(`"firing"`, `"resolved"`, "0001-01-01T00:00:00Z", "2026-11-23T03:10:00Z").Replace(text)
		}
		require.Equal(t, http.StatusOK, h.do(http.MethodPost, "/webhook/"+[]string{"prod", "staging"}[i%2], strings.NewReader(text)).Code)
	}
	total := func(query string) int {
		var v struct{ Total int }
		w := h.get("/api/v1/groups?" + query)
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
	require.NoError(t, json.Unmarshal(h.get("/api/v1/groups?sort=name&limit=2").Body.Bytes(), &v))
	require.Len(t, v.Groups, 2)
	require.NotEmpty(t, v.Next)
}

func TestBadQueries(t *testing.T) {
	h := newTestServer(t, Options{})
	for path, message := range map[string]string{
		"/api/v1/groups?filter=" + url.QueryEscape(`a=="b"`): "bad query: filter: unexpected \"=\" at column 3",
		"/api/v1/groups?filter=" + url.QueryEscape(`a="`):    "bad query: filter: ",
		"/api/v1/groups?sort=colour":                         `bad query: sort: "colour" is not one of severity, newest, name, count, updated`,
		"/api/v1/groups?state=open":                          `bad query: state: "open" is not one of firing, mixed, unreported, resolved, all`,
		"/api/v1/groups?limit=0":                             `bad query: limit: "0" is not a number between 1 and 1000`,
		"/api/v1/groups?limit=many":                          `bad query: limit: "many" is not a number between 1 and 1000`,
		"/api/v1/groups?cursor=xyz":                          "bad query: cursor: not a cursor from an earlier response",
		"/api/v1/groups?alerts=maybe":                        `bad query: alerts: "maybe" is neither true nor false`,
		"/api/v1/events?since=yesterday":                     `bad query: since: "yesterday" is not a time: use RFC 3339`,
		"/api/v1/events?kind=explode":                        `bad query: kind: "explode" is not one of `,
	} {
		w := h.get(path)
		require.Equal(t, http.StatusBadRequest, w.Code, path)
		var answer struct{ Error string }
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
		require.True(t, strings.HasPrefix(answer.Error, message), "%s: %s", path, answer.Error)
	}
	for _, path := range []string{
		"/api/v1/groups/nope", "/api/v1/groups/00000000000000000000", "/api/v1/alerts/x", "/api/v1/alerts/0000000000000000",
		"/api/v1/nothing", "/api/v2/status", "/api/v1/groups/%0d%0aX:1", "/api/v1/groups/..%2f..%2f",
	} {
		w := h.get(path)
		require.Equal(t, http.StatusNotFound, w.Code, path)
		require.Contains(t, w.Body.String(), `"error"`, path)
	}
}

func TestStatsAndStatus(t *testing.T) {
	h := newTestServer(t, Options{})
	h.postKept(t, body())
	require.JSONEq(t, `{"groups":{"firing":1,"mixed":0,"resolved":0,"unreported":0},"alerts":{"firing":1,"resolved":0,"unreported":0},
		"receivers":{"team":1},"sources":{"default":{"groups":1,"lastNotification":"T","alertmanagers":{"http://am":"T"}}},
		"lastNotification":"T"}`,
		h.shape(t, "/api/v1/stats"))
	h.setStatus(grouping.StorageStatus{
		Mode: "redis", Reason: "refused", DegradedSince: time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC), DirtyGroups: 3, Partial: true,
		Restored: 7,
		Problems: []string{"Redis is <slow>."},
	})
	var v map[string]any
	require.NoError(t, json.Unmarshal([]byte(h.shape(t, "/api/v1/status")), &v))
	require.Equal(t, map[string]any{
		"mode": "redis", "healthy": false, "reason": "refused", "degradedSince": "2026-11-23T03:00:00Z", "dirtyGroups": 3.0, "partial": true,
		"problems": []any{"Redis is <slow>."},
	}, v["storage"])
	require.InDelta(t, 7, v["restoredGroups"], 0)
	require.Contains(t, h.get("/status").Body.String(), "needs attention</b></span> Redis is &lt;slow&gt;.")
	require.Contains(t, v, "uptimeSeconds")
	require.Contains(t, v["build"], "version")
	require.Equal(t, "T", v["lastNotification"])
	require.Equal(t, http.StatusOK, h.get("/-/ready").Code, "a degraded storage must not take the pod out of service")
	require.Contains(t, h.get("/-/ready").Body.String(), "redis is down")
}

func TestEveryAnswerIsGuarded(t *testing.T) {
	h := newTestServer(t, Options{})
	for _, path := range []string{"/", "/api/v1/groups", "/metrics", "/-/healthy", "/nothing", "/status", "/api/v1/groups?limit=x"} {
		header := h.get(path).Header()
		require.Equal(t, contentSecurityPolicy, header.Get("Content-Security-Policy"), path)
		require.Equal(t, "nosniff", header.Get("X-Content-Type-Options"), path)
		require.Equal(t, "no-referrer", header.Get("Referrer-Policy"), path)
		require.Equal(t, "same-origin", header.Get("Cross-Origin-Opener-Policy"), path)
		require.Empty(t, header.Get("Access-Control-Allow-Origin"), path)
	}
}

func TestTheWebhookNeverRedirects(t *testing.T) {
	h := newTestServer(t, Options{})
	for _, method := range []string{http.MethodPost, http.MethodPut} {
		for _, path := range []string{"/webhook", "/webhook/", "/webhook/prod", "/webhook/prod/"} {
			require.Equal(t, http.StatusOK, h.do(method, path, strings.NewReader(body())).Code, "%s %s", method, path)
		}
	}
	for _, path := range []string{"/WEBHOOK", "//webhook", "/webhook//", "/webhook/a/b"} {
		code := h.do(http.MethodPost, path, strings.NewReader(body())).Code
		require.NotEqual(t, 3, code/100, path)
	}
}

func TestCrossSitePostsAreRejected(t *testing.T) {
	h := newTestServer(t, Options{})
	for _, headers := range [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "null"}, {"Origin", "https://evil.example"},
	} {
		w := h.post(body(), headers...)
		require.Equal(t, http.StatusForbidden, w.Code, headers)
		require.Equal(t, contentSecurityPolicy, w.Header().Get("Content-Security-Policy"))
	}
	require.Equal(t, http.StatusOK, h.post(body()).Code, "Alertmanager sends neither")
}

func TestProbes(t *testing.T) {
	h := newTestServer(t, Options{})
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		require.Equal(t, http.StatusOK, h.do(method, "/-/healthy", nil).Code)
		require.Equal(t, http.StatusOK, h.do(method, "/-/ready", nil).Code)
	}
	h.Drain()
	require.Equal(t, http.StatusServiceUnavailable, h.get("/-/ready").Code)
	require.Equal(t, http.StatusOK, h.get("/-/healthy").Code)
	w := h.post(body())
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Equal(t, "close", w.Header().Get("Connection"))
}

// stub answers Ingest with the function of the test.
type stub struct {
	Groups

	ingest func() (grouping.Outcome, error)
}

func (s stub) Ingest(context.Context, grouping.Notification) (grouping.Outcome, error) {
	return s.ingest()
}

func (s stub) Stamp() grouping.Stamp { return grouping.NewClock().Stamp() }

func (s stub) AllGroups(context.Context) ([]*grouping.AlertGroup, error) { return nil, nil }

func newStub(t *testing.T, opts Options, ingest func() (grouping.Outcome, error)) (*testServer, *prometheus.Registry) {
	t.Helper()
	h := &testServer{reg: prometheus.NewRegistry()}
	var err error
	h.Server, err = New(stub{ingest: ingest}, h.storageStatus, h.reg, h.reg, promslog.NewNopLogger(), opts)
	require.NoError(t, err)
	return h, h.reg
}

func TestIngestErrors(t *testing.T) {
	secret := errors.New("dial redis:6379 with password hunter2")
	for name, ingest := range map[string]func() (grouping.Outcome, error){
		"storage": func() (grouping.Outcome, error) {
			return grouping.Outcome{}, &grouping.StorageError{Backend: "redis", Op: "store", Err: secret}
		},
		"other": func() (grouping.Outcome, error) { return grouping.Outcome{}, secret },
		"panic": func() (grouping.Outcome, error) { panic(secret) },
	} {
		h, _ := newStub(t, Options{}, ingest)
		w := h.post(body())
		require.Equal(t, http.StatusServiceUnavailable, w.Code, name)
		require.NotContains(t, w.Body.String(), "hunter2", name)
		reason := map[string]string{"panic": "panic"}[name]
		if reason == "" {
			reason = "storage"
		}
		require.InDelta(t, 1, h.counter(t, "muster_notifications_rejected_total", "reason", reason), 0, name)
	}
}

func TestTooManyConcurrentRequests(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	h, _ := newStub(t, Options{MaxRequests: 1}, func() (grouping.Outcome, error) {
		entered <- struct{}{}
		<-leave
		return grouping.Outcome{Group: &grouping.AlertGroup{}}, nil
	})
	first := make(chan *httptest.ResponseRecorder)
	go func() { first <- h.post(body()) }()
	<-entered
	require.Equal(t, http.StatusServiceUnavailable, h.post(body()).Code)
	close(leave)
	require.Equal(t, http.StatusOK, (<-first).Code)
	require.InDelta(t, 1, h.counter(t, "muster_notifications_rejected_total", "reason", "overloaded"), 0)
}

func TestSourceLabelsAreLimited(t *testing.T) {
	h := newTestServer(t, Options{MaxSources: 3})
	for i := range 10 {
		path := fmt.Sprintf("/webhook/source%d", i)
		require.Equal(t, http.StatusOK, h.do(http.MethodPost, path,
			strings.NewReader(body(wireCut, `"notification_reason":"reason `+fmt.Sprint(i)+`"`))).Code)
	}
	h.get("/api/v1/groups/" + strings.Repeat("0", 20))
	h.get("/made/up/path")
	h.do("BREW", "/", nil)
	require.InDelta(t, 7, h.counter(t, "muster_notifications_received_total", "reason", "unknown", "source", "other"), 0)
	require.InDelta(t, 1, h.counter(t, "muster_notifications_received_total", "reason", "unknown", "source", "source0"), 0)
	require.InDelta(t, 1, h.counter(t, "muster_http_requests_total", "code", "404", "handler", "/api/v1/groups/:id", "method", "GET"), 0)
	require.InDelta(t, 1, h.counter(t, "muster_http_requests_total", "code", "404", "handler", "unmatched", "method", "GET"), 0)
	require.InDelta(t, 1, h.counter(t, "muster_http_requests_total", "code", "405", "handler", "unmatched", "method", "other"), 0)
	var list struct{ Total int }
	require.NoError(t, json.Unmarshal(h.get("/api/v1/groups?source=source9").Body.Bytes(), &list))
	require.Equal(t, 1, list.Total, "the limit applies to the metric, not to the source")
}
