package api_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
)

var anyTimestamp = regexp.MustCompile(`"lastAt":"[^"]+"`)

func decode[T any](t *testing.T, h *testserver.Server, path string) (v T) {
	t.Helper()
	w := h.Get(path)
	require.Equal(t, http.StatusOK, w.Code, "%s: %s", path, w.Body)
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &v))
	return v
}

// An alert says what mutes it, and whether anybody was notified of it.
func TestShapeOfASuppressedAlert(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	h.PostKept(t, wiretest.Body())
	h.Silence(t)
	got := decode[struct {
		Groups []struct {
			State  string
			Counts map[string]int
			Alerts []struct {
				Fingerprint, Status string
				Notified            bool
				Mutes               []map[string]any
			}
		}
	}](t, h, "/api/v1/groups?alerts=true&state=suppressed&cause=silence&silence=s1")
	require.Len(t, got.Groups, 1)
	g := got.Groups[0]
	require.Equal(t, "suppressed", g.State)
	require.Equal(t, map[string]int{"firing": 0, "resolved": 0, "suppressed": 2, "unreported": 0}, g.Counts)
	require.Len(t, g.Alerts, 2)
	for _, a := range g.Alerts {
		require.Equal(t, "suppressed", a.Status)
		require.Equal(t, a.Fingerprint == "0011223344556677", a.Notified)
		require.Len(t, a.Mutes, 1)
		m := a.Mutes[0]
		for _, name := range []string{"since", "lastSeen", "until"} {
			require.NotEmpty(t, m[name], name)
			delete(m, name)
		}
		require.Equal(t, map[string]any{"kind": "silence", "id": "s1", "rule": "", "by": "mira", "comment": "canary", "from": "api"}, m)
	}
	require.Empty(t, decode[struct{ Groups []any }](t, h, "/api/v1/groups?silence=s2").Groups)
	require.Empty(t, decode[struct{ Groups []any }](t, h, "/api/v1/groups?cause=inhibition").Groups)
}

func TestShapeOfSilences(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	h.PostKept(t, wiretest.Body())
	h.Silence(t)
	type list struct {
		Silences []map[string]any
		Total    int
	}
	all := decode[list](t, h, "/api/v1/silences")
	require.Equal(t, 2, all.Total)
	active, over := all.Silences[0], all.Silences[1]
	for _, name := range []string{"startsAt", "endsAt", "updatedAt"} {
		require.NotEmpty(t, active[name], name)
		delete(active, name)
	}
	muted, _ := active["muted"].([]any)
	require.Len(t, muted, 2)
	for _, m := range muted {
		one, _ := m.(map[string]any)
		require.NotEmpty(t, one["since"])
		require.NotEmpty(t, one["lastSeen"])
		require.NotEmpty(t, one["fingerprint"])
		require.Equal(t, true, one["active"])
	}
	delete(active, "muted")
	require.Equal(t, map[string]any{
		"id": "s1", "source": "default", "state": "active", "createdBy": "mira", "comment": "canary",
		"matchers": []any{`alertname=~"Down|Never"`}, "ended": "", "expected": []any{},
	}, active)
	require.Equal(t, []any{"expired", "expired", []any{}}, []any{over["state"], over["ended"], over["muted"]})
	require.Equal(t, 1, decode[list](t, h, "/api/v1/silences?state=expired").Total)
	require.Equal(t, 1, decode[list](t, h, "/api/v1/silences?filter=MIRA").Total)
	require.Equal(t, 0, decode[list](t, h, "/api/v1/silences?source=other").Total)
	require.Equal(t, 2, decode[list](t, h, "/api/v1/silences?filter=alertname%3D~%22Down.*%22").Total)

	one := decode[struct {
		ID     string
		Alerts []struct{ Status string }
	}](t, h, "/api/v1/silences/s1?source=default")
	require.Equal(t, "s1", one.ID)
	require.Len(t, one.Alerts, 2)
	require.Equal(t, "suppressed", one.Alerts[0].Status)
	require.Equal(t, http.StatusNotFound, h.Get("/api/v1/silences/s1?source=other").Code)
}

func TestShapeOfTheStatusOfASource(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	h.PostKept(t, wiretest.Body())
	h.Silence(t)
	status := decode[struct{ Sources []map[string]any }](t, h, "/api/v1/status")
	require.Len(t, status.Sources, 1)
	text, err := json.Marshal(status.Sources[0])
	require.NoError(t, err)
	require.JSONEq(t, `{"source":"default","webhook":{"lastAt":"T"},"recorder":{"instances":[],"missing":0},
		"poller":[{"url":"http://am","lastAt":"T","error":""}]}`, anyTimestamp.ReplaceAllString(string(text), `"lastAt":"T"`))
}
