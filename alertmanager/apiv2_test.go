package alertmanager_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"muster/alertmanager"
	"muster/grouping"
	"muster/internal/testserver"
	"muster/internal/wire"
)

// recordedAPI returns what a real Alertmanager answered.
func recordedAPI(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "testdata", "corpus", "api-v2", name))
	require.NoError(t, err)
	return text
}

// apiRecordedAt is when the answers were recorded.
var apiRecordedAt = time.Date(2026, 11, 22, 22, 58, 30, 0, time.UTC)

// likeAlertmanager returns a Muster that was notified of the recorded groups, and that polled
// the recorded answers of a version ("": the newest one). It must run in a bubble.
func likeAlertmanager(t *testing.T, version string) *testserver.Server {
	t.Helper()
	time.Sleep(time.Until(apiRecordedAt))
	s := testserver.New(t, testserver.Options{Clock: grouping.NewClock()})
	notifyRecorded(t, s, recordedAPI(t, version+"alerts-groups.json"))
	var silences []grouping.Silence
	for one, err := range wire.ReadSilences(bytes.NewReader(recordedAPI(t, version+"silences.json"))) {
		require.NoError(t, err)
		silence, ok := alertmanager.ObserveSilence(one)
		require.True(t, ok)
		silences = append(silences, silence)
	}
	require.NoError(t, s.Manager.ObserveSilences(t.Context(), "default", "http://am-0", time.Now(), silences))
	var groups []*wire.APIGroup
	for g, err := range wire.ReadGroups(bytes.NewReader(recordedAPI(t, version+"alerts-groups.json"))) {
		require.NoError(t, err)
		groups = append(groups, g)
	}
	alerts, _ := alertmanager.Observe(256, groups...)
	require.NoError(t, s.Manager.ObservePoll(t.Context(), "default", "http://am-0", grouping.Poll{
		At: time.Now(), StartedAt: time.Now().Add(-time.Hour), Version: "0.34.2", Alerts: alerts, Complete: true,
	}))
	return s
}

// notifyRecorded posts a notification for each recorded group with an alert that is not muted.
func notifyRecorded(t *testing.T, s *testserver.Server, recorded []byte) {
	t.Helper()
	var groups []struct {
		Alerts []struct {
			Annotations, Labels                 map[string]string
			Fingerprint, StartsAt, GeneratorURL string
			Status                              struct{ State string }
		}
		Labels, RouteLabels map[string]string
		Receiver            struct{ Name string }
	}
	require.NoError(t, json.Unmarshal(recorded, &groups))
	for _, g := range groups {
		alerts := []map[string]any{}
		for _, a := range g.Alerts {
			if a.Status.State == "active" {
				alerts = append(alerts, map[string]any{
					"status": "firing", "labels": a.Labels, "annotations": a.Annotations, "fingerprint": a.Fingerprint,
					"startsAt": a.StartsAt, "endsAt": "0001-01-01T00:00:00Z", "generatorURL": a.GeneratorURL,
				})
			}
		}
		key, err := json.Marshal(g.Labels)
		require.NoError(t, err)
		body, err := json.Marshal(map[string]any{
			"version": "4", "status": "firing", "receiver": g.Receiver.Name, "groupKey": "{}:" + string(key), "groupLabels": g.Labels,
			"routeLabels": g.RouteLabels, "externalURL": "http://am-0", "alerts": alerts,
		})
		require.NoError(t, err)
		if len(alerts) > 0 {
			w := s.Post(string(body))
			require.Equal(t, http.StatusOK, w.Code, w.Body)
		}
	}
}

var (
	alertNews  = regexp.MustCompile(`"updatedAt":"[^"]+",("generatorURL"|"labels")`)
	routeOrder = strings.NewReplacer(`[{"name":"storage.team"},{"name":"audit"}]`, `[{"name":"audit"},{"name":"storage.team"}]`)
)

// comparable returns an answer without what Muster cannot know: when an alert was posted last,
// and the order of the routes.
func comparable(text []byte) string {
	return alertNews.ReplaceAllString(routeOrder.Replace(string(text)), `"updatedAt":"",$1`)
}

// Muster answers as Alertmanager did, byte for byte.
func TestAnswersOfAlertmanagerAreReproduced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := likeAlertmanager(t, "")
		for name, path := range map[string]string{
			"alerts.json":                 "/alerts",
			"alerts-groups.json":          "/alerts/groups",
			"alerts-filter.json":          "/alerts?filter=severity%3D%22critical%22&filter=team%3D~%22sto.*%22",
			"alerts-no-silenced.json":     "/alerts?silenced=false&inhibited=false",
			"alerts-only-silenced.json":   "/alerts?active=false&unprocessed=false",
			"alerts-receiver.json":        "/alerts?receiver=storage.*",
			"groups-receiver.json":        "/alerts/groups?receiver=audit&active=true&silenced=true&inhibited=true",
			"error-bool.json":             "/alerts?active=maybe",
			"silences.json":               "/silences",
			"silences-active.json":        "/silences?filter=alertname%3DBlackboxProbeFailed&expired=false",
			"silence-one.json":            "/silence/7bb1fd75-83ab-48c7-bebe-4b693abc3c3e",
			"error-filter.json 400":       "/alerts?filter=%7B%7B",
			"error-receiver.json 400":     "/alerts?receiver=(",
			"error-404-silence.json 404":  "/silence/00000000-0000-4000-8000-000000000000",
			"error-silence-id.json 422":   "/silence/nope",
			"error-unknown-path.json 404": "/nope",
		} {
			name, code, _ := strings.Cut(name, " ")
			w := s.Get("/api/v2" + path)
			require.Equal(t, comparable(recordedAPI(t, name)), comparable(w.Body.Bytes()), path)
			if code == "" {
				code = "200"
			}
			require.Equal(t, code, strconv.Itoa(w.Code), path)
			require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
			if w.Body.Len() > 0 {
				require.Contains(t, w.Header().Get("Content-Type"), "application/json")
			}
		}
	})
}

// newFields are those that old versions do not have.
var newFields = regexp.MustCompile(`"mutedBy":\[[^]]*\],|,"routeLabels":\{[^}]*\}`)

// What older versions answered is reproduced too, and the new fields stand beside it.
func TestAnswersOfOlderAlertmanagersAreReproduced(t *testing.T) {
	for version, silence := range map[string]string{
		"am0250-": "52a01243-5763-44fa-8fe2-badc90696d67", "am0281-": "13c1fcb4-c0ac-4dae-840e-029b45a5f35d",
	} {
		t.Run(version, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := likeAlertmanager(t, version)
				for name, path := range map[string]string{
					"alerts.json": "/alerts", "alerts-groups.json": "/alerts/groups", "silences.json": "/silences",
					"silence-one.json": "/silence/" + silence,
				} {
					without := func(text []byte) string { return newFields.ReplaceAllString(comparable(text), "") }
					require.Equal(t, without(recordedAPI(t, version+name)), without(s.Get("/api/v2"+path).Body.Bytes()), path)
				}
			})
		})
	}
}
