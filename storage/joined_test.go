package storage

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"muster/grouping"
)

// manyAtOnce makes a replica get many notifications about one group at once. The first
// write takes a while, so that the others wait and are stored together.
func manyAtOnce(t *testing.T, r replica, name string) (notifications int) {
	t.Helper()
	const many = 30
	r.backend.fail("store", late)
	var wg sync.WaitGroup
	for i := range many {
		wg.Go(func() {
			known, added := firing("known"), firing(fmt.Sprint(name, i))
			known.Annotations = grouping.NewLabels(map[string]string{"value": fmt.Sprint(name, i)})
			n := grouping.Notification{Key: testKey, Alerts: []grouping.NotifiedAlert{known, added}, Truncated: 1}
			if _, err := r.Ingest(context.Background(), n); err != nil {
				panic(err)
			}
		})
	}
	wg.Wait()
	r.backend.heal()
	return many
}

// eventsByKind returns the number of events of each kind, including the changed ones.
func eventsByKind(t *testing.T, s grouping.GroupStorage) map[grouping.EventKind]int {
	t.Helper()
	kinds, ids := map[grouping.EventKind]int{}, map[string]bool{}
	for e, err := range s.StreamEvents(context.Background(), time.Time{}) {
		require.NoError(t, err)
		require.False(t, ids[e.ID], "an event comes twice")
		ids[e.ID] = true
		kinds[e.Kind]++
	}
	return kinds
}

// A replica has every event of the writes that another one made together.
func TestAFollowerGetsTheEventsOfJoinedWrites(t *testing.T) {
	one, other, backend := watchedReplicas(t)
	one.notify(t, firing("known"))
	n := int64(1 + manyAtOnce(t, one, "a"))
	requireFollowed(t, one, other, testKey)
	g, err := other.Get(t.Context(), testKey.ID())
	require.NoError(t, err)
	require.Equal(t, n, g.Notifications)
	require.Less(t, g.Version, n, "some must have been stored together")
	want := eventsByKind(t, one.storage.memory)
	require.Equal(t, int(n), want[grouping.EventNotified])
	require.Equal(t, int(n), want[grouping.EventFired])
	// A notification that another one overtook before both were queued changes nothing.
	require.InDelta(t, n-1, want[grouping.EventChanged], 5)
	require.Equal(t, want, eventsByKind(t, backend))
	require.Eventually(t, func() bool {
		got := eventsByKind(t, other.storage.memory)
		return fmt.Sprint(got) == fmt.Sprint(want)
	}, 5*time.Second, 5*time.Millisecond)
}

// Whatever happens to writes that were made together, each of them is applied once.
func TestFaultsOfJoinedWrites(t *testing.T) {
	for _, how := range []fault{refused, answerLost, slow} {
		t.Run(string(how), func(t *testing.T) {
			t.Parallel()
			server := miniredis.RunT(t)
			r := startReplica(t, server.Addr(), TieredOptions{})
			r.notify(t, firing("known"))
			var wg sync.WaitGroup
			r.backend.fail("store", late)
			const many = 30
			for i := range many {
				if i == many/2 {
					time.Sleep(50 * time.Millisecond) // the first ones wait
					r.backend.fail("store", how)
				}
				wg.Go(func() {
					n := grouping.Notification{Key: testKey, Alerts: []grouping.NotifiedAlert{firing(fmt.Sprint(i))}, Truncated: 1}
					if _, err := r.Ingest(context.Background(), n); err != nil {
						panic(err)
					}
				})
			}
			wg.Wait()
			r.backend.heal()
			r.clean(t)
			direct := openFast(t, "redis://"+server.Addr())
			defer func() { require.NoError(t, direct.Close()) }()
			g, err := direct.Load(t.Context(), testKey.ID())
			require.NoError(t, err)
			require.Len(t, g.Alerts, 1+many)
			own, err := r.Get(t.Context(), testKey.ID())
			require.NoError(t, err)
			require.True(t, g.Equal(own))
			for _, s := range []grouping.GroupStorage{direct, r.storage.memory} {
				require.Equal(t, map[grouping.EventKind]int{
					grouping.EventOpened: 1, grouping.EventFired: 1 + many, grouping.EventNotified: 1 + many,
				}, eventsByKind(t, s))
			}
			require.Zero(t, testutil.ToFloat64(r.storage.lostWrites), "what only memory had was not lost")
		})
	}
}

// If Redis goes back in time, the events of joined writes are all written back.
func TestALossOfJoinedWrites(t *testing.T) {
	server := miniredis.RunT(t)
	r := startReplica(t, server.Addr(), TieredOptions{})
	r.notify(t, firing("known"))
	manyAtOnce(t, r, "a")
	direct := openFast(t, "redis://"+server.Addr())
	defer func() { require.NoError(t, direct.Close()) }()
	want := eventsByKind(t, direct)
	server.FlushAll()
	require.Eventually(t, func() bool { return fmt.Sprint(eventsByKind(t, direct)) == fmt.Sprint(want) }, 10*time.Second, 20*time.Millisecond)
	r.clean(t)
	require.InDelta(t, 31, testutil.ToFloat64(r.storage.lostWrites), 0, "each notification counts")
}
