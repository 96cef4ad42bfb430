package receiver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
)

// The error names each field with a wrong type, in the message and in an alert.
func TestWrongTypesAreNamed(t *testing.T) {
	h := newTestServer(t, Options{})
	var whole map[string]any
	require.NoError(t, json.Unmarshal([]byte(body()), &whole))
	for _, name := range []string{"notification_reason", "routeLabels"} {
		whole[name] = map[string]any{"notification_reason": "x", "routeLabels": map[string]any{}}[name]
	}
	alerts, ok := whole["alerts"].([]any)
	require.True(t, ok)
	alert, ok := alerts[0].(map[string]any)
	require.True(t, ok)
	wrong := map[string]any{"string": "text", "boolean": true, "array": []any{1}, "object": map[string]any{"a": 1}}
	allowed := func(v any) string {
		switch v.(type) {
		case string:
			return "string"
		case float64:
			return "number"
		case []any:
			return "array"
		default:
			return "object"
		}
	}
	n := 0
	for _, in := range []struct {
		object map[string]any
		prefix string
	}{{whole, ""}, {alert, "alerts[0]."}} {
		for _, name := range slices.Collect(maps.Keys(in.object)) {
			right := in.object[name]
			for kind, value := range wrong {
				want := fmt.Sprintf("%s%s: must not be a JSON %s", in.prefix, name, kind)
				switch {
				case kind == "array" && name == "alerts":
					want = "alerts[0]: must not be a JSON number"
				case kind == "object" && allowed(right) == "object":
					want = in.prefix + name + ".a: must not be a JSON number"
				case kind == allowed(right) && !strings.HasSuffix(name, "At"):
					continue
				case strings.HasSuffix(name, "At"):
					want = in.prefix + name + ": is not an RFC 3339 time"
				}
				in.object[name] = value
				text, err := json.Marshal(whole)
				require.NoError(t, err)
				h.requireRejected(t, name+" "+kind, h.post(string(text)), 400, want)
				n++
			}
			in.object[name] = right
		}
	}
	require.Equal(t, (12+7)*len(wrong)-9, n, "a string is valid for a string field")
	require.JSONEq(t, `{"groups":[],"total":0}`, h.get("/api/v1/groups").Body.String())
	require.JSONEq(t, `{"events":[]}`, h.get("/api/v1/events").Body.String())
}

// The API returns the times that were sent, even those far from today.
func TestTimesAreReturnedAsSent(t *testing.T) {
	for _, at := range []string{
		"0000-06-01T00:00:00Z", "0001-01-01T00:00:00.000000001Z", "1677-01-01T00:00:00Z", "1677-09-21T00:12:43.145224192Z",
		"1970-01-01T00:00:00Z", "2262-04-11T23:47:16.854775807Z", "2262-04-11T23:47:16.854775808Z", "2300-01-01T00:00:00.1+02:00",
		"9999-12-31T23:59:59.999999999Z", "2026-02-28T23:59:59.5-23:59",
	} {
		h := newTestServer(t, Options{})
		want, err := time.Parse(time.RFC3339Nano, at)
		require.NoError(t, err)
		id := h.postKept(t, body(wireStart, `"startsAt":"`+at+`"`))
		var g struct {
			Alerts []struct{ StartsAt time.Time }
		}
		require.NoError(t, json.Unmarshal(h.get("/api/v1/groups/"+id).Body.Bytes(), &g))
		require.True(t, want.Equal(g.Alerts[0].StartsAt), "%s became %s", at, g.Alerts[0].StartsAt)
	}
}

func TestEveryKindOfAnswerIsGuarded(t *testing.T) {
	h := newTestServer(t, Options{MaxBodySize: 1000, MaxLiveClients: 1})
	srv := h.listen(t)
	live := followLive(t, srv.URL, "")
	live.nextEvent()
	send := func(method, path, text string, headers ...string) func() (int, http.Header) {
		return func() (int, http.Header) {
			w := h.do(method, path, strings.NewReader(text), headers...)
			return w.Code, w.Header()
		}
	}
	for want, answer := range map[int]func() (int, http.Header){
		200: send(http.MethodPost, "/webhook", body()),
		302: send(http.MethodGet, "/go?receiver=x", ""),
		400: send(http.MethodPost, "/webhook", "{"),
		403: send(http.MethodPost, "/webhook", body(), "Origin", "https://evil.example"),
		404: send(http.MethodPost, "/nothing", ""),
		405: send(http.MethodDelete, "/api/v1/groups", ""),
		413: send(http.MethodPost, "/webhook", strings.Repeat(" ", 2000)),
		415: send(http.MethodPost, "/webhook", body(), "Content-Encoding", "gzip"),
		503: send(http.MethodGet, "/api/v1/live", ""),
	} {
		code, header := answer()
		require.Equal(t, want, code)
		for name, value := range map[string]string{
			"Content-Security-Policy": contentSecurityPolicy, "X-Content-Type-Options": "nosniff",
			"Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin", "Access-Control-Allow-Origin": "",
			"Cache-Control": "no-store",
		} {
			require.Equal(t, value, header.Get(name), "%d %s", want, name)
		}
	}
}

func TestTheThirtyThirdSourceIsOther(t *testing.T) {
	h := newTestServer(t, Options{})
	for i := range 34 {
		w := h.do(http.MethodPost, fmt.Sprintf("/webhook/s%d", i), strings.NewReader(body()))
		require.Equal(t, http.StatusOK, w.Code)
	}
	count := func(source string) float64 {
		return h.counter(t, "muster_notifications_received_total", "reason", "none", "source", source)
	}
	require.InDelta(t, 1, count("s31"), 0)
	require.Zero(t, count("s32"))
	require.InDelta(t, 2, count("other"), 0)
	require.Equal(t, http.StatusOK, h.do(http.MethodPost, "/webhook/s0", bytes.NewReader([]byte(body()))).Code)
	require.InDelta(t, 2, count("s0"), 0, "a known source keeps its label")
}

func TestPagesOfTheAPIAreComplete(t *testing.T) {
	h := newTestServer(t, Options{})
	for i := range 7 {
		h.postKept(t, body(wireKey, fmt.Sprintf(`"groupKey":"k%d"`, i), `"groupLabels":{}`, fmt.Sprintf(`"groupLabels":{"alertname":"A%d"}`, i),
			wireLabels, fmt.Sprintf(`{"alertname":"A%d","severity":%q}`, i,
				[]string{"critical", "warning", "info"}[i%3])))
	}
	for _, order := range []string{"", "severity", "newest", "name", "count", "updated"} {
		var keys []string
		cursor, pages := "", 0
		for {
			var v struct {
				Groups []struct{ GroupKey string }
				Total  int
				Next   string
			}
			w := h.get("/api/v1/groups?limit=3&sort=" + order + "&cursor=" + url.QueryEscape(cursor))
			require.Equal(t, http.StatusOK, w.Code, w.Body)
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &v))
			require.Equal(t, 7, v.Total)
			for _, g := range v.Groups {
				require.NotContains(t, keys, g.GroupKey, order)
				keys = append(keys, g.GroupKey)
			}
			pages++
			if cursor = v.Next; cursor == "" {
				break
			}
		}
		require.Len(t, keys, 7, order)
		require.Equal(t, 3, pages, order)
		if order == "name" {
			require.True(t, slices.IsSorted(keys), keys)
		}
	}
}

func TestEventsBetweenTimes(t *testing.T) {
	h := newTestServer(t, Options{})
	id := h.postKept(t, body())
	var v struct {
		Events []struct {
			Time time.Time
			Kind string
		}
	}
	get := func(path string) int {
		w := h.get(path)
		require.Equal(t, http.StatusOK, w.Code, w.Body)
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &v))
		return len(v.Events)
	}
	require.Equal(t, 3, get("/api/v1/groups/"+id+"/events"))
	at := v.Events[0].Time
	query := func(name string, t time.Time) string { return name + "=" + url.QueryEscape(t.Format(time.RFC3339Nano)) }
	require.Equal(t, 3, get("/api/v1/events?"+query("since", at.Add(-time.Second))+"&"+query("until", at.Add(time.Second))))
	require.Zero(t, get("/api/v1/events?"+query("since", at.Add(time.Second))))
	require.Zero(t, get("/api/v1/events?"+query("until", at.Add(-time.Second))))
	require.Equal(t, 3, get(fmt.Sprintf("/api/v1/events?since=%.3f", float64(at.UnixMilli()-1000)/1000)))
	require.Equal(t, 1, get("/api/v1/groups/"+id+"/events?kind=opened"))
	require.Equal(t, "opened", v.Events[0].Kind)
	h.postKept(t, body(wireKey, `"groupKey":"another"`))
	require.Equal(t, 6, get("/api/v1/events"))
	require.Equal(t, 3, get("/api/v1/groups/"+id+"/events"), "the history of the group only")

	for range 10 { // all problems are listed, in a stable order
		const text = ` is not a time: use RFC 3339, 2006-01-02 15:04 (UTC), Unix seconds, or a duration before now such as -1h30m or 7d`
		require.JSONEq(t, `{"error":"bad query: since: \"NaN\"`+text+`; until: \"x\"`+text+`"}`,
			h.get("/api/v1/events?until=x&since=NaN").Body.String())
	}
	require.JSONEq(t, `{"error":"bad query: limit: \"1001\" is not a number between 1 and 1000"}`,
		h.get("/api/v1/groups?limit=1001").Body.String())
	for _, bad := range []string{"until=-1", "until=1e12", "limit=-1", "limit=1001", "cursor=%00", "filter=%7B"} {
		require.Equal(t, http.StatusBadRequest, h.get("/api/v1/events?"+bad).Code, bad)
	}
}

// broken answers every query as if the storage were down.
type broken struct{ stub }

const secret = "dial redis:6379 with password hunter2"

var errBroken = &grouping.StorageError{Backend: "redis", Op: "load", Err: errors.New(secret)}

func (broken) AllGroups(context.Context) ([]*grouping.AlertGroup, error) { return nil, errBroken }

func (broken) GetGroup(context.Context, grouping.ID) (*grouping.AlertGroup, error) {
	return nil, errBroken
}

func (broken) ListGroups(context.Context, grouping.ListQuery) (grouping.GroupPage, error) {
	return grouping.GroupPage{}, errBroken
}

func (broken) GetGroupByFingerprint(context.Context, grouping.Fingerprint) ([]*grouping.AlertGroup, error) {
	return nil, errBroken
}

func (broken) Events(context.Context, grouping.EventQuery) (grouping.EventPage, error) {
	return grouping.EventPage{}, errBroken
}

func (broken) Heartbeats(context.Context) ([]grouping.Heartbeat, error) { return nil, errBroken }
func (broken) GetStats(context.Context) (grouping.Stats, error)         { return grouping.Stats{}, errBroken }

func TestBrokenStorageIsReportedWithoutSecrets(t *testing.T) {
	h, _ := newStub(t, Options{}, nil)
	h.groups = broken{}
	id, fp := strings.Repeat("0", 20), strings.Repeat("0", 16)
	for _, path := range []string{
		"/api/v1/groups", "/api/v1/groups/" + id, "/api/v1/groups/" + id + "/events", "/api/v1/alerts/" + fp, "/api/v1/events",
		"/api/v1/stats", "/api/v1/status",
	} {
		h.requireRejected(t, path, h.get(path), 503, "storage is unavailable, try again")
	}
	for _, path := range []string{
		"/", "/?by=alertname", "/groups/" + id, "/alerts/" + fp, "/history", "/status", "/go?receiver=x",
	} {
		w := h.get(path, "Accept", accept)
		require.Equal(t, http.StatusServiceUnavailable, w.Code, path)
		require.NotContains(t, w.Body.String(), "hunter2", path)
		require.Contains(t, w.Body.String(), "</html>", path)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, opts := range []Options{
		{MaxBodySize: -1}, {MaxRequests: -1}, {MaxSources: -1}, {MaxLiveClients: -1}, {ExternalURL: "http://[::1"},
	} {
		h := newTestServer(t, Options{})
		_, err := New(h.manager, h.storageStatus, h.reg, h.reg, h.logger, opts)
		require.Error(t, err, opts)
	}
}

// The status of the message is not the status of an alert, and field names are
// case-sensitive.
func TestNamesInAnotherCaseAreIgnored(t *testing.T) {
	h := newTestServer(t, Options{})
	id := h.postKept(t, body(wireStatus, `[{"STATUS":"resolved","StartsAt":5,"Labels":[],"status":"firing"`, wireKey, `"GROUPKEY":1,`+wireKey))
	require.Contains(t, h.get("/api/v1/groups/"+id).Body.String(), `"status":"firing"`)
	h.requireRejected(t, "only in another case", h.post(body(wireKey, `"GroupKey":"x"`)), 400, "groupKey: is missing")
}
