package receiver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"muster/grouping"
)

// postResult posts a notification, requires that it is stored, and returns the
// answer.
func (h *testServer) postResult(t *testing.T, text string) keptView {
	t.Helper()
	w := h.post(text)
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	var kept keptView
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &kept))
	return kept
}

func TestTooManyAlertsInANotification(t *testing.T) {
	h := newTestServer(t, Options{MaxAlerts: 3})
	h.postResult(t, manyAlerts(3))
	w := h.post(manyAlerts(4))
	h.requireRejected(t, "four", w, http.StatusRequestEntityTooLarge, "alerts: exceeds the limit of 3 alerts")
	require.InDelta(t, 1, h.counter(t, "muster_notifications_rejected_total", "reason", "too_many_alerts"), 0)
	require.Contains(t, h.get("/status").Body.String(), "exceeds the limit of 3 alerts")
}

// An alert with too many labels or annotations does not affect the other
// alerts, and the group still knows that it may be firing.
func TestTooManyLabels(t *testing.T) {
	many := func(n int) string {
		var pairs []string
		for i := range n {
			pairs = append(pairs, fmt.Sprintf(`"l%d":"x"`, i))
		}
		return "{" + strings.Join(pairs, ",") + "}"
	}
	h := newTestServer(t, Options{MaxLabels: 10})
	whole := body()
	alert := whole[strings.Index(whole, "[{")+1 : strings.Index(whole, "}]")+1]
	// two alerts; the parameters change the second
	two := func(status, labels, annotations string) string {
		second := strings.NewReplacer(`"status":"firing"`, `"status":"`+status+`"`, `{"alertname":"Down"}`, labels,
			`{"summary":"s"}`, annotations, "0011223344556677", "00112233445566aa").Replace(alert)
		return strings.Replace(whole, alert, alert+","+second, 1)
	}
	for _, tc := range []struct {
		name, text string
		cut        uint64
	}{
		{"at the limit", two("firing", many(10), many(10)), 0},
		{"labels", two("firing", many(11), "{}"), 1},
		{"annotations", two("firing", "{}", many(11)), 1},
		{"a resolved alert is not counted", two("resolved", many(100_000), "{}"), 0},
	} {
		h.reset(t)
		kept := h.postResult(t, tc.text)
		require.Equal(t, tc.cut, kept.Cut, tc.name)
		g, err := h.manager.GetGroup(t.Context(), kept.Group)
		require.NoError(t, err)
		require.Equal(t, tc.cut, g.Truncated, tc.name)
		require.NotNil(t, g.Alert("0011223344556677"), tc.name)
	}
	require.InDelta(t, 2, h.counter(t, "muster_alerts_refused_total", "reason", "labels"), 0)

	// A group with only rejected alerts is not shown as resolved.
	h.reset(t)
	kept := h.postResult(t, body(wireLabels, many(11)))
	g, err := h.manager.GetGroup(t.Context(), kept.Group)
	require.NoError(t, err)
	require.Equal(t, grouping.StateUnreported, g.State)
	require.Contains(t, h.get("/groups/"+string(kept.Group)).Body.String(), "1 alert was truncated")
}

func TestGroupLimits(t *testing.T) {
	opts := grouping.DefaultOptions
	opts.MaxGroups, opts.MaxAlerts, opts.MaxSources = 2, 3, 1
	h := newTestServer(t, Options{Groups: opts})
	require.Equal(t, uint64(2), h.postResult(t, manyAlerts(5)).Cut)
	h.postResult(t, body(wireKey, `"groupKey":"second"`))
	for path, text := range map[string]string{
		"/webhook":         "group limit of 2 reached and all groups are firing",
		"/webhook/another": "source limit of 1 reached",
	} {
		w := h.do(http.MethodPost, path, strings.NewReader(body(wireKey, `"groupKey":"third"`)))
		h.requireRejected(t, path, w, http.StatusServiceUnavailable, text)
	}
	require.InDelta(t, 2, h.counter(t, "muster_notifications_rejected_total", "reason", "full"), 0)
	page := h.get("/status").Body.String()
	require.Contains(t, page, `<td>Groups</td><td data-h="value">2</td><td data-h="reached"><b>2 times</b>`)
	require.Contains(t, page, `<td>Alerts in a group</td><td data-h="value">3</td><td data-h="reached"><b>1 times</b>`)
}
