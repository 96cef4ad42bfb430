package main

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"time"
)

// notification is what a notification of Alertmanager says about one group. The alerts
// have the labels and annotations of typical Kubernetes alerts, about 900 bytes each.
type notification struct {
	group         string
	first, alerts int // the first alert and the number of alerts
	truncated     int // number of alerts that the message leaves out
	resolved      bool
	startsAt      time.Time
	rare          string // the value of one more label, or ""
}

// What is common to several alerts is in commonLabels and commonAnnotations. The rest is in
// alertLabels and alertAnnotations, which a single alert has in common with itself.
const (
	commonLabels = `"alertname":"KubePodCrashLooping","cluster":"eu-1","container":"app","instance":"10.0.0.1:8443",` +
		`"job":"kube-state-metrics","namespace":"ns-%s","prometheus":"monitoring/k8s","severity":"warning"`
	alertLabels      = `"pod":"app-7c9d8b6f5d-%05d","uid":"%s-%d",`
	alertAnnotations = `"description":"Pod ns-%s/app-7c9d8b6f5d-%05d (app) is in waiting state (reason: CrashLoopBackOff) on cluster eu-1.",` +
		commonAnnotations
	commonAnnotations = `"runbook_url":"https://runbooks.example.com/kubernetes/kubepodcrashlooping","summary":"Pod is crash looping."`
	generatorURL      = "http://prometheus-k8s-0:9090/graph" +
		"?g0.expr=max_over_time%28kube_pod_container_status_waiting_reason%5B5m%5D%29+%3E%3D+1"
)

// appendAlert appends the labels and what both kinds of bodies say about an alert.
func (n notification) appendAlert(text []byte, i int) []byte {
	text = fmt.Appendf(text, `{"labels":{`+alertLabels+commonLabels, i, n.group, i, n.group)
	if n.rare != "" {
		text = fmt.Appendf(text, `,"rare":%q`, n.rare)
	}
	text = fmt.Appendf(text, `},"annotations":{`+alertAnnotations+`},"startsAt":%q,"generatorURL":%q`,
		n.group, i, n.startsAt.Format(time.RFC3339Nano), generatorURL)
	if n.resolved {
		text = fmt.Appendf(text, `,"endsAt":%q`, n.startsAt.Add(time.Second).Format(time.RFC3339Nano))
	}
	return text
}

// webhook returns the body that Alertmanager posts to a webhook.
func (n notification) webhook() []byte {
	status := "firing"
	if n.resolved {
		status = "resolved"
	}
	key, err := json.Marshal(`{}/{severity="warning"}:{namespace="ns-` + n.group + `"}`)
	if err != nil {
		panic(err) // a text can always be encoded
	}
	text := fmt.Appendf(nil, `{"version":"4","groupKey":%s,"truncatedAlerts":%d,"receiver":"team","status":%q,`+
		`"notification_reason":"first notification","groupLabels":{"namespace":"ns-%s"},`,
		key, n.truncated, status, n.group)
	text = append(n.appendCommon(text), `,"externalURL":"http://alertmanager:9093","alerts":[`...)
	for i := range n.alerts {
		if i > 0 {
			text = append(text, ',')
		}
		text = n.appendAlert(text, n.first+i)
		if !n.resolved {
			text = append(text, `,"endsAt":"0001-01-01T00:00:00Z"`...)
		}
		text = fmt.Appendf(text, `,"status":%q,"fingerprint":"%016x"}`, status, n.fingerprint(i))
	}
	return append(text, "]}"...)
}

// fingerprint returns the fingerprint of an alert. Alerts of other groups have other ones, because
// their labels differ.
func (n notification) fingerprint(i int) uint64 {
	hash := fnv.New64a()
	_, _ = fmt.Fprint(hash, n.group, " ", n.first+i) // a hash takes all
	return hash.Sum64()
}

// appendCommon appends what is common to all alerts of the group.
func (n notification) appendCommon(text []byte) []byte {
	if n.alerts+n.truncated > 1 {
		return fmt.Appendf(text, `"commonLabels":{`+commonLabels+`},"commonAnnotations":{`+commonAnnotations+`}`, n.group)
	}
	return fmt.Appendf(text, `"commonLabels":{`+alertLabels+commonLabels+`},"commonAnnotations":{`+alertAnnotations+`}`,
		n.first, n.group, n.first, n.group, n.group, n.first)
}

// appendEvent appends the event of an alert that was posted at the time.
func (n notification) appendEvent(text []byte, fingerprint string, i int, at time.Time) []byte {
	text = fmt.Appendf(text, `{"@timestamp":%q,"instance":"alertmanager-0","data":{"alertGrouped":{"alert":{"fingerprint":%q,`+
		`"details":{"fingerprint":%q,"name":"KubePodCrashLooping","labels":{`+alertLabels+commonLabels+`},"annotations":{`+alertAnnotations+`},`,
		at.Format(time.RFC3339Nano), fingerprint, fingerprint, i, n.group, i, n.group, n.group, i)
	return fmt.Appendf(text, `"startsAt":%q,"endsAt":%q}},"groupInfo":{"groupKey":%q,"groupLabels":{"namespace":"ns-%s"},`+
		`"groupId":"255aa15c04c3cc8759211ed69beedacef9cee34f582f68e32e045c57f720b071","receiverName":"team"}}}}`,
		n.startsAt.Format(time.RFC3339Nano), at.Add(4*time.Minute).Format(time.RFC3339Nano),
		`{}/{severity="warning"}:{namespace="ns-`+n.group+`"}`, n.group)
}

// posted returns the body that Prometheus posts to Alertmanager.
func (n notification) posted() []byte {
	text := []byte("[")
	for i := range n.alerts {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(n.appendAlert(text, n.first+i), '}')
	}
	return append(text, ']')
}
