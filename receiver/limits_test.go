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

// answerTo returns the answer to a notification that is kept.
func (h *house) answerTo(t *testing.T, text string) keptView {
	t.Helper()
	w := h.post(text)
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	var kept keptView
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &kept))
	return kept
}

func TestTooManyAlertsInANotification(t *testing.T) {
	h := newHouse(t, Options{MaxAlerts: 3})
	h.answerTo(t, manyAlerts(3))
	w := h.post(manyAlerts(4))
	h.refused(t, "four", w, http.StatusRequestEntityTooLarge, "alerts: lists more than 3 alerts")
	require.InDelta(t, 1, h.counter(t, "muster_notifications_rejected_total", "reason", "too_many_alerts"), 0)
	require.Contains(t, h.get("/status").Body.String(), "lists more than 3 alerts")
}

// An alert with too many labels or annotations does not keep the others away,
// and it is not forgotten that it fires.
func TestTooManyLabels(t *testing.T) {
	many := func(n int) string {
		var pairs []string
		for i := range n {
			pairs = append(pairs, fmt.Sprintf(`"l%d":"x"`, i))
		}
		return "{" + strings.Join(pairs, ",") + "}"
	}
	h := newHouse(t, Options{MaxLabels: 10})
	whole := body()
	alert := whole[strings.Index(whole, "[{")+1 : strings.Index(whole, "}]")+1]
	// two alerts, of which the second is as told
	two := func(status, labels, annotations string) string {
		second := strings.NewReplacer(`"status":"firing"`, `"status":"`+status+`"`, `{"alertname":"Down"}`, labels,
			`{"summary":"s"}`, annotations, "0011223344556677", "00112233445566aa").Replace(alert)
		return strings.Replace(whole, alert, alert+","+second, 1)
	}
	for _, tc := range []struct {
		name, text string
		cut        uint64
	}{
		{"as many as allowed", two("firing", many(10), many(10)), 0},
		{"labels", two("firing", many(11), "{}"), 1},
		{"annotations", two("firing", "{}", many(11)), 1},
		{"what does not fire is no loss", two("resolved", many(100_000), "{}"), 0},
	} {
		h.empty(t)
		kept := h.answerTo(t, tc.text)
		require.Equal(t, tc.cut, kept.Cut, tc.name)
		g, err := h.manager.GetGroup(t.Context(), kept.Group)
		require.NoError(t, err)
		require.Equal(t, tc.cut, g.Truncated, tc.name)
		require.NotNil(t, g.Alert("0011223344556677"), tc.name)
	}
	require.InDelta(t, 2, h.counter(t, "muster_alerts_refused_total", "reason", "labels"), 0)

	// Of a group of which nothing else is known it is known that it fires.
	h.empty(t)
	kept := h.answerTo(t, body(wireLabels, many(11)))
	g, err := h.manager.GetGroup(t.Context(), kept.Group)
	require.NoError(t, err)
	require.Equal(t, grouping.StateUnreported, g.State)
	require.Contains(t, h.get("/groups/"+string(kept.Group)).Body.String(), "1 alert was truncated")
}

func TestNoRoom(t *testing.T) {
	opts := grouping.DefaultOptions
	opts.MaxGroups, opts.MaxAlerts, opts.MaxSources = 2, 3, 1
	h := newHouse(t, Options{Groups: opts})
	require.Equal(t, uint64(2), h.answerTo(t, manyAlerts(5)).Cut)
	h.answerTo(t, body(wireKey, `"groupKey":"second"`))
	for path, text := range map[string]string{"/webhook": "as many as 2 groups are held", "/webhook/another": "as many as 1 sources are held"} {
		w := h.do(http.MethodPost, path, strings.NewReader(body(wireKey, `"groupKey":"third"`)))
		h.refused(t, path, w, http.StatusServiceUnavailable, text+", the limit, and none of them can go")
	}
	require.InDelta(t, 2, h.counter(t, "muster_notifications_rejected_total", "reason", "full"), 0)
	page := h.get("/status").Body.String()
	require.Contains(t, page, `<td>Groups</td><td data-h="value">2</td><td data-h="reached"><b>2 times</b>`)
	require.Contains(t, page, `<td>Alerts in a group</td><td data-h="value">3</td><td data-h="reached"><b>1 times</b>`)
}
