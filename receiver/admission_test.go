package receiver_test

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
	"muster/receiver"
)

// keeping stores a notification when the test allows it.
type keeping struct {
	testserver.Stub

	come, leave chan struct{}
}

func (k keeping) Ingest(context.Context, grouping.Notification) (grouping.Outcome, error) {
	k.come <- struct{}{}
	<-k.leave
	return grouping.Outcome{Group: &grouping.AlertGroup{}}, nil
}

// naming keeps the sources of notifications.
type naming struct {
	testserver.Stub

	sources *[]string
}

func (n naming) Ingest(_ context.Context, notified grouping.Notification) (grouping.Outcome, error) {
	*n.sources = append(*n.sources, notified.Source)
	return grouping.Outcome{Group: &grouping.AlertGroup{}}, nil
}

// Each group has the name of its source. It keeps nothing of the request with it.
func TestSourcesShareTheirName(t *testing.T) {
	h := testserver.NewStub(t, testserver.Options{}, nil)
	groups := naming{sources: new([]string)}
	h.Use(groups)
	for range 2 {
		require.Equal(t, http.StatusOK, h.Do(http.MethodPost, strings.Clone("/webhook/prod"), strings.NewReader(wiretest.Body())).Code)
	}
	require.Equal(t, []string{"prod", "prod"}, *groups.sources)
	require.Same(t, unsafe.StringData((*groups.sources)[0]), unsafe.StringData((*groups.sources)[1]))
}

// The limit counts the decoded size of notifications: tiny alerts need eight
// times their bytes. A notification above the limit is accepted if it is the
// only one.
func TestDecodedMemoryLimit(t *testing.T) {
	tiny := func(n int) string {
		alerts := strings.TrimSuffix(strings.Repeat(`{"status":"firing","labels":{"a":"b"},"startsAt":"2026-11-23T03:00:00Z"},`, n), ",")
		whole := wiretest.Body()
		return whole[:strings.Index(whole, "[{")+1] + alerts + whole[strings.Index(whole, "}]")+1:]
	}
	h := testserver.NewStub(t, testserver.Options{MaxNotificationMemory: 1 << 20}, nil)
	groups := keeping{come: make(chan struct{}), leave: make(chan struct{})}
	h.Use(groups)
	answers := make(chan int, 2)
	post := func(text string) {
		go func() { answers <- h.Post(text).Code }()
		<-groups.come
	}
	large := tiny(2000)
	require.Less(t, len(large), 1<<20/4)
	post(large)
	require.Greater(t, h.Limits.Limit("notification_memory").Used(), int64(1<<20), "a single notification may exceed the limit")
	h.RequireRejected(t, "a second one", h.Post(large), http.StatusServiceUnavailable, "too many concurrent large notifications, try again")
	require.InDelta(t, 1, h.Counter(t, "muster_notifications_rejected_total", "reason", "overloaded"), 0)
	r := httptest.NewRequest(http.MethodPost, "/webhook", iotest.ErrReader(errors.New("it was read")))
	r.ContentLength = receiver.LargeBody + 1
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	h.RequireRejected(t, "a larger one, before it is read", w, http.StatusServiceUnavailable,
		"too many concurrent large notifications, try again")
	post(wiretest.Body()) // a small notification still fits
	close(groups.leave)
	require.Equal(t, http.StatusOK, <-answers)
	require.Equal(t, http.StatusOK, <-answers)
	require.Zero(t, h.Limits.Limit("notification_memory").Used())
	require.Zero(t, h.Limits.Limit("notification_bodies").Used())
	require.Zero(t, h.Limits.Limit("notifications").Used())
}

// The limit counts the bytes of bodies that are received, and releases them.
func TestReceivedBodiesAreLimited(t *testing.T) {
	runtime.GC() // empty the pool: the size of a pooled buffer changes the reserved size
	runtime.GC()
	h := testserver.New(t, testserver.Options{MaxBodySize: 1000, MaxNotificationMemory: 4000})
	srv := h.Listen(t)
	var conns []net.Conn
	for range 4 {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", srv.Listener.Addr().String())
		require.NoError(t, err)
		conns = append(conns, conn)
		_, err = io.WriteString(conn, testserver.RawRequest(1000, strings.Repeat(" ", 900)))
		require.NoError(t, err)
	}
	held := func(want int64) {
		t.Helper()
		require.Eventually(t, func() bool { return h.Limits.Limit("notification_bodies").Used() == want }, 10*time.Second, time.Millisecond)
	}
	held(4 * 900)
	h.RequireRejected(t, "one too many", h.Post(strings.Repeat(" ", 401)), 503, "too many concurrent requests, try again")
	require.InDelta(t, 1, h.Counter(t, "muster_notifications_rejected_total", "reason", "overloaded"), 0)
	require.InDelta(t, 1, h.Counter(t, "muster_limit_rejections_total", "limit", "notification_bodies"), 0)
	h.RequireRejected(t, "room for a small one", h.Post("{}"), 400, "the body is not a notification")
	for _, conn := range conns {
		require.NoError(t, conn.Close())
	}
	held(0)
	require.Equal(t, http.StatusOK, testserver.New(t, testserver.Options{MaxBodySize: math.MaxInt64}).Post(wiretest.Body()).Code,
		"the maximum body size must not overflow")
	h.RequireRejected(t, "too large", h.Post(strings.Repeat(" ", 1001)), 413, "")
	h.RequireRejected(t, "refused", h.Post(strings.Repeat(" ", 999)), 400, "")
	held(0)
}
