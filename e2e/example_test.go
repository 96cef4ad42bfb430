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

// The example configuration is one that Alertmanager accepts, and it has the
// times that Muster takes for granted.
func TestExampleIsAccepted(t *testing.T) {
	t.Parallel()
	amtool := filepath.Join(filepath.Dir(needsAlertmanager(t)), "amtool")
	said, err := exec.CommandContext(t.Context(), amtool, "check-config", "../examples/alertmanager.yml").CombinedOutput()
	require.NoError(t, err, string(said))
	require.Contains(t, string(said), "SUCCESS")

	config := readExample(t)
	help, err := exec.CommandContext(t.Context(), musterBinary, "--help").CombinedOutput()
	require.NoError(t, err)
	for setting, flag := range map[string]string{"group_wait": "group.wait", "group_interval": "group.interval"} {
		is := regexp.MustCompile(`(?m)^  ` + setting + `: (\S+)$`).FindStringSubmatch(config)
		require.NotNil(t, is, setting)
		ours := regexp.MustCompile(`--` + regexp.QuoteMeta(flag) + `=(\S+)`).FindStringSubmatch(string(help))
		require.NotNil(t, ours, flag)
		a, err := time.ParseDuration(is[1])
		require.NoError(t, err)
		b, err := time.ParseDuration(ours[1])
		require.NoError(t, err)
		require.Equal(t, a, b, "%s and the default of --%s", setting, flag)
	}
}

// With it every alert reaches Muster, also one that goes to a pager and one
// that goes nowhere else.
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
	waitFor(t, patience, "all three have a group", func() error {
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
