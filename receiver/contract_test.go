package receiver

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/notify/webhook"
	"github.com/prometheus/alertmanager/template"
	"github.com/stretchr/testify/require"
)

// Our message is Alertmanager's: the same names, and what it writes we read.
func TestMessageIsAlertmanagers(t *testing.T) {
	require.Equal(t, wireNames(reflect.TypeFor[webhook.Message]()), wireNames(reflect.TypeFor[Message]()))

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
	ours, err := testDecoder.message(text)
	require.NoError(t, err)
	again, err := json.Marshal(ours)
	require.NoError(t, err)
	require.JSONEq(t, string(text), string(again))
	require.Equal(t, theirs.TruncatedAlerts, ours.TruncatedAlerts)

	n := testDecoder.notification(ours, "prod")
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
