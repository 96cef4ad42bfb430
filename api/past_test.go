package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/history"
	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
)

// The API answers with a past state, and says which one it is.
func TestAPastState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testserver.New(t, testserver.Options{})
		id := h.PostKept(t, wiretest.Body())
		time.Sleep(time.Hour)
		h.PostKept(t, wiretest.Body(`"firing"`, `"resolved"`, "0001-01-01T00:00:00Z", "2026-11-23T03:10:00Z"))
		time.Sleep(time.Hour)
		const fp = "0011223344556677"
		for _, form := range []string{"2000-01-01T00:30:00Z", "2000-01-01+00:30", "946686600", "-1h30m", "2000-01-01T02:30:00%2B02:00"} {
			for _, path := range []string{
				"/groups", "/groups/" + id, "/alerts/" + fp, "/stats", "/groups?state=firing&alerts=true&sort=name&limit=1",
			} {
				sign := "?"
				if u, err := url.Parse(path); err == nil && u.RawQuery != "" {
					sign = "&"
				}
				w := h.Get("/api/v1" + path + sign + "at=" + form)
				require.Equal(t, http.StatusOK, w.Code, "%s: %s", path, w.Body)
				var v map[string]any
				require.NoError(t, json.Unmarshal(w.Body.Bytes(), &v), w.Body)
				require.Equal(t, "2000-01-01T00:30:00Z", v["at"], path)
				require.Equal(t, "2000-01-01T00:00:00Z", v["knownSince"], path)
				require.NotContains(t, v, "gap")
				require.NotContains(t, w.Body.String(), `"resolvedAt"`, "that was later")
			}
		}
		var g struct {
			State  string
			Alerts []struct{ Status, EndsAt string }
		}
		require.NoError(t, json.Unmarshal(h.Get("/api/v1/groups/"+id+"?at=-1h30m").Body.Bytes(), &g))
		require.Equal(t, "firing", g.State)
		require.Equal(t, "firing", g.Alerts[0].Status)
		require.NoError(t, json.Unmarshal(h.Get("/api/v1/groups/"+id+"?at=-30m").Body.Bytes(), &g))
		require.Equal(t, "resolved", g.State)
		require.Contains(t, h.Get("/api/v1/groups?state=firing&at=-30m").Body.String(), `{"groups":[],"total":0,"at":`)
		require.NotContains(t, h.Get("/api/v1/groups").Body.String(), "knownSince", "the present")
		require.NotContains(t, h.Get("/api/v1/groups/"+id+"?at=").Body.String(), "knownSince", "the present")
	})
}

func TestAPastStateThatIsNotKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testserver.New(t, testserver.Options{})
		id := h.PostKept(t, wiretest.Body())
		time.Sleep(time.Hour)
		for _, path := range []string{"/groups", "/groups/" + id, "/alerts/0011223344556677", "/stats"} {
			w := h.Get("/api/v1" + path + "?at=-2h")
			require.Equal(t, http.StatusNotFound, w.Code, path)
			require.JSONEq(t, `{"error":"nothing is known of 1999-12-31T23:00:00Z: the history begins at 2000-01-01T00:00:00Z",
				"knownSince":"2000-01-01T00:00:00Z"}`, w.Body.String(), path)
			for at, says := range map[string]string{
				"tomorrow": `at: \"tomorrow\" is not a time`, "2000-01-01T01:00:01Z": "is in the future", "1h&at=2h": "given 2 times",
				"1h&nosuch=1": "unknown parameter",
			} {
				w := h.Get("/api/v1" + path + "?at=" + at)
				require.Equal(t, http.StatusBadRequest, w.Code, path)
				require.Contains(t, w.Body.String(), says)
			}
		}
		w := h.Get("/api/v1/groups/00000000000000000000?at=-30m")
		require.Equal(t, http.StatusNotFound, w.Code)
		require.NotContains(t, w.Body.String(), "knownSince")
	})
}

type gapPast struct {
	testserver.Past

	wall *history.Wall
}

func (f gapPast) At(context.Context, time.Time) (*history.Wall, error) { return f.wall, nil }

func TestAPastStateWithinAGap(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	at := time.Date(2026, 11, 26, 1, 30, 0, 0, time.UTC)
	gap := &grouping.Gap{From: at.Add(-2 * time.Minute), To: at.Add(6 * time.Minute)}
	h.UsePast(gapPast{wall: &history.Wall{At: at, KnownSince: at.Add(-time.Hour), Gap: gap}})
	require.JSONEq(t, `{"groups":[],"total":0,"at":"2026-11-26T01:30:00Z","knownSince":"2026-11-26T00:30:00Z",
		"gap":{"from":"2026-11-26T01:28:00Z","to":"2026-11-26T01:36:00Z"}}`, h.Get("/api/v1/groups?at=-1s").Body.String())
}
