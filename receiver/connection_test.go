package receiver_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
)

// waiting answers Ingest when the client has disconnected, like a storage whose
// context is cancelled.
type waiting struct{ testserver.Stub }

func (waiting) Ingest(ctx context.Context, _ grouping.Notification) (grouping.Outcome, error) {
	<-ctx.Done()
	return grouping.Outcome{}, context.Cause(ctx)
}

func (waiting) Totals(ctx context.Context) (grouping.Totals, error) {
	<-ctx.Done()
	return grouping.Totals{}, &grouping.StorageError{Backend: "redis", Op: "load", Err: ctx.Err()}
}

// A client that closes its sending side cancels the request, but still reads
// the answer. It must not read 200 if the notification was not stored.
func TestCancelledNotificationIsNotAcknowledged(t *testing.T) {
	h := testserver.NewStub(t, testserver.Options{}, nil)
	h.Use(waiting{})
	srv := h.Listen(t)
	code, _ := testserver.SendHalfClosed(t, srv, testserver.RawRequest(len(wiretest.Body()), wiretest.Body()))
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.InDelta(t, 1, h.Counter(t, "muster_notifications_rejected_total", "reason", "cancelled"), 0)
	require.Zero(t, h.Counter(t, "muster_notifications_rejected_total", "reason", "storage"), "the storage is healthy")
	for _, path := range []string{"/api/v1/stats", "/status"} {
		code, _ = testserver.SendHalfClosed(t, srv, "GET "+path+" HTTP/1.1\r\nHost: muster\r\n\r\n")
		require.Equal(t, http.StatusServiceUnavailable, code, path)
	}
}

// An incomplete body gets 503, so that Alertmanager retries at once.
func TestIncompleteBodyIsRetried(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	h.PostKept(t, wiretest.Body(wiretest.Key, `"groupKey":"held"`))
	before := h.Stored(t)
	srv := h.Listen(t)
	for _, text := range []string{
		testserver.RawRequest(len(wiretest.Body())+1, wiretest.Body()), // valid JSON, but incomplete
		testserver.RawRequest(len(wiretest.Body()), wiretest.Body()[:100]),
		testserver.RawRequest(10, ""),
		strings.Replace(testserver.RawRequest(0, "5\r\n{\"a\":\r\n"), "Content-Length: 0", "Transfer-Encoding: chunked", 1),
	} {
		code, answer := testserver.SendHalfClosed(t, srv, text)
		require.Equal(t, http.StatusServiceUnavailable, code)
		require.JSONEq(t, `{"error":"the body is incomplete"}`, answer)
	}
	require.Equal(t, before, h.Stored(t))
	require.InDelta(t, 4, h.Counter(t, "muster_notifications_rejected_total", "reason", "incomplete"), 0)
}

// A panic of a page does not count as a rejected notification.
func TestOnlyNotificationsAreCountedAsRejected(t *testing.T) {
	h := testserver.NewStub(t, testserver.Options{}, nil) // its queries panic
	require.Equal(t, http.StatusServiceUnavailable, h.Get("/api/v1/stats").Code)
	require.Zero(t, h.Counter(t, "muster_notifications_rejected_total", "reason", "panic"))
}
