package e2e

import (
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Stopped under traffic, Muster exits with 0 and has kept all that it
// acknowledged, to the last request.
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
		// Nothing comes later that would hide the loss of what came last.
		tr.leave()
		m.stop()
		tr.wg.Wait()
		m.start()
		held, err := m.remembers()
		require.NoError(t, err)

		// What was under way may have arrived or not.
		without := tr.oracle()
		for _, s := range tr.streams {
			if s.open != nil {
				s.sent = append(s.sent, *s.open)
			}
		}
		with := tr.oracle()
		for id := range without.groups {
			if wrong := without.differences(id, held); len(wrong) > 0 {
				require.Empty(t, with.differences(id, held), "without what was under way: %v", wrong)
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

// What cannot be brought to Redis any more is lost, and Muster says so: by its
// exit code, and in the log how many groups it is about.
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

// Redis comes back after Muster was told to stop: a pod has half a minute, and
// Muster uses it.
func TestShutdownBeforeRedisReturns(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	m := startMuster(t, "--redis.url="+redis.url)
	redis.kill()
	m.waitDegraded()
	const groups = 25
	for i := range groups {
		name := fmt.Sprintf("Group%03d", i)
		_, err := deliver(m, newMessage(name, newAlert(name, "a", time.Now().UTC())))
		require.NoError(t, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- m.terminate() }()
	<-time.After(7 * time.Second)
	redis.start()
	require.NoError(t, <-ended, m.tail())
	m.start()
	held, err := m.groups()
	require.NoError(t, err)
	require.Len(t, held, groups)
}

// Redis is back, but Muster has not noticed yet when it is stopped: it tries as
// long as it may, and loses nothing.
func TestShutdownAsRedisReturns(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	m := startMuster(t, "--redis.url="+redis.url)
	redis.kill()
	m.waitDegraded()
	const groups = 100
	for i := range groups {
		name := fmt.Sprintf("Group%03d", i)
		_, err := deliver(m, newMessage(name, newAlert(name, "a", time.Now().UTC())))
		require.NoError(t, err)
	}
	// By then go-redis, which has been refused often enough, answers from the
	// last refusal and looks for itself only once a second.
	<-time.After(12 * time.Second)
	redis.start()
	m.stop()
	m.start()
	held, err := m.groups()
	require.NoError(t, err)
	require.Len(t, held, groups)
}
