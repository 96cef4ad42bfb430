package pages_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
)

// The pages of a group and of an alert say how often it fired before.
func TestWasHereBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testserver.New(t, testserver.Options{})
		page := func(path string) string {
			w := h.Get(path, "Accept", testserver.HTML)
			require.Equal(t, http.StatusOK, w.Code, path)
			return w.Body.String()
		}
		id := h.FireFor(t, wiretest.Body, "default", 10*time.Minute)
		for i, want := range []string{
			"First time in the 10m 0s that are known.", "2nd time in the 3 days that are known.", "3rd time in the 6 days that are known.",
			"3rd time in 7 days, 4th in the 9 days that are known.",
		} {
			group, alert := "/groups/"+id, "/alerts/0011223344556677"
			require.Contains(t, page(group), "<b>"+want+"</b>")
			require.Contains(t, page(alert), "<b>"+want+"</b>")
			if i == 1 {
				require.Contains(t, page(group), `The one before was on <a href="`+group+`?at=2000-01-01T00:10:00Z">`)
				require.Contains(t, page(alert), `The one before was on <a href="`+alert+`?at=2000-01-01T00:10:00Z">`)
				require.Contains(t, page(group), ", for 10m 0s.")
				require.NotContains(t, page(group), "usually")
			}
			require.Equal(t, i > 1, strings.Contains(page(group), "It usually ends within 10m 0s, the longest took 10m 0s."), i)
			time.Sleep(72*time.Hour - 10*time.Minute)
			h.FireFor(t, wiretest.Body, "default", 10*time.Minute)
		}
		require.Contains(t, page("/groups/"+id+"?at=2000-01-04T00:05:00Z"), "<b>2nd time in the 3 days that are known.</b>")

		h.FireFor(t, wiretest.Body, "staging", 0)
		alert := page("/alerts/0011223344556677")
		require.Contains(t, alert, "<bdi>default</bdi>: <b>3rd time in 7 days, 5th in the 12 days that are known.</b>")
		require.Contains(t, alert, "<bdi>staging</bdi>: <b>First time in the 12 days that are known.</b>")
		require.NotContains(t, page("/alerts/0011223344556677?source=staging"), "<bdi>staging</bdi>:")

		h.FireFor(t, wiretest.Body, "default", 0)
		require.NotContains(t, page("/groups/"+id), "longer than usual")
		time.Sleep(10*time.Minute + time.Second)
		require.Contains(t, page("/groups/"+id), `title="90 % of its episodes ended within 10m 0s"`)
	})
}
