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

// newMessage returns a message about the group of a name.
func newMessage(name string, alerts ...messageAlert) message {
	labels := map[string]string{"alertname": name}
	return message{
		Receiver: "team", Status: "firing", Alerts: alerts, GroupLabels: labels, CommonLabels: labels,
		CommonAnnotations: map[string]string{}, ExternalURL: "http://am-0.example:9093", Version: "4",
		GroupKey: fmt.Sprintf(`{}:{alertname="%s"}`, name),
	}
}

// newAlert returns an alert of the group that fires since a time.
func newAlert(name, instance string, since time.Time) messageAlert {
	labels := map[string]string{"alertname": name, "instance": instance, "severity": "warning"}
	return messageAlert{
		Status: "firing", Labels: labels, Annotations: map[string]string{"summary": instance + " fails"},
		StartsAt: since, Fingerprint: fingerprint(labels),
	}
}

// fingerprint is Alertmanager's: FNV-1a over the sorted labels.
func fingerprint(labels map[string]string) string {
	h := fnv.New64a()
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		_, _ = fmt.Fprintf(h, "%s\xff%s\xff", name, labels[name])
	}
	return fmt.Sprintf("%016x", h.Sum64())
}

// deliver posts a message and returns the group's ID. Only 200 means kept.
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

// stream is what Alertmanager does for one group: one notification after the
// other, each sent until it is acknowledged.
type stream struct {
	name string
	to   []*muster // each notification goes to all, as two HA replicas send it
	rng  *rand.Rand

	now    time.Time // of the alerts' story, not of a clock
	alerts []storyAlert
	sent   []message // acknowledged, in order
	open   *message  // the last, given up: whether it arrived is not known
}

type storyAlert struct {
	messageAlert

	muted bool
	known bool // listed as firing since it last resolved, so its end is listed, too
}

const alertsPerStream = 4

// next makes the next notification: alerts fire, resolve, fire again, are muted
// and unmuted.
func (s *stream) next() message {
	for {
		s.now = s.now.Add(time.Duration(1+s.rng.IntN(5000)) * time.Millisecond)
		a := &s.alerts[s.rng.IntN(len(s.alerts))]
		switch {
		case a.Status != "firing":
			*a = storyAlert{messageAlert: newAlert(s.name, a.Labels["instance"], s.now)}
			a.Annotations["value"] = fmt.Sprint(s.rng.IntN(100))
		case s.rng.IntN(4) == 0 && len(s.to) == 1:
			// Not where two report the group: whether the one has heard of
			// what the other omits is a matter of seconds.
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

// from is the message as the i-th replica sends it.
func (m message) from(i int) message {
	m.ExternalURL = fmt.Sprintf("http://am-%d.example:9093", i)
	return m
}

// traffic is many streams at once. What it sends follows from the seed.
type traffic struct {
	t       *testing.T
	streams []*stream
	pause   time.Duration // between two notifications of a stream
	acked   atomic.Int64
	failed  atomic.Int64
	end     chan struct{}
	quiet   chan struct{} // ends every other pair of streams
	left    chan struct{} // closed when what fails is given up
	wg      sync.WaitGroup
}

// pause is the time between two notifications of a stream: with 24 streams some
// hundred a second, as much as a storm that the machine still follows.
const pause = 60 * time.Millisecond

// startTraffic starts streams to one replica each, and, where there are two,
// streams that both get.
func startTraffic(t *testing.T, replicas ...*muster) *traffic {
	t.Helper()
	return startTrafficAt(t, pause, replicas...)
}

// startTrafficAt is startTraffic with another pause.
func startTrafficAt(t *testing.T, pause time.Duration, replicas ...*muster) *traffic {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	tr := &traffic{t: t, pause: pause, end: make(chan struct{}), quiet: make(chan struct{}), left: make(chan struct{})}
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
			select { // not all at once
			case <-tr.end:
			case <-time.After(time.Duration(i) * pause / 24):
			}
			tr.drive(s, quiet)
		})
	}
	t.Cleanup(tr.stop)
	return tr
}

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
				case <-tr.left:
					s.open = &msg
					return
				case <-time.After(pause): // Alertmanager sends again, too
				}
			}
		}
		s.sent = append(s.sent, msg)
		tr.acked.Add(1)
	}
}

// quieten ends half of the streams: their groups are not written again, which
// would hide that a write was lost.
func (tr *traffic) quieten() { close(tr.quiet) }

// leave makes each stream end with the first try that fails from now on.
func (tr *traffic) leave() { close(tr.left) }

// stop ends the traffic, every notification acknowledged.
func (tr *traffic) stop() {
	select {
	case <-tr.end:
	default:
		close(tr.end)
	}
	tr.wg.Wait()
}

// waitMore waits until that many more notifications are acknowledged.
func (tr *traffic) waitMore(n int64) {
	tr.t.Helper()
	until := tr.acked.Load() + n
	waitFor(tr.t, time.Minute, "traffic goes on", func() error {
		if acked := tr.acked.Load(); acked < until {
			return fmt.Errorf("%d of %d acknowledged", acked, until)
		}
		return nil
	})
}

// view is what must be equal whatever failed: all but counters and the times
// at which Muster heard of things.
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

// memory is all that a Muster tells: its groups, and what happened in each.
type memory struct {
	groups map[string]view           // by ID
	events map[string]map[string]int // by group ID; counts by kind and fingerprint
}

func (m *muster) remembers() (memory, error) {
	all := memory{map[string]view{}, map[string]map[string]int{}}
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
		// A retry is one more notification, and no other event.
		if e.Kind != "notified" && all.events[e.GroupID] != nil {
			all.events[e.GroupID][e.Kind+" "+e.Fingerprint]++
		}
	}
	return all, nil
}

// oracle says what must be remembered: it sends what was acknowledged to a
// Muster whose storage never fails.
type oracle struct {
	memory

	// twice are the groups of which two replicas tell. While these do not hear
	// of each other, both note what happens.
	twice map[string]bool
}

func (tr *traffic) oracle() oracle {
	tr.t.Helper()
	m := startMuster(tr.t)
	o := oracle{twice: map[string]bool{}}
	var wg sync.WaitGroup
	ids, errs := make([]string, len(tr.streams)), make([]error, len(tr.streams))
	for i, s := range tr.streams {
		require.NotEmpty(tr.t, s.sent, "no traffic on %s", s.name)
		wg.Go(func() { ids[i], errs[i] = s.again(m) })
	}
	wg.Wait()
	require.NoError(tr.t, errors.Join(errs...))
	for i, s := range tr.streams {
		o.twice[ids[i]] = len(s.to) > 1
	}
	var err error
	o.memory, err = m.remembers()
	require.NoError(tr.t, err)
	tr.t.Logf("%d notifications acknowledged, %d tries failed, %d groups", tr.acked.Load(), tr.failed.Load(), len(o.groups))
	return o
}

// again sends to a Muster what was acknowledged of the stream, and returns the
// ID of its group.
func (s *stream) again(m *muster) (id string, err error) {
	for _, msg := range s.sent {
		for i := range s.to {
			if id, err = deliver(m, msg.from(i)); err != nil {
				return "", err
			}
		}
	}
	return id, nil
}

// check compares what a Muster tells with what it must.
func (o oracle) check(m *muster) error {
	got, err := m.remembers()
	if err != nil {
		return err
	}
	return o.compare(got)
}

func (o oracle) compare(got memory) error {
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

// differences are those in one group.
func (o oracle) differences(id string, got memory) (wrong []string) {
	want := o.groups[id]
	name := want.GroupLabels["alertname"]
	if is, ok := got.groups[id]; !ok {
		wrong = append(wrong, name+" is missing")
	} else if w, g := text(want), text(is); w != g {
		wrong = append(wrong, fmt.Sprintf("%s\n is   %s\n want %s", name, g, w))
	}
	for what, n := range o.events[id] {
		if is := got.events[id][what]; is < n || is > n && !o.twice[id] {
			wrong = append(wrong, fmt.Sprintf("%s: %d events %q, want %d", name, is, what, n))
		}
	}
	for what, n := range got.events[id] {
		if o.events[id][what] == 0 {
			wrong = append(wrong, fmt.Sprintf("%s: %d events %q, want none", name, n, what))
		}
	}
	return wrong
}

func text(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}
