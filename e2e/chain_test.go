package e2e

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// musterFlags returns flags with the intervals of Alertmanager in these tests.
func musterFlags(more ...string) []string {
	return append([]string{
		"--group.wait=" + groupWait.String(), "--group.interval=" + groupInterval.String(), "--group.settle=5s",
	}, more...)
}

// chain starts Muster, and an Alertmanager that sends notifications to it.
func chain(t *testing.T, lines ...string) (*alertmanager, *muster) {
	t.Helper()
	needsAlertmanager(t)
	m := startMuster(t, musterFlags()...)
	return startAlertmanager(t, webhookConfig(m.url+"/webhook", lines...)), m
}

func TestLifecycle(t *testing.T) {
	t.Parallel()
	am, m := chain(t)

	a, b := firing("a"), firing("b")
	am.post(a)
	am.post(b)
	g := m.waitGroup(waitTimeout, "a and b fire", func(g group) bool { return g.has("a", "firing", "b", "firing") })
	require.Equal(t, "firing", g.State)
	require.Equal(t, "default", g.Source)
	require.Equal(t, "team", g.Receiver)
	require.Equal(t, am.url, g.ExternalURL)
	require.Equal(t, map[string]string{"alertname": "HostDown"}, g.GroupLabels)
	require.Equal(t, a.Annotations, g.alert("a").Annotations)
	require.Equal(t, a.GeneratorURL, g.alert("a").GeneratorURL)
	require.True(t, a.StartsAt.Equal(g.alert("a").StartsAt))
	// Because of group_wait, both are in one notification, which was not sent earlier.
	require.Equal(t, []string{"first notification"}, m.notified())
	require.GreaterOrEqual(t, g.CreatedAt.Sub(a.StartsAt), groupWait)
	m.waitGroup(waitTimeout, "the group has settled", func(g group) bool { return !g.Settling })

	c := firing("c")
	am.post(c)
	m.waitGroup(waitTimeout, "c is a new alert", func(g group) bool {
		return g.has("a", "firing", "b", "firing", "c", "firing") && g.LastReason == "new alerts added"
	})

	b = b.resolved()
	am.post(b)
	g = m.waitGroup(waitTimeout, "b resolves, the others do not", func(g group) bool {
		return g.has("a", "firing", "b", "resolved", "c", "firing")
	})
	require.Equal(t, "mixed", g.State)
	require.Equal(t, "some alerts resolved", g.LastReason)
	require.True(t, b.EndsAt.Equal(g.alert("b").EndsAt), "%s, %s", b.EndsAt, g.alert("b").EndsAt)
	require.True(t, g.ResolvedAt.IsZero())

	am.post(a.resolved(), c.resolved())
	g = m.waitGroup(waitTimeout, "all resolve", func(g group) bool {
		return g.has("a", "resolved", "b", "resolved", "c", "resolved")
	})
	require.Equal(t, "resolved", g.State)
	require.Equal(t, "all alerts resolved", g.LastReason)
	require.False(t, g.ResolvedAt.IsZero())
	require.Len(t, g.Episodes, 1)

	again := firing("a")
	am.post(again)
	g = m.waitGroup(waitTimeout, "a fires again", func(g group) bool { return g.alert("a").Status == "firing" })
	require.Equal(t, "mixed", g.State)
	require.Len(t, g.Episodes, 2)
	require.Len(t, g.alert("a").Episodes, 2)
	require.True(t, again.StartsAt.Equal(g.alert("a").StartsAt))

	kinds := m.kinds()
	delete(kinds, "notified")
	require.Equal(t, map[string]int{
		"opened": 2, "closed": 1, "fired a": 1, "fired b": 1, "fired c": 1, "resolved a": 1, "resolved b": 1, "resolved c": 1, "refired a": 1,
	}, kinds)
}

func TestSilence(t *testing.T) {
	t.Parallel()
	am, m := chain(t)

	a, b := firing("a"), firing("b")
	am.post(a, b)
	m.waitGroup(waitTimeout, "a and b fire", func(g group) bool { return g.has("a", "firing", "b", "firing") })

	// A silence causes no notification. Muster sees its effect in the next notification.
	silence := am.silence("a")
	am.post(firing("c"))
	g := m.waitGroup(waitTimeout, "a is unreported", func(g group) bool {
		return g.has("a", "unreported", "b", "firing", "c", "firing")
	})
	require.Equal(t, "mixed", g.State)
	require.True(t, g.alert("a").EndsAt.IsZero(), "no notification said that a ended")

	am.expire(silence)
	g = m.waitGroup(waitTimeout, "a returns", func(g group) bool {
		return g.has("a", "firing", "b", "firing", "c", "firing")
	})
	require.Equal(t, "firing", g.State)
	require.True(t, a.StartsAt.Equal(g.alert("a").StartsAt))
	require.Len(t, g.alert("a").Episodes, 1, "it is the same episode")

	kinds := m.kinds()
	require.Equal(t, 1, kinds["fired a"])
	require.Equal(t, 1, kinds["unreported a"])
	require.Equal(t, 1, kinds["returned a"])
	require.Zero(t, kinds["resolved a"]+kinds["refired a"]+kinds["reopened a"])
}

// Alertmanager never sends a resolution of a silenced alert. The alert stays unreported,
// and its group is not closed.
func TestResolvedUnderSilence(t *testing.T) {
	t.Parallel()
	am, m := chain(t)

	a, b := firing("a"), firing("b")
	am.post(a, b)
	m.waitGroup(waitTimeout, "a and b fire", func(g group) bool { return g.has("a", "firing", "b", "firing") })
	am.silence("a")
	am.post(a.resolved(), b.resolved())
	g := m.waitGroup(waitTimeout, "b resolves, a is unreported", func(g group) bool {
		return g.has("a", "unreported", "b", "resolved")
	})
	require.Equal(t, "unreported", g.State)
	require.Zero(t, m.kinds()["closed"])
}

func TestMaxAlerts(t *testing.T) {
	t.Parallel()
	am, m := chain(t, "max_alerts: 2")

	a, b, c := firing("a"), firing("b"), firing("c")
	am.post(a, b, c)
	g := m.waitGroup(waitTimeout, "two of three are shown", func(g group) bool {
		return g.has("a", "firing", "b", "firing") && g.Truncated == 1
	})
	require.Equal(t, "firing", g.State)

	// The truncated alert may still fire. So the group is not closed, although all
	// listed alerts have resolved.
	am.post(a.resolved(), b.resolved())
	g = m.waitGroup(waitTimeout, "the listed alerts resolve", func(g group) bool {
		return g.has("a", "resolved", "b", "resolved") && g.Truncated == 1
	})
	require.Equal(t, "unreported", g.State)
	require.Zero(t, m.kinds()["closed"])

	// Now the notification has room for c.
	am.post(firing("a"), c.resolved())
	m.waitGroup(waitTimeout, "nothing is truncated", func(g group) bool {
		return g.has("a", "firing", "b", "resolved", "c", "resolved") && g.Truncated == 0
	})
}

// A truncated alert is not unreported. It fires until a notification lists its end.
func TestMaxAlertsCutsAKnownAlert(t *testing.T) {
	t.Parallel()
	am, m := chain(t, "max_alerts: 2")

	a, b := firing("a"), firing("b")
	am.post(a, b)
	m.waitGroup(waitTimeout, "a and b fire", func(g group) bool { return g.has("a", "firing", "b", "firing") })
	// Alertmanager lists aa before b, and b is truncated.
	aa := firing("aa")
	am.post(aa)
	m.waitGroup(waitTimeout, "aa fires, b is truncated", func(g group) bool {
		return g.has("a", "firing", "aa", "firing", "b", "firing") && g.Truncated == 1
	})
	am.post(a.resolved(), aa.resolved())
	m.waitGroup(waitTimeout, "the listed alerts resolve", func(g group) bool {
		return g.has("a", "resolved", "aa", "resolved", "b", "firing")
	})
	require.Zero(t, m.kinds()["closed"])

	am.post(b.resolved())
	g := m.waitGroup(waitTimeout, "b resolves", func(g group) bool {
		return g.has("a", "resolved", "aa", "resolved", "b", "resolved")
	})
	require.Equal(t, "resolved", g.State)
	kinds := m.kinds()
	require.Equal(t, 1, kinds["closed"])
	require.Zero(t, kinds["unreported b"])
}

func TestAlertmanagerRestarted(t *testing.T) {
	t.Parallel()
	am, m := chain(t)

	a, b, c := firing("a"), firing("b"), firing("c")
	am.post(a, b)
	m.waitGroup(waitTimeout, "a and b fire", func(g group) bool { return g.has("a", "firing", "b", "firing") })

	// After a restart Alertmanager has no alerts. The source of b does not post b
	// again, so notifications no longer list it. That is not a resolution.
	am.stop()
	am.start()
	am.post(a, c)
	m.waitGroup(waitTimeout, "b is unreported", func(g group) bool {
		return g.has("a", "firing", "b", "unreported", "c", "firing")
	})

	// Without its notification log, Alertmanager sends a first notification again.
	am.kill()
	am.deleteData()
	am.start()
	am.post(a, c)
	waitFor(t, waitTimeout, "a second first notification", func() error {
		n := 0
		for _, reason := range m.notified() {
			if reason == "first notification" {
				n++
			}
		}
		if n < 2 {
			return errors.New("not yet")
		}
		return nil
	})
	g := m.waitGroup(waitTimeout, "the group is as before", func(g group) bool {
		return g.has("a", "firing", "b", "unreported", "c", "firing")
	})
	require.Len(t, g.alert("a").Episodes, 1)
	require.Len(t, g.alert("c").Episodes, 1)
	kinds := m.kinds()
	require.Equal(t, 1, kinds["opened"])
	require.Equal(t, 1, kinds["fired a"])
	require.Equal(t, 1, kinds["fired c"])
}

func TestMusterRestarted(t *testing.T) {
	t.Parallel()
	needsAlertmanager(t)
	redis := startRedis(t)
	m := startMuster(t, musterFlags("--redis.url="+redis.url)...)
	am := startAlertmanager(t, webhookConfig(m.url+"/webhook"))

	a, b := firing("a"), firing("b")
	am.post(a)
	m.waitGroup(waitTimeout, "a fires", func(g group) bool { return g.has("a", "firing") && !g.Settling })
	before, err := m.group()
	require.NoError(t, err)
	history := m.kinds()

	m.stop()
	m.start()
	after, err := m.group()
	require.NoError(t, err)
	require.Equal(t, viewOf(before), viewOf(after))
	require.Equal(t, history, m.kinds())

	// While Muster is down, Alertmanager retries.
	m.kill()
	refused := bytes.Count([]byte(am.tail()), []byte("connection refused"))
	am.post(b)
	waitFor(t, waitTimeout, "Alertmanager cannot connect", func() error {
		if bytes.Count([]byte(am.tail()), []byte("connection refused")) == refused {
			return errors.New("not yet")
		}
		return nil
	})
	m.start()
	m.waitGroup(waitTimeout, "b fires as well", func(g group) bool { return g.has("a", "firing", "b", "firing") })

	am.post(a.resolved(), b.resolved())
	g := m.waitGroup(waitTimeout, "both resolve", func(g group) bool { return g.has("a", "resolved", "b", "resolved") })
	require.Equal(t, "resolved", g.State)
	kinds := m.kinds()
	delete(kinds, "notified")
	require.Equal(t, map[string]int{
		"opened": 1, "closed": 1, "fired a": 1, "fired b": 1, "resolved a": 1, "resolved b": 1,
	}, kinds)
}
