package receiver_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/recording"
	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
	"muster/receiver"
)

// observing records the events that the domain is given.
type observing struct {
	testserver.Groups

	mu    sync.Mutex
	fault error                             // guarded by mu
	all   map[string][]grouping.Observation // guarded by mu; by source
	heard map[string][]grouping.Heard       // guarded by mu; by source
}

func (o *observing) Observe(_ context.Context, source string, all []grouping.Observation) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fault != nil {
		return o.fault
	}
	if o.all == nil {
		o.all = map[string][]grouping.Observation{}
	}
	o.all[source] = append(o.all[source], all...)
	return nil
}

func (o *observing) RecordHeard(source string, heard []grouping.Heard) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.heard == nil {
		o.heard = map[string][]grouping.Heard{}
	}
	o.heard[source] = append(o.heard[source], heard...)
}

// fail makes Observe return an error, or nil.
func (o *observing) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fault = err
}

// taken returns the observations of a source since the last call.
func (o *observing) taken(source string) []grouping.Observation {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := o.all[source]
	delete(o.all, source)
	return all
}

// eventServer returns a server that gives events to the domain.
func eventServer(t testing.TB, opts testserver.Options) (*testserver.Server, *observing) {
	h := testserver.New(t, opts)
	domain := &observing{Groups: h.Manager}
	h.Use(domain)
	return h, domain
}

// requireKept asserts how many events of a body were kept, ignored and refused.
func requireKept(t testing.TB, w *httptest.ResponseRecorder, kept, ignored, refused int) receiver.KeptEvents {
	t.Helper()
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	var answer receiver.KeptEvents
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
	require.Equal(t, "kept", answer.Status)
	require.Equal(t, []int{kept, ignored, refused}, []int{answer.Kept, answer.Ignored, answer.Refused}, answer.LeftOut)
	return answer
}

// What the recordings say reaches the domain once, however often it is sent.
func TestRecordedEventsAreKept(t *testing.T) {
	for _, r := range recording.All(t) {
		h, domain := eventServer(t, testserver.Options{})
		total := map[bool]int{}
		for _, again := range []bool{false, true} {
			for _, e := range r.Of(recording.Event) {
				w := h.PostEvents(string(e.Body))
				var answer receiver.KeptEvents
				require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
				require.Equal(t, http.StatusOK, w.Code)
				require.Zero(t, answer.Refused, answer.LeftOut)
				total[again] += answer.Kept
			}
		}
		require.Len(t, domain.taken("default"), total[false]+total[true], r.Name)
		// Sent again, only what another event has contradicted since is passed on again.
		require.LessOrEqual(t, total[true], total[false]/3, r.Name)
	}
}

func TestEventsOfASource(t *testing.T) {
	h, domain := eventServer(t, testserver.Options{RoutePrefix: "/muster"})
	for path, source := range map[string]string{
		"/events": "default", "/events/": "default", "/events/prod": "prod", "/events/prod/": "prod",
	} {
		for i, method := range []string{http.MethodPost, http.MethodPut} {
			after := time.Duration(len(path)*2+i) * time.Second
			started := wiretest.Event(after, "am-0", `"alertmanagerStartupEvent":{"version":"0.35.0"}`)
			requireKept(t, h.Do(method, "/muster"+path, strings.NewReader(started)), 1, 0, 0)
			all := domain.taken(source)
			require.Len(t, all, 1)
			require.Equal(t, &grouping.ObservedStart{Version: "0.35.0"}, all[0].Started)
			require.Equal(t, wiretest.EventTime.Add(after), all[0].At)
		}
	}
	h.RequireRejected(t, "a source", h.Do(http.MethodPost, "/muster/events/a%20b", strings.NewReader("{}")), 400,
		"source: must have 1 to 64 letters, digits, '_', '.' or '-'")
	require.InDelta(t, 8, h.Counter(t, "muster_events_received_total", "source", "prod", "type", "alertmanagerStartupEvent")+
		h.Counter(t, "muster_events_received_total", "source", "default", "type", "alertmanagerStartupEvent"), 0)
}

// Most events only say that an alert still fires. They are not passed on, but heard.
func TestEventsThatSayNothingNewAreNotPassedOn(t *testing.T) {
	h, domain := eventServer(t, testserver.Options{})
	requireKept(t, h.PostEvents(wiretest.GroupedMany(10, 0)), 10, 0, 0)
	require.Len(t, domain.taken("default"), 10)
	for minute := range 3 {
		requireKept(t, h.PostEvents(wiretest.GroupedMany(10, time.Duration(minute+1)*time.Minute)), 0, 10, 0)
	}
	require.Empty(t, domain.taken("default"))
	// One alert ends, one fires since another time, and one is new.
	changed := wiretest.Events(
		wiretest.Grouped(0, 4*time.Minute, `"startsAt"`, `"resolved":true, "startsAt"`),
		wiretest.Grouped(1, 4*time.Minute, "02:59:00", "02:58:00"), wiretest.Grouped(2, 4*time.Minute), wiretest.Grouped(10, 4*time.Minute))
	requireKept(t, h.PostEvents(changed), 3, 1, 0)
	require.Len(t, domain.taken("default"), 3)
	requireKept(t, h.Do(http.MethodPost, "/events/other", strings.NewReader(wiretest.Grouped(2, 4*time.Minute))), 1, 0, 0)

	require.Len(t, domain.heard["default"], 5)
	last := domain.heard["default"][4]
	require.Equal(t, "am-0", last.Instance)
	require.Equal(t, 4, last.Events)
	require.Equal(t, wiretest.EventTime.Add(4*time.Minute), last.At)
	require.WithinDuration(t, time.Now(), last.ReceivedAt, time.Minute)
	require.InDelta(t, 44, h.Counter(t, "muster_events_received_total", "source", "default", "type", "alertGrouped"), 0)
}

// All that an event about a new alert says, its alertGrouped says too. So it is not decoded.
func TestCreatedAlertsAreOnlyHeard(t *testing.T) {
	h, domain := eventServer(t, testserver.Options{})
	created := wiretest.Event(0, "am-0", `"alertCreated":{"alert":7}`)
	for range 2 {
		requireKept(t, h.PostEvents(created), 0, 1, 0)
	}
	require.Empty(t, domain.taken("default"))
	require.Len(t, domain.heard["default"], 2)
	require.Equal(t, wiretest.EventTime, domain.heard["default"][0].At)
	require.InDelta(t, 2, h.Counter(t, "muster_events_received_total", "source", "default", "type", "alertCreated"), 0)
	// In another shape it is decoded, so it is refused.
	requireKept(t, h.PostEvents(strings.Replace(created, `{"@`, `{ "@`, 1)), 0, 0, 1)
}

// An alertResolved is not followed by silence: if the alert is posted again, that is news.
func TestAnAlertThatIsPostedAfterItsEndIsPassedOn(t *testing.T) {
	h, domain := eventServer(t, testserver.Options{})
	requireKept(t, h.PostEvents(wiretest.Grouped(0, 0)), 1, 0, 0)
	requireKept(t, h.PostEvents(wiretest.Grouped(0, time.Minute, "alertGrouped", "alertResolved")), 1, 0, 0)
	requireKept(t, h.PostEvents(wiretest.Grouped(0, 2*time.Minute)), 1, 0, 0)
	requireKept(t, h.PostEvents(wiretest.Grouped(0, 3*time.Minute)), 0, 1, 0)
	require.Len(t, domain.taken("default"), 3)
}

// What was not kept is kept when Alertmanager sends it again.
func TestEventsAreRememberedOnlyIfTheyWereKept(t *testing.T) {
	h, domain := eventServer(t, testserver.Options{})
	domain.fail(fmt.Errorf("%w: no route", grouping.ErrStorage))
	body := wiretest.Events(wiretest.Grouped(0, 0), wiretest.Event(0, "am-0", `"alertmanagerShutdownEvent":{}`))
	for range 2 {
		h.RequireRejected(t, "storage", h.PostEvents(body), http.StatusServiceUnavailable, "storage is unavailable, try again")
	}
	require.InDelta(t, 2, h.Counter(t, "muster_event_requests_rejected_total", "reason", "storage"), 0)
	require.InDelta(t, 0, h.Counter(t, "muster_notifications_rejected_total", "reason", "storage"), 0)
	require.InDelta(t, 0, h.Counter(t, "muster_events_received_total", "source", "default", "type", "alertGrouped"), 0)
	require.Contains(t, h.Get("/status").Body.String(), "events: storage is unavailable")
	require.Len(t, domain.heard["default"], 2, "Alertmanager lives nevertheless")

	domain.fail(&grouping.FullError{What: "source", Limit: 1})
	require.Equal(t, http.StatusServiceUnavailable, h.PostEvents(body).Code)
	domain.fail(nil)
	requireKept(t, h.PostEvents(body), 2, 0, 0)
	require.Len(t, domain.taken("default"), 2)
	requireKept(t, h.PostEvents(body), 0, 2, 0)
	require.Empty(t, domain.taken("default"))
	require.NotContains(t, h.Get("/").Body.String(), "were rejected", "events are no notifications")
}

// An event that cannot be kept costs no other event.
func TestBadEventsCostNoOthers(t *testing.T) {
	h, domain := eventServer(t, testserver.Options{MaxLabels: 20})
	answer := requireKept(t, h.PostEvents(wiretest.Events(
		wiretest.Grouped(0, 0), wiretest.Event(0, "am-0", `"alertPondered":{"x":[1]}`), `7`, `[]`, `{}`, `null`, wiretest.Grouped(1, 0),
		wiretest.Event(0, "am-0", `"alertCreated":{}`), wiretest.Event(0, "am-0", `"alertGrouped":{}`),
		wiretest.Grouped(2, 0, `"uid":`, `"uid":7, "x":`), wiretest.Event(0, "am-0", `"alertmanagerShutdownEvent":{}`),
	)), 3, 1, 7)
	require.Len(t, domain.taken("default"), 3)
	require.Equal(t, []string{
		`events[1]: the type "alertPondered" is not known to this version`, "events[2]: must not be a JSON number",
		"events[3]: must not be a JSON array", `events[4]: the event has no type: "data" is missing or empty`,
		`events[5]: the event has no type: "data" is missing or empty`,
	}, answer.LeftOut)
	require.InDelta(t, 1, h.Counter(t, "muster_events_refused_total", "reason", "type"), 0)
	require.InDelta(t, 6, h.Counter(t, "muster_events_refused_total", "reason", "malformed"), 0)
	for _, reason := range []string{"labels", "time", "size"} {
		require.InDelta(t, 0, h.Counter(t, "muster_events_refused_total", "reason", reason), 0)
	}
	status := h.Get("/status").Body.String()
	require.Contains(t, status, "event rejected: the type &#34;alertPondered&#34; is not known to this version")
	require.NotContains(t, h.Get("/").Body.String(), "were rejected")
	// The same type in another place is the same problem.
	for range 3 {
		requireKept(t, h.PostEvents(wiretest.Event(0, "am-0", `"alertPondered":{}`)), 0, 0, 1)
	}
	require.Contains(t, h.Get("/status").Body.String(), "4 times")
}

// What is no body of events at all gets a sentence.
func TestBodiesWithoutEvents(t *testing.T) {
	h, domain := eventServer(t, testserver.Options{})
	for name, tc := range map[string]struct{ body, text string }{
		"empty":          {"", "the body is empty"},
		"spaces":         {" \n", "the body is empty"},
		"no JSON":        {"alert!", "the body is not JSON at byte 0"},
		"an open array":  {"[", "the body is incomplete at byte 1"},
		"no JSON inside": {"[x]", "the body is not JSON at byte 1"},
		"half an event":  {wiretest.Grouped(0, 0)[:100], "the body is incomplete at byte 100"},
		"a number":       {"5", "the body must be an event or an array of events, not a JSON number"},
		"a text":         {`"x"`, "the body must be an event or an array of events, not a JSON string"},
		"a notification": {wiretest.Body(), "this is a notification: send it to /webhook, and only events to /events"},
		"deep":           {strings.Repeat("[", 20_000), "the body is not JSON at byte 10000"},
	} {
		w := h.PostEvents(tc.body)
		h.RequireRejected(t, name, w, http.StatusBadRequest, tc.text)
		require.Contains(t, h.Get("/status").Body.String(), "events: "+tc.text)
	}
	require.InDelta(t, 10, h.Counter(t, "muster_event_requests_rejected_total", "reason", "bad_message"), 0)
	require.InDelta(t, 0, h.Counter(t, "muster_notifications_rejected_total", "reason", "bad_message"), 0)
	require.Empty(t, domain.taken("default"))
	requireKept(t, h.PostEvents("[]"), 0, 0, 0)
}

// The events before a fault are kept.
func TestABodyThatEndsEarly(t *testing.T) {
	h, domain := eventServer(t, testserver.Options{})
	body := wiretest.GroupedMany(3, 0)
	answer := requireKept(t, h.PostEvents(body[:len(body)-200]), 2, 0, 1)
	text := fmt.Sprintf("events[2]: the body is incomplete at byte %d, the rest is left out", len(body)-200)
	require.Equal(t, []string{text}, answer.LeftOut)
	answer = requireKept(t, h.PostEvents(body[:len(body)-1]+",x"), 1, 2, 1)
	require.Contains(t, answer.LeftOut[0], "events[3]: the body is not JSON at byte ")
	require.Len(t, domain.taken("default"), 3)
	requireKept(t, h.PostEvents(wiretest.Grouped(7, 0)+"\n"+wiretest.Grouped(8, 0)+"\n"), 2, 0, 0)
}

// The webhook says where events go.
func TestAnEventThatIsSentToTheWebhook(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	for _, r := range recording.All(t) {
		for _, e := range r.Of(recording.Event) {
			h.RequireRejected(t, e.File, h.Post(string(e.Body)), http.StatusBadRequest,
				"this is of the event recorder: send it to /events, and only notifications to /webhook")
		}
	}
	require.Contains(t, h.Get("/status").Body.String(), "this is of the event recorder")
	for _, other := range []string{`[]`, `[{"data":1}]`, `{"data":{}}`} {
		require.NotContains(t, h.Post(other).Body.String(), "event recorder")
	}
}

func TestEventsNeedTheToken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte("one\n"), 0o600))
	h, domain := eventServer(t, testserver.Options{WebhookTokenFile: file})
	body := wiretest.Grouped(0, 0)
	h.RequireRejected(t, "no token", h.PostEvents(body), 401, "")
	h.RequireRejected(t, "a wrong one", h.PostEvents(body, "Authorization", "Bearer two"), 401, "")
	require.InDelta(t, 2, h.Counter(t, "muster_event_requests_rejected_total", "reason", "unauthorized"), 0)
	require.Empty(t, domain.taken("default"))
	requireKept(t, h.PostEvents(body, "Authorization", "Bearer one"), 1, 0, 0)
}

func TestEventsAreRejectedAtTheDoor(t *testing.T) {
	h, _ := eventServer(t, testserver.Options{MaxBodySize: 2000})
	h.RequireRejected(t, "large", h.PostEvents(wiretest.GroupedMany(3, 0)), 413, "the body is larger than 2000 bytes")
	h.RequireRejected(t, "compressed", h.PostEvents("{}", "Content-Encoding", "gzip"), 415, "")
	for _, path := range []string{"/events/a/b", "/events//a"} {
		w := h.Do(http.MethodPost, path, strings.NewReader("{}"))
		h.RequireRejected(t, path, w, 404, "path not found: send events to /events")
	}
	h.RequireRejected(t, "redirected", h.Get("/events"), 405, "method not allowed")
	h.Drain()
	w := h.PostEvents(wiretest.Grouped(0, 0))
	h.RequireRejected(t, "draining", w, 503, "shutting down, try again")
	require.Equal(t, "close", w.Header().Get("Connection"))
	for reason, n := range map[string]float64{"too_large": 1, "unsupported_media": 1, "not_found": 2, "method": 1, "draining": 1} {
		require.InDelta(t, n, h.Counter(t, "muster_event_requests_rejected_total", "reason", reason), 0, reason)
		require.InDelta(t, 0, h.Counter(t, "muster_notifications_rejected_total", "reason", reason), 0, reason)
	}
	require.Zero(t, h.Limits.Rejected())
}

// A panic of the domain is answered, and counted as a rejected request of events.
func TestAPanicWhileEventsAreKept(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	h.Use(panicking{})
	require.Equal(t, http.StatusServiceUnavailable, h.PostEvents(wiretest.Grouped(0, 0)).Code)
	require.InDelta(t, 1, h.Counter(t, "muster_event_requests_rejected_total", "reason", "panic"), 0)
	require.Zero(t, h.Limits.Limit("events").Used())
}

type panicking struct{ testserver.Stub }

func (panicking) RecordHeard(string, []grouping.Heard) {}

func (panicking) Observe(context.Context, string, []grouping.Observation) error {
	panic(errors.New("broken"))
}
