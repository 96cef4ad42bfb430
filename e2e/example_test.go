package e2e

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Alertmanager accepts the example configuration. Its intervals are the defaults of
// Muster's flags.
func TestExampleIsAccepted(t *testing.T) {
	t.Parallel()
	amtool := filepath.Join(filepath.Dir(needsAlertmanager(t)), "amtool")
	output, err := exec.CommandContext(t.Context(), amtool, "check-config", "../examples/alertmanager.yml").CombinedOutput()
	require.NoError(t, err, string(output))
	require.Contains(t, string(output), "SUCCESS")

	config := readExample(t)
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
// a pager, and an alert that no other receiver gets.
func TestExampleBringsEveryAlert(t *testing.T) {
	t.Parallel()
	needsAlertmanager(t)
	m := startMuster(t, musterFlags()...)
	config := readExample(t)
	for from, to := range map[string]string{
		"http://127.0.0.1:9095/webhook": m.url + "/webhook",
		"group_wait: 30s":               "group_wait: " + groupWait.String(),
	} {
		require.Contains(t, config, from)
		config = strings.ReplaceAll(config, from, to)
	}
	am := startAlertmanager(t, config)

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
}

func readExample(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../examples/alertmanager.yml")
	require.NoError(t, err)
	return string(text)
}
