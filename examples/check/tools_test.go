package check

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// tool returns the path of a tool, which an environment variable contains.
func tool(t *testing.T, variable string) string {
	t.Helper()
	path := os.Getenv(variable)
	require.NotEmpty(t, path, "%s: run `make check-examples`, which installs what is needed", variable)
	return path
}

// runTool runs a command and returns its output.
func runTool(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), name, args...)
	// The tools must not use the Kubernetes cluster of the developer.
	command.Env = append(os.Environ(), "KUBECONFIG="+os.DevNull)
	said, err := command.CombinedOutput()
	return string(said), err
}

// write writes a file into a new folder and returns its path.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// breakage is a mistake that a check must find.
type breakage struct {
	name     string
	old, new string
	says     string // part of the error of the check
}

// apply makes the mistake.
func (b breakage) apply(t *testing.T, text string) string {
	t.Helper()
	require.Contains(t, text, b.old)
	return strings.Replace(text, b.old, b.new, 1)
}

// knowsFlags checks that Muster accepts all the flags.
func knowsFlags(t *testing.T, args ...string) {
	t.Helper()
	require.NotEmpty(t, args)
	said, err := runTool(t, musterBinary, append(args, "--help")...)
	require.NoError(t, err, said)
}

// acceptsAlertmanagerConfig checks a configuration with Alertmanager's own
// amtool.
func acceptsAlertmanagerConfig(t *testing.T, text string) {
	t.Helper()
	require.Contains(t, text, "/webhook")
	said, err := runTool(t, tool(t, "AMTOOL"), "check-config", write(t, "alertmanager.yml", text))
	require.NoError(t, err, said)
}
