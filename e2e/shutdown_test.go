package e2e

import (
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// If Muster is stopped under traffic, it exits with 0. It has stored everything that it
// acknowledged, including the last request.
func TestShutdownUnderTraffic(t *testing.T) {
	t.Parallel()
	needsMuster(t)
	check := func(t *testing.T, m *muster) {
		t.Helper()
		m.down.Store(true)
		tr := startTraffic(t, m)
		for range 2 {
			tr.waitMore(150)
			m.stop()
			m.start()
		}
		tr.waitMore(150)
		// No notifications follow, because they would hide the loss of the last ones.
		tr.giveUpFailures()
		m.stop()
		tr.wg.Wait()
		m.start()
		stored, err := m.snapshot()
		require.NoError(t, err)

		// The result of the open requests is unknown: both results are correct.
		without := tr.oracle()
		for _, s := range tr.streams {
			if s.open != nil {
				s.sent = append(s.sent, *s.open)
			}
		}
		with := tr.oracle()
		for id := range without.groups {
			if wrong := without.differences(id, stored); len(wrong) > 0 {
				require.Empty(t, with.differences(id, stored), "without the open requests: %v", wrong)
			}
		}
	}
	t.Run("Redis", func(t *testing.T) {
		t.Parallel()
		check(t, startMuster(t, "--redis.url="+startRedis(t).url))
	})
	t.Run("file", func(t *testing.T) {
		t.Parallel()
		check(t, startMuster(t, "--storage.path=muster.db"))
	})
}

// Changes that Muster cannot write to Redis before the timeout are lost. Muster reports
// this by its exit code, and logs the number of groups.
func TestShutdownWithoutRedis(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	m := startMuster(t, "--redis.url="+redis.url, "--shutdown.timeout=3s")
	tr := startTraffic(t, m)
	tr.waitMore(100)
	redis.kill()
	m.waitDegraded()
	tr.waitMore(200)
	tr.stop()
	s, err := m.status()
	require.NoError(t, err)
	require.Positive(t, s.Storage.DirtyGroups)

	var exit *exec.ExitError
	require.ErrorAs(t, m.terminate(), &exit, m.tail())
	require.Equal(t, 1, exit.ExitCode(), m.tail())
	require.Contains(t, m.tail(), fmt.Sprintf("%d groups changed since the storage backend failed and are lost", s.Storage.DirtyGroups))
}

// deliverGroups delivers one notification about each of n new groups.
func deliverGroups(t *testing.T, m *muster, n int) {
	t.Helper()
	for i := range n {
		name := fmt.Sprintf("Group%03d", i)
		_, err := deliver(m, newMessage(name, newAlert(name, "a", time.Now().UTC())))
		require.NoError(t, err)
	}
}

// requireGroups restarts a stopped Muster and checks the number of its groups.
func requireGroups(t *testing.T, m *muster, n int) {
	t.Helper()
	m.start()
	groups, err := m.groups()
	require.NoError(t, err)
	require.Len(t, groups, n)
}

// Redis comes back while Muster is stopping. Muster retries until the timeout, so nothing
// is lost.
func TestShutdownBeforeRedisReturns(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	m := startMuster(t, "--redis.url="+redis.url)
	redis.kill()
	m.waitDegraded()
	const groups = 25
	deliverGroups(t, m, groups)
	ended := make(chan error, 1)
	go func() { ended <- m.terminate() }()
	<-time.After(7 * time.Second)
	redis.start()
	require.NoError(t, <-ended, m.tail())
	requireGroups(t, m, groups)
}

// Muster is stopped before it has noticed that Redis is back. It retries until the
// timeout, so nothing is lost.
func TestShutdownAsRedisReturns(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	m := startMuster(t, "--redis.url="+redis.url)
	redis.kill()
	m.waitDegraded()
	const groups = 100
	deliverGroups(t, m, groups)
	// After many failed connections, go-redis returns its last error without connecting.
	// It tries a new connection only once per second.
	<-time.After(12 * time.Second)
	redis.start()
	m.stop()
	requireGroups(t, m, groups)
}
