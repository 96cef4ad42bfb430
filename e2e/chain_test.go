package e2e

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// musterFlags tell Muster of the times that Alertmanager works by here.
func musterFlags(more ...string) []string {
	return append([]string{
		"--group.wait=" + groupWait.String(), "--group.interval=" + groupInterval.String(), "--group.settle=5s",
	}, more...)
}

// chain starts Alertmanager and Muster as its webhook.
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
	g := m.waitGroup(patience, "a and b fire", func(g group) bool { return g.has("a", "firing", "b", "firing") })
	require.Equal(t, "firing", g.State)
	require.Equal(t, "default", g.Source)
	require.Equal(t, "team", g.Receiver)
	require.Equal(t, am.url, g.ExternalURL)
	require.Equal(t, map[string]string{"alertname": "HostDown"}, g.GroupLabels)
	require.Equal(t, a.Annotations, g.alert("a").Annotations)
	require.Equal(t, a.GeneratorURL, g.alert("a").GeneratorURL)
	require.True(t, a.StartsAt.Equal(g.alert("a").StartsAt))
	// group_wait gathered both into one notification, and not before its time.
	require.Equal(t, []string{"first notification"}, m.notified())
	require.GreaterOrEqual(t, g.CreatedAt.Sub(a.StartsAt), groupWait)
	m.waitGroup(patience, "it has settled", func(g group) bool { return !g.Settling })

	c := firing("c")
	am.post(c)
	m.waitGroup(patience, "c is a new alert", func(g group) bool {
		return g.has("a", "firing", "b", "firing", "c", "firing") && g.LastReason == "new alerts added"
	})

	b = b.resolved()
	am.post(b)
	g = m.waitGroup(patience, "b resolves, the others do not", func(g group) bool {
		return g.has("a", "firing", "b", "resolved", "c", "firing")
	})
	require.Equal(t, "mixed", g.State)
	require.Equal(t, "some alerts resolved", g.LastReason)
	require.True(t, b.EndsAt.Equal(g.alert("b").EndsAt), "%s, %s", b.EndsAt, g.alert("b").EndsAt)
	require.True(t, g.ResolvedAt.IsZero())

	am.post(a.resolved(), c.resolved())
	g = m.waitGroup(patience, "all resolve", func(g group) bool {
		return g.has("a", "resolved", "b", "resolved", "c", "resolved")
	})
	require.Equal(t, "resolved", g.State)
	require.Equal(t, "all alerts resolved", g.LastReason)
	require.False(t, g.ResolvedAt.IsZero())
	require.Len(t, g.Episodes, 1)

	again := firing("a")
	am.post(again)
	g = m.waitGroup(patience, "a fires again", func(g group) bool { return g.alert("a").Status == "firing" })
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
	m.waitGroup(patience, "a and b fire", func(g group) bool { return g.has("a", "firing", "b", "firing") })

	// A silence alone sends nothing: it shows once something else is sent.
	silence := am.silence("a")
	am.post(firing("c"))
	g := m.waitGroup(patience, "a is not reported any more", func(g group) bool {
		return g.has("a", "unreported", "b", "firing", "c", "firing")
	})
	require.Equal(t, "mixed", g.State)
	require.True(t, g.alert("a").EndsAt.IsZero(), "nobody said that it ended")

	am.expire(silence)
	g = m.waitGroup(patience, "a returns", func(g group) bool {
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

// A resolution under a silence is never sent: the alert stays unreported, and
// its group is not closed.
func TestResolvedUnderSilence(t *testing.T) {
	t.Parallel()
	am, m := chain(t)

	a, b := firing("a"), firing("b")
	am.post(a, b)
	m.waitGroup(patience, "a and b fire", func(g group) bool { return g.has("a", "firing", "b", "firing") })
	am.silence("a")
	am.post(a.resolved(), b.resolved())
	g := m.waitGroup(patience, "b resolves, of a nothing is said", func(g group) bool {
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
	g := m.waitGroup(patience, "two of three are shown", func(g group) bool {
		return g.has("a", "firing", "b", "firing") && g.Truncated == 1
	})
	require.Equal(t, "firing", g.State)

	// What is cut may still fire: b, pushed out, is not unreported, and the
	// group is not closed though all that is listed has resolved.
	am.post(a.resolved(), b.resolved())
	g = m.waitGroup(patience, "the listed ones resolve", func(g group) bool {
		return g.has("a", "resolved", "b", "resolved") && g.Truncated == 1
	})
	require.Equal(t, "unreported", g.State)
	require.Zero(t, m.kinds()["closed"])

	// Alone, c is listed at last.
	am.post(firing("a"), c.resolved())
	m.waitGroup(patience, "nothing is cut any more", func(g group) bool {
		return g.has("a", "firing", "b", "resolved", "c", "resolved") && g.Truncated == 0
	})
}

// An alert that is cut is not omitted: it fires until its end is listed.
func TestMaxAlertsCutsAKnownAlert(t *testing.T) {
	t.Parallel()
	am, m := chain(t, "max_alerts: 2")

	a, b := firing("a"), firing("b")
	am.post(a, b)
	m.waitGroup(patience, "a and b fire", func(g group) bool { return g.has("a", "firing", "b", "firing") })
	// It is listed before b, for which there is no place any more.
	aa := firing("aa")
	am.post(aa)
	m.waitGroup(patience, "aa fires, b is cut", func(g group) bool {
		return g.has("a", "firing", "aa", "firing", "b", "firing") && g.Truncated == 1
	})
	am.post(a.resolved(), aa.resolved())
	m.waitGroup(patience, "those that are listed resolve", func(g group) bool {
		return g.has("a", "resolved", "aa", "resolved", "b", "firing")
	})
	require.Zero(t, m.kinds()["closed"])

	am.post(b.resolved())
	g := m.waitGroup(patience, "b resolves", func(g group) bool {
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
	m.waitGroup(patience, "a and b fire", func(g group) bool { return g.has("a", "firing", "b", "firing") })

	// It forgets all alerts. The source of b is gone; what it knows of now does
	// not list it, and that is no resolution.
	am.stop()
	am.start()
	am.post(a, c)
	m.waitGroup(patience, "b is not reported any more", func(g group) bool {
		return g.has("a", "firing", "b", "unreported", "c", "firing")
	})

	// Without its notification log it says all as if for the first time.
	am.kill()
	am.lose()
	am.start()
	am.post(a, c)
	waitFor(t, patience, "a second first notification", func() error {
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
	g := m.waitGroup(patience, "all is as before", func(g group) bool {
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
	m.waitGroup(patience, "a fires", func(g group) bool { return g.has("a", "firing") && !g.Settling })
	before, err := m.group()
	require.NoError(t, err)
	history := m.kinds()

	m.stop()
	m.start()
	after, err := m.group()
	require.NoError(t, err)
	require.Equal(t, viewOf(before), viewOf(after))
	require.Equal(t, history, m.kinds())

	// While it is down Alertmanager sends again and again.
	m.kill()
	refused := bytes.Count([]byte(am.tail()), []byte("connection refused"))
	am.post(b)
	waitFor(t, patience, "Alertmanager finds nobody", func() error {
		if bytes.Count([]byte(am.tail()), []byte("connection refused")) == refused {
			return errors.New("not yet")
		}
		return nil
	})
	m.start()
	m.waitGroup(patience, "b fires, too", func(g group) bool { return g.has("a", "firing", "b", "firing") })

	am.post(a.resolved(), b.resolved())
	g := m.waitGroup(patience, "both resolve", func(g group) bool { return g.has("a", "resolved", "b", "resolved") })
	require.Equal(t, "resolved", g.State)
	kinds := m.kinds()
	delete(kinds, "notified")
	require.Equal(t, map[string]int{
		"opened": 1, "closed": 1, "fired a": 1, "fired b": 1, "resolved a": 1, "resolved b": 1,
	}, kinds)
}
