package templates

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A link to the alerts of a severity matches the words that these alerts use.
func TestSeverityMatcher(t *testing.T) {
	require.Equal(t, `severity="critical"`, severityMatcher(nil, "critical").String())
	require.Equal(t, `severity="page"`, severityMatcher([]string{"page"}, "critical").String())
	require.Equal(t, `severity=~"page|sev\\.1"`, severityMatcher([]string{"page", "sev.1"}, "critical").String())
}
