package pages_test

import (
	"fmt"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
)

// The state and the filter of a query must match the same alert: on the page,
// in the list by labels and in the API.
func TestStateAndFilterMatchTheSameAlert(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	const end = "2026-01-01T01:00:00Z"
	disk := func(instance, severity, end string) string {
		return wiretest.Alert(fmt.Sprintf(`{"alertname":"Disk","instance":%q,"severity":%q}`, instance, severity), end)
	}
	group := `{"alertname":"Disk"}`
	h.Notify(t, "default", "team", group, disk("db-1", "critical", ""), disk("db-2", "info", ""), disk("db-3", "info", ""))
	h.Notify(t, "default", "team", group, disk("db-1", "critical", end), disk("db-2", "info", ""), disk("db-3", "info", ""))
	h.Notify(t, "default", "team", `{"alertname":"Net"}`, wiretest.Alert(`{"alertname":"Net","severity":"critical"}`, end))
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
		require.Equal(t, tc.rows, h.CountRows(filter+"&state="+tc.state), "%v", tc)
		require.Equal(t, tc.by, h.CountRows(filter+"&by=severity&state="+tc.state), "%v", tc)
		api := filter
		if tc.api != "" {
			api += "&state=" + tc.api
		}
		require.Equal(t, tc.rows, h.CountGroups(t, api), "%v", tc)
	}
	page := h.Get(`/?filter=instance%3D"db-2"`, "Accept", testserver.HTML).Body.String()
	require.Contains(t, page, "1 of 2 match", "counts only firing alerts")
	page = h.Get(`/?state=all&filter=instance%3D"db-2"`, "Accept", testserver.HTML).Body.String()
	require.Contains(t, page, "1 of 3 match")
	page = h.Get(`/?filter=alertname%3D"Nett"`, "Accept", testserver.HTML).Body.String()
	require.NotContains(t, page, "Did you mean", "Net is not firing")
}
