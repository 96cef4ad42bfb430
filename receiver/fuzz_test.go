package receiver

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/storage"
	"muster/templates"
)

// reset replaces the groups of a test server with an empty set. A new server
// takes a hundred times as long, too long for each fuzz input.
func (h *testServer) reset(t *testing.T) {
	t.Helper()
	var err error
	h.manager, err = grouping.NewManager(storage.NewMemory(storage.MemoryOptions{}), grouping.NewClock(), h.publish,
		prometheus.NewRegistry(), promslog.NewNopLogger(), grouping.DefaultOptions)
	require.NoError(t, err)
	h.groups = h.manager
	h.summary.counter = templates.Counter{}
}

func FuzzWebhook(f *testing.F) {
	for _, b := range recorded(f) {
		if len(b) < 1<<14 { // larger inputs only repeat
			f.Add(b)
		}
	}
	for _, r := range rejections400() {
		if len(r.body) < 1<<14 {
			f.Add([]byte(r.body))
		}
	}
	h := newTestServer(f, Options{MaxBodySize: 1 << 20})
	f.Fuzz(func(t *testing.T, text []byte) {
		h.reset(t)
		w := h.post(string(text))
		switch w.Code {
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
			h.requireRejected(t, "fuzzed", w, w.Code, "")
			require.JSONEq(t, `{"groups":[],"total":0}`, h.get("/api/v1/groups").Body.String())
			require.JSONEq(t, `{"events":[]}`, h.get("/api/v1/events").Body.String())
		case http.StatusOK:
			h.requireStoredAsSent(t, text, w.Body.Bytes())
		default:
			t.Fatalf("status %d: %s", w.Code, w.Body)
		}
	})
}

// requireStoredAsSent asserts that a group equals its only notification and encodes to
// stable JSON. It also asserts that a repeated notification changes no alert.
func (h *testServer) requireStoredAsSent(t *testing.T, text, answer []byte) {
	t.Helper()
	var kept struct{ Group string }
	require.NoError(t, json.Unmarshal(answer, &kept))
	path := "/api/v1/groups/" + kept.Group
	first := h.get(path)
	require.Equal(t, http.StatusOK, first.Code)
	var view groupView
	require.NoError(t, json.Unmarshal(first.Body.Bytes(), &view))
	again, err := json.Marshal(view)
	require.NoError(t, err)
	require.JSONEq(t, first.Body.String(), string(again))

	m, left, err := testDecoder.decode(text)
	require.NoError(t, err)
	require.Equal(t, m.GroupKey, view.GroupKey)
	require.Equal(t, unquoteMeta(m.Receiver), view.Receiver)
	sent := map[grouping.Fingerprint][]grouping.NotifiedAlert{}
	for _, a := range testDecoder.notification(m, defaultSource, &left).Alerts {
		sent[a.Fingerprint] = append(sent[a.Fingerprint], a)
	}
	require.Len(t, view.Alerts, len(sent))
	for _, a := range view.Alerts {
		if as := sent[a.Fingerprint]; len(as) == 1 {
			require.Equal(t, emptyIfNil(as[0].Labels), a.Labels)
			require.Equal(t, as[0].Status, a.Status)
			require.True(t, as[0].StartsAt.Equal(a.StartsAt))
		}
	}

	before := alertsOf(t, first.Body.Bytes())
	require.Equal(t, http.StatusOK, h.post(string(text)).Code)
	require.Equal(t, before, alertsOf(t, h.get(path).Body.Bytes()))
	require.Equal(t, http.StatusOK, h.get("/groups/"+kept.Group).Code, "its page is shown")
}

// alertsOf returns the alerts of a group without the times when they were last
// seen.
func alertsOf(t *testing.T, group []byte) any {
	t.Helper()
	var g struct {
		State  string
		Alerts []map[string]any
	}
	require.NoError(t, json.Unmarshal(group, &g))
	for _, a := range g.Alerts {
		delete(a, "lastSeenAt")
	}
	return g
}
