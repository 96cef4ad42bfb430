package pages_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
)

// A group gets another ID when a notification tells its key. Its new ID also leads to what it was
// before.
func TestTheNewIDOfAGroupLeadsToItsPast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := grouping.DefaultOptions
		opts.Receivers = []grouping.SourceReceiver{{Source: "default", Receiver: "team"}}
		h := testserver.New(t, testserver.Options{Groups: opts})
		h.Silence(t) // a poll tells of the group
		polled := time.Now().Add(time.Minute)
		time.Sleep(time.Hour)
		id := h.PostKept(t, wiretest.Body())
		groups, err := h.Manager.All(t.Context())
		require.NoError(t, err)
		require.Len(t, groups, 1, "it moved")
		require.NotEqual(t, grouping.ID(id), groups[0].UnkeyedID())
		time.Sleep(time.Hour)

		for _, path := range []string{"/groups/" + id, "/groups/" + string(groups[0].UnkeyedID())} {
			w := h.Get(path+"?at="+at(polled), "Accept", testserver.HTML)
			require.Equal(t, http.StatusOK, w.Code, path)
			require.Contains(t, w.Body.String(), "Silenced by")
			w = h.Get("/api/v1" + path + "?at=" + at(polled))
			require.Equal(t, http.StatusOK, w.Code, w.Body)
			require.Contains(t, w.Body.String(), `"receiver":"team"`)
		}
		require.Equal(t, http.StatusNotFound, h.Get("/groups/00000000000000000000?at="+at(polled), "Accept", testserver.HTML).Code)
		require.Equal(t, http.StatusNotFound, h.Get("/api/v1/groups/00000000000000000000?at="+at(polled)).Code)
	})
}
