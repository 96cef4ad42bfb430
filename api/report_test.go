package api_test

import (
	"encoding/csv"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/api"
	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
)

// notifyTwice posts that an alert fires, from two replicas, and that it is resolved.
func notifyTwice(t *testing.T, h *testserver.Server, name string) {
	t.Helper()
	start := time.Now().Add(-30 * time.Minute).UTC()
	labels := `{"alertname":` + name + `,"namespace":"payments","severity":"critical"}`
	body := func(from, status, end string) string {
		return wiretest.Body(wiretest.Key, `"groupKey":`+name, wiretest.Labels, labels,
			wiretest.Start, `"startsAt":"`+start.Format(time.RFC3339Nano)+`"`,
			`"firing"`, `"`+status+`"`, "0001-01-01T00:00:00Z", end, "0011223344556677", "",
			`"externalURL":"http://am`, `"externalURL":"http://`+from)
	}
	h.PostKept(t, body("am-0", "firing", "0001-01-01T00:00:00Z"))
	h.PostKept(t, body("am-1", "firing", "0001-01-01T00:00:00Z"))
	h.PostKept(t, body("am-0", "resolved", start.Add(20*time.Minute).Format(time.RFC3339Nano)))
}

func TestReportOfPostedNotifications(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	notifyTwice(t, h, `"Down"`)
	notifyTwice(t, h, `"=cmd|' /C calc'!A0"`)
	var r api.ReportView
	w := h.Get("/api/v1/report?by=alertname&since=1d")
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &r))
	require.Nil(t, r.Before)
	require.NotZero(t, r.KnownSince)
	require.Len(t, r.By, 2)
	minutes, share := 1200.0, 0.0
	started := r.By[1].LastAt
	require.WithinDuration(t, time.Now().Add(-30*time.Minute), started, time.Minute)
	require.Equal(t, api.ReportRowView{
		Key: "Down", Firings: 1, SecondsFiring: 1200, Ended: 1, MedianSeconds: &minutes, P90Seconds: &minutes,
		SelfResolvedShare: &share, SuppressedShare: &share, Acknowledged: &share, CriticalAcknowledged: &share, Notifications: 2, LastAt: started,
	}, r.By[1])

	w = h.Get("/api/v1/report?format=csv&since=1d")
	require.Equal(t, "text/csv; charset=utf-8; header=present", w.Header().Get("Content-Type"))
	rows, err := csv.NewReader(w.Body).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 3)
	require.Equal(t, "key", rows[0][0])
	require.Equal(t, "'=cmd|' /C calc'!A0", rows[1][0], "a spreadsheet must not take it for a formula")
	require.Equal(t, "Down", rows[2][0])

	w = h.Get("/api/v1/report?format=ndjson&since=1d")
	require.Equal(t, "application/x-ndjson", w.Header().Get("Content-Type"))
	lines := strings.Split(strings.TrimSpace(w.Body.String()), "\n")
	require.Len(t, lines, 2)
	var row api.ReportRowView
	require.NoError(t, json.Unmarshal([]byte(lines[1]), &row))
	require.Equal(t, r.By[1], row)
}

func TestQueriesOfReports(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	for raw, text := range map[string]string{
		"since=yesterday": `since: \"yesterday\" is not a time`, "until=-2h&since=-1h": "since: is not before until",
		"since=2100-01-01": "since: is in the future", "by=a,b": "by: more than one label name",
		"format=xml":                     `\"xml\" is not one of json, csv, ndjson`,
		"filter=" + url.QueryEscape(`{`): "filter: end of input", "state=firing": `unknown parameter \"state\"`,
	} {
		w := h.Get("/api/v1/report?" + raw)
		require.Equal(t, http.StatusBadRequest, w.Code, raw)
		require.Contains(t, w.Body.String(), text, raw)
	}
	var r api.ReportView
	require.NoError(t, json.Unmarshal(h.Get("/api/v1/report").Body.Bytes(), &r))
	require.Equal(t, 7*24*time.Hour, r.Until.Sub(r.Since))
	require.JSONEq(t, `{"key":"","firings":0,"secondsFiring":0,"ended":0,"unknownEnds":0,"flaps":0,"flappedAlerts":0,"notifications":0}`,
		strings.Split(strings.Split(h.Get("/api/v1/report").Body.String(), `"totals":`)[1], `,"by"`)[0])
}
