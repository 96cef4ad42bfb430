package receiver_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"muster/api"
	"muster/grouping"
	"muster/internal/testserver"
	"muster/receiver"
)

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
	h := testserver.New(f, testserver.Options{MaxBodySize: 1 << 20})
	f.Fuzz(func(t *testing.T, text []byte) {
		h.Reset(t)
		w := h.Post(string(text))
		switch w.Code {
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
			h.RequireRejected(t, "fuzzed", w, w.Code, "")
			require.JSONEq(t, `{"groups":[],"total":0}`, h.Get("/api/v1/groups").Body.String())
			require.JSONEq(t, `{"events":[]}`, h.Get("/api/v1/events").Body.String())
		case http.StatusOK:
			requireStoredAsSent(t, h, text, w.Body.Bytes())
		default:
			t.Fatalf("status %d: %s", w.Code, w.Body)
		}
	})
}

// requireStoredAsSent asserts that a group equals its only notification and encodes to
// stable JSON. It also asserts that a repeated notification changes no alert.
func requireStoredAsSent(t *testing.T, h *testserver.Server, text, answer []byte) {
	t.Helper()
	var kept struct{ Group string }
	require.NoError(t, json.Unmarshal(answer, &kept))
	path := "/api/v1/groups/" + kept.Group
	first := h.Get(path)
	require.Equal(t, http.StatusOK, first.Code)
	var view api.GroupView
	require.NoError(t, json.Unmarshal(first.Body.Bytes(), &view))
	again, err := json.Marshal(view)
	require.NoError(t, err)
	var want, got map[string]any
	require.NoError(t, json.Unmarshal(first.Body.Bytes(), &want))
	require.NoError(t, json.Unmarshal(again, &got))
	delete(want, "before") // it is from the history
	require.Equal(t, want, got)

	n, err := receiver.Decode(text)
	require.NoError(t, err)
	require.Equal(t, n.GroupKey, view.GroupKey)
	require.Equal(t, n.Receiver, view.Receiver)
	sent := map[grouping.Fingerprint][]grouping.NotifiedAlert{}
	for _, a := range n.Alerts {
		sent[a.Fingerprint] = append(sent[a.Fingerprint], a)
	}
	require.Len(t, view.Alerts, len(sent))
	for _, a := range view.Alerts {
		if as := sent[a.Fingerprint]; len(as) == 1 {
			require.Equal(t, as[0].Labels.Len(), a.Labels.Len())
			require.True(t, as[0].Labels.Equal(a.Labels), a.Labels)
			require.Equal(t, as[0].Status, a.Status)
			require.True(t, as[0].StartsAt.Equal(a.StartsAt))
		}
	}

	before := alertsOf(t, first.Body.Bytes())
	require.Equal(t, http.StatusOK, h.Post(string(text)).Code)
	require.Equal(t, before, alertsOf(t, h.Get(path).Body.Bytes()))
	require.Equal(t, http.StatusOK, h.Get("/groups/"+kept.Group).Code, "its page is shown")
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
