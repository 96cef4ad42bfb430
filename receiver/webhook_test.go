package receiver_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
)

func TestIngestErrors(t *testing.T) {
	secret := errors.New("dial redis:6379 with password hunter2")
	for name, ingest := range map[string]func() (grouping.Outcome, error){
		"storage": func() (grouping.Outcome, error) {
			return grouping.Outcome{}, &grouping.StorageError{Backend: "redis", Op: "store", Err: secret}
		},
		"other": func() (grouping.Outcome, error) { return grouping.Outcome{}, secret },
		"panic": func() (grouping.Outcome, error) { panic(secret) },
	} {
		h := testserver.NewStub(t, testserver.Options{}, ingest)
		w := h.Post(wiretest.Body())
		require.Equal(t, http.StatusServiceUnavailable, w.Code, name)
		require.NotContains(t, w.Body.String(), "hunter2", name)
		reason := map[string]string{"panic": "panic"}[name]
		if reason == "" {
			reason = "storage"
		}
		require.InDelta(t, 1, h.Counter(t, "muster_notifications_rejected_total", "reason", reason), 0, name)
	}
}

func TestTooManyConcurrentRequests(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	h := testserver.NewStub(t, testserver.Options{MaxRequests: 1}, func() (grouping.Outcome, error) {
		entered <- struct{}{}
		<-leave
		return grouping.Outcome{Group: &grouping.AlertGroup{}}, nil
	})
	first := make(chan *httptest.ResponseRecorder)
	go func() { first <- h.Post(wiretest.Body()) }()
	<-entered
	require.Equal(t, http.StatusServiceUnavailable, h.Post(wiretest.Body()).Code)
	close(leave)
	require.Equal(t, http.StatusOK, (<-first).Code)
	require.InDelta(t, 1, h.Counter(t, "muster_notifications_rejected_total", "reason", "overloaded"), 0)
}

func TestSourceLabelsAreLimited(t *testing.T) {
	h := testserver.New(t, testserver.Options{MaxSources: 3})
	for i := range 10 {
		path := fmt.Sprintf("/webhook/source%d", i)
		require.Equal(t, http.StatusOK, h.Do(http.MethodPost, path,
			strings.NewReader(wiretest.Body(wiretest.Truncated, `"notification_reason":"reason `+fmt.Sprint(i)+`"`))).Code)
	}
	h.Get("/api/v1/groups/" + strings.Repeat("0", 20))
	h.Get("/made/up/path")
	h.Do("BREW", "/", nil)
	require.InDelta(t, 7, h.Counter(t, "muster_notifications_received_total", "reason", "unknown", "source", "other"), 0)
	require.InDelta(t, 1, h.Counter(t, "muster_notifications_received_total", "reason", "unknown", "source", "source0"), 0)
	require.InDelta(t, 1, h.Counter(t, "muster_http_requests_total", "code", "404", "handler", "/api/v1/groups/:id", "method", "GET"), 0)
	require.InDelta(t, 1, h.Counter(t, "muster_http_requests_total", "code", "404", "handler", "unmatched", "method", "GET"), 0)
	require.InDelta(t, 1, h.Counter(t, "muster_http_requests_total", "code", "405", "handler", "unmatched", "method", "other"), 0)
	var list struct{ Total int }
	require.NoError(t, json.Unmarshal(h.Get("/api/v1/groups?source=source9").Body.Bytes(), &list))
	require.Equal(t, 1, list.Total, "the limit applies to the metric, not to the source")
}

// The error names each field with a wrong type, in the message and in an alert.
func TestWrongTypesAreNamed(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	var whole map[string]any
	require.NoError(t, json.Unmarshal([]byte(wiretest.Body()), &whole))
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
				h.RequireRejected(t, name+" "+kind, h.Post(string(text)), 400, want)
				n++
			}
			in.object[name] = right
		}
	}
	require.Equal(t, (12+7)*len(wrong)-9, n, "a string is valid for a string field")
	require.JSONEq(t, `{"groups":[],"total":0}`, h.Get("/api/v1/groups").Body.String())
	require.JSONEq(t, `{"events":[]}`, h.Get("/api/v1/events").Body.String())
}

func TestTheThirtyThirdSourceIsOther(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	for i := range 34 {
		w := h.Do(http.MethodPost, fmt.Sprintf("/webhook/s%d", i), strings.NewReader(wiretest.Body()))
		require.Equal(t, http.StatusOK, w.Code)
	}
	count := func(source string) float64 {
		return h.Counter(t, "muster_notifications_received_total", "reason", "none", "source", source)
	}
	require.InDelta(t, 1, count("s31"), 0)
	require.Zero(t, count("s32"))
	require.InDelta(t, 2, count("other"), 0)
	require.Equal(t, http.StatusOK, h.Do(http.MethodPost, "/webhook/s0", bytes.NewReader([]byte(wiretest.Body()))).Code)
	require.InDelta(t, 2, count("s0"), 0, "a known source keeps its label")
}

func TestOptionsAreChecked(t *testing.T) {
	for _, opts := range []testserver.Options{
		{MaxBodySize: -1}, {MaxRequests: -1}, {MaxSources: -1}, {MaxLiveClients: -1}, {ExternalURL: "http://[::1"},
	} {
		_, err := testserver.Build(opts)
		require.Error(t, err, opts)
	}
}
