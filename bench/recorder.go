package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	recorderNew      = "recorder/new"
	recorderAgain    = "recorder/10000"
	recorderWebhooks = "recorder/webhooks"
	recorderOff      = "recorder/off"
)

const (
	// recorderGroups are posted one after another, with recorderAlerts in each request.
	recorderGroups = 100
	recorderAlerts = 100
	// recorderEvery makes 1,000 events a second.
	recorderEvery = 100 * time.Millisecond
	// recorderBurst is the time in which new alerts are posted. The queue of the event recorder
	// itself has 8,192 events, so Alertmanager loses events of a faster burst.
	recorderBurst = 2 * time.Second
	// recorderTime is how long the alerts are posted again, in all rounds together. The
	// webhook is measured in recorderTurns parts of recorderTurn each. In one long part, the 99th
	// percentile would show what else the machine did.
	recorderTime  = time.Minute
	recorderTurns = 12
	recorderTurn  = 2500 * time.Millisecond
	// recorderDelay is longer than Alertmanager collects the events of one request.
	recorderDelay = 500 * time.Millisecond
	// webhookAlerts are the alerts of each notification of the load generator.
	webhookAlerts = 10
)

// recorderConfig makes Alertmanager send everything to a Muster, with the settings of its
// event recorder that the examples have.
const recorderConfig = `
route: {receiver: team, group_by: [namespace], group_wait: 1s, group_interval: 2h}
receivers: [{name: team, webhook_configs: [{url: "http://%[1]s%[2]s"}]}]
event_recorder:
  webhook_outputs:
    - name: muster
      url: "http://%[1]s%[3]s"
      batch: true
      batch_max_events: 5000
      batch_max_bytes: 16777216
      workers: 1
      max_retries: 10
`

// recorderRun is a Muster that an Alertmanager sends its events to.
type recorderRun struct {
	bench  *bench
	muster *program
	on     *program // Alertmanager with the event recorder
	off    *program // Alertmanager that sends nothing
	// notifications are posted beside the events, again and again.
	notifications []notification
	posted        int // alerts that were posted to on, and are not known to be lost
}

// recorder measures Muster beside a real Alertmanager with its event recorder: 10,000 alerts
// are posted to Alertmanager again and again for a minute.
func (b *bench) recorder(ctx context.Context) error {
	ps, err := b.begin(ctx, []string{"recorder/"}, redisMuster)
	defer func() { ps.stop() }()
	if err != nil {
		return err
	}
	for _, p := range ps {
		if err := b.recorderOf(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) recorderOf(ctx context.Context, p *program) error {
	r := &recorderRun{bench: b, muster: p}
	for i := range recorderGroups {
		n := notification{group: fmt.Sprintf("webhook-%d", i), alerts: webhookAlerts, startsAt: time.Now().UTC()}
		r.notifications = append(r.notifications, n)
	}
	// After a notification of the receiver, its events make groups.
	if err := p.fill(ctx, r.notifications); err != nil {
		return err
	}
	var err error
	r.on, err = b.startAlertmanager(ctx, fmt.Sprintf(recorderConfig, p.address, musterPath, eventsPath), "--enable-feature=event-recorder")
	defer r.on.stop()
	if err != nil {
		return err
	}
	r.off, err = b.startAlertmanager(ctx, silentConfig)
	defer r.off.stop()
	if err != nil {
		return err
	}
	list := r.alerts("again")
	requests := r.on.requests(list)
	if err := r.first(ctx, list, requests); err != nil {
		return err
	}
	for round := range b.rounds {
		if err := r.round(ctx, requests, round); err != nil {
			return err
		}
	}
	for round := range b.rounds {
		if err := r.burst(ctx, r.alerts(strconv.Itoa(round))); err != nil {
			return fmt.Errorf("%s: %w", recorderNew, err)
		}
	}
	return nil
}

// alerts returns 10,000 alerts.
func (r *recorderRun) alerts(name string) []notification {
	list := make([]notification, recorderGroups)
	for i := range list {
		list[i] = notification{group: fmt.Sprintf("%s-%d", name, i), alerts: recorderAlerts, startsAt: time.Now().UTC()}
	}
	return list
}

// first posts the alerts once, and waits until Muster has all that Alertmanager says of them.
func (r *recorderRun) first(ctx context.Context, list []notification, requests [][]byte) error {
	if err := r.off.fill(ctx, list); err != nil {
		return err
	}
	if _, err := r.post(ctx, r.on, requests, len(requests)); err != nil {
		return err
	}
	// Each group is notified once, which the event recorder says too.
	if missing, err := r.missing(ctx, "notification", len(list)); err != nil {
		return err
	} else if missing > 0 {
		return fmt.Errorf("the events of %d notifications are missing", missing)
	}
	// What is missing of this round counts for the next one.
	_, err := r.missing(ctx, "alertGrouped", r.posted)
	return err
}

// round measures the events alone, and then the webhook with and without events by turns.
func (r *recorderRun) round(ctx context.Context, requests [][]byte, round int) error {
	if err := r.again(ctx, requests); err != nil {
		return err
	}
	for i := range max(1, recorderTurns/r.bench.rounds) {
		turns := []func() error{
			func() error { return r.webhooks(ctx, recorderWebhooks, r.on, requests) },
			func() error { return r.webhooks(ctx, recorderOff, r.off, requests) },
		}
		if (round+i)%2 == 1 {
			slices.Reverse(turns)
		}
		for _, turn := range turns {
			if err := turn(); err != nil {
				return err
			}
		}
	}
	return nil
}

// burst posts new alerts. Alertmanager makes two events of each one.
func (r *recorderRun) burst(ctx context.Context, list []notification) error {
	if !r.bench.needs(recorderNew, r.muster.name) {
		return nil
	}
	requests := r.on.requests(list)
	err := r.bench.measure(ctx, recorderNew, r.muster, func() (outcome, error) {
		l := load{addresses: r.on.connections(clients), requests: requests, every: recorderBurst / recorderGroups}
		o, err := l.run(ctx)
		if err != nil {
			return o, err
		}
		r.posted += len(list) * recorderAlerts
		o.latencies = make([]time.Duration, 2*len(list)*recorderAlerts)
		_, err = r.missing(ctx, "alertGrouped", r.posted)
		return o, err
	})
	if err != nil {
		return err
	}
	return r.countLost(ctx, recorderNew)
}

// again posts the alerts again, which says nothing new. Nothing else is sent meanwhile.
func (r *recorderRun) again(ctx context.Context, requests [][]byte) error {
	if !r.bench.needs(recorderAgain, r.muster.name) {
		return nil
	}
	before, err := r.muster.changes(ctx)
	if err != nil {
		return err
	}
	err = r.bench.measure(ctx, recorderAgain, r.muster, func() (outcome, error) {
		alone := recorderTime - recorderTurns*recorderTurn
		o, err := r.post(ctx, r.on, requests, int(alone/recorderEvery)/r.bench.rounds)
		if err != nil {
			return o, err
		}
		o.latencies = make([]time.Duration, len(o.latencies)*recorderAlerts)
		return o, pause(ctx, recorderDelay)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", recorderAgain, err)
	}
	after, err := r.muster.changes(ctx)
	if err != nil {
		return err
	}
	r.bench.results.last(recorderAgain, r.muster).writes = after - before
	return r.countLost(ctx, recorderAgain)
}

// webhooks posts notifications to Muster while the alerts are posted to an Alertmanager.
func (r *recorderRun) webhooks(ctx context.Context, row string, to *program, requests [][]byte) error {
	if !r.bench.needs(row, r.muster.name) {
		return nil
	}
	posts := r.muster.requests(r.notifications)
	l := load{addresses: r.muster.connections(liveConnections), requests: cycle(posts, int(recorderTurn/liveEvery)), every: liveEvery}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	posting := make(chan error, 1)
	go func() {
		_, err := r.post(ctx, to, requests, int(recorderTurn/recorderEvery))
		posting <- err
	}()
	err := r.bench.measure(ctx, row, r.muster, func() (outcome, error) { return l.run(ctx) })
	if err != nil {
		cancel()
	}
	if err = errors.Join(err, <-posting); err != nil {
		return fmt.Errorf("%s: %w", row, err)
	}
	return nil
}

// post posts n of the requests to an Alertmanager, which are repeated as often as needed.
func (r *recorderRun) post(ctx context.Context, to *program, requests [][]byte, n int) (outcome, error) {
	o, err := load{addresses: to.connections(1), requests: cycle(requests, n), every: recorderEvery}.run(ctx)
	if to == r.on {
		r.posted += len(o.latencies) * recorderAlerts
	}
	return o, err
}

// cycle returns the first n requests of an endless repetition of all.
func cycle(all [][]byte, n int) [][]byte {
	requests := make([][]byte, n)
	for i := range requests {
		requests[i] = all[i%len(all)]
	}
	return requests
}

// countLost notes how many of the events of all posted alerts are missing since the last call.
func (r *recorderRun) countLost(ctx context.Context, row string) error {
	lost, err := r.missing(ctx, "alertGrouped", r.posted)
	r.bench.results.last(row, r.muster).lost = lost
	r.posted -= lost
	return err
}

// missing waits until Muster has received a number of events of a type. If it has not, it
// returns how many are missing.
func (r *recorderRun) missing(ctx context.Context, kind string, want int) (int, error) {
	for deadline := time.Now().Add(10 * time.Second); ; {
		n, err := r.received(ctx, kind)
		if err != nil || n >= want || time.Now().After(deadline) {
			return max(0, want-n), err
		}
		if err := pause(ctx, recorderDelay/2); err != nil {
			return 0, err
		}
	}
}

// received returns the number of events of a type that Muster received.
func (r *recorderRun) received(ctx context.Context, kind string) (int, error) {
	text, err := get(ctx, r.muster.address, "/metrics")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, fmt.Sprintf("muster_events_received_total{source=%q,type=%q} ", "bench", kind)); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			return int(n), err
		}
	}
	return 0, nil
}

// changes returns the number of changes that were made to the Redis of the program.
func (p *program) changes(ctx context.Context) (int, error) {
	c, err := dial(ctx, p.redisAt)
	if err != nil {
		return 0, err
	}
	defer c.close()
	if _, err := io.WriteString(c.conn, "INFO persistence\r\nQUIT\r\n"); err != nil {
		return 0, err
	}
	lines := bufio.NewScanner(c.reader)
	for lines.Scan() {
		// Redis does not save anything here, so this counts all changes.
		if value, ok := strings.CutPrefix(lines.Text(), "rdb_changes_since_last_save:"); ok {
			return strconv.Atoi(value)
		}
	}
	return 0, errors.Join(lines.Err(), errors.New("redis does not tell how many changes were made"))
}

// pause waits.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
