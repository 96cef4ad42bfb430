package limit

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

// The list has a limit for each reason, so that a scan does not hide a sender
// with a wrong token.
func TestRejectionsAreLimited(t *testing.T) {
	var r rejections
	at := time.Now()
	refuse := func(reason Reason, from string, after time.Duration) bool {
		return r.add(reason, Rejection{At: at.Add(after), From: from, Code: 404, Text: "path not found"})
	}
	require.True(t, refuse(Unauthorized, "10.0.0.1", 0))
	require.False(t, refuse(Unauthorized, "10.0.0.1", time.Second), "the log does not repeat it within the interval")
	require.True(t, refuse(Unauthorized, "10.0.0.1", rejectionLogInterval), "but again after the interval")
	for i := range 1000 {
		refuse(NotFound, fmt.Sprint("10.1.0.", i), time.Duration(i)*time.Minute)
	}
	listed := r.list()
	require.Len(t, listed, 1+maxSendersPerReason)
	require.Equal(t, "10.1.0.999", listed[0].From, "the newest first")
	last := listed[len(listed)-1]
	require.Equal(t, "10.0.0.1", last.From)
	require.Equal(t, 3, last.Times)
	require.Equal(t, 1003, r.total())
	require.Equal(t, 1000, r.timesReached(NotFound))
}

// A scan from many addresses does not fill the log.
func TestAScanDoesNotFillTheLog(t *testing.T) {
	var log bytes.Buffer
	r, err := NewRegistry(prometheus.NewRegistry(), slog.New(slog.NewTextHandler(&log, nil)))
	require.NoError(t, err)
	for i := range 500 {
		r.Reject(t.Context(), fmt.Sprintf("10.1.%d.%d:99", i/250, i%250), http.StatusNotFound, NotFound, fmt.Sprint("path ", i))
	}
	require.Equal(t, maxLogLinesPerReason, strings.Count(log.String(), "Notification rejected"))
	r.Reject(t.Context(), "10.1.0.1:99", http.StatusBadRequest, BadMessage, "the body is incomplete")
	require.Contains(t, log.String(), "bad_message", "each reason has its own limit")
}

// Rejected events are counted and logged apart from notifications, and listed beside them.
func TestRejectedEvents(t *testing.T) {
	var log bytes.Buffer
	reg := prometheus.NewPedanticRegistry()
	limits, err := NewRegistry(reg, slog.New(slog.NewTextHandler(&log, nil)))
	require.NoError(t, err)
	for range 2 {
		limits.RejectEvents(t.Context(), "10.0.0.1:1234", http.StatusRequestEntityTooLarge, TooLarge, "the body is larger than 7 bytes")
	}
	limits.Reject(t.Context(), "10.0.0.1:1234", http.StatusRequestEntityTooLarge, TooLarge, "the body is larger than 7 bytes")
	limits.RejectSomeEvents(t.Context(), "10.0.0.2:1234", 9, []string{"a is missing", "b is missing"})
	limits.RejectSomeEvents(t.Context(), "10.0.0.2:1234", 0, nil)
	require.Equal(t, 1, limits.Rejected())
	require.Equal(t, 3, limits.TimesReached(TooLarge))
	listed := map[string]int{}
	for _, r := range limits.Rejections() {
		listed[fmt.Sprint(r.From, r.Code, r.Text)] = r.Times
	}
	require.Equal(t, map[string]int{
		"10.0.0.1413events: the body is larger than 7 bytes": 2, "10.0.0.1413the body is larger than 7 bytes": 1,
		"10.0.0.2200event rejected: a is missing": 1, "10.0.0.2200event rejected: b is missing": 1,
	}, listed)
	require.Equal(t, 1, strings.Count(log.String(), `msg="Events rejected" reason=too_large code=413 remote=10.0.0.1`))
	require.Equal(t, 1, strings.Count(log.String(), `msg="Some events rejected" events=9 remote=10.0.0.2 first="a is missing"`))
	require.Equal(t, 1, strings.Count(log.String(), `msg="Notification rejected"`))
}
