package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/storage/durable"
)

var testKey = grouping.Key{Source: "default", Receiver: "team", GroupKey: `{}:{alertname="Down"}`}

func firing(instance string) grouping.NotifiedAlert {
	l := grouping.NewLabels(map[string]string{"alertname": "Down", "instance": instance})
	return grouping.NotifiedAlert{
		Fingerprint: l.Fingerprint(), Status: grouping.StatusFiring, Labels: l,
		StartsAt: time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC),
	}
}

// replica is one Muster: a grouping.Manager with a Tiered, over a backend that can
// be made to fail.
type replica struct {
	*grouping.Manager
	storage *Tiered
	backend *flaky
	// updates has, by their IDs, whether a group that changed exists, and the documents
	// of sources that other replicas changed.
	updates *sync.Map
}

// startReplica runs a replica on the Redis at the address until the test ends.
func startReplica(t *testing.T, addr string, opts TieredOptions) replica {
	t.Helper()
	r := openFast(t, "redis://"+addr)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return startReplicaOn(t, r, opts)
}

// startReplicaOn runs a replica on the backend until the test ends.
func startReplicaOn(t *testing.T, durable durable.Backend, opts TieredOptions) replica {
	t.Helper()
	return startReplicaAt(t, durable, grouping.NewClock(), opts)
}

// startReplicaAt is startReplicaOn with a clock.
func startReplicaAt(t *testing.T, durable durable.Backend, clock *grouping.Clock, opts TieredOptions) replica {
	t.Helper()
	r, stop := runReplica(t, durable, clock, opts)
	t.Cleanup(stop)
	return r
}

// runReplica runs a replica until stop is called.
func runReplica(t *testing.T, durable durable.Backend, clock *grouping.Clock, opts TieredOptions) (r replica, stop func()) {
	t.Helper()
	opts.WriteTimeout = max(opts.WriteTimeout, 5*time.Second)
	// A check expects that what the one before saw was read, and a busy log is read every 50 ms.
	opts.CheckInterval = cmp.Or(opts.CheckInterval, 150*time.Millisecond)
	opts = tieredDefaults(opts)
	backend := &flaky{Backend: durable}
	joined, err := NewTiered(NewMemory(DefaultMemoryOptions()), backend, clock, prometheus.NewRegistry(), promslog.NewNopLogger(), opts)
	require.NoError(t, err)
	updates := &sync.Map{}
	watch := func(u grouping.Update) {
		if u.Source != nil {
			updates.Store(u.ID, u.Source)
			return
		}
		updates.Store(u.ID, u.Group != nil)
	}
	m, err := grouping.NewManager(joined, clock, watch, prometheus.NewRegistry(), promslog.NewNopLogger(), grouping.DefaultOptions)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = joined.Run(ctx) }()
	<-joined.Restored()
	return replica{m, joined, backend, updates}, func() {
		backend.heal()
		cancel()
		<-done
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = joined.Drain(ctx)
	}
}

// inRedis returns the groups that a replica finds when it starts now.
func inRedis(t *testing.T, addr string) map[grouping.ID]*grouping.AlertGroup {
	t.Helper()
	r := openFast(t, "redis://"+addr)
	defer func() { require.NoError(t, r.Close()) }()
	groups := map[grouping.ID]*grouping.AlertGroup{}
	for g, err := range r.LoadAll(context.Background()) {
		require.NoError(t, err)
		groups[g.ID] = g
	}
	return groups
}

// inRedisReadable is inRedis without the groups that cannot be read.
func inRedisReadable(t *testing.T, addr string) map[grouping.ID]*grouping.AlertGroup {
	t.Helper()
	r := openFast(t, "redis://"+addr)
	defer func() { require.NoError(t, r.Close()) }()
	groups := map[grouping.ID]*grouping.AlertGroup{}
	for g, err := range r.LoadAll(context.Background()) {
		if err == nil {
			groups[g.ID] = g
		}
	}
	return groups
}

// clean waits until the replica has pushed everything to its backend.
func (r replica) clean(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		s := r.storage.Status()
		return s.Healthy && s.DirtyGroups == 0
	}, 10*time.Second, 5*time.Millisecond, "still %+v", r.storage.Status())
}

// The fault table. Each call of a backend is refused, or is applied but its answer
// is lost, or is slower than its deadline. Then the backend recovers. After that,
// every acknowledged change must be stored exactly once, and no conflict may count
// as a fault.
func TestFaults(t *testing.T) {
	for _, op := range []string{
		"store", "delete", "load", "index", "position", "follow", "push events", "trace", "events of", "absent", "lacking",
		"now", "events", "contents", "ping", "everything",
	} {
		for _, how := range []fault{refused, answerLost, slow} {
			t.Run(fmt.Sprintf("%s %s", op, how), func(t *testing.T) {
				t.Parallel()
				server := miniredis.RunT(t)
				r, other := startReplica(t, server.Addr(), TieredOptions{}), startReplica(t, server.Addr(), TieredOptions{})
				a, b, removed := firing("a"), firing("b"), firing("gone")
				add := func(r replica, alerts ...grouping.NotifiedAlert) {
					t.Helper()
					for _, a := range alerts {
						_, err := r.AddAlertToGroup(t.Context(), testKey, a)
						require.NoError(t, err)
					}
				}
				add(r, a, removed)
				r.silence(t, "x", "1")

				r.backend.fail(op, how)
				silenced := r.silence(t, "x", "2")
				b.Annotations = grouping.NewLabels(map[string]string{"value": "1"})
				add(r, b)
				ended := b
				ended.Status, ended.EndsAt = grouping.StatusResolved, time.Date(2026, 11, 23, 3, 30, 0, 0, time.UTC)
				add(r, ended)
				require.NoError(t, r.RemoveAlertFromGroup(t.Context(), testKey.ID(), removed.Fingerprint))
				single := grouping.Key{Source: "default", Receiver: "team", GroupKey: "short"}
				_, err := r.AddAlertToGroup(t.Context(), single, a)
				require.NoError(t, err)
				require.NoError(t, r.RemoveAlertFromGroup(t.Context(), single.ID(), a.Fingerprint))
				_, err = r.Events(t.Context(), grouping.EventQuery{})
				require.NoError(t, err)
				add(other, firing("c")) // another replica still writes
				other.silence(t, "y", "1")
				g, err := r.Get(t.Context(), testKey.ID())
				require.NoError(t, err, "reads must still succeed")
				require.NotNil(t, g.Alert(b.Fingerprint))
				require.Equal(t, "1", contentOf(t, r.storage, r, b.Fingerprint).Annotations.Get("value"))

				r.backend.heal()
				add(r, firing("d"))
				r.clean(t)
				want := map[grouping.Fingerprint]grouping.Status{
					a.Fingerprint: "firing", b.Fingerprint: "resolved",
					firing("c").Fingerprint: "firing", firing("d").Fingerprint: "firing",
				}
				for _, where := range []func() *grouping.AlertGroup{
					func() *grouping.AlertGroup { return inRedis(t, server.Addr())[testKey.ID()] },
					func() *grouping.AlertGroup { g, _ := r.Get(context.Background(), testKey.ID()); return g },
					func() *grouping.AlertGroup { g, _ := other.Get(context.Background(), testKey.ID()); return g },
				} {
					require.Eventually(t, func() bool { return equalStatuses(where(), want) }, 10*time.Second, 5*time.Millisecond)
				}
				require.NotContains(t, inRedis(t, server.Addr()), single.ID(), "a deleted group must stay deleted")

				direct := openFast(t, "redis://"+server.Addr())
				defer func() { require.NoError(t, direct.Close()) }()
				requireSilences(t, map[string]string{"x": "2", "y": "1"}, direct, r.storage, other.storage)

				// Exactly once: one event of each kind per alert, one episode per
				// firing.
				require.Equal(t, 1, countEvents(t, direct, silenced))
				page, err := r.Events(t.Context(), grouping.EventQuery{Fingerprint: b.Fingerprint})
				require.NoError(t, err)
				var kinds []grouping.EventKind
				for _, e := range page.Events {
					kinds = append(kinds, e.Kind)
				}
				require.Equal(t, []grouping.EventKind{"resolved", "fired"}, kinds)
				require.Len(t, inRedis(t, server.Addr())[testKey.ID()].Alert(b.Fingerprint).Episodes(), 1)
				require.Equal(t, "1", contentOf(t, direct, r, b.Fingerprint).Annotations.Get("value"))
				require.Equal(t, "1", contentOf(t, other.storage, r, b.Fingerprint).Annotations.Get("value"))
				require.Zero(t, testutil.ToFloat64(r.storage.fallbacks.WithLabelValues("conflict")))
			})
		}
	}
}

// contentOf returns the content that an alert had when it fired. The storage may know
// the content, the replica knows the event.
func contentOf(t *testing.T, s grouping.ContentLoader, r replica, fp grouping.Fingerprint) grouping.Content {
	t.Helper()
	page, err := r.Events(t.Context(), grouping.EventQuery{Fingerprint: fp, Kinds: []grouping.EventKind{grouping.EventFired}})
	require.NoError(t, err)
	require.NotEmpty(t, page.Events)
	contents, err := s.Contents(t.Context(), page.Events)
	require.NoError(t, err)
	return contents[page.Events[0].Content]
}

func equalStatuses(g *grouping.AlertGroup, want map[grouping.Fingerprint]grouping.Status) bool {
	if g == nil || len(g.Alerts) != len(want) {
		return false
	}
	return !slices.ContainsFunc(g.Alerts, func(a *grouping.Alert) bool { return want[a.Fingerprint] != a.Status })
}

func TestAConflictIsNotAFault(t *testing.T) {
	server := miniredis.RunT(t)
	r, other := startReplica(t, server.Addr(), TieredOptions{}), startReplica(t, server.Addr(), TieredOptions{})
	var wg sync.WaitGroup
	for _, m := range []replica{r, other} {
		for i := range 50 {
			a := firing("a")
			a.Annotations = grouping.NewLabels(map[string]string{"value": fmt.Sprint(i)})
			wg.Go(func() {
				_, err := m.AddAlertToGroup(context.Background(), testKey, a)
				require.NoError(t, err)
			})
		}
	}
	wg.Wait()
	for _, m := range []replica{r, other} {
		require.Zero(t, testutil.CollectAndCount(m.storage.fallbacks), "a conflict was counted as a fault")
		require.True(t, m.storage.Status().Healthy)
	}
}

// While a cluster fails over, an answer can take seconds. If such an answer moved
// the clock, the stamps of this replica would be wrong compared with all others.
func TestALateAnswerMovesNoClock(t *testing.T) {
	r := startReplica(t, miniredis.RunT(t).Addr(), TieredOptions{})
	r.backend.fail("now", late)
	r.storage.syncClock(t.Context())
	before := time.Now()
	shown := r.storage.clock.Now()
	require.WithinRange(t, shown, before, time.Now())
}

func TestReplicasFollowEachOther(t *testing.T) {
	server := miniredis.RunT(t)
	r, other := startReplica(t, server.Addr(), TieredOptions{}), startReplica(t, server.Addr(), TieredOptions{})
	_, err := r.AddAlertToGroup(t.Context(), testKey, firing("a"))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		groups, err := other.ByFingerprint(context.Background(), firing("a").Fingerprint)
		return err == nil && len(groups) == 1
	}, 5*time.Second, 5*time.Millisecond, "the index of the other replica must follow")
	require.Equal(t, 1, other.storage.Status().Replicas)
	require.Zero(t, r.storage.Status().Replicas, "its own writes must not count as those of a replica")
	require.NoError(t, r.RemoveAlertFromGroup(t.Context(), testKey.ID(), firing("a").Fingerprint))
	require.Eventually(t, func() bool {
		exists, ok := other.updates.Load(testKey.ID())
		_, err := other.Get(context.Background(), testKey.ID())
		return ok && exists == false && errors.Is(err, grouping.ErrGroupNotFound)
	}, 5*time.Second, 5*time.Millisecond, "the other replica must see the deletion")
}

func TestThreeManagers100Adds(t *testing.T) {
	server := miniredis.RunT(t)
	var replicas []replica
	for range 3 {
		replicas = append(replicas, startReplica(t, server.Addr(), TieredOptions{}))
	}
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			_, err := replicas[i%3].AddAlertToGroup(context.Background(), testKey, firing(fmt.Sprint(i)))
			require.NoError(t, err)
		})
	}
	wg.Wait()
	require.Equal(t, 100, inRedis(t, server.Addr())[testKey.ID()].Counts.Firing)
	for _, r := range replicas {
		require.Eventually(t, func() bool {
			g, err := r.Get(context.Background(), testKey.ID())
			return err == nil && g.Counts.Firing == 100
		}, 5*time.Second, 5*time.Millisecond)
	}
}

func TestStrictRejectsWrites(t *testing.T) {
	server := miniredis.RunT(t)
	r := startReplica(t, server.Addr(), TieredOptions{Outage: OutageStrict})
	r.backend.fail("store", refused)
	_, err := r.AddAlertToGroup(t.Context(), testKey, firing("a"))
	require.ErrorIs(t, err, grouping.ErrStorage)
	var fault *grouping.StorageError
	require.ErrorAs(t, err, &fault)
	require.Equal(t, "redis", fault.Backend)
	_, err = r.Get(t.Context(), testKey.ID())
	require.ErrorIs(t, err, grouping.ErrGroupNotFound)
	r.backend.heal()
	require.Eventually(t, func() bool {
		_, err := r.AddAlertToGroup(context.Background(), testKey, firing("a"))
		return err == nil
	}, 10*time.Second, 10*time.Millisecond)
}

func TestAStartWithoutTheBackendIsNotHealthy(t *testing.T) {
	r := openFast(t, "redis://127.0.0.1:1")
	m, err := NewTiered(NewMemory(DefaultMemoryOptions()), r, grouping.NewClock(), nil, promslog.NewNopLogger(), DefaultTieredOptions())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	require.Eventually(t, func() bool { return !m.Status().Healthy }, 5*time.Second, 5*time.Millisecond)
	s := m.Status()
	require.True(t, s.Partial)
	require.Equal(t, durable.ReasonRefused, s.Reason)
	require.False(t, s.DegradedSince.IsZero())
	cancel()
	require.NoError(t, <-done)
	require.NoError(t, r.Close())
}

func TestADamagedGroupIsNotAFaultOfTheBackend(t *testing.T) {
	server := miniredis.RunT(t)
	r := startReplica(t, server.Addr(), TieredOptions{})
	_, err := r.AddAlertToGroup(t.Context(), testKey, firing("a"))
	require.NoError(t, err)
	for _, key := range server.Keys() {
		if strings.HasSuffix(key, ":g:"+string(testKey.ID())) {
			server.HSet(key, "a:"+string(firing("a").Fingerprint), "junk")
		}
	}
	for i := range 5 {
		a := firing("a")
		a.Annotations = grouping.NewLabels(map[string]string{"value": fmt.Sprint(i)})
		_, err = r.AddAlertToGroup(t.Context(), testKey, a)
		require.NoError(t, err)
	}
	other := testKey
	other.GroupKey = "other"
	_, err = r.AddAlertToGroup(t.Context(), other, firing("a"))
	require.NoError(t, err)
	require.True(t, r.storage.Status().Healthy)
	require.Contains(t, inRedisReadable(t, server.Addr()), other.ID())
}

// The storage tries to push and to pull a damaged group again and again, but logs it once.
func TestADamagedGroupIsLoggedOnce(t *testing.T) {
	server := miniredis.RunT(t)
	r := openFast(t, "redis://"+server.Addr())
	defer func() { require.NoError(t, r.Close()) }()
	backend := &countingLoads{Backend: r}
	var log lockedBuffer
	opts := tieredDefaults(TieredOptions{CheckInterval: 10 * time.Millisecond, CompareInterval: 20 * time.Millisecond})
	joined, err := NewTiered(NewMemory(DefaultMemoryOptions()), backend, grouping.NewClock(), nil,
		slog.New(slog.NewTextHandler(&log, nil)), opts)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- joined.Run(ctx) }()
	defer func() {
		cancel()
		require.NoError(t, <-done)
	}()
	<-joined.Restored()

	m, err := grouping.NewManager(joined, grouping.NewClock(), func(grouping.Update) {}, prometheus.NewRegistry(), promslog.NewNopLogger(),
		grouping.DefaultOptions)
	require.NoError(t, err)
	_, err = m.AddAlertToGroup(t.Context(), testKey, firing("a"))
	require.NoError(t, err)
	field := "a:" + string(firing("a").Fingerprint)
	key := ""
	for _, k := range server.Keys() {
		if strings.HasSuffix(k, ":g:"+string(testKey.ID())) {
			key = k
		}
	}
	intact := server.HGet(key, field)
	const said = "Groups in the storage backend are damaged"
	for round := range 2 {
		server.HSet(key, field, "junk")
		a := firing("a")
		a.Annotations = grouping.NewLabels(map[string]string{"value": fmt.Sprint(round)})
		_, err = m.AddAlertToGroup(t.Context(), testKey, a)
		require.NoError(t, err)
		require.Equal(t, 1, joined.Status().DirtyGroups)
		from := backend.loads.Load()
		require.Eventually(t, func() bool { return backend.loads.Load() > from+20 }, 10*time.Second, time.Millisecond)
		require.Equal(t, round+1, strings.Count(log.String(), said), log.String())
		problem := "The storage has damaged groups (" + string(testKey.ID()) + "). Muster does not overwrite them: " +
			"what arrives for them is in memory only. The runbook says how to remove them (MusterDirtyGroups). " +
			"group " + string(testKey.ID()) + ": field " + field + ": 4 bytes are too few for a record: the minimum is 33"
		require.Equal(t, []string{problem}, joined.Status().Problems)

		server.HSet(key, field, intact) // the next damage is new
		require.Eventually(t, func() bool { return joined.Status().DirtyGroups == 0 }, 10*time.Second, time.Millisecond)
		require.Empty(t, joined.Status().Problems)
	}
}

// The status page names a damaged group until an operator removed it, as the runbook says.
func TestADamagedGroupIsRemovedFromRedis(t *testing.T) {
	server := miniredis.RunT(t)
	first := startReplica(t, server.Addr(), TieredOptions{})
	_, err := first.AddAlertToGroup(t.Context(), testKey, firing("a"))
	require.NoError(t, err)
	key := ""
	for _, k := range server.Keys() {
		if strings.HasSuffix(k, ":g:"+string(testKey.ID())) {
			key = k
		}
	}
	server.HSet(key, "m", "junk")
	// One replica has the group in memory, and one has never read it.
	second := startReplica(t, server.Addr(), TieredOptions{CompareInterval: 20 * time.Millisecond})
	require.Len(t, second.storage.Status().Problems, 1)
	require.Contains(t, second.storage.Status().Problems[0], "group "+string(testKey.ID())+": field m: ")
	server.Del(key)
	require.Eventually(t, func() bool { return len(second.storage.Status().Problems) == 0 }, 10*time.Second, time.Millisecond)
	_, err = second.AddAlertToGroup(t.Context(), testKey, firing("a"))
	require.NoError(t, err)
	second.clean(t)

	server.HSet(key, "m", "junk")
	third := startReplica(t, server.Addr(), TieredOptions{CompareInterval: 20 * time.Millisecond})
	require.Len(t, third.storage.Status().Problems, 1)
	server.FlushAll()
	require.Eventually(t, func() bool { return len(third.storage.Status().Problems) == 0 }, 10*time.Second, time.Millisecond)
}

// countingLoads counts how often documents are loaded.
type countingLoads struct {
	durable.Backend

	loads atomic.Int64
}

func (c *countingLoads) LoadMany(ctx context.Context, ids []grouping.ID) (
	map[grouping.ID]grouping.Document, []*grouping.DamagedGroupError, error,
) {
	c.loads.Add(1)
	return c.Backend.LoadMany(ctx, ids)
}

func TestALossOfAllDataIsRepaired(t *testing.T) {
	server := miniredis.RunT(t)
	r := startReplica(t, server.Addr(), TieredOptions{})
	for i := range 50 {
		k := testKey
		k.GroupKey = fmt.Sprint(i)
		for _, a := range []string{"a", "b"} {
			_, err := r.AddAlertToGroup(t.Context(), k, firing(a))
			require.NoError(t, err)
		}
	}
	before := inRedis(t, server.Addr())
	server.FlushAll()
	require.Eventually(t, func() bool { return len(inRedis(t, server.Addr())) == 50 }, 5*time.Second, 20*time.Millisecond)
	r.clean(t)
	after := inRedis(t, server.Addr())
	for id, g := range before {
		require.True(t, g.Equal(after[id]))
		require.Equal(t, g.Notifications, after[id].Notifications)
	}
	page, err := r.Events(t.Context(), grouping.EventQuery{Limit: 1000})
	require.NoError(t, err)
	require.Len(t, page.Events, 150, "the history must have 50 opened and 100 fired events")
}

// If the backend fails in the middle of a stream of events, the copy has the rest. No
// event comes twice.
func TestAStreamContinuesFromTheCopy(t *testing.T) {
	r := startReplica(t, miniredis.RunT(t).Addr(), TieredOptions{})
	for i := range 10 {
		_, err := r.AddAlertToGroup(t.Context(), testKey, firing(fmt.Sprint(i)))
		require.NoError(t, err)
	}
	ids := func() (ids []string) {
		for e, err := range r.storage.StreamEvents(t.Context(), time.Time{}) {
			require.NoError(t, err)
			ids = append(ids, e.ID)
		}
		return ids
	}
	want := ids()
	require.Len(t, want, 12, "opened, ten alerts, and what is common to the first two")
	r.backend.fail("stream", refused)
	require.Equal(t, want, ids())
}

func TestBreaker(t *testing.T) {
	var b breaker
	require.False(t, b.failure("refused"))
	require.False(t, b.failure("refused"))
	b.success()
	require.False(t, b.failure("refused"))
	require.False(t, b.failure("refused"))
	require.True(t, b.failure("refused"), "three failures in a row must open the breaker")
	require.False(t, b.failure("loading"), "the breaker is already open")
	_, reason := b.state()
	require.Equal(t, "loading", reason)
	require.True(t, b.close())
	require.False(t, b.close())
	require.True(t, b.failure(durable.ReasonTimeout), "one timeout must open the breaker")
	require.True(t, b.close())
	require.True(t, b.failure(durable.ReasonShards), "another number of shards must open the breaker")
}

// One stalled connection does not open the breaker, because the server answers on
// other connections.
func TestStalledConnectionIsNotAnOutage(t *testing.T) {
	var b breaker
	require.False(t, b.failure("stalled"))
	require.False(t, b.failure("stalled"))
	for range 10 {
		require.False(t, b.failure(durable.ReasonPool), "it waited for other writes of this process")
	}
	require.True(t, b.failure("stalled"), "three in a row")
}
