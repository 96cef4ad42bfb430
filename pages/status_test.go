package pages_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/testserver"
	"muster/pages"
)

// The status page has every limit and every setting.
func TestStatusPage(t *testing.T) {
	groups := grouping.DefaultOptions
	groups.MaxAlerts = 0
	h := testserver.New(t, testserver.Options{
		Groups: groups, MaxRequests: 7, MaxBodySize: 3 << 20,
		Settings: []pages.Setting{{Name: "--web.max-body-size", Value: "3MiB"}, {Name: "--evil", Value: "<script>"}},
	})
	page := h.Get("/status").Body.String()
	for name, value := range map[string]string{
		"Groups": "50000", "Alerts in a group": "none", "Body size": "3 MiB", "Alerts in a notification": "100000",
		"Labels of an alert": "256", "Concurrent notifications": "7", "Memory of notifications": "256 MiB", "Live pages": "500",
		"Concurrent readers": "256", "Concurrent changes of silences": "16", "Memory of responses": "64 MiB", "Concurrent scrapes": "16",
	} {
		require.Contains(t, page, `<td>`+name+`</td><td data-h="value">`+value+`</td><td data-h="reached">never</td>`)
	}
	require.Contains(t, page, `id="settings"`)
	require.Contains(t, page, "--web.max-body-size")
	require.Contains(t, page, "3MiB")
	require.NotContains(t, page, "<script>")
	require.NotContains(t, testserver.New(t, testserver.Options{}).Get("/status").Body.String(), `id="settings"`)
}
