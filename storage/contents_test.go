package storage

import (
	"fmt"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"

	"muster/grouping"
)

// A replica knows the contents of the events of the others.
func TestContentsFollow(t *testing.T) {
	server := miniredis.RunT(t)
	r, other := startReplica(t, server.Addr(), TieredOptions{}), startReplica(t, server.Addr(), TieredOptions{})
	a := firing("a")
	a.Annotations = grouping.NewLabels(map[string]string{"value": "1"})
	_, err := r.AddAlertToGroup(t.Context(), testKey, a)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return contentOf(t, other.storage.memory, r, a.Fingerprint).Annotations.Get("value") == "1"
	}, 5*time.Second, 5*time.Millisecond)
}

// The copy answers in an outage. Contents that Redis loses come back from it.
func TestContentsComeBack(t *testing.T) {
	for name, lose := range map[string]func(server *miniredis.Miniredis){
		"all keys":     func(server *miniredis.Miniredis) { server.FlushAll() },
		"the contents": func(server *miniredis.Miniredis) { server.Del("muster:{0}:c") },
		"the uses":     func(server *miniredis.Miniredis) { server.Del("muster:{0}:cu") },
		"the changed events": func(server *miniredis.Miniredis) {
			for _, name := range []string{"x", "xc", "xu"} {
				server.Del("muster:{0}:" + name)
			}
		},
		"both": func(server *miniredis.Miniredis) { server.Del("muster:{0}:c"); server.Del("muster:{0}:cu") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := miniredis.RunT(t)
			r := startReplica(t, server.Addr(), TieredOptions{})
			direct := openFast(t, "redis://"+server.Addr())
			defer func() { require.NoError(t, direct.Close()) }()
			const n = 5
			for i := range n {
				a := firing(fmt.Sprint(i))
				a.Annotations = grouping.NewLabels(map[string]string{"value": fmt.Sprint(i)})
				_, err := r.AddAlertToGroup(t.Context(), testKey, a)
				require.NoError(t, err)
			}
			changed := firing("0")
			changed.Annotations = grouping.NewLabels(map[string]string{"value": "changed"})
			_, err := r.AddAlertToGroup(t.Context(), testKey, changed)
			require.NoError(t, err)
			require.True(t, server.Exists("muster:{0}:c"))
			require.True(t, server.Exists("muster:{0}:x"))
			var events []grouping.Event
			for e, err := range r.storage.StreamEvents(t.Context(), time.Time{}) {
				require.NoError(t, err)
				events = append(events, e)
			}
			require.Len(t, events, n+3, "also what is common to the first two alerts")
			require.Equal(t, grouping.EventChanged, events[n+2].Kind)
			_, err = r.backend.FindLosses(t.Context(), []grouping.ID{testKey.ID()}) // the backend sees the contents
			require.NoError(t, err)
			want, err := direct.Contents(t.Context(), events)
			require.NoError(t, err)
			require.Len(t, want, n+2, "of the alerts, and what is common to more than one of them")

			lose(server)
			got, err := r.storage.Contents(t.Context(), events)
			require.NoError(t, err)
			require.Equal(t, want, got)
			require.Eventually(t, func() bool {
				got, err := direct.Contents(t.Context(), events)
				require.NoError(t, err)
				missing, err := direct.MissingEvents(t.Context(), events)
				require.NoError(t, err)
				return len(got) == len(want) && len(missing) == 0
			}, 10*time.Second, 10*time.Millisecond)

			r.backend.fail("everything", refused)
			got, err = r.storage.Contents(t.Context(), events)
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
	}
}
