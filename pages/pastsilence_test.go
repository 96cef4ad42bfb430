package pages_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
)

// A page of the past says until when a silence was to last then, and why. Later changes are not
// known there. A checkpoint between the change and that time has the silence, too.
func TestASilenceIsShownAsItWas(t *testing.T) {
	for _, checkpoint := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			h := testserver.New(t, testserver.Options{})
			id := h.PostKept(t, wiretest.Body())
			h.Silence(t) // the first poll tells of it, so no event says how it began
			poll := func(change func(*grouping.Silence)) {
				s := *h.Manager.SilenceOf("default", "s1")
				change(&s)
				s.UpdatedAt = time.Now().UTC()
				require.NoError(t, h.Manager.ObserveSilences(t.Context(), "default", "http://am", time.Now(), []grouping.Silence{s}))
			}
			start := time.Now().UTC()
			time.Sleep(10 * time.Minute)
			poll(func(s *grouping.Silence) { s.Comment, s.EndsAt = "db move", s.EndsAt.Add(2*time.Hour) })
			time.Sleep(10 * time.Minute)
			if checkpoint {
				require.NoError(t, h.Manager.TakeCheckpoint(t.Context()))
			}
			time.Sleep(10 * time.Minute)
			poll(func(s *grouping.Silence) { s.Comment, s.EndsAt = "nearly done", s.EndsAt.Add(-time.Hour) })
			time.Sleep(10 * time.Minute)

			page := func(path string, ago time.Duration) string {
				w := h.Get(path+"at="+at(start.Add(ago)), "Accept", testserver.HTML)
				require.Equal(t, http.StatusOK, w.Code, w.Body)
				return w.Body.String()
			}
			until := func(hours int) string { return start.Add(time.Duration(hours) * time.Hour).Format(time.RFC3339) }
			for _, path := range []string{"/?state=suppressed&", "/groups/" + id + "?", "/alerts/0011223344556677?"} {
				for _, ago := range []time.Duration{15 * time.Minute, 25 * time.Minute} {
					shown := page(path, ago)
					require.Contains(t, shown, "db move", path)
					require.Contains(t, shown, until(3), path)
					require.NotContains(t, shown, "nearly done", path)
				}
				require.Contains(t, page(path, 35*time.Minute), "nearly done", path)
				// Nobody knows what it was before the first change.
				shown := page(path, 5*time.Minute)
				require.Contains(t, shown, "by <b>mira</b>", path)
				require.NotContains(t, shown, "nearly done", path)
				require.NotContains(t, shown, until(2), path)
			}
			var g struct {
				Alerts []struct {
					Mutes []struct {
						Comment string
						Until   time.Time
					}
				}
			}
			w := h.Get("/api/v1/groups/" + id + "?at=" + at(start.Add(25*time.Minute)))
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &g))
			require.Equal(t, "db move", g.Alerts[0].Mutes[0].Comment)
			require.Equal(t, start.Add(3*time.Hour), g.Alerts[0].Mutes[0].Until)
		})
	}
}
