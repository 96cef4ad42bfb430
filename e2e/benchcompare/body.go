package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"
)

type object = map[string]any

// body returns a notification of Alertmanager about one group of firing alerts. They have
// the labels and annotations of typical Kubernetes alerts, about 900 bytes each.
func body(group string, alerts int, startsAt time.Time) []byte {
	common := object{
		"alertname": "KubePodCrashLooping", "cluster": "eu-1", "container": "app", "job": "kube-state-metrics",
		"namespace": "ns-" + group, "severity": "warning", "prometheus": "monitoring/k8s",
	}
	list := make([]object, 0, alerts)
	for i := range alerts {
		pod := fmt.Sprintf("app-7c9d8b6f5d-%05d", i)
		labels := object{"pod": pod, "instance": "10.0.0.1:8443", "uid": fmt.Sprintf("%s-%d", group, i)}
		maps.Copy(labels, common)
		list = append(list, object{
			"status": "firing", "labels": labels, "startsAt": startsAt, "endsAt": time.Time{},
			"annotations": object{
				"summary": "Pod is crash looping.", "runbook_url": "https://runbooks.example.com/kubernetes/kubepodcrashlooping",
				"description": "Pod " + pod + " (app) is in waiting state (reason: CrashLoopBackOff) on cluster eu-1.",
			},
			"generatorURL": "http://prometheus-k8s-0:9090/graph" +
				"?g0.expr=max_over_time%28kube_pod_container_status_waiting_reason%5B5m%5D%29+%3E%3D+1",
		})
	}
	text, err := json.Marshal(object{
		"version": "4", "groupKey": `{}/{severity="warning"}:{namespace="ns-` + group + `"}`, "receiver": "team", "status": "firing",
		"notification_reason": "first notification", "groupLabels": object{"namespace": "ns-" + group},
		"commonLabels": common, "commonAnnotations": object{}, "externalURL": "http://alertmanager:9093", "alerts": list,
	})
	if err != nil {
		panic(err) // maps of texts and times can always be encoded
	}
	return text
}
