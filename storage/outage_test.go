package storage

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/storage/durable"
	"muster/storage/redis"
	"muster/storage/storagetest"
)

// slowLink is the bandwidth in bytes per second of a connection that needs 300 ms
// for 64 KB.
const slowLink = 64_000 * 10 / 3

// startOn runs the storage of a Muster on the Redis at the URL until the test ends.
// It uses the settings of production.
func startOn(t *testing.T, url string) replica {
	t.Helper()
	r := openFast(t, url)
	clock := grouping.NewClock()
	joined, err := NewTiered(
		NewMemory(DefaultMemoryOptions()), r, clock, prometheus.NewRegistry(), promslog.NewNopLogger(), DefaultTieredOptions())
	require.NoError(t, err)
	m, err := grouping.NewManager(joined, clock, nil, prometheus.NewRegistry(), promslog.NewNopLogger(), grouping.DefaultOptions)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = joined.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
		require.NoError(t, r.Close())
	})
	<-joined.Restored()
	return replica{m, joined, nil, nil}
}

// notification returns a notification with a number of firing alerts, each about 1
// KB.
func notification(group string, alerts int) grouping.Notification {
	n := grouping.Notification{Key: testKey}
	n.GroupKey = group
	for i := range alerts {
		a := firing(fmt.Sprintf("%s-host-%05d", group, i))
		a.Annotations = grouping.NewLabels(map[string]string{"description": strings.Repeat("The disk fills up. ", 30)})
		n.Alerts = append(n.Alerts, a)
	}
	return n
}

// A recovery with thousands of events succeeds over a connection that needs seconds
// for them.
func TestRecoveryOverASlowLink(t *testing.T) {
	t.Parallel()
	server := storagetest.StartRedis(t)
	link := storagetest.StartLink(t, server.Socket, slowLink)
	r := startOn(t, "redis://"+link.Addr)
	link.Cut(true)
	const groups, alerts = 50, 40
	for i := range groups {
		_, err := r.Ingest(t.Context(), notification(fmt.Sprint("group-", i), alerts))
		require.NoError(t, err)
	}
	require.False(t, r.storage.Status().Healthy)
	link.Cut(false)
	require.Eventually(t, func() bool {
		s := r.storage.Status()
		return s.Healthy && s.DirtyGroups == 0
	}, 2*time.Minute, 10*time.Millisecond)

	direct := openFast(t, "unix://"+server.Socket)
	defer func() { require.NoError(t, direct.Close()) }()
	for i := range groups {
		n := notification(fmt.Sprint("group-", i), alerts)
		g, err := direct.Load(t.Context(), n.ID())
		require.NoError(t, err)
		require.Equal(t, alerts, g.Counts.Firing)
		page, err := direct.Events(t.Context(), grouping.EventQuery{Group: n.ID(), Limit: 1000})
		require.NoError(t, err)
		fired := slices.DeleteFunc(page.Events, func(e grouping.Event) bool { return e.Kind != grouping.EventFired })
		require.Len(t, fired, alerts)
	}

	// A Muster that starts over the same connection finds all groups.
	require.Equal(t, groups, startOn(t, "redis://"+link.Addr).storage.Status().Restored)
}

// A storm is not a fault of Redis: no write times out while Redis answers.
func TestAStormOfLargeGroups(t *testing.T) {
	for name, test := range map[string]struct {
		url             string
		senders, groups int
	}{
		"on a machine":     {"unix://" + storagetest.StartRedis(t).Socket, 16, 2},
		"over a slow link": {"redis://" + storagetest.StartLink(t, storagetest.StartRedis(t).Socket, 4*slowLink).Addr, 4, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := startOn(t, test.url)
			var wg sync.WaitGroup
			for sender := range test.senders {
				wg.Go(func() {
					for i := range test.groups {
						_, err := r.Ingest(context.Background(), notification(fmt.Sprintf("%s-%d-%d", name, sender, i), 1000))
						if err != nil {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
			require.Zero(t, testutil.CollectAndCount(r.storage.fallbacks))
			require.True(t, r.storage.Status().Healthy)
		})
	}
}

// A Redis that hangs is detected by the first write, whatever its size. Writes that
// wait for their turn do not wait for another time limit.
func TestARedisThatHangsInAStorm(t *testing.T) {
	server := storagetest.StartRedis(t)
	r := startOn(t, "unix://"+server.Socket)
	server.Pause(t, true)
	began := time.Now()
	var wg sync.WaitGroup
	for sender := range 16 {
		wg.Go(func() {
			if _, err := r.Ingest(context.Background(), notification(fmt.Sprint(sender), 1+sender%2*1000)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	t.Logf("known after %s", r.storage.Status().DegradedSince.Sub(began))
	require.Less(t, time.Since(began), 30*time.Second)
	require.Equal(t, durable.ReasonTimeout, r.storage.Status().Reason)
	server.Pause(t, false)
	r.clean(t)
}

// Drain tries until its context ends, whatever the backend did before.
func TestDrain(t *testing.T) {
	const groups = maxNamed + 5
	start := func(t *testing.T) (replica, func() error) {
		t.Helper()
		backend := &flaky{Backend: openRedis(t, redis.Options{URL: "redis://" + miniredis.RunT(t).Addr()})}
		clock := grouping.NewClock()
		joined, err := NewTiered(
			NewMemory(DefaultMemoryOptions()), backend, clock, prometheus.NewRegistry(), promslog.NewNopLogger(), DefaultTieredOptions())
		require.NoError(t, err)
		m, err := grouping.NewManager(joined, clock, nil, prometheus.NewRegistry(), promslog.NewNopLogger(), grouping.DefaultOptions)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- joined.Run(ctx) }()
		<-joined.Restored()
		backend.fail("everything", refused)
		for i := range groups {
			_, err := m.Ingest(t.Context(), notification(fmt.Sprint(i), 1))
			require.NoError(t, err)
		}
		return replica{m, joined, backend, nil}, func() error { cancel(); return <-done }
	}

	t.Run("the backend recovers", func(t *testing.T) {
		r, stop := start(t)
		require.NoError(t, stop())
		drained := make(chan error, 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		go func() { drained <- r.storage.Drain(ctx) }()
		select {
		case err := <-drained:
			require.Fail(t, "Drain returned early", "%v", err)
		case <-time.After(10 * resyncPause):
		}
		r.backend.heal()
		require.NoError(t, <-drained)
		require.Zero(t, r.storage.Status().DirtyGroups)
	})
	t.Run("the backend does not recover", func(t *testing.T) {
		r, stop := start(t)
		require.NoError(t, stop())
		ctx, cancel := context.WithTimeout(t.Context(), 2*resyncPause)
		defer cancel()
		err := r.storage.Drain(ctx)
		require.ErrorContains(t, err, fmt.Sprintf("%d groups changed since the storage backend failed and are lost with this process (", groups))
		require.ErrorContains(t, err, " and 5 more): ")
		named := 0
		for i := range groups {
			if id := notification(fmt.Sprint(i), 1).ID(); strings.Contains(err.Error(), string(id)) {
				named++
			}
		}
		require.Equal(t, maxNamed, named)
	})
}
