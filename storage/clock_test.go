package storage

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/storage/durable"
	"muster/storage/file"
	"muster/storage/redis"
)

// hostClock is the clock of a host. A test can set it.
type hostClock struct{ set atomic.Int64 }

func (h *hostClock) step(d time.Duration) { h.set.Add(int64(d)) }

func (h *hostClock) clock() *grouping.Clock {
	begin := time.Now()
	return grouping.NewClockOf(
		func() time.Time { return time.Now().Round(0).Add(time.Duration(h.set.Load())) },
		func() time.Duration { return time.Since(begin) },
	)
}

// alternate makes the replicas fire and resolve one alert in turn. Each change must
// be applied, even if their clocks differ.
func alternate(t *testing.T, replicas ...replica) {
	t.Helper()
	a := firing("a")
	for i := range 20 {
		r := replicas[i%len(replicas)]
		a.StartsAt = a.StartsAt.Add(time.Minute)
		a.Status, a.EndsAt = grouping.StatusFiring, time.Time{}
		if i%4 >= 2 {
			a.Status, a.EndsAt = grouping.StatusResolved, a.StartsAt
		}
		a.Annotations = grouping.NewLabels(map[string]string{"value": fmt.Sprint(i)})
		_, err := r.Ingest(t.Context(), grouping.Notification{Key: testKey, Alerts: []grouping.NotifiedAlert{a}, Stamp: r.Stamp()})
		require.NoError(t, err)
		for _, r := range replicas {
			require.Eventually(t, func() bool {
				g, err := r.Get(context.Background(), testKey.ID())
				return err == nil && g.Alert(a.Fingerprint).Status == a.Status && g.Alert(a.Fingerprint).Annotations.Get("value") == fmt.Sprint(i)
			}, 10*time.Second, time.Millisecond, "change %d was acknowledged and not applied", i)
		}
	}
}

// If the clock of the host is set, the replica must still write stamps that are
// greater than all stamps it has seen.
func TestAHostsClockIsSet(t *testing.T) {
	for _, step := range []time.Duration{-time.Hour, -5 * time.Second, 5 * time.Second, time.Hour} {
		t.Run(step.String(), func(t *testing.T) {
			t.Parallel()
			server := miniredis.RunT(t)
			var host hostClock
			open := func() *testRedis { return openRedis(t, redis.Options{URL: "redis://" + server.Addr()}) }
			steps := startReplicaAt(t, open(), host.clock(), TieredOptions{})
			other := startReplicaAt(t, open(), grouping.NewClock(), TieredOptions{})
			alternate(t, steps, other)
			host.step(step)
			alternate(t, steps, other)
			require.WithinDuration(t, time.Now(), steps.storage.clock.Now(), 2*time.Second, "the clock steps with the host's")
		})
	}
}

// Replicas may have different clocks and no shared clock. Each still orders its
// writes after all writes that it has seen. It does not follow a clock that is far
// ahead.
func TestReplicasWithoutASharedClock(t *testing.T) {
	for _, ahead := range []time.Duration{9 * time.Second, time.Hour, 10 * 365 * 24 * time.Hour} {
		t.Run(ahead.String(), func(t *testing.T) {
			t.Parallel()
			server := miniredis.RunT(t)
			var host hostClock
			host.step(ahead)
			open := func() durable.Backend {
				backend := &flaky{Backend: openRedis(t, redis.Options{URL: "redis://" + server.Addr()})}
				backend.fail("now", refused)
				return backend
			}
			before := startReplicaAt(t, open(), host.clock(), TieredOptions{})
			other := startReplicaAt(t, open(), grouping.NewClock(), TieredOptions{})
			alternate(t, before, other)
			if ahead > time.Minute {
				require.WithinDuration(t, time.Now(), other.Stamp().Time(), time.Minute, "a broken clock is followed")
			}
		})
	}
}

// A new process opens a file while the clock of its host is one hour behind. Its
// writes must be newer than what is stored.
func TestAFileAfterTheClockWasSetBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "muster.db")
	var host hostClock
	open := func() (replica, func()) {
		f, err := file.Open(fileAt(path), promslog.NewNopLogger())
		require.NoError(t, err)
		r, stop := runReplica(t, f, host.clock(), TieredOptions{})
		return r, func() { stop(); require.NoError(t, f.Close()) }
	}
	r, stop := open()
	alternate(t, r)
	removed := testKey
	removed.GroupKey = "gone"
	_, err := r.AddAlertToGroup(t.Context(), removed, firing("a"))
	require.NoError(t, err)
	require.NoError(t, r.RemoveAlertFromGroup(t.Context(), removed.ID(), firing("a").Fingerprint))
	page, err := r.Events(t.Context(), grouping.EventQuery{Limit: 1})
	require.NoError(t, err)
	newest := page.Events[0]
	require.Equal(t, grouping.EventExpired, newest.Kind)
	stop()

	host.step(-time.Hour)
	r, stop = open()
	defer stop()
	_, err = r.RestoreGroups(t.Context())
	require.NoError(t, err)
	require.Greater(t, string(r.Stamp()), newest.ID, "new writes are ordered before stored ones")
	alternate(t, r)
	_, err = r.AddAlertToGroup(t.Context(), removed, firing("a"))
	require.NoError(t, err)
	g, err := r.Get(t.Context(), removed.ID())
	require.NoError(t, err)
	require.NotNil(t, g.Alert(firing("a").Fingerprint))
	page, err = r.Events(t.Context(), grouping.EventQuery{Group: removed.ID(), Limit: 1})
	require.NoError(t, err)
	require.Equal(t, grouping.EventFired, page.Events[0].Kind, "the newest event is not the newest")
}
