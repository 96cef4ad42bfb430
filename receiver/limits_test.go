package receiver_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
)

func TestTooManyAlertsInANotification(t *testing.T) {
	h := testserver.New(t, testserver.Options{MaxAlerts: 3})
	h.PostResult(t, wiretest.Many(3))
	w := h.Post(wiretest.Many(4))
	h.RequireRejected(t, "four", w, http.StatusRequestEntityTooLarge, "alerts: exceeds the limit of 3 alerts")
	require.InDelta(t, 1, h.Counter(t, "muster_notifications_rejected_total", "reason", "too_many_alerts"), 0)
	require.Contains(t, h.Get("/status").Body.String(), "exceeds the limit of 3 alerts")
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
	h := testserver.New(t, testserver.Options{MaxLabels: 10})
	whole := wiretest.Body()
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
		h.Reset(t)
		kept := h.PostResult(t, tc.text)
		require.Equal(t, tc.cut, kept.Cut, tc.name)
		g, err := h.Manager.Get(t.Context(), kept.Group)
		require.NoError(t, err)
		require.Equal(t, tc.cut, g.Truncated, tc.name)
		require.NotNil(t, g.Alert("0011223344556677"), tc.name)
	}
	require.InDelta(t, 2, h.Counter(t, "muster_alerts_refused_total", "reason", "labels"), 0)

	// A group with only rejected alerts is not shown as resolved.
	h.Reset(t)
	kept := h.PostResult(t, wiretest.Body(wiretest.Labels, many(11)))
	g, err := h.Manager.Get(t.Context(), kept.Group)
	require.NoError(t, err)
	require.Equal(t, grouping.StateUnreported, g.State)
	require.Contains(t, h.Get("/groups/"+string(kept.Group)).Body.String(), "1 alert was truncated")
}

func TestGroupLimits(t *testing.T) {
	opts := grouping.DefaultOptions
	opts.MaxGroups, opts.MaxAlerts, opts.MaxSources = 2, 3, 1
	h := testserver.New(t, testserver.Options{Groups: opts})
	require.Equal(t, uint64(2), h.PostResult(t, wiretest.Many(5)).Cut)
	h.PostResult(t, wiretest.Body(wiretest.Key, `"groupKey":"second"`))
	for path, text := range map[string]string{
		"/webhook":         "group limit of 2 reached and all groups are firing",
		"/webhook/another": "source limit of 1 reached",
	} {
		w := h.Do(http.MethodPost, path, strings.NewReader(wiretest.Body(wiretest.Key, `"groupKey":"third"`)))
		h.RequireRejected(t, path, w, http.StatusServiceUnavailable, text)
	}
	require.InDelta(t, 2, h.Counter(t, "muster_notifications_rejected_total", "reason", "full"), 0)
	page := h.Get("/status").Body.String()
	require.Contains(t, page, `<td>Groups</td><td data-h="value">2</td><td data-h="reached"><b>2 times</b>`)
	require.Contains(t, page, `<td>Alerts in a group</td><td data-h="value">3</td><td data-h="reached"><b>1 times</b>`)
}
