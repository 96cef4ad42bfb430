package demo

import (
	"fmt"
	"time"

	"muster/grouping"
)

var (
	single = []string{"https://alertmanager-0.example.net"}
	both   = []string{"https://alertmanager-0.example.net", "https://alertmanager-1.example.net"}
)

// story returns the groups of the story: a night in a cluster after a bad release.
func story() []*group {
	etcd := &alert{
		labels:      labels("etcdNoLeader", "critical", "cluster", "prod-eu1", "instance", "etcd-2.prod-eu1:2379", "job", "etcd"),
		annotations: annotations("The etcd member etcd-2 has no leader.", "etcd-no-leader"),
		since:       25 * time.Second,
	}
	pagerduty := []integration{{"on-call", "pagerduty"}}
	groups := []*group{
		{receiver: "heartbeat", groupBy: []string{"alertname"}, replicas: single, alerts: []*alert{{
			labels: labels("Watchdog", "none", "namespace", "monitoring"),
			annotations: grouping.NewLabels(map[string]string{
				"summary": "An alert that always fires, to prove that the whole alerting pipeline works.",
			}),
			since: -9 * 24 * time.Hour,
		}}},
		// A crash loop that spreads from pod to pod. Both replicas of a cluster
		// report it.
		// After somebody acknowledged it, more pods crash.
		{
			receiver: "team-payments", groupBy: []string{"alertname", "namespace"}, replicas: both, alerts: crashLoop(), others: pagerduty,
			acts: []act{
				{12 * time.Second, "mira", true, "rollback of checkout 2.31 started"},
				{14 * time.Second, "mira", false, "Only pods of release 2.31 crash: https://tickets.example.net/OPS-412"},
			},
		},
		// Somebody works on this one, so it is below the others.
		{receiver: "team-payments", groupBy: []string{"alertname", "namespace"}, replicas: both, alerts: []*alert{
			burn("checkout", "critical", "14.4", -11*time.Minute, 0), burn("ledger", "warning", "6", -4*time.Minute, 0),
		}, acts: []act{{5 * time.Second, "jo", true, "follows from the crashing pods"}}},
		// A flapping alert.
		{receiver: "team-network", groupBy: []string{"alertname", "cluster"}, replicas: single, alerts: []*alert{{
			labels:      labels("LinkFlapping", "warning", "cluster", "prod-eu1", "device", "eth1", "instance", "gw-2.prod-eu1"),
			annotations: annotations("The uplink of gw-2.prod-eu1 goes up and down.", "link-flapping"),
			since:       -30 * time.Second, firingFor: 20 * time.Second, quietFor: 15 * time.Second,
		}}},
		// More alerts than the receiver's max_alerts allows.
		{receiver: "team-platform", groupBy: []string{"alertname"}, replicas: single, maxAlerts: 8, alerts: nodes()},
		{
			receiver: "team-platform", groupBy: []string{"alertname", "cluster"}, replicas: both, others: pagerduty,
			alerts: []*alert{etcd},
		},
		// The alert above inhibits this one, so no notification tells of it.
		{receiver: "team-platform", groupBy: []string{"alertname", "cluster"}, replicas: single, alerts: []*alert{{
			labels:      labels("KubeAPIErrorsHigh", "warning", "cluster", "prod-eu1", "job", "apiserver"),
			annotations: annotations("The API server of prod-eu1 answers with errors.", "api-errors"),
			since:       28 * time.Second, inhibitedBy: etcd,
		}}},
		// A time interval mutes this one.
		{receiver: "team-storage", groupBy: []string{"alertname", "namespace"}, replicas: single, alerts: []*alert{{
			labels:      labels("BackupRunsLong", "warning", "namespace", "archive", "job", "backup-nightly"),
			annotations: annotations("The nightly backup has run for more than two hours.", "backup-runs-long"),
			since:       -40 * time.Minute, interval: "maintenance-window",
		}}},
		// Volumes that fill up. An operator silences one of them for a while, and one that
		// ends under its silence.
		{receiver: "team-storage", groupBy: []string{"alertname", "namespace"}, replicas: single, alerts: []*alert{
			volume("postgres-data-0", -50*time.Minute, 0, &silence{
				id: "5f1c7a52-0f4e-4f0b-9a33-0c6f4a8f7e01", by: "ana", comment: "The volume is being resized.",
				from: 30 * time.Second, to: 70 * time.Second,
			}),
			volume("postgres-data-1", -20*time.Minute, 0, nil), volume("postgres-wal-0", 10*time.Second, 25*time.Second, nil),
			volume("postgres-wal-1", -time.Minute, 100*time.Second, &silence{
				id: "5f1c7a52-0f4e-4f0b-9a33-0c6f4a8f7e02", by: "ben", comment: "Old segments are being archived.",
				from: 15 * time.Second, to: 10 * time.Minute,
			}),
		}},
		// A resolved alert, whose group is still shown.
		{receiver: "team-search", groupBy: []string{"alertname", "namespace"}, replicas: single, alerts: []*alert{{
			labels:      labels("SearchLatencyHigh", "warning", "namespace", "search", "service", "query"),
			annotations: annotations("The 99th percentile of query is above two seconds.", "search-latency"),
			since:       -8 * time.Second, firingFor: 30 * time.Second, quietFor: 24 * time.Hour,
		}}},
	}
	for i, name := range []string{"CertificateExpiresSoon", "BackupTooOld", "QueueGrows", "DiskLatencyHigh"} {
		groups = append(groups, &group{
			receiver: "team-platform", groupBy: []string{"alertname", "namespace"}, replicas: single, alerts: []*alert{{
				labels:      labels(name, []string{"info", "warning"}[i%2], "namespace", []string{"ingress", "storage", "orders"}[i%3]),
				annotations: annotations(name+" in this namespace.", "general"),
				since:       -time.Duration(i*i+2) * time.Hour,
			}},
		})
	}
	return groups
}

func labels(name, severity string, pairs ...string) grouping.Labels {
	list := []grouping.Label{{Name: "alertname", Value: name}, {Name: "severity", Value: severity}}
	for i := 0; i+1 < len(pairs); i += 2 {
		list = append(list, grouping.Label{Name: pairs[i], Value: pairs[i+1]})
	}
	return grouping.LabelsOf(list)
}

func annotations(summary, runbook string) grouping.Labels {
	return grouping.NewLabels(map[string]string{
		"summary": summary, "runbook_url": "https://runbooks.example.net/" + runbook,
		"dashboard": "https://grafana.example.net/d/" + runbook,
	})
}

// crashLoop returns pods that crash one after the other. Two of them recover.
func crashLoop() []*alert {
	var alerts []*alert
	for i := range 9 {
		pod := fmt.Sprintf("checkout-6d5f9c7b8-x%dk2l", i)
		a := &alert{
			labels: labels("KubePodCrashLooping", "critical", "namespace", "payments", "cluster", "prod-eu1",
				"container", "checkout", "pod", pod, "job", "kube-state-metrics"),
			annotations: grouping.NewLabels(map[string]string{
				"summary":     "Pod is crash looping.",
				"description": "Pod payments/" + pod + " (checkout) is in waiting state: CrashLoopBackOff.",
				"runbook_url": "https://runbooks.example.net/kube-pod-crash-looping",
			}),
			since: -14*time.Minute + time.Duration(i)*3*time.Minute,
		}
		if i > 4 {
			a.since = time.Duration(i-4) * 9 * time.Second
		}
		switch i {
		case 1: // recovers after a while
			a.firingFor, a.quietFor = 11*time.Minute+40*time.Second, 12*time.Hour
		case 6:
			a.firingFor, a.quietFor = 50*time.Second, 12*time.Hour
		}
		alerts = append(alerts, a)
	}
	return alerts
}

func nodes() []*alert {
	var alerts []*alert
	for i := range 13 {
		instance := fmt.Sprintf("node-%02d.prod-us2:9100", i)
		alerts = append(alerts, &alert{
			labels:      labels("NodeClockSkew", "warning", "cluster", "prod-us2", "instance", instance, "job", "node"),
			annotations: annotations("The clock of "+instance+" is off by more than 0.05 s.", "node-clock-skew"),
			since:       -2*time.Hour + time.Duration(i)*time.Minute,
		})
	}
	return alerts
}

func burn(service, severity, rate string, since, firingFor time.Duration) *alert {
	return &alert{
		labels: labels("HTTPErrorBudgetBurn", severity, "namespace", "payments", "cluster", "prod-eu1", "service", service),
		annotations: grouping.NewLabels(map[string]string{
			"summary":     "High error budget burn for " + service + ".",
			"description": service + " burns its error budget " + rate + " times too fast.",
			"runbook_url": "https://runbooks.example.net/error-budget-burn",
			"dashboard":   "https://grafana.example.net/d/slo?var-service=" + service,
		}),
		since: since, firingFor: firingFor,
	}
}

// volume returns an alert about a volume. The silence, if there is one, matches its claim.
func volume(claim string, since, firingFor time.Duration, by *silence) *alert {
	if by != nil {
		by.name, by.value = "persistentvolumeclaim", claim
	}
	return &alert{
		labels: labels("KubePersistentVolumeFillingUp", "warning", "namespace", "databases", "cluster", "prod-eu1",
			"persistentvolumeclaim", claim),
		annotations: annotations("The volume claimed by "+claim+" is expected to fill up within four days.", "volume-filling-up"),
		since:       since, firingFor: firingFor, quietFor: 12 * time.Hour, silence: by,
	}
}
