package receiver

import (
	"encoding/json"
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/notify/webhook"
	"github.com/prometheus/alertmanager/template"
	"github.com/stretchr/testify/require"
)

// Our message is Alertmanager's: the same names, and what it writes we read.
func TestMessageIsAlertmanagers(t *testing.T) {
	require.Equal(t, wireNames(reflect.TypeFor[webhook.Message]()), wireNames(reflect.TypeFor[message]()))

	theirs := webhook.Message{
		Data: &template.Data{
			Receiver: `team\.a`, Status: "firing", NotificationReason: "first notification",
			GroupLabels: template.KV{"a": "1"}, CommonLabels: template.KV{"b": "2"}, CommonAnnotations: template.KV{"c": "3"},
			RouteLabels: template.KV{"d": "4"}, ExternalURL: "http://am",
			Alerts: template.Alerts{{
				Status: "resolved", Labels: template.KV{"alertname": "X"}, Annotations: template.KV{"e": "5"},
				StartsAt: time.Date(2019, 3, 4, 5, 6, 7, 123456789, time.FixedZone("", 7200)),
				EndsAt:   time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), GeneratorURL: "http://p", Fingerprint: "0011223344556677",
			}},
		},
		Version: "4", GroupKey: "{}:{}", TruncatedAlerts: 7,
	}
	text, err := json.Marshal(theirs)
	require.NoError(t, err)
	ours, err := decodeMessage(text)
	require.NoError(t, err)
	again, err := json.Marshal(ours)
	require.NoError(t, err)
	require.JSONEq(t, string(text), string(again))
	require.Equal(t, theirs.TruncatedAlerts, ours.TruncatedAlerts)

	n := ours.notification("prod")
	require.Equal(t, "team.a", n.Receiver)
	require.Equal(t, "prod", n.Source)
	require.True(t, theirs.Alerts[0].StartsAt.Equal(n.Alerts[0].StartsAt), "to the nanosecond")
}

// wireNames returns the JSON names of a struct, those of embedded ones
// included.
func wireNames(t reflect.Type) map[string]bool {
	names := map[string]bool{}
	for f := range t.Fields() {
		switch {
		case f.Anonymous && f.Type.Kind() == reflect.Pointer:
			for name := range wireNames(f.Type.Elem()) {
				names[name] = true
			}
		case f.IsExported():
			names[f.Tag.Get("json")] = true
		}
	}
	return names
}

func TestUnquoteMeta(t *testing.T) {
	for quoted, want := range map[string]string{
		`storage\.team`: "storage.team", `audit \(copy\+1\)`: "audit (copy+1)", "plain": "plain", `a\\b`: `a\b`,
		`a\b`: `a\b`, `\`: `\`, "": "", `été\.x`: "été.x",
	} {
		require.Equal(t, want, unquoteMeta(quoted))
	}
}

func FuzzWebhook(f *testing.F) {
	for _, b := range recorded(f) {
		if len(b) < 1<<16 {
			f.Add(b)
		}
	}
	for _, r := range refusals400() {
		if len(r.body) < 1<<16 {
			f.Add([]byte(r.body))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		h := newHouse(t, Options{MaxBodySize: 1 << 20})
		w := h.post(string(text))
		switch w.Code {
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
			require.LessOrEqual(t, w.Body.Len(), 200)
			require.JSONEq(t, `{"groups":[],"total":0}`, h.get("/api/v1/groups").Body.String())
		case http.StatusOK:
			var answer struct{ Group string }
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
			group := h.get("/api/v1/groups/" + answer.Group)
			require.Equal(t, http.StatusOK, group.Code)
			require.True(t, json.Valid(group.Body.Bytes()))
			// The same again changes no alert.
			before := alertsOf(t, group.Body.Bytes())
			require.Equal(t, http.StatusOK, h.post(string(text)).Code)
			require.Equal(t, before, alertsOf(t, h.get("/api/v1/groups/"+answer.Group).Body.Bytes()))
			require.Equal(t, http.StatusOK, h.get("/groups/"+answer.Group).Code, "its page is shown")
		default:
			t.Fatalf("status %d: %s", w.Code, w.Body)
		}
	})
}

// alertsOf returns what a group says of its alerts, but for when they were last
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
