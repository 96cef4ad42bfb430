package receiver

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/limit"
)

// Each kind of body has its own slots and its own budget: one that is full does not
// block another.
func TestKindsOfBodiesDoNotBlockEachOther(t *testing.T) {
	limits, err := limit.NewRegistry(prometheus.NewRegistry(), promslog.NewNopLogger())
	require.NoError(t, err)
	tokens, err := newWebhookTokens("", promslog.NewNopLogger())
	require.NoError(t, err)
	opts := admissionOptions{title: "bodies", maxBodySize: 1 << 20, maxMemory: 1 << 20, maxRequests: 1, decodedSize: decodedSize}
	notifications := newAdmission("notification", tokens, &atomic.Bool{}, limits, opts)
	events := newAdmission("event", tokens, &atomic.Bool{}, limits, opts)
	admit := func(a *admission, size int) (*admitted, *refusal) {
		c, _ := gin.CreateTestContext(httptest.NewRecorder())
		c.Request = httptest.NewRequest(http.MethodPost, "/", strings.NewReader(strings.Repeat("{", size)))
		return a.admit(c)
	}
	first, refused := admit(events, 10)
	require.Nil(t, refused)
	_, refused = admit(events, 10)
	require.EqualError(t, refused.err, "too many concurrent requests, try again")
	other, refused := admit(notifications, 10)
	require.Nil(t, refused)
	require.Equal(t, grouping.DefaultSource, other.source)
	first.release()
	other.release()
	other.release() // a second time

	memory, ok := events.decodedBytes.Take(1 << 20)
	require.True(t, ok)
	_, refused = admit(events, 1000)
	require.EqualError(t, refused.err, "too many concurrent large bodies, try again")
	require.Equal(t, limit.Overloaded, refused.reason)
	other, refused = admit(notifications, 1000)
	require.Nil(t, refused)
	other.release()
	memory.Release()
	for _, name := range []string{"notifications", "notification_bodies", "notification_memory", "events", "event_bodies", "event_memory"} {
		require.Zero(t, limits.Limit(name).Used(), name)
	}
	require.Equal(t, 1, limits.Limit("events").Rejected())
	require.Zero(t, limits.Limit("notifications").Rejected())
}
