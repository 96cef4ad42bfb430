package receiver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// wireAlert returns an alert of a notification. Without an end it is firing.
func wireAlert(labels, end string) string {
	status := "resolved"
	if end == "" {
		status, end = "firing", "0001-01-01T00:00:00Z"
	}
	return fmt.Sprintf(`{"status":%q,"labels":%s,"startsAt":"2026-01-01T00:00:00Z","endsAt":%q}`, status, labels, end)
}

// notify posts a notification of a group to a source and returns the group's
// ID.
func (h *testServer) notify(t *testing.T, source, receiver, groupLabels string, alerts ...string) string {
	t.Helper()
	text := fmt.Sprintf(`{"version":"4","groupKey":%q,"receiver":%q,"status":"firing","groupLabels":%s,`+
		`"externalURL":"http://am.%s","alerts":[%s]}`,
		groupLabels, receiver, groupLabels, source, strings.Join(alerts, ","))
	w := h.do(http.MethodPost, "/webhook/"+source, strings.NewReader(text))
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	var answer struct{ Group string }
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
	return answer.Group
}

// countGroups returns the number of groups that the API selects.
func (h *testServer) countGroups(t *testing.T, query string) int {
	t.Helper()
	w := h.get("/api/v1/groups?" + query)
	require.Equal(t, http.StatusOK, w.Code, "%s: %s", query, w.Body)
	var v struct{ Total int }
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &v))
	return v.Total
}

// countRows returns the number of rows on the page of groups.
func (h *testServer) countRows(query string) int {
	return strings.Count(h.get("/?"+query, "Accept", accept).Body.String(), "<article")
}

// The state and the filter of a query must match the same alert: on the page,
// in the list by labels and in the API.
func TestStateAndFilterMatchTheSameAlert(t *testing.T) {
	h := newTestServer(t, Options{})
	const end = "2026-01-01T01:00:00Z"
	disk := func(instance, severity, end string) string {
		return wireAlert(fmt.Sprintf(`{"alertname":"Disk","instance":%q,"severity":%q}`, instance, severity), end)
	}
	group := `{"alertname":"Disk"}`
	h.notify(t, "default", "team", group, disk("db-1", "critical", ""), disk("db-2", "info", ""), disk("db-3", "info", ""))
	h.notify(t, "default", "team", group, disk("db-1", "critical", end), disk("db-2", "info", ""), disk("db-3", "info", ""))
	h.notify(t, "default", "team", `{"alertname":"Net"}`, wireAlert(`{"alertname":"Net","severity":"critical"}`, end))
	for _, tc := range []struct {
		state, api string
		filter     string
		rows, by   int
	}{
		{"firing", "firing,mixed", `severity="critical"`, 0, 0},
		{"firing", "firing,mixed", `severity="info"`, 1, 1},
		{"firing", "firing,mixed", `severity!="info"`, 0, 0},
		{"firing", "firing,mixed", `instance="db-1"`, 0, 0},
		{"resolved", "resolved", `severity="critical"`, 1, 1},
		{"resolved", "resolved", `severity="info"`, 0, 0},
		{"all", "", `severity="critical"`, 2, 1},
	} {
		filter := "filter=" + url.QueryEscape(tc.filter)
		require.Equal(t, tc.rows, h.countRows(filter+"&state="+tc.state), "%v", tc)
		require.Equal(t, tc.by, h.countRows(filter+"&by=severity&state="+tc.state), "%v", tc)
		api := filter
		if tc.api != "" {
			api += "&state=" + tc.api
		}
		require.Equal(t, tc.rows, h.countGroups(t, api), "%v", tc)
	}
	page := h.get(`/?filter=instance%3D"db-2"`, "Accept", accept).Body.String()
	require.Contains(t, page, "1 of 2 match", "counts only firing alerts")
	page = h.get(`/?state=all&filter=instance%3D"db-2"`, "Accept", accept).Body.String()
	require.Contains(t, page, "1 of 3 match")
	page = h.get(`/?filter=alertname%3D"Nett"`, "Accept", accept).Body.String()
	require.NotContains(t, page, "Did you mean", "Net is not firing")
}
