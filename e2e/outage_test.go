package e2e

import (
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/storage/redis"
)

// recoveryTime is the maximum time after an outage until Redis has all acknowledged
// notifications. The traffic continues meanwhile.
const recoveryTime = 5 * time.Second

// followTime is the maximum time until all replicas show an acknowledged notification.
const followTime = 2 * time.Second

// freeze pauses a process, so that it cannot write.
func (p *process) freeze() {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGSTOP))
	p.t.Cleanup(p.thaw) // runs before the cleanup that stops the process
}

func (p *process) thaw() {
	if p.running() {
		_ = p.cmd.Process.Signal(syscall.SIGCONT)
	}
}

// settle waits for a replica whose writes timed out after Redis was back. The reason is a
// busy machine, and not an outage that lasts too long.
func (m *muster) settle(checked time.Time) {
	m.t.Helper()
	s, err := m.status()
	require.NoError(m.t, err)
	if !s.Storage.Healthy && s.Storage.DegradedSince.After(checked.Add(-recoveryTime)) {
		m.t.Logf("a write timed out at %s: waiting for its retry", s.Storage.DegradedSince)
		m.waitHealthy(waitTimeout)
	}
}

// checkDurable stops the traffic. Then it checks that Redis and all replicas have every
// acknowledged notification.
func (tr *traffic) checkDurable(redis *redisServer, replicas ...*muster) {
	tr.t.Helper()
	tr.checkKept([]string{"--redis.url=" + redis.url}, replicas...)
}

// checkKept is checkDurable for a Redis that the flags name.
func (tr *traffic) checkKept(flags []string, replicas ...*muster) {
	tr.t.Helper()
	checked := time.Now()
	tr.stop()
	for _, m := range replicas {
		m.settle(checked)
	}
	want := tr.oracle()
	require.NoError(tr.t, want.compare(tr.stored(flags, replicas...)), "in Redis")
	for _, m := range replicas {
		waitFor(tr.t, waitTimeout, "a replica has the same groups and events", func() error { return want.check(m) })
	}
}

// checkReturned is checkKept for a Redis that lost data. The replicas write it again
// within seconds. This takes longer on a busy machine.
func (tr *traffic) checkReturned(flags []string, replicas ...*muster) {
	tr.t.Helper()
	tr.stop()
	want := tr.oracle()
	waitFor(tr.t, waitTimeout, "Redis has all data again", func() error { return want.compare(tr.stored(flags, replicas...)) })
	for _, m := range replicas {
		waitFor(tr.t, waitTimeout, "a replica has the same groups and events", func() error { return want.check(m) })
	}
}

// stored returns the content of Redis. A new replica reads it, while the other replicas
// are paused.
func (tr *traffic) stored(flags []string, replicas ...*muster) snapshot {
	tr.t.Helper()
	for _, m := range replicas {
		m.freeze()
	}
	cold := startMuster(tr.t, flags...)
	cold.waitRestored()
	content, err := cold.snapshot()
	require.NoError(tr.t, err)
	cold.stop()
	for _, m := range replicas {
		m.thaw()
	}
	return content
}

func TestRedisKilledUnderTraffic(t *testing.T) {
	t.Parallel()
	for name, empty := range map[string]bool{"back with its data": false, "back empty": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redis := startRedis(t)
			a, b := startMuster(t, "--redis.url="+redis.url), startMuster(t, "--redis.url="+redis.url)
			tr := startTraffic(t, a, b)
			tr.waitMore(150)
			redis.kill()
			a.waitDegraded()
			b.waitDegraded()
			tr.waitMore(150)
			tr.stopHalf()
			tr.waitMore(50)
			if empty {
				redis.deleteData()
			}
			redis.start()
			<-time.After(recoveryTime)
			tr.checkDurable(redis, a, b)
			a.waitHealthy(waitTimeout)
			b.waitHealthy(waitTimeout)
		})
	}
}

func TestFlushAllUnderTraffic(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	a, b := startMuster(t, "--redis.url="+redis.url), startMuster(t, "--redis.url="+redis.url)
	tr := startTraffic(t, a, b)
	tr.waitMore(150)
	redis.flushAll()
	tr.waitMore(150)
	tr.stopHalf()
	tr.waitMore(50)
	redis.flushAll()
	<-time.After(recoveryTime)
	tr.checkDurable(redis, a, b)
}

func TestMusterKilledUnderTraffic(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	m := startMuster(t, "--redis.url="+redis.url)
	m.down.Store(true)
	tr := startTraffic(t, m)
	for range 3 {
		tr.waitMore(120)
		m.kill()
		m.start()
	}
	tr.stopHalf()
	tr.waitMore(50)
	m.kill()
	m.start()
	tr.checkDurable(redis, m)
}

// The same with the file: it contains everything that was acknowledged.
func TestMusterKilledUnderTrafficWithFile(t *testing.T) {
	t.Parallel()
	needsMuster(t)
	m := startMuster(t, "--storage.path=muster.db")
	m.down.Store(true)
	tr := startTraffic(t, m)
	for range 3 {
		tr.waitMore(120)
		m.kill()
		m.start()
	}
	tr.stopHalf()
	tr.waitMore(50)
	tr.stop()
	m.kill()
	m.start()
	require.NoError(t, tr.oracle().check(m))
}

// A Muster that starts while Redis is down serves at once. It reports that its groups are
// not complete, and writes new notifications to Redis later.
func TestMusterStartsWithoutRedis(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	first := startMuster(t, "--redis.url="+redis.url)
	old := newMessage("Old", newAlert("Old", "a", time.Now().UTC()))
	_, err := deliver(first, old)
	require.NoError(t, err)
	first.kill()
	redis.kill()

	m := startMuster(t, "--redis.url="+redis.url)
	s, err := m.status()
	require.NoError(t, err)
	require.True(t, s.Storage.Partial)
	m.waitDegraded()
	tr := startTraffic(t, m)
	tr.waitMore(100)
	tr.stopHalf()
	tr.waitMore(50)

	redis.start()
	<-time.After(recoveryTime)
	// The old group still exists.
	tr.streams = append(tr.streams, &stream{name: "Old", to: []*muster{m}, sent: []message{old}})
	tr.checkDurable(redis, m)
	m.waitHealthy(waitTimeout)
}

func TestTwoMusters100Adds(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	replicas := []*muster{startMuster(t, "--redis.url="+redis.url), startMuster(t, "--redis.url="+redis.url)}
	begin := make(chan struct{})
	since := time.Now().UTC()
	var wg sync.WaitGroup
	for i := range 100 {
		// Each notification has one alert, and 99 truncated alerts.
		msg := newMessage("Storm", newAlert("Storm", fmt.Sprint("host-", i), since))
		msg.TruncatedAlerts = 99
		wg.Go(func() {
			<-begin
			_, err := deliver(replicas[i%len(replicas)], msg)
			if err != nil {
				t.Errorf("alert %d: %v", i, err)
			}
		})
	}
	close(begin)
	wg.Wait()

	complete := func(g group) bool { return g.Counts == counts{Firing: 100} && g.Notifications == 100 }
	for _, m := range replicas {
		m.waitGroup(followTime, "all 100 alerts fire", complete)
	}
	for _, m := range append(replicas, startMuster(t, "--redis.url="+redis.url)) {
		m.waitGroup(followTime, "all 100 alerts fire", complete)
		waitFor(t, waitTimeout, "each alert fired once", func() error {
			kinds := m.kinds()
			for i := range 100 {
				if n := kinds[fmt.Sprint("fired host-", i)]; n != 1 {
					return fmt.Errorf("alert %d: %d events", i, n)
				}
			}
			if kinds["notified"] != 100 || kinds["opened"] != 1 {
				return fmt.Errorf("%v", kinds)
			}
			return nil
		})
	}
}

func TestRestore10000(t *testing.T) {
	t.Parallel()
	const groups = 10_000
	server := startRedis(t)
	since := time.Now().UTC().Truncate(time.Millisecond)
	name := func(i int) string { return fmt.Sprintf("Group%05d", i) }
	storeGroups(t, server.url, func(yield func(message) bool) {
		for i := range groups {
			alerts := make([]messageAlert, 2+i%3)
			for n := range alerts {
				alerts[n] = newAlert(name(i), fmt.Sprint("host-", n), since)
			}
			if !yield(newMessage(name(i), alerts...)) {
				return
			}
		}
	})

	begin := time.Now()
	m := startMuster(t, "--redis.url="+server.url)
	t.Logf("ready after %s", time.Since(begin))
	m.waitHealthy(3 * waitTimeout) // 10,000 groups take long if other tests use the cores
	t.Logf("restored after %s", time.Since(begin))
	s, err := m.status()
	require.NoError(t, err)
	require.Equal(t, groups, s.RestoredGroups)
	held, err := m.groups()
	require.NoError(t, err)
	require.Len(t, held, groups)
	byName := map[string]group{}
	for _, g := range held {
		byName[g.GroupLabels["alertname"]] = g
	}
	for i := range groups {
		g := byName[name(i)]
		require.Equal(t, counts{Firing: 2 + i%3}, g.Counts, name(i))
		require.Len(t, g.Alerts, 2+i%3, name(i))
	}
	// The groups can be found by fingerprint, and accept new notifications.
	var found struct {
		Groups []group `json:"groups"`
	}
	last := byName[name(groups-1)]
	_, err = m.fetch("/api/v1/alerts/"+last.Alerts[0].Fingerprint, &found)
	require.NoError(t, err)
	require.Len(t, found.Groups, 1)
	require.Equal(t, last.ID, found.Groups[0].ID)
	body, err := json.Marshal(newMessage(name(0), newAlert(name(0), "host-9", since)))
	require.NoError(t, err)
	_, err = do(http.MethodPost, m.url+"/webhook", body, nil)
	require.NoError(t, err)
}

// storeGroups stores a group for each message, as a Muster does that gets them. It
// writes to Redis itself, because requests to a process with the race detector would take
// most of the time of the test.
func storeGroups(t *testing.T, redisURL string, messages iter.Seq[message]) {
	t.Helper()
	opts := redis.DefaultOptions()
	opts.URL = redisURL
	backend, err := redis.New(opts)
	require.NoError(t, err)
	defer func() { require.NoError(t, backend.Close()) }()
	manager, err := grouping.NewManager(backend, grouping.NewClock(), nil, nil, slog.New(slog.DiscardHandler), grouping.DefaultOptions)
	require.NoError(t, err)
	for msg := range messages {
		n := grouping.Notification{
			Key:         grouping.Key{Source: "default", Receiver: msg.Receiver, GroupKey: msg.GroupKey},
			GroupLabels: grouping.NewLabels(msg.GroupLabels), CommonLabels: grouping.NewLabels(msg.CommonLabels),
			CommonAnnotations: grouping.NewLabels(msg.CommonAnnotations),
			ExternalURL:       msg.ExternalURL,
		}
		for _, a := range msg.Alerts {
			n.Alerts = append(n.Alerts, grouping.NotifiedAlert{
				Fingerprint: grouping.Fingerprint(a.Fingerprint), Status: grouping.Status(a.Status), Labels: grouping.NewLabels(a.Labels),
				Annotations: grouping.NewLabels(a.Annotations), StartsAt: a.StartsAt,
			})
		}
		_, err := manager.Ingest(t.Context(), n)
		require.NoError(t, err)
	}
}
