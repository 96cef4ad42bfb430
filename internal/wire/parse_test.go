package wire_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"muster/internal/wire"
)

// Most groups have one alert, whose labels and annotations are also the common ones. They are
// in memory once, whatever comes first in the message.
func TestAnAlertAloneHasTheCommonLabels(t *testing.T) {
	const (
		common = `"commonLabels":{"alertname":"x","pod":"a"},"commonAnnotations":{"summary":"down"}`
		alerts = `"alerts":[{"status":"firing","labels":{"alertname":"x","pod":"a"},"annotations":{"summary":"down"},` +
			`"startsAt":"2026-11-27T05:00:00Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"","fingerprint":"0123456789abcdef"}]`
		rest = `"version":"4","groupKey":"{}:{}","status":"firing","receiver":"r","groupLabels":{"alertname":"x"},"externalURL":""`
	)
	for _, body := range []string{"{" + alerts + "," + rest + "," + common + "}", "{" + common + "," + rest + "," + alerts + "}"} {
		m, ok := wire.Parse([]byte(body), 10)
		require.True(t, ok, body)
		require.Same(t, &m.Alerts[0].Labels[0], &m.CommonLabels[0])
		require.Same(t, &m.Alerts[0].Annotations[0], &m.CommonAnnotations[0])
	}
}
