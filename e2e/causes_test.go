package e2e

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCauses(t *testing.T) {
	t.Parallel()
	for _, setup := range causesSetups(t) {
		t.Run(setup.String(), func(t *testing.T) {
			t.Parallel()
			c := startCauses(t, setup)
			// The subtests end before the programs do.
			t.Run("group", func(t *testing.T) {
				tests := map[string]func(*causes){
					"silence": testSilenced, "silence ends": testSilenceEnds, "resolved under a silence": testResolvedWhileSilenced,
					"inhibition": testInhibited,
				}
				if c.recorder {
					tests["deliveries"] = testDeliveries
				}
				if c.poller && c.atLeast(28) {
					tests["interval"] = testScheduled
				}
				for name, test := range tests {
					t.Run(name, func(t *testing.T) {
						t.Parallel()
						test(c.of(t))
					})
				}
			})
		})
	}
}

// A silence suppresses an alert. Muster shows who made it, why, and until when.
func testSilenced(c *causes) {
	c.fires("Silenced", "s1")
	before := time.Now()
	id := c.am.silence("s1")
	_, muted := c.suppressed("Silenced", "s1")
	require.Equal(c, "silence", muted.Kind)
	require.Equal(c, id, muted.ID)
	require.Equal(c, "e2e", muted.By)
	require.Equal(c, "maintenance", muted.Comment)
	require.WithinDuration(c, before.Add(time.Hour), muted.Until, time.Minute)
	require.False(c, muted.Since.Before(before))

	var page struct {
		Silences []struct {
			ID, Source, State, CreatedBy, Comment string
			Matchers                              []string
			Muted                                 []struct {
				Fingerprint string
				Active      bool
			}
		}
	}
	_, err := c.m.fetch("/api/v1/silences?state=active&filter="+`instance%3D%22s1%22`, &page)
	require.NoError(c, err)
	require.Len(c, page.Silences, 1)
	s := page.Silences[0]
	require.Equal(c, []string{id, "default", "active", "e2e", "maintenance"}, []string{s.ID, s.Source, s.State, s.CreatedBy, s.Comment})
	require.Equal(c, []string{`instance="s1"`}, s.Matchers)
	require.Len(c, s.Muted, 1)
	require.True(c, s.Muted[0].Active)
}

// An alert fires when its silence ends: at its planned end, or because somebody ended it. Only
// the poller hears of the latter.
func testSilenceEnds(c *causes) {
	c.fires("SilenceEnds", "e1")
	c.fires("SilenceEnds", "e2")
	// A busy machine needs seconds to see the silence before it ends.
	c.am.silenceFor("e1", groupInterval+6*time.Second)
	g, muted := c.suppressed("SilenceEnds", "e1")
	require.Equal(c, "firing", g.alert("e2").Status)
	c.m.waitNamed(c.T, "SilenceEnds", "e1 fires again", func(g group) bool {
		return g.alert("e1").Status == "firing" && len(g.alert("e1").Mutes) == 0
	})
	ended := c.m.eventsOf(c.T, g.ID, "unsuppressed")
	require.Len(c, ended, 1)
	require.WithinDuration(c, muted.Until, ended[0].Time, maxDelay)
	if !c.poller {
		return
	}
	id := c.am.silence("e2")
	c.suppressed("SilenceEnds", "e2")
	c.am.expire(id)
	c.m.waitNamed(c.T, "SilenceEnds", "e2 fires again", func(g group) bool { return g.alert("e2").Status == "firing" })
	require.Len(c, c.m.eventsOf(c.T, g.ID, "unsuppressed"), 2)
}

// Alertmanager never sends the resolution of a silenced alert. Its recorder tells the end. The
// poller sees that the alert is gone, which does not say that it ended: shortly after its
// start, an Alertmanager may not have all alerts yet.
func testResolvedWhileSilenced(c *causes) {
	a := c.fires("Ends", "a")
	c.am.silence("a")
	c.suppressed("Ends", "a")
	a = a.resolved()
	c.am.post(a)
	if !c.recorder {
		require.False(c, c.am.lists(c.T, "a"))
		b := c.fires("Ends", "b")
		c.am.post(b.resolved())
		g := c.m.waitNamed(c.T, "Ends", "b resolves", func(g group) bool { return g.alert("b").Status == "resolved" })
		require.NotEqual(c, "resolved", g.alert("a").Status)
		require.NotEqual(c, "firing", g.alert("a").Status)
		return
	}
	g := c.m.waitNamed(c.T, "Ends", "a resolves", func(g group) bool { return g.has("a", "resolved") })
	require.True(c, a.EndsAt.Equal(g.alert("a").EndsAt), "%s, %s", a.EndsAt, g.alert("a").EndsAt)
	require.Equal(c, "resolved", g.State)
	require.Empty(c, g.alert("a").Mutes)
	require.Len(c, c.m.eventsOf(c.T, g.ID, "resolved"), 1)
	require.Empty(c, c.m.eventsOf(c.T, g.ID, "unsuppressed"), "it did not fire again")
}

// lists reports whether the API of Alertmanager lists an instance.
func (a *alertmanager) lists(t *testing.T, instance string) bool {
	t.Helper()
	var alerts []struct{ Labels map[string]string }
	_, err := do(http.MethodGet, a.url+"/api/v2/alerts", nil, &alerts)
	require.NoError(t, err)
	for _, l := range alerts {
		if l.Labels["instance"] == instance {
			return true
		}
	}
	return false
}

// Another alert inhibits an alert from its start, so no notification tells of it. When that
// alert ends, this one fires.
func testInhibited(c *causes) {
	source := named("NodeDown", "n1")
	c.am.post(source, named("Inhibited", "n1"))
	node := c.m.waitNamed(c.T, "NodeDown", "the inhibiting alert fires", func(g group) bool { return g.has("n1", "firing") })
	g, muted := c.suppressed("Inhibited", "n1")
	require.Equal(c, "inhibition", muted.Kind)
	require.Equal(c, node.alert("n1").Fingerprint, muted.ID)
	require.Equal(c, "suppressed", g.State)
	require.Equal(c, counts{Suppressed: 1}, g.Counts)
	require.False(c, g.alert("n1").Notified)

	c.am.post(source.resolved())
	g = c.m.waitNamed(c.T, "Inhibited", "the inhibition ends", func(g group) bool {
		return g.has("n1", "firing") && g.alert("n1").Notified
	})
	require.Empty(c, g.alert("n1").Mutes)
	require.NotEmpty(c, c.m.eventsOf(c.T, g.ID, "notified"))
}

// A time interval of the route mutes an alert.
func testScheduled(c *causes) {
	c.fires("NotScheduled", "t1") // so that Muster knows that the receiver is its own
	c.am.post(named("Scheduled", "t1"))
	g, muted := c.suppressed("Scheduled", "t1")
	require.Equal(c, "interval", muted.Kind)
	require.Equal(c, "always", muted.ID)
	require.Equal(c, "suppressed", g.State)
}

// Muster shows which other receivers were notified. It shows nothing for one that fails.
func testDeliveries(c *causes) {
	c.fires("Delivered", "d1")
	var g group
	told := map[string]int{}
	waitFor(c.T, waitTimeout, "the deliveries are on the timeline", func() error {
		g = c.m.waitNamed(c.T, "Delivered", "it has a group", func(group) bool { return true })
		clear(told)
		for _, e := range c.m.eventsOf(c.T, g.ID, "delivered") {
			told[e.Receiver+" "+e.Integration+" "+e.Reason]++
			if e.Firing != 1 {
				return fmt.Errorf("%+v", e)
			}
		}
		if told["works webhook first notification"] == 0 {
			return fmt.Errorf("%v", told)
		}
		return nil
	})
	delete(told, "team webhook first notification")
	require.Equal(c, map[string]int{"works webhook first notification": 1}, told)

	// Alertmanager gives up before the next flush.
	waitFor(c.T, waitTimeout, "Alertmanager gives up", func() error {
		text, err := do(http.MethodGet, c.am.url+"/metrics", nil, nil)
		if err == nil && !regexp.MustCompile(`(?m)^alertmanager_notifications_failed_total{integration="webhook".*} [1-9]`).Match(text) {
			err = errors.New("no notification failed")
		}
		return err
	})
	for _, e := range c.m.eventsOf(c.T, g.ID, "delivered") {
		require.NotEqual(c, "fails", e.Receiver)
	}
}

// Alertmanager and Muster are killed while an alert is silenced. Muster still knows why, also
// before it hears anything, and it hears the end afterwards.
func TestCausesSurviveRestarts(t *testing.T) {
	t.Parallel()
	setup := causesSetup{version: alertmanagerVersion, recorder: true, poller: true}
	needsAlertmanager(t)
	for name, storage := range map[string]func(t *testing.T) string{
		"Redis": func(t *testing.T) string { t.Helper(); return "--redis.url=" + startRedis(t).url },
		"file": func(t *testing.T) string {
			t.Helper()
			return "--storage.path=" + filepath.Join(t.TempDir(), "muster.db")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCauses(t, setup, storage(t))
			c.am.args = append(c.am.args, "--data.maintenance-interval=1s") // a kill loses no silence
			c.m.start()
			c.am.start()
			a, b := c.fires("Restarted", "a"), c.fires("Restarted", "b")
			id := c.am.silence("a")
			c.suppressed("Restarted", "a")
			waitFor(t, waitTimeout, "Alertmanager has saved its silences", func() error {
				info, err := os.Stat(filepath.Join(c.am.data, "silences"))
				if err == nil && info.Size() == 0 {
					err = errors.New("not yet")
				}
				return err
			})
			c.am.kill()
			_, before := c.suppressed("Restarted", "a")
			history := c.m.kinds()
			c.m.kill()
			c.m.start()
			c.m.waitRestored()
			g := c.m.waitNamed(t, "Restarted", "the group is restored", func(group) bool { return true })
			require.True(t, g.has("a", "suppressed", "b", "firing"), describe(g))
			require.Len(t, g.alert("a").Mutes, 1)
			after := g.alert("a").Mutes[0]
			before.LastSeen, after.LastSeen = time.Time{}, time.Time{}
			require.Equal(t, before, after)
			require.Equal(t, withoutFlushes(history), withoutFlushes(c.m.kinds()))

			// After its restart, Alertmanager has the silence, but no alerts.
			c.am.start()
			c.am.post(a, b)
			waitFor(t, causesTimeout, "the alert is seen muted again", func() error {
				g := c.m.waitNamed(t, "Restarted", "the group exists", func(group) bool { return true })
				if !g.has("a", "suppressed", "b", "firing") || g.alert("a").Mutes[0].LastSeen.IsZero() {
					return fmt.Errorf("%s, %+v", describe(g), g.alert("a").Mutes)
				}
				return nil
			})
			c.am.expire(id)
			c.m.waitNamed(t, "Restarted", "the silence ends", func(g group) bool { return g.has("a", "firing", "b", "firing") })
			require.Equal(t, 1, c.m.kinds()["suppressed a"])
			require.Equal(t, 1, c.m.kinds()["unsuppressed a"])
		})
	}
}

// withoutFlushes returns the kinds of events without those that each flush repeats.
func withoutFlushes(kinds map[string]int) map[string]int {
	kept := maps.Clone(kinds)
	delete(kept, "notified")
	delete(kept, "delivered")
	return kept
}

// Two Musters on one Redis show the same. One of them polls, and the other one takes over when
// that is killed.
func TestCausesInTwoMusters(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	c := startCauses(t, causesSetup{version: alertmanagerVersion, recorder: true, poller: true}, "--redis.url="+redis.url)
	other := startMuster(t, musterFlags(append(pollFlags(c.am), "--redis.url="+redis.url)...)...)
	c.fires("Shared", "a")
	id := c.am.silence("a")
	c.suppressed("Shared", "a")
	waitFor(t, causesTimeout, "both show the same", func() error {
		var seen [2][]mute
		for i, m := range []*muster{c.m, other} {
			g := m.waitNamed(t, "Shared", "it is suppressed", func(g group) bool { return g.has("a", "suppressed") })
			for _, one := range g.alert("a").Mutes {
				one.LastSeen = time.Time{} // each has seen it itself
				seen[i] = append(seen[i], one)
			}
		}
		if len(seen[0]) != 1 || !slices.Equal(seen[0], seen[1]) || seen[0][0].ID != id || seen[0][0].By != "e2e" {
			return fmt.Errorf("%+v", seen)
		}
		return nil
	})

	polls := func(m *muster) bool {
		text, err := m.fetch("/metrics", nil)
		require.NoError(t, err)
		return strings.Contains(string(text), `muster_alertmanager_polling{source="default"} 1`)
	}
	waitFor(t, waitTimeout, "one of them polls", func() error {
		if a, b := polls(c.m), polls(other); a == b {
			return fmt.Errorf("%t, %t", a, b)
		}
		return nil
	})
	// Without its Muster, the recorder tells nobody. The poller tells the end of the silence.
	first, second := c.m, other
	if !polls(first) {
		first, second = second, first
	}
	first.kill()
	waitFor(t, waitTimeout, "the other one takes over", func() error {
		if !polls(second) {
			return errors.New("not yet")
		}
		return nil
	})
	c.am.expire(id)
	second.waitNamed(t, "Shared", "the silence ends", func(g group) bool { return g.has("a", "firing") })
	first.start()
	first.waitNamed(t, "Shared", "the first one shows it too", func(g group) bool { return g.has("a", "firing") })
}
