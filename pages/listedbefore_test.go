package pages_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/past"
	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
)

// The list marks a group that fired often, now and in the past, once the history was read.
func TestTheListSaysHowOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testserver.New(t, testserver.Options{Groups: grouping.DefaultOptions})
		reader := past.New(h.Manager)
		h.UsePast(reader)
		tell := func(status string) {
			now := time.Now().UTC().Format(time.RFC3339)
			body := wiretest.Body(wiretest.Start, `"startsAt":"`+now+`"`)
			if status == "resolved" {
				body = wiretest.Body(wiretest.Start, `"startsAt":"`+now+`"`, `"firing"`, `"resolved"`, "0001-01-01T00:00:00Z", now)
			}
			h.PostKept(t, body)
			time.Sleep(time.Hour)
		}
		for range 3 {
			tell("firing")
			tell("resolved")
		}
		third := time.Now().Add(-2 * time.Hour)
		tell("firing")
		list := func(query string) string {
			h.Pages.ClearCache()
			return h.Get("/"+query, "Accept", testserver.HTML).Body.String()
		}
		require.NotContains(t, list(""), "in 7 days")
		go func() { _ = reader.Run(t.Context()) }()
		time.Sleep(time.Second)
		require.Contains(t, list(""), ">4th in ")
		require.Contains(t, list("?at="+at(third.Add(time.Minute))), ">3rd in ")
		require.NotContains(t, list("?state=resolved"), "4th in")
	})
}
