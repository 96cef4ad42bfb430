// Package wiretest makes notifications and events for tests.
package wiretest

import (
	"fmt"
	"strings"
)

// Parts of a body that tests replace.
const (
	Start       = `"startsAt":"2026-11-23T03:00:00Z"`
	Status      = `[{"status":"firing"`
	Labels      = `{"alertname":"Down"}`
	Fingerprint = `"fingerprint":"0011223344556677"`
	Version     = `"version":"4"`
	Key         = `"groupKey":"{}:{}"`
	Truncated   = `"truncatedAlerts":0`
)

// Body returns a valid notification after replacements: pairs of old and new text.
func Body(replace ...string) string {
	const legal = `{"receiver":"team","status":"firing","alerts":[{"status":"firing","labels":{"alertname":"Down"},` +
		`"annotations":{"summary":"s"},"startsAt":"2026-11-23T03:00:00Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://p",` +
		`"fingerprint":"0011223344556677"}],"groupLabels":{},"commonLabels":{},"commonAnnotations":{},"externalURL":"http://am",` +
		`"version":"4","groupKey":"{}:{}","truncatedAlerts":0}`
	return strings.NewReplacer(replace...).Replace(legal)
}

// Listing returns a valid notification with these alerts.
func Listing(alerts ...string) string {
	whole := Body()
	return whole[:strings.Index(whole, "[{")+1] + strings.Join(alerts, ",") + whole[strings.Index(whole, "}]")+1:]
}

// Many returns a notification with n alerts of realistic size.
func Many(n int) string {
	var alerts []string
	for i := range n {
		alerts = append(alerts, fmt.Sprintf(`{"status":"firing","labels":{"alertname":"Down","instance":"10.42.%d.%d:8080","job":"node",`+
			`"namespace":"payments","severity":"warning","cluster":"prod-eu-1","service":"kube-state-metrics","container":"ledger-api"},`+
			`"annotations":{"summary":"Pod is crash looping.","description":"Pod payments/ledger-api-%d is in waiting state.",`+
			`"runbook_url":"https://runbooks.example.net/crash"},"startsAt":"2026-11-23T03:00:00Z","endsAt":"0001-01-01T00:00:00Z",`+
			`"generatorURL":"http://prometheus.example.net/graph?g0.expr=up","fingerprint":"%016x"}`, i/250, i%250, i, i))
	}
	return Listing(alerts...)
}

// Alert returns an alert of a notification. Without an end it is firing.
func Alert(labels, end string) string {
	status := "resolved"
	if end == "" {
		status, end = "firing", "0001-01-01T00:00:00Z"
	}
	return fmt.Sprintf(`{"status":%q,"labels":%s,"startsAt":"2026-01-01T00:00:00Z","endsAt":%q}`, status, labels, end)
}

// Named returns an alert of a notification after replacements.
func Named(name string, replace ...string) string {
	return strings.NewReplacer(replace...).Replace(fmt.Sprintf(`{"status":"firing","labels":{"alertname":%q},"annotations":{},`+
		`"startsAt":"2026-11-23T03:00:00Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":""}`, name))
}
