package receiver_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
)

// holding keeps notifications and events when the test allows it.
type holding struct {
	testserver.Stub

	come, leave chan struct{}
}

func newHolding() holding { return holding{come: make(chan struct{}), leave: make(chan struct{})} }

func (h holding) Ingest(context.Context, grouping.Notification) (grouping.Outcome, error) {
	h.come <- struct{}{}
	<-h.leave
	return grouping.Outcome{Group: &grouping.AlertGroup{}}, nil
}

func (h holding) Observe(context.Context, string, []grouping.Observation) error {
	h.come <- struct{}{}
	<-h.leave
	return nil
}

func (holding) RecordHeard(string, []grouping.Heard) {}

// Notifications and events have slots of their own: one that is full does not block the
// other.
func TestEventsAndNotificationsDoNotBlockEachOther(t *testing.T) {
	const full = "too many concurrent requests, try again"
	h := testserver.New(t, testserver.Options{MaxRequests: 2, MaxEventRequests: 2})
	domain := newHolding()
	h.Use(domain)
	answers := make(chan int, 4)
	begin := func(post func() int) {
		go func() { answers <- post() }()
		<-domain.come
	}
	event := func(i int) func() int { return func() int { return h.PostEvents(wiretest.Grouped(i, 0)).Code } }
	notification := func() int { return h.Post(wiretest.Body()).Code }
	begin(event(0))
	begin(event(1))
	h.RequireRejected(t, "events", h.PostEvents(wiretest.Grouped(2, 0)), 503, full)
	begin(notification)
	begin(notification)
	h.RequireRejected(t, "notifications", h.Post(wiretest.Body()), 503, full)
	require.InDelta(t, 1, h.Counter(t, "muster_event_requests_rejected_total", "reason", "overloaded"), 0)
	require.InDelta(t, 1, h.Counter(t, "muster_notifications_rejected_total", "reason", "overloaded"), 0)
	domain.leave <- struct{}{}
	require.Equal(t, http.StatusOK, <-answers)
	close(domain.leave)
	for range 3 {
		require.Equal(t, http.StatusOK, <-answers)
	}
	for _, name := range []string{"events", "event_bodies", "event_memory", "notifications", "notification_bodies", "notification_memory"} {
		require.Zero(t, h.Limits.Limit(name).Used(), name)
	}
}

// holdingOne holds the events of one source, and keeps those of others.
type holdingOne struct {
	*observing

	hold holding
}

func (h holdingOne) Observe(ctx context.Context, source string, all []grouping.Observation) error {
	if source == "held" {
		return h.hold.Observe(ctx, source, all)
	}
	return h.observing.Observe(ctx, source, all)
}

// The limit counts what is decoded and not kept yet. If it is reached, a body is kept in
// small parts. So only a large event is refused, unless it is the only one.
func TestDecodedEventsAreLimited(t *testing.T) {
	h := testserver.New(t, testserver.Options{MaxEventMemory: 1 << 20})
	domain := holdingOne{&observing{Groups: h.Manager}, newHolding()}
	h.Use(domain)
	used := func() int64 { return h.Limits.Limit("event_memory").Used() }
	answer := make(chan int)
	go func() {
		answer <- h.Do(http.MethodPost, "/events/held", strings.NewReader(largeEvent)).Code
	}()
	<-domain.hold.come
	require.Greater(t, used(), int64(1<<20), "a single event may exceed the limit")
	held := used()

	requireKept(t, h.PostEvents(wiretest.GroupedMany(300, 0)), 300, 0, 0)
	requireKept(t, h.PostEvents(wiretest.GroupedMany(300, time.Minute)), 0, 300, 0)
	require.Equal(t, held, used())
	h.RequireRejected(t, "a large event", h.PostEvents(largeEvent), 503, "too many concurrent large event requests, try again")
	require.InDelta(t, 1, h.Counter(t, "muster_event_requests_rejected_total", "reason", "overloaded"), 0)
	require.InDelta(t, 31, h.Limits.Limit("event_memory").Rejected(), 30, "parts of the body of 300 events, and the large event")

	close(domain.hold.leave)
	require.Equal(t, http.StatusOK, <-answer)
	requireKept(t, h.PostEvents(largeEvent), 1, 0, 0)
	for _, name := range []string{"events", "event_bodies", "event_memory"} {
		require.Zero(t, h.Limits.Limit(name).Used(), name)
	}
}

// largeEvent is a notification about many alerts.
var largeEvent = wiretest.Event(0, "am-0", `"notification":{"firingAlerts":[`+strings.Repeat(`{"fingerprint":"7"},`, 4999)+
	`{"fingerprint":"7"}], "groupInfo":{"groupKey":"k", "receiverName":"team", "groupUuid":"u"}, "integration":{"name":"slack"}}`)

// A large body is kept in parts, so that it needs little memory. If a later part fails, the
// body is sent again, and only the rest of it is new.
func TestLargeBodiesAreKeptInParts(t *testing.T) {
	const n = 12_000
	h, _ := eventServer(t, testserver.Options{})
	domain := &failing{observing: observing{Groups: h.Manager}, at: 2}
	h.Use(domain)
	body := wiretest.GroupedMany(n, 0)
	require.Equal(t, http.StatusServiceUnavailable, h.PostEvents(body).Code)
	first := len(domain.taken("default"))
	require.Greater(t, first, n/10)
	require.Less(t, first, n*9/10)
	requireKept(t, h.PostEvents(body), n-first, first, 0)
	require.Len(t, domain.taken("default"), n-first)
	require.Zero(t, h.Limits.Limit("event_memory").Used())
	require.InDelta(t, n+first, h.Counter(t, "muster_events_received_total", "source", "default", "type", "alertGrouped"), 0)
}

// failing returns an error from one call.
type failing struct {
	observing

	calls atomic.Int64
	at    int64
}

func (f *failing) Observe(ctx context.Context, source string, all []grouping.Observation) error {
	if f.calls.Add(1) == f.at {
		return fmt.Errorf("%w: it is full", grouping.ErrStorage)
	}
	return f.observing.Observe(ctx, source, all)
}

// Neither many bad events nor many small ones cost much time.
func TestManyEventsInABody(t *testing.T) {
	h, domain := eventServer(t, testserver.Options{})
	bad := strings.Repeat("{},", 100_000)
	answer := requireKept(t, h.PostEvents("["+wiretest.Grouped(0, 0)+","+bad+wiretest.Grouped(1, 0)+"]"), 1, 0, 1001)
	require.Len(t, answer.LeftOut, 5)
	require.Len(t, domain.taken("default"), 1)
	require.InDelta(t, 1, h.Counter(t, "muster_events_refused_total", "reason", "size"), 0)
	small := strings.Repeat(wiretest.Event(0, "am", `"alertCreated":{}`)+",", 100_000)
	answer = requireKept(t, h.PostEvents("["+small+wiretest.Grouped(2, 0)+"]"), 0, 100_000, 1)
	require.Equal(t, []string{"events[100000]: the rest of the body is left out"}, answer.LeftOut)
}

// What cannot be kept within seconds is refused: Alertmanager waits for the answer, even when
// it stops.
func TestNoAnswerWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testserver.New(t, testserver.Options{})
		h.Use(endless{})
		started := time.Now()
		event := wiretest.Grouped(0, time.Since(wiretest.EventTime)) // recorded now
		require.Equal(t, http.StatusServiceUnavailable, h.PostEvents(event).Code)
		require.Equal(t, 5*time.Second, time.Since(started))
		require.InDelta(t, 1, h.Counter(t, "muster_event_requests_rejected_total", "reason", "storage"), 0)
	})
}

// endless keeps nothing until the time is over.
type endless struct{ testserver.Stub }

func (endless) Observe(ctx context.Context, _ string, _ []grouping.Observation) error {
	<-ctx.Done()
	return fmt.Errorf("%w: %w", grouping.ErrStorage, ctx.Err())
}

func (endless) RecordHeard(string, []grouping.Heard) {}
