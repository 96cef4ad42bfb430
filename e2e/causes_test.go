package e2e

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// pollInterval is the time between two polls of an Alertmanager in these tests. On a busy
// machine Muster polls less often, so that it takes only a part of Alertmanager's time.
const (
	pollInterval  = time.Second
	causesTimeout = 2 * waitTimeout
)

// maxDelay is how long after a flush, or after a poll, Muster may need to show what that said.
const maxDelay = 2 * time.Second

// causesSetup is one way in which Muster hears beside notifications why an alert is not
// reported: from the event recorder of an Alertmanager, or from its API.
type causesSetup struct {
	version          string
	recorder, poller bool
}

func (s causesSetup) String() string {
	text := s.version
	if s.recorder {
		text += " recorder"
	}
	if s.poller {
		text += " poller"
	}
	return text
}

// causesSetups returns all setups. With ALERTMANAGER_DIR, it is the poller with that version.
func causesSetups(t *testing.T) []causesSetup {
	t.Helper()
	path := needsAlertmanager(t)
	if os.Getenv("ALERTMANAGER_DIR") == "" {
		return []causesSetup{
			{version: alertmanagerVersion, recorder: true},
			{version: alertmanagerVersion, poller: true},
			{version: olderAlertmanagerVersion, recorder: true},
		}
	}
	text, err := exec.CommandContext(t.Context(), path, "--version").CombinedOutput()
	require.NoError(t, err)
	version := regexp.MustCompile(`version ([0-9.]+)`).FindSubmatch(text)
	require.NotNil(t, version, string(text))
	return []causesSetup{{version: string(version[1]), poller: true}}
}

// atLeast reports whether the version of the Alertmanager is 0.minor or newer.
func (s causesSetup) atLeast(minor int) bool {
	n, err := strconv.Atoi(strings.Split(s.version, ".")[1])
	return err == nil && n >= minor
}

// recorderConfig returns the event recorder of a configuration, with the settings that README
// recommends.
func (s causesSetup) recorderConfig(eventsURL string) string {
	name := ""
	if s.atLeast(35) {
		name = "\n      name: muster"
	}
	return fmt.Sprintf(`event_recorder:
  webhook_outputs:
    - url: %s%s
      batch: true
      batch_max_events: 5000
      batch_max_bytes: 16777216
      workers: 1
      max_retries: 10
`, eventsURL, name)
}

// causesConfig returns a configuration in which alerts can be muted in each way. Delivered
// also goes to two other receivers.
func (s causesSetup) causesConfig(musterURL, worksURL, failsURL string) string {
	config := strings.Replace(webhookConfig(musterURL+"/webhook"), "receivers:\n", `  routes:
    - receiver: works
      matchers: [alertname="Delivered"]
      continue: true
    - receiver: fails
      matchers: [alertname="Delivered"]
      continue: true
    - receiver: team
      matchers: [alertname="Scheduled"]
      mute_time_intervals: [always]
    - receiver: team
inhibit_rules:
  - source_matchers: [alertname="NodeDown"]
    target_matchers: [alertname="Inhibited"]
    equal: [instance]
time_intervals:
  - name: always
    time_intervals:
      - times: [{start_time: "00:00", end_time: "24:00"}]
receivers:
`, 1)
	config += fmt.Sprintf(`  - name: works
    webhook_configs: [{url: %s}]
  - name: fails
    webhook_configs: [{url: %s}]
`, worksURL, failsURL)
	if s.recorder {
		config += s.recorderConfig(musterURL + "/events")
	}
	return config
}

// causes are an Alertmanager and a Muster that hears why alerts are muted.
type causes struct {
	causesSetup
	*testing.T

	am *alertmanager
	m  *muster
}

// newCauses returns an Alertmanager and a Muster that are not started.
func newCauses(t *testing.T, setup causesSetup, musterArgs ...string) *causes {
	t.Helper()
	respond := func(status int) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		t.Cleanup(server.Close)
		return server.URL
	}
	m := newMuster(t, musterFlags(musterArgs...)...)
	args := []string{noCluster}
	if setup.recorder {
		args = append(args, "--enable-feature=event-recorder")
	}
	config := setup.causesConfig(m.url, respond(http.StatusOK), respond(http.StatusInternalServerError))
	am := newAlertmanagerOf(t, setup.version, config, args...)
	if setup.poller {
		m.args = append(m.args, pollFlags(am)...)
	}
	return &causes{setup, t, am, m}
}

func pollFlags(am *alertmanager) []string {
	return []string{"--alertmanager.url=" + am.url, "--alertmanager.interval=" + pollInterval.String()}
}

func startCauses(t *testing.T, setup causesSetup, musterArgs ...string) *causes {
	t.Helper()
	c := newCauses(t, setup, musterArgs...)
	c.m.start()
	c.am.start()
	return c
}

// of returns the same programs for a subtest.
func (c *causes) of(t *testing.T) *causes {
	t.Helper()
	return &causes{c.causesSetup, t, c.am, c.m}
}

// named returns a firing alert with another name.
func named(name, instance string) posted {
	p := firing(instance)
	p.Labels["alertname"] = name
	return p
}

// waitNamed waits until the group with the alert name meets the condition.
func (m *muster) waitNamed(t *testing.T, name, what string, condition func(group) bool) group {
	t.Helper()
	var found group
	waitFor(t, causesTimeout, what, func() error {
		all, err := m.groups()
		if err != nil {
			return err
		}
		for _, g := range all {
			if g.GroupLabels["alertname"] == name {
				if found = g; condition(g) {
					return nil
				}
				return fmt.Errorf("the group is %s", describe(g))
			}
		}
		return errors.New("there is no such group")
	})
	return found
}

// eventsOf returns the events of a kind in a group, the oldest first.
func (m *muster) eventsOf(t *testing.T, groupID, kind string) (list []event) {
	t.Helper()
	all, err := m.events()
	require.NoError(t, err)
	for _, e := range all {
		if e.GroupID == groupID && e.Kind == kind {
			list = append(list, e)
		}
	}
	return list
}

// suppressed waits until an alert is suppressed, and returns what mutes it. Muster must show
// it soon after the flush or the poll that said so.
func (c *causes) suppressed(name, instance string) (group, mute) {
	c.Helper()
	g := c.m.waitNamed(c.T, name, name+" "+instance+" is suppressed", func(g group) bool {
		a := g.alert(instance)
		return a.Status == "suppressed" && len(a.Mutes) == 1
	})
	suppressed := c.m.eventsOf(c.T, g.ID, "suppressed")
	require.NotEmpty(c, suppressed)
	muted := g.alert(instance).Mutes[0]
	last := suppressed[len(suppressed)-1]
	require.Less(c, last.Time.Sub(muted.Since), maxDelay, "after %s", muted.Since)
	if c.recorder && !c.poller {
		require.Equal(c, "event", muted.From)
	}
	return g, muted
}

// fires posts an alert and waits until Muster was notified of it.
func (c *causes) fires(name, instance string) posted {
	c.Helper()
	p := named(name, instance)
	c.am.post(p)
	c.m.waitNamed(c.T, name, name+" "+instance+" fires", func(g group) bool {
		a := g.alert(instance)
		return a.Status == "firing" && a.Notified
	})
	return p
}

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
	c.am.silenceFor("e1", groupInterval+3*time.Second)
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
