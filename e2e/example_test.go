package e2e

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// examples are the example configurations by the version of their Alertmanager.
var examples = map[string]string{
	alertmanagerVersion:      "../examples/alertmanager.yml",
	olderAlertmanagerVersion: "../examples/alertmanager-0.34.yml",
}

// Alertmanager accepts the example configuration of its version.
func TestExampleIsAccepted(t *testing.T) {
	t.Parallel()
	for version, file := range examples {
		amtool := filepath.Join(filepath.Dir(alertmanagerPath(t, version)), "amtool")
		output, err := exec.CommandContext(t.Context(), amtool, "check-config", file).CombinedOutput()
		require.NoError(t, err, string(output))
		require.Contains(t, string(output), "SUCCESS")
	}
}

// Both examples say the same, but for the name that only the newer version accepts.
func TestExamplesAgree(t *testing.T) {
	t.Parallel()
	lines := func(version string) (kept []string) {
		for line := range strings.Lines(readExample(t, version)) {
			line, _, _ = strings.Cut(line, "#")
			if line = strings.TrimSpace(line); line != "" {
				kept = append(kept, strings.TrimPrefix(line, "- "))
			}
		}
		return kept
	}
	newer, older := lines(alertmanagerVersion), lines(olderAlertmanagerVersion)
	name := slices.Index(newer, "webhook_outputs:") + 1
	require.Equal(t, "name: muster", newer[name])
	require.Equal(t, slices.Delete(newer, name, name+1), older)
}

// The intervals of the example are the defaults of Muster's flags.
func TestExampleHasTheDefaults(t *testing.T) {
	t.Parallel()
	needsMuster(t)
	config := readExample(t, alertmanagerVersion)
	help, err := exec.CommandContext(t.Context(), musterBinary, "--help").CombinedOutput()
	require.NoError(t, err)
	for setting, flag := range map[string]string{"group_wait": "group.wait", "group_interval": "group.interval"} {
		inExample := regexp.MustCompile(`(?m)^  ` + setting + `: (\S+)$`).FindStringSubmatch(config)
		require.NotNil(t, inExample, setting)
		inHelp := regexp.MustCompile(`--` + regexp.QuoteMeta(flag) + `=(\S+)`).FindStringSubmatch(string(help))
		require.NotNil(t, inHelp, flag)
		a, err := time.ParseDuration(inExample[1])
		require.NoError(t, err)
		b, err := time.ParseDuration(inHelp[1])
		require.NoError(t, err)
		require.Equal(t, a, b, "%s and the default of --%s", setting, flag)
	}
}

// With the example configuration every alert reaches Muster: an alert that also goes to
// a pager, and an alert that no other receiver gets. Muster hears the event recorder, and
// reads the API.
func TestExampleBringsEveryAlert(t *testing.T) {
	t.Parallel()
	for version := range examples {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			testExample(t, version)
		})
	}
}

func testExample(t *testing.T, version string) {
	t.Helper()
	needsMuster(t)
	m := newMuster(t, musterFlags()...)
	config := readExample(t, version)
	for from, to := range map[string]string{
		"http://127.0.0.1:9095/": m.url + "/",
		"group_wait: 30s":        "group_wait: " + groupWait.String(),
	} {
		require.Contains(t, config, from)
		config = strings.ReplaceAll(config, from, to)
	}
	am := newAlertmanagerOf(t, version, config, noCluster, "--enable-feature=event-recorder")
	m.args = append(m.args, pollFlags(am)...)
	m.start()
	am.start()

	watchdog, warning := firing("none"), firing("w")
	watchdog.Labels["alertname"], watchdog.Labels["severity"] = "Watchdog", "none"
	warning.Labels["alertname"], warning.Labels["severity"] = "DiskFull", "warning"
	am.post(watchdog, warning, firing("c"))
	waitFor(t, waitTimeout, "all three alerts have a group", func() error {
		groups, err := m.groups()
		if err != nil {
			return err
		}
		names := map[string]int{}
		for _, g := range groups {
			names[g.Receiver+" "+g.GroupLabels["alertname"]] += g.Counts.Firing
		}
		if !maps.Equal(names, map[string]int{"muster Watchdog": 1, "muster DiskFull": 1, "muster HostDown": 1}) {
			return fmt.Errorf("%v", names)
		}
		return nil
	})
	waitFor(t, causesTimeout, "the recorder is heard, and the API is read", func() error {
		s, err := m.status()
		if err != nil {
			return err
		}
		if len(s.Sources) != 1 || len(s.Sources[0].Recorder.Instances) != 1 || len(s.Sources[0].Poller) != 1 ||
			s.Sources[0].Recorder.Instances[0].Version != version || s.Sources[0].Poller[0].LastAt.IsZero() {
			return fmt.Errorf("%+v", s.Sources)
		}
		return nil
	})
}

func readExample(t *testing.T, version string) string {
	t.Helper()
	text, err := os.ReadFile(examples[version])
	require.NoError(t, err)
	return string(text)
}
