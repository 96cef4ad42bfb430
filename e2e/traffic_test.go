package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// message is a notification as Alertmanager posts it.
type message struct {
	Receiver          string            `json:"receiver"`
	Status            string            `json:"status"`
	Alerts            []messageAlert    `json:"alerts"`
	Reason            string            `json:"notification_reason,omitempty"`
	GroupLabels       map[string]string `json:"groupLabels"`
	CommonLabels      map[string]string `json:"commonLabels"`
	CommonAnnotations map[string]string `json:"commonAnnotations"`
	ExternalURL       string            `json:"externalURL"`
	Version           string            `json:"version"`
	GroupKey          string            `json:"groupKey"`
	TruncatedAlerts   int               `json:"truncatedAlerts"`
}

type messageAlert struct {
	Status       string            `json:"status"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL"`
	Fingerprint  string            `json:"fingerprint"`
}

// newMessage returns a message about the group with the alertname.
func newMessage(name string, alerts ...messageAlert) message {
	labels := map[string]string{"alertname": name}
	return message{
		Receiver: "team", Status: "firing", Alerts: alerts, GroupLabels: labels, CommonLabels: labels,
		CommonAnnotations: map[string]string{}, ExternalURL: "http://am-0.example:9093", Version: "4",
		GroupKey: fmt.Sprintf(`{}:{alertname="%s"}`, name),
	}
}

// newAlert returns an alert of the group that has fired since a time.
func newAlert(name, instance string, since time.Time) messageAlert {
	labels := map[string]string{"alertname": name, "instance": instance, "severity": "warning"}
	return messageAlert{
		Status: "firing", Labels: labels, Annotations: map[string]string{"summary": instance + " fails"},
		StartsAt: since, Fingerprint: fingerprint(labels),
	}
}

// fingerprint returns Alertmanager's fingerprint: FNV-1a over the sorted labels.
func fingerprint(labels map[string]string) string {
	h := fnv.New64a()
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		_, _ = fmt.Fprintf(h, "%s\xff%s\xff", name, labels[name])
	}
	return fmt.Sprintf("%016x", h.Sum64())
}

// deliver posts a message and returns the ID of the group. An error means that the
// message was not acknowledged.
func deliver(m *muster, msg message) (string, error) {
	body, err := json.Marshal(msg)
	if err != nil {
		return "", err
	}
	var answer struct {
		Group string `json:"group"`
	}
	_, err = do(http.MethodPost, m.url+"/webhook", body, &answer)
	return answer.Group, err
}

// stream sends the notifications of one group, like Alertmanager: one after the other,
// each until it is acknowledged.
type stream struct {
	name string
	to   []*muster // each gets every notification, as if from two HA replicas
	rng  *rand.Rand

	now    time.Time // time of the story, independent of a clock
	alerts []storyAlert
	sent   []message // acknowledged messages, in order
	open   *message  // the last message, if its result is unknown
}

type storyAlert struct {
	messageAlert

	muted bool
	known bool // it was listed as firing, so its resolution must be listed, too
}

const alertsPerStream = 4

// next returns the next notification. Alerts fire, resolve, fire again, are muted and
// unmuted at random.
func (s *stream) next() message {
	for {
		s.now = s.now.Add(time.Duration(1+s.rng.IntN(5000)) * time.Millisecond)
		a := &s.alerts[s.rng.IntN(len(s.alerts))]
		switch {
		case a.Status != "firing":
			*a = storyAlert{messageAlert: newAlert(s.name, a.Labels["instance"], s.now)}
			a.Annotations["value"] = fmt.Sprint(s.rng.IntN(100))
		case s.rng.IntN(4) == 0 && len(s.to) == 1:
			// Do not mute alerts that two replicas report. Whether a replica already
			// knows the other's alert then depends on the time.
			a.muted = !a.muted
		default:
			a.Status, a.EndsAt = "resolved", s.now
		}
		msg := newMessage(s.name)
		msg.Status = "resolved"
		for i := range s.alerts {
			a := &s.alerts[i]
			switch {
			case a.Status == "":
			case a.Status == "firing" && !a.muted:
				a.known = true
				msg.Status = "firing"
				msg.Alerts = append(msg.Alerts, a.messageAlert)
			case a.Status == "resolved":
				if a.known && !a.muted {
					msg.Alerts = append(msg.Alerts, a.messageAlert)
				}
				a.known, a.muted = false, false
			}
		}
		if len(msg.Alerts) > 0 {
			return msg
		}
	}
}

// from returns the message as the i-th replica sends it.
func (m message) from(i int) message {
	m.ExternalURL = fmt.Sprintf("http://am-%d.example:9093", i)
	return m
}

// traffic runs many streams at the same time. The seed determines all messages.
type traffic struct {
	t       *testing.T
	streams []*stream
	pause   time.Duration // time between two notifications of a stream
	acked   atomic.Int64
	failed  atomic.Int64
	end     chan struct{}
	quiet   chan struct{} // closed to end every other pair of streams
	giveUp  chan struct{} // closed when failed notifications are no longer retried
	wg      sync.WaitGroup
}

// pause is the default time between two notifications of a stream. 24 streams then send
// 70 notifications per second. Two cores can process that with the race detector, while
// other tests do the same.
const pause = 340 * time.Millisecond

// startTraffic starts streams to one replica each. If there are two replicas, it also
// starts streams to both.
func startTraffic(t *testing.T, replicas ...*muster) *traffic {
	t.Helper()
	return startTrafficAt(t, pause, replicas...)
}

// startTrafficAt is startTraffic with a different pause.
func startTrafficAt(t *testing.T, pause time.Duration, replicas ...*muster) *traffic {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	tr := &traffic{t: t, pause: pause, end: make(chan struct{}), quiet: make(chan struct{}), giveUp: make(chan struct{})}
	begin := time.Now().UTC().Add(-24 * time.Hour).Truncate(time.Millisecond)
	for i := range 24 {
		s := &stream{
			name: fmt.Sprintf("Stream%02d", i), to: []*muster{replicas[i%len(replicas)]},
			rng: rand.New(rand.NewPCG(seed, uint64(i))), now: begin,
		}
		if len(replicas) > 1 && i%3 == 0 {
			s.to = replicas
		}
		for n := range alertsPerStream {
			s.alerts = append(s.alerts, storyAlert{messageAlert: messageAlert{
				Labels: map[string]string{"instance": fmt.Sprintf("%s-%d", s.name, n)},
			}})
		}
		tr.streams = append(tr.streams, s)
		var quiet chan struct{}
		if i/2%2 == 1 {
			quiet = tr.quiet
		}
		tr.wg.Go(func() {
			select { // spread the start times
			case <-tr.end:
			case <-time.After(time.Duration(i) * pause / 24):
			}
			tr.drive(s, quiet)
		})
	}
	t.Cleanup(tr.stop)
	return tr
}

// drive sends the notifications of a stream until the traffic stops, or quiet is closed.
func (tr *traffic) drive(s *stream, quiet <-chan struct{}) {
	tick := time.NewTicker(tr.pause)
	defer tick.Stop()
	for {
		select {
		case <-tr.end:
			return
		case <-quiet:
			return
		case <-tick.C:
		}
		msg := s.next()
		for i, m := range s.to {
			for {
				_, err := deliver(m, msg.from(i))
				if err == nil {
					break
				}
				tr.failed.Add(1)
				if !m.down.Load() {
					tr.t.Errorf("not acknowledged: %v", err)
				}
				if tr.t.Failed() {
					return
				}
				select {
				case <-tr.giveUp:
					s.open = &msg
					return
				case <-time.After(pause): // retry like Alertmanager
				}
			}
		}
		s.sent = append(s.sent, msg)
		tr.acked.Add(1)
	}
}

// stopHalf ends half of the streams. Later writes to their groups would hide that a write
// was lost.
func (tr *traffic) stopHalf() { close(tr.quiet) }

// giveUpFailures makes each stream end at its next failure.
func (tr *traffic) giveUpFailures() { close(tr.giveUp) }

// stop ends the traffic, and waits until every notification is acknowledged.
func (tr *traffic) stop() {
	select {
	case <-tr.end:
	default:
		close(tr.end)
	}
	tr.wg.Wait()
}

// waitMore waits until n more notifications are acknowledged.
func (tr *traffic) waitMore(n int64) {
	tr.t.Helper()
	until := tr.acked.Load() + n
	waitFor(tr.t, time.Minute, "the traffic continues", func() error {
		if acked := tr.acked.Load(); acked < until {
			return fmt.Errorf("%d of %d acknowledged", acked, until)
		}
		return nil
	})
}

// view has the fields of a group that must be equal after any failure. It has neither
// counters nor the times at which Muster received notifications.
type view struct {
	ID                string
	State             string
	Counts            counts
	Truncated         int
	GroupLabels       map[string]string
	CommonLabels      map[string]string
	CommonAnnotations map[string]string
	Episodes          []episode
	Alerts            []alert
}

func viewOf(g group) view {
	return view{g.ID, g.State, g.Counts, g.Truncated, g.GroupLabels, g.CommonLabels, g.CommonAnnotations, g.Episodes, g.Alerts}
}

// snapshot has the groups of a Muster and their events.
type snapshot struct {
	groups map[string]view           // by ID
	events map[string]map[string]int // by group ID; number of events by kind and fingerprint
}

func (m *muster) snapshot() (snapshot, error) {
	all := snapshot{map[string]view{}, map[string]map[string]int{}}
	groups, err := m.groups()
	if err != nil {
		return all, err
	}
	for _, g := range groups {
		all.groups[g.ID] = viewOf(g)
		all.events[g.ID] = map[string]int{}
	}
	events, err := m.events()
	if err != nil {
		return all, err
	}
	for _, e := range events {
		// A retry adds an event "notified", but no other event.
		if e.Kind != "notified" && all.events[e.GroupID] != nil {
			all.events[e.GroupID][e.Kind+" "+e.Fingerprint]++
		}
	}
	return all, nil
}

// oracle has the expected content. It replays all acknowledged messages to a Muster whose
// storage never fails.
type oracle struct {
	snapshot

	// reportedTwice has the groups that are sent to two replicas. While the replicas
	// are disconnected, both record the same event.
	reportedTwice map[string]bool
}

func (tr *traffic) oracle() oracle {
	tr.t.Helper()
	m := startMuster(tr.t)
	o := oracle{reportedTwice: map[string]bool{}}
	var wg sync.WaitGroup
	ids, errs := make([]string, len(tr.streams)), make([]error, len(tr.streams))
	for i, s := range tr.streams {
		require.NotEmpty(tr.t, s.sent, "no traffic on %s", s.name)
		wg.Go(func() { ids[i], errs[i] = s.replay(m) })
	}
	wg.Wait()
	require.NoError(tr.t, errors.Join(errs...))
	for i, s := range tr.streams {
		o.reportedTwice[ids[i]] = len(s.to) > 1
	}
	var err error
	o.snapshot, err = m.snapshot()
	require.NoError(tr.t, err)
	tr.t.Logf("%d notifications acknowledged, %d tries failed, %d groups", tr.acked.Load(), tr.failed.Load(), len(o.groups))
	return o
}

// replay sends the acknowledged messages of the stream to a Muster, and returns the ID of
// the group.
func (s *stream) replay(m *muster) (id string, err error) {
	for _, msg := range s.sent {
		for i := range s.to {
			if id, err = deliver(m, msg.from(i)); err != nil {
				return "", err
			}
		}
	}
	return id, nil
}

// check compares the content of a Muster with the expected content.
func (o oracle) check(m *muster) error {
	got, err := m.snapshot()
	if err != nil {
		return err
	}
	return o.compare(got)
}

func (o oracle) compare(got snapshot) error {
	var wrong []string
	for _, id := range slices.Sorted(maps.Keys(o.groups)) {
		wrong = append(wrong, o.differences(id, got)...)
	}
	for id, g := range got.groups {
		if _, ok := o.groups[id]; !ok {
			wrong = append(wrong, g.GroupLabels["alertname"]+" was never sent")
		}
	}
	if len(wrong) > 0 {
		return errors.New(fmt.Sprint(len(wrong), " differences, such as\n") + strings.Join(wrong[:min(3, len(wrong))], "\n"))
	}
	return nil
}

// differences returns the differences in one group.
func (o oracle) differences(id string, got snapshot) (wrong []string) {
	want := o.groups[id]
	name := want.GroupLabels["alertname"]
	if actual, ok := got.groups[id]; !ok {
		wrong = append(wrong, name+" is missing")
	} else if w, g := toJSON(want), toJSON(actual); w != g {
		wrong = append(wrong, fmt.Sprintf("%s\n got  %s\n want %s", name, g, w))
	}
	for what, n := range o.events[id] {
		if actual := got.events[id][what]; actual < n || actual > n && !o.reportedTwice[id] {
			wrong = append(wrong, fmt.Sprintf("%s: %d events %q, want %d", name, actual, what, n))
		}
	}
	for what, n := range got.events[id] {
		if o.events[id][what] == 0 {
			wrong = append(wrong, fmt.Sprintf("%s: %d events %q, want 0", name, n, what))
		}
	}
	return wrong
}

func toJSON(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}
