package check

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const unit = "examples/systemd/muster.service"

// verify checks a unit with systemd's own means. The unit starts the Muster of
// this tree, since systemd looks whether the program is there.
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
		{"a key that there is not", "DynamicUser", "DynamikUser", "Unknown key 'DynamikUser'"},
		{"a section that there is not", "[Service]", "[Servise]", "Unknown section 'Servise'"},
		{"a wrong value", "ProtectSystem=strict", "ProtectSystem=very", "Failed to parse protect system value"},
		{"a program that is not there", "ExecStart=", "ExecStart=/nowhere", "is not executable"},
	} {
		t.Run(b.name, func(t *testing.T) {
			said, _ := verify(t, b.apply(t, text))
			require.Contains(t, said, b.says)
		})
	}
}

// systemd's own measure of what a service could do to the machine: 10 is all.
func TestUnitIsConfined(t *testing.T) {
	said, err := runTool(t, "systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", write(t, "muster.service", string(read(t, unit))))
	require.NoError(t, err, said)
}
