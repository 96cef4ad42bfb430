package main

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

const runbooks = "https://runbooks.prometheus-operator.dev/runbooks/"

// newAlert returns an alert. The labels are pairs of name and value.
func newAlert(name, severity, team, summary, runbook, expr string, labels ...string) *alert {
	a := &alert{
		labels:      map[string]string{"alertname": name, "severity": severity, "team": team, "cluster": "demo"},
		annotations: map[string]string{"summary": summary},
		expr:        url.QueryEscape(expr),
	}
	if runbook != "" {
		a.annotations["runbook_url"] = runbooks + runbook
	}
	for pair := range slices.Chunk(labels, 2) {
		a.labels[pair[0]] = pair[1]
	}
	return a
}

func crashLoop(pod string) *alert {
	return newAlert("KubePodCrashLooping", "warning", "platform", "Pod shop/"+pod+" is restarting again and again",
		"kubernetes/kubepodcrashlooping", `max_over_time(kube_pod_container_status_waiting_reason{reason="CrashLoopBackOff"}[5m]) >= 1`,
		"namespace", "shop", "pod", pod, "container", "checkout")
}

func errorRate(service string, percent int) *alert {
	return newAlert("HighErrorRate", "critical", "shop", fmt.Sprintf("%d %% of requests to %s fail", percent, service),
		"", `job:request_errors:ratio_rate5m > 0.05`, "namespace", "shop", "service", service)
}

func latency(service, quantile string) *alert {
	return newAlert("HighLatency", "warning", "shop", "p"+quantile+" of "+service+" is above 2 s",
		"", `job:request_duration:p`+quantile+` > 2`, "namespace", "shop", "service", service, "quantile", "0."+quantile)
}

func replicationLag(instance string, seconds int) *alert {
	return newAlert("PostgresReplicationLag", "critical", "data", fmt.Sprintf("%s is %d s behind its primary", instance, seconds),
		"", `pg_replication_lag_seconds > 30`, "namespace", "data", "instance", instance)
}

func consumerLag(group, topic string) *alert {
	return newAlert("KafkaConsumerLag", "warning", "data", group+" falls behind on "+topic,
		"", `sum by (group, topic) (kafka_consumergroup_lag) > 10000`, "namespace", "data", "consumergroup", group, "topic", topic)
}

func filesystem(instance, mountpoint string) *alert {
	return newAlert("NodeFilesystemSpaceFillingUp", "warning", "platform",
		"Less than a day until "+mountpoint+" on "+instance+" is full", "node/nodefilesystemspacefillingup",
		`predict_linear(node_filesystem_avail_bytes[6h], 24*3600) < 0`, "instance", instance, "mountpoint", mountpoint)
}

func targetDown(node, job string) *alert {
	return newAlert("TargetDown", "warning", "platform", job+" on "+node+" cannot be scraped", "general/targetdown",
		`up == 0`, "namespace", "monitoring", "node", node, "job", job)
}

func replicas(deployment string) *alert {
	return newAlert("KubeDeploymentReplicasMismatch", "warning", "platform", "Deployment shop/"+deployment+" lacks replicas",
		"kubernetes/kubedeploymentreplicasmismatch", `kube_deployment_spec_replicas > kube_deployment_status_replicas_available`,
		"namespace", "shop", "deployment", deployment)
}

// The alerts of the story.
var (
	watchdog = newAlert("Watchdog", "none", "", "Always fires, to prove that the whole alerting pipeline works",
		"general/watchdog", `vector(1)`)

	podA = crashLoop("checkout-6c9f-2xkqp")
	podB = crashLoop("checkout-6c9f-9r7vd")
	podC = crashLoop("checkout-6c9f-ht4mz")
	podD = crashLoop("checkout-6c9f-wl8bn")

	checkoutReplicas = replicas("checkout")
	cartReplicas     = replicas("cart")
	checkoutErrors   = errorRate("checkout", 31)
	paymentErrors    = errorRate("payment", 12)
	checkoutLatency  = latency("checkout", "99")
	searchLatency    = latency("search", "95")

	primaryLag   = replicationLag("pg-1", 48)
	secondaryLag = replicationLag("pg-2", 95)
	ordersLag    = consumerLag("billing", "orders")
	eventsLag    = consumerLag("analytics", "events")
	searchLag    = consumerLag("indexer", "products")

	disk    = filesystem("node-2", "/var/lib/containerd")
	otherFS = filesystem("node-4", "/data")
	node    = newAlert("KubeNodeNotReady", "critical", "platform", "node-3 has not been ready for 15 minutes",
		"kubernetes/kubenodenotready", `kube_node_status_condition{condition="Ready",status="true"} == 0`, "node", "node-3")
	exporter = targetDown("node-3", "node-exporter")
	kubelet  = targetDown("node-3", "kubelet")
	dns      = targetDown("node-1", "coredns")

	certificate = newAlert("CertificateExpiresSoon", "info", "shop", "The certificate of shop.example.org expires in 13 days",
		"", `probe_ssl_earliest_cert_expiry - time() < 14*24*3600`, "instance", "shop.example.org")
	backup = newAlert("KubeJobFailed", "warning", "data", "Job data/backup-nightly did not complete",
		"kubernetes/kubejobfailed", `kube_job_failed > 0`, "namespace", "data", "job_name", "backup-nightly")
)

// act is one step of the story.
type act struct {
	after time.Duration // seconds after the previous act
	line  string
	do    func(context.Context, *source) error
}

func fire(alerts ...*alert) func(context.Context, *source) error {
	return func(ctx context.Context, s *source) error { return s.fire(ctx, alerts...) }
}

func resolve(alerts ...*alert) func(context.Context, *source) error {
	return func(ctx context.Context, s *source) error { return s.resolve(ctx, alerts...) }
}

// story returns the acts of the story. Together they take a minute and a half.
func story(p *pager, muster string) []act {
	var silence, diskSilence string
	mira, jo := person{"mira", muster}, person{"jo", muster}
	return []act{
		{0, "Watchdog fires, as it always does", fire(watchdog)},
		{1, "two pods of checkout crash", fire(podA, podB)},
		{3, "checkout is slow and returns errors", fire(checkoutErrors, checkoutLatency)},
		{3, "mira acknowledges the crashing pods, and writes a note", func(ctx context.Context, _ *source) error {
			if err := mira.acknowledge(ctx, podA, "rollback of checkout 2.31 started"); err != nil {
				return err
			}
			return mira.addNote(ctx, podA, "Only pods of release 2.31 crash.")
		}},
		{3, "a third pod crashes, the deployment lacks replicas", fire(podC, checkoutReplicas)},
		{5, "a disk fills up, a certificate expires soon", fire(disk, certificate)},
		{5, "replicas of the database fall behind, and so do their consumers", fire(primaryLag, secondaryLag, ordersLag, eventsLag)},
		{4, "jo acknowledges the databases", func(ctx context.Context, _ *source) error {
			return jo.acknowledge(ctx, primaryLag, "a migration writes too fast, it is being slowed down")
		}},
		{4, "coredns on node-1 and all targets on node-3 cannot be scraped", fire(dns, exporter, kubelet)},
		{7, "node-3 is not ready: this alert inhibits the alerts of its targets", fire(node, searchLag, otherFS)},
		{6, "coredns is back; payment fails, and a backup in its maintenance window", func(ctx context.Context, s *source) error {
			if err := s.fire(ctx, paymentErrors, searchLatency, cartReplicas, backup); err != nil {
				return err
			}
			return s.resolve(ctx, dns)
		}},
		{6, "somebody silences " + podA.labels["pod"] + ", another pod crashes: the silenced alert is suppressed", func(
			ctx context.Context, s *source,
		) (err error) {
			if silence, err = s.silence(ctx, "pod", podA.labels["pod"], "kept for debugging"); err != nil {
				return err
			}
			return s.fire(ctx, podD)
		}},
		{4, "somebody silences the disk of node-2 and cleans it up", func(ctx context.Context, s *source) (err error) {
			diskSilence, err = s.silence(ctx, "mountpoint", disk.labels["mountpoint"], "deleting old images")
			return err
		}},
		{6, "two pods run again", resolve(podB, podC)},
		{8, "the silence ends: the alert returns in the same episode", func(ctx context.Context, s *source) error {
			return s.expire(ctx, silence)
		}},
		{7, "node-3 is ready again: the inhibited alerts return", resolve(node)},
		{
			5, "checkout recovers, the databases catch up",
			resolve(checkoutErrors, checkoutLatency, searchLatency, primaryLag, secondaryLag, ordersLag),
		},
		{3, "the disk has free space: its alert ends under the silence", resolve(disk)},
		{5, "the pager goes down, and checkout fails again: a second episode", func(ctx context.Context, s *source) error {
			p.fails.Store(true)
			return s.fire(ctx, checkoutErrors)
		}},
		{
			6, "all pods run, all deployments have their replicas, node-3 is scraped",
			resolve(podA, podD, checkoutReplicas, cartReplicas, exporter, kubelet),
		},
		{
			6, "the pager is back, checkout and payment recover",
			func(ctx context.Context, s *source) error {
				p.fails.Store(false)
				if err := s.expire(ctx, diskSilence); err != nil {
					return err
				}
				return s.resolve(ctx, checkoutErrors, paymentErrors, eventsLag, searchLag, backup)
			},
		},
	}
}

// play repeats the story until the context ends.
func play(ctx context.Context, s *source, p *pager, muster string) error {
	begin := time.Now()
	for round := 1; ; round++ {
		for _, a := range story(p, muster) {
			if err := wait(ctx, s, a.after*time.Second); err != nil {
				return err
			}
			if err := a.do(ctx, s); err != nil {
				return err
			}
			at := time.Since(begin).Round(time.Second)
			fmt.Printf("%3d:%02d  %s\n", int(at.Minutes()), int(at.Seconds())%60, a.line)
		}
		fmt.Println("        end of the story; still firing:", strings.Join(s.names(), ", ")+"; it starts again in 20 s")
		if err := wait(ctx, s, 20*time.Second); err != nil {
			return err
		}
	}
}

// wait waits for a duration. Meanwhile it posts the firing alerts again.
func wait(ctx context.Context, s *source, d time.Duration) error {
	until := time.Now().Add(d)
	for {
		left := time.Until(until)
		if left <= 0 {
			return ctx.Err()
		}
		if !pause(ctx, min(left, max(0, time.Until(s.refreshed.Add(refreshInterval))))) {
			return ctx.Err()
		}
		if err := s.refresh(ctx); err != nil {
			return err
		}
	}
}

// names returns the sorted names of the firing alerts.
func (s *source) names() []string {
	names := map[string]bool{}
	for a := range s.firing {
		names[a.labels["alertname"]] = true
	}
	return slices.Sorted(maps.Keys(names))
}
