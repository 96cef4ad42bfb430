package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi2"
	"github.com/getkin/kin-openapi/openapi2conv"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"muster/api"
	"muster/grouping"
	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
)

// alertmanagerContract returns the routes of Alertmanager's own openapi.yaml.
func alertmanagerContract(t *testing.T) routers.Router {
	t.Helper()
	text, err := os.ReadFile("../testdata/corpus/api-v2/openapi.yaml")
	require.NoError(t, err)
	// The file requires the annotations of a silence, which Alertmanager leaves out if there are
	// none.
	text = bytes.Replace(text, []byte("          - id\n          - status\n          - updatedAt\n          - annotations\n"),
		[]byte("          - id\n          - status\n          - updatedAt\n"), 1)
	var raw any
	require.NoError(t, yaml.Unmarshal(text, &raw))
	text, err = json.Marshal(raw)
	require.NoError(t, err)
	var old openapi2.T
	require.NoError(t, json.Unmarshal(text, &old))
	doc, err := openapi2conv.ToV3(&old)
	require.NoError(t, err)
	router, err := legacy.NewRouter(doc)
	require.NoError(t, err)
	return router
}

// v2Queries are requests to which Alertmanager's API has an answer.
var v2Queries = []string{
	"/status", "/receivers", "/receivers?receiver_matchers=name%3D%22team%22", "/alerts", "/alerts?filter=alertname%3DDown&active=false",
	"/alerts?silenced=false&inhibited=false&unprocessed=false", "/alerts?receiver=t.*&receiver_matchers=name!%3Dx", "/alerts/groups",
	"/alerts/groups?muted=false", "/silences", "/silences?active=false", "/silences?filter=a%3Db",
}

// badV2Queries are requests that Alertmanager refuses.
var badV2Queries = []string{"/alerts?filter=%7B", "/silences?filter=%7B", "/alerts?receiver=(", "/receivers?receiver_matchers=("}

// Each answer is valid for Alertmanager's own description of its API.
func TestAnswersAreValidForAlertmanager(t *testing.T) {
	router := alertmanagerContract(t)
	empty, full := testserver.New(t, testserver.Options{}), testserver.New(t, testserver.Options{})
	full.PostKept(t, wiretest.Body())
	full.Silence(t)
	for _, h := range []*testserver.Server{empty, full} {
		for _, path := range slices.Concat(v2Queries, badV2Queries) {
			w := h.Get("/api/v2" + path)
			r := httptest.NewRequest(http.MethodGet, "/api/v2"+path, nil)
			route, params, err := router.FindRoute(r)
			require.NoError(t, err, path)
			in := &openapi3filter.RequestValidationInput{
				Request: r, Route: route, PathParams: params, Options: &openapi3filter.Options{IncludeResponseStatus: true},
			}
			out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: w.Code, Header: w.Header(), Options: in.Options}
			out.SetBodyBytes(w.Body.Bytes())
			require.NoError(t, openapi3filter.ValidateResponse(context.Background(), out), "%s: %s", path, w.Body)
		}
	}
}

// A source that was restarted, or that is one of several, is asked for alone.
func TestAPIOfOneSource(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	h.Notify(t, "prod", "team", `{"alertname":"Down"}`, wiretest.Named("Down"))
	h.Notify(t, "prod", "audit", `{"alertname":"Down"}`, wiretest.Named("Down"))
	h.Notify(t, "test", "team", `{"alertname":"Down"}`, wiretest.Named("Down"))
	type alert struct {
		Fingerprint string
		Receivers   []struct{ Name string }
	}
	all := decode[[]alert](t, h, "/api/v2/alerts")
	require.Len(t, all, 2, "an alert counts once for each source")
	require.Equal(t, all[0].Fingerprint, all[1].Fingerprint)
	prod := decode[[]alert](t, h, "/source/prod/api/v2/alerts")
	require.Len(t, prod, 1)
	require.Equal(t, []struct{ Name string }{{"audit"}, {"team"}}, prod[0].Receivers)
	require.Len(t, decode[[]any](t, h, "/source/prod/api/v2/alerts/groups"), 2)
	require.Len(t, decode[[]any](t, h, "/api/v2/alerts/groups"), 3)
	require.Len(t, decode[[]any](t, h, "/source/test/api/v2/receivers"), 1)
	require.Len(t, decode[[]any](t, h, "/api/v2/receivers"), 2)
	for _, path := range v2Queries {
		require.Equal(t, http.StatusOK, h.Get("/source/test/api/v2"+path).Code, path)
		w := h.Get("/source/other/api/v2" + path)
		require.Equal(t, http.StatusNotFound, w.Code, path)
		require.JSONEq(t, `{"code":404,"message":"source \"other\" was not found"}`, w.Body.String())
	}
}

// Grafana takes whatever answers below /alertmanager for Mimir, and not for Alertmanager.
func TestProbesOfGrafana(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	h.PostKept(t, wiretest.Body())
	status := decode[struct {
		Config struct{ Original string }
	}](t, h, "/api/v2/status")
	var config struct {
		Route     struct{ Receiver string }
		Receivers []struct{ Name string }
	}
	require.NoError(t, yaml.Unmarshal([]byte(status.Config.Original), &config))
	require.Equal(t, "team", config.Route.Receiver)
	require.Equal(t, []struct{ Name string }{{"team"}}, config.Receivers)
	for _, path := range []string{"/alertmanager/api/v2/status", "/alertmanager/", "/alertmanager", "/api/v1/status/buildinfo"} {
		require.Equal(t, http.StatusNotFound, h.Get(path).Code, path)
	}
	for _, path := range []string{"/alerts", "/alerts/groups", "/silences"} {
		require.Equal(t, http.StatusOK, h.Get("/api/v2"+path).Code)
	}
	require.Equal(t, http.StatusNotFound, h.Get("/api/v2/silence/00000000-0000-4000-8000-000000000000").Code)
}

// karma asks for these paths without parameters, and wants lists. It stops if the metrics have a
// version of Alertmanager that it cannot parse.
func TestProbesOfKarma(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	w := h.Get("/metrics")
	require.Equal(t, http.StatusOK, w.Code)
	require.NotContains(t, w.Body.String(), "alertmanager_build_info")
	require.Equal(t, "[]\n", h.Get("/api/v2/silences").Body.String())
	require.Equal(t, "[]\n", h.Get("/api/v2/alerts/groups").Body.String())
	h.PostKept(t, wiretest.Body())
	h.Silence(t)
	require.Len(t, decode[[]any](t, h, "/api/v2/silences"), 2)
	require.Len(t, decode[[]any](t, h, "/api/v2/alerts/groups"), 1)
}

// Only what fires or is suppressed is listed, with a time to come.
func TestAlertsOfTheAPIFire(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	h.PostKept(t, wiretest.Body())
	type alert struct {
		EndsAt, UpdatedAt time.Time
		Status            struct{ State string }
	}
	firing := decode[[]alert](t, h, "/api/v2/alerts")
	require.Len(t, firing, 1)
	require.WithinDuration(t, time.Now().Add(5*time.Minute), firing[0].EndsAt, time.Minute)
	require.WithinDuration(t, time.Now(), firing[0].UpdatedAt, time.Minute)
	require.Equal(t, "active", firing[0].Status.State)
	h.PostKept(t, wiretest.Body(wiretest.Status, `[{"status":"resolved"`, "0001-01-01T00:00:00Z", "2026-11-23T03:10:00Z"))
	require.Equal(t, "[]\n", h.Get("/api/v2/alerts").Body.String())
	require.Equal(t, "[]\n", h.Get("/api/v2/alerts/groups").Body.String())
}

// Whatever is in a label stays a JSON string.
func TestHostileTextInTheAPI(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	const hostile = "</script><b>\u2028\"\\\n: {{.}}"
	text, err := json.Marshal(hostile)
	require.NoError(t, err)
	h.Notify(t, "default", "re: [ceiver", `{"alertname":`+string(text)+`}`,
		wiretest.Named("Down", `"Down"`, string(text)))
	for _, path := range []string{"/alerts", "/alerts/groups", "/receivers", "/status"} {
		body := h.Get("/api/v2" + path).Body.String()
		require.NotContains(t, body, "<b>", path)
		require.True(t, json.Valid([]byte(body)), path)
	}
	groups := decode[[]struct{ Labels map[string]string }](t, h, "/api/v2/alerts/groups")
	require.Equal(t, hostile, groups[0].Labels["alertname"])
	status := decode[struct{ Config struct{ Original string } }](t, h, "/api/v2/status")
	var config struct{ Route struct{ Receiver string } }
	require.NoError(t, yaml.Unmarshal([]byte(status.Config.Original), &config))
	require.Equal(t, "re: [ceiver", config.Route.Receiver)
	w := h.Get("/api/v2/alerts?filter=" + strings.Repeat("%ff", 10))
	require.Equal(t, http.StatusBadRequest, w.Code)
	require.True(t, json.Valid(w.Body.Bytes()), "%s", w.Body)
}

// Label sets have the order of Alertmanager.
func TestOrderOfLabels(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		set := rapid.MapOf(rapid.SampledFrom([]string{"a", "b", "c", "d"}), rapid.SampledFrom([]string{"1", "2"}))
		x, y := set.Draw(t, "x"), set.Draw(t, "y")
		before := func(a, b map[string]string) bool {
			sets := [2]model.LabelSet{{}, {}}
			for i, m := range []map[string]string{a, b} {
				for name, value := range m {
					sets[i][model.LabelName(name)] = model.LabelValue(value)
				}
			}
			return sets[0].Before(sets[1])
		}
		require.Equal(t, before(x, y), api.CompareLabels(grouping.NewLabels(x), grouping.NewLabels(y)) < 0)
		require.Equal(t, before(y, x), api.CompareLabels(grouping.NewLabels(x), grouping.NewLabels(y)) > 0)
	})
}
