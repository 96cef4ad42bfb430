package api_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
)

func TestAnAnswerSaysHowOftenItFired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testserver.New(t, testserver.Options{})
		for _, d := range []time.Duration{10 * time.Minute, 30 * time.Minute, 20 * time.Minute} {
			h.FireFor(t, wiretest.Body, "default", d)
			time.Sleep(72 * time.Hour)
		}
		id := h.FireFor(t, wiretest.Body, "default", 0)
		h.FireFor(t, wiretest.Body, "staging", 0)
		time.Sleep(time.Minute)
		const earlier = `"since":"2000-01-01T00:00:00Z","secondsWithoutData":0,"firings7d":3,"firings30d":4,"resolved":3,
			"medianSeconds":1200,"p90Seconds":1800,"longestSeconds":1800,"longerThanUsual":false,
			"last":{"startsAt":"2000-01-07T00:40:00Z","endsAt":"2000-01-07T01:00:00Z"}`
		before := func(path string) string {
			var answer struct{ Before json.RawMessage }
			w := h.Get(path)
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer), w.Body)
			return string(answer.Before)
		}
		require.JSONEq(t, "{"+earlier+"}", before("/api/v1/groups/"+id))
		const alert = "/api/v1/alerts/0011223344556677"
		require.JSONEq(t, fmt.Sprintf(`{"default":{%s},"staging":{"since":"2000-01-01T00:00:00Z","secondsWithoutData":0,
			"firings7d":1,"firings30d":1,"resolved":0,"longerThanUsual":false}}`, earlier), before(alert))
		require.JSONEq(t, `{"default":{"since":"2000-01-01T00:00:00Z","secondsWithoutData":0,"firings30d":1,"resolved":0,
			"longerThanUsual":false}}`, before(alert+"?at=2000-01-01T00:05:00Z"), "less than 7 days are known at that time")
		require.NotContains(t, h.Get("/api/v1/groups").Body.String(), `"before"`, "a list has no such numbers")
	})
}
