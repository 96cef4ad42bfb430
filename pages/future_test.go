package pages_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
)

// An alert that starts in the future does not stay the newest, and each page
// that shows it marks it.
func TestAStartInTheFuture(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	ahead := h.PostKept(
		t,
		wiretest.Body(wiretest.Key, `"groupKey":"ahead"`, "Down", "Ahead", wiretest.Start, `"startsAt":"2096-01-02T03:04:05Z"`),
	)
	now := time.Now().UTC().Truncate(time.Second).Add(time.Second)
	require.Eventually(t, func() bool { return time.Now().After(now) }, 5*time.Second, time.Millisecond)
	fresh := h.PostKept(t, wiretest.Body(wiretest.Key, `"groupKey":"fresh"`, "0011223344556677", "00112233445566aa", wiretest.Start,
		`"startsAt":"`+now.Format(time.RFC3339)+`"`))

	list := h.Get("/").Body.String()
	require.Less(t, strings.Index(list, fresh), strings.Index(list, ahead))
	require.NotContains(t, list, "clock ahead")
	for _, path := range []string{"/", "/groups/" + ahead, "/alerts/0011223344556677"} {
		text := h.Get(path).Body.String()
		require.Contains(t, text, "starts in the future", path)
		require.Contains(t, text, "2096 Jan 2 03:04 UTC", path)
	}
	require.NotContains(t, h.Get("/groups/"+fresh).Body.String(), "starts in the future")
	require.Contains(t, h.Get("/help").Body.String(), `id="future"`)
	require.Contains(t, h.Get("/api/v1/groups/"+ahead).Body.String(), `"startsAt":"2096-01-02T03:04:05Z"`, "the sent time is stored")
}
