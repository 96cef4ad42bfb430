package wiretest

import (
	"fmt"
	"strings"
	"time"
)

// EventTime is the timestamp of an event.
var EventTime = time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)

// Event returns an event of Alertmanager 0.35 with the data, recorded after EventTime.
func Event(after time.Duration, instance, data string) string {
	return fmt.Sprintf(`{"@timestamp":%q, "instance":%q, "data":{%s}}`, EventTime.Add(after).Format(time.RFC3339Nano), instance, data)
}

// Grouped returns a firing alert that was posted after EventTime, with replacements. It has
// the size of a usual alert.
func Grouped(i int, after time.Duration, replace ...string) string {
	labels := fmt.Sprintf(`{"alertname":"Down", "cluster":"prod-eu-1", "container":"ledger-api", "instance":"10.42.%d.%d:8080", `+
		`"job":"kube-state-metrics", "namespace":"payments", "pod":"ledger-api-7c9d8b6f5d-%05d", "prometheus":"monitoring/k8s", `+
		`"service":"kube-state-metrics", "severity":"warning", "team":"payments", "uid":"0b1c2d3e-%d"}`, i/250, i%250, i, i)
	data := fmt.Sprintf(`"alertGrouped":{"alert":{"fingerprint":"%d", "details":{"fingerprint":"%d", "name":"Down", "labels":%s, `+
		`"annotations":{"description":"Pod payments/ledger-api-%d is in waiting state.", `+
		`"runbook_url":"https://runbooks.example.net/crash", "summary":"Pod is crash looping."}, `+
		`"startsAt":"2026-11-23T02:59:00Z", "endsAt":%q}}, "groupInfo":{"groupKey":"{}/{team=\"payments\"}:{alertname=\"Down\"}", `+
		`"groupLabels":{"alertname":"Down"}, "groupId":"255aa15c04c3cc8759211ed69beedacef9cee34f582f68e32e045c57f720b071", `+
		`"receiverName":"team"}}`, i+1, i+1, labels, i, EventTime.Add(after+4*time.Minute).Format(time.RFC3339Nano))
	return strings.NewReplacer(replace...).Replace(Event(after, "am-0", data))
}

// GroupedMany returns the events of n alerts that were posted after EventTime.
func GroupedMany(n int, after time.Duration) string {
	events := make([]string, n)
	for i := range events {
		events[i] = Grouped(i, after)
	}
	return Events(events...)
}

// Events returns a body with the events.
func Events(events ...string) string { return "[" + strings.Join(events, ",\n") + "]" }
