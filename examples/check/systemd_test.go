package check

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const unit = "examples/systemd/muster.service"

// verify checks a unit with systemd-analyze. It uses the Muster of this tree, since
// systemd checks that the program exists.
func verify(t *testing.T, text string) (string, error) {
	t.Helper()
	require.Contains(t, text, "/usr/local/bin/muster")
	text = strings.ReplaceAll(text, "/usr/local/bin/muster", musterBinary)
	return runTool(t, "systemd-analyze", "verify", "--man=no", "--recursive-errors=no", write(t, "muster.service", text))
}

func TestUnitIsValid(t *testing.T) {
	text := string(read(t, unit))
	said, err := verify(t, text)
	require.NoError(t, err, said)
	require.Empty(t, said)

	start := regexp.MustCompile(`(?m)^ExecStart=\S+ (.+)$`).FindStringSubmatch(text)
	require.NotNil(t, start)
	knowsFlags(t, strings.Fields(start[1])...)

	for _, b := range []breakage{
		{"an unknown key", "DynamicUser", "DynamikUser", "Unknown key 'DynamikUser'"},
		{"an unknown section", "[Service]", "[Servise]", "Unknown section 'Servise'"},
		{"a wrong value", "ProtectSystem=strict", "ProtectSystem=very", "Failed to parse protect system value"},
		{"a program that does not exist", "ExecStart=", "ExecStart=/nowhere", "is not executable"},
	} {
		t.Run(b.name, func(t *testing.T) {
			said, _ := verify(t, b.apply(t, text))
			require.Contains(t, said, b.says)
		})
	}
}

// systemd rates the exposure of a unit from 0 to 10, in which 10 is unsafe. The threshold
// of systemd-analyze is ten times this value.
func TestUnitIsConfined(t *testing.T) {
	file := write(t, "muster.service", string(read(t, unit)))
	said, err := runTool(t, "systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", file)
	require.NoError(t, err, said)
}
