package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
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
