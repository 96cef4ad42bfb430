package grouping

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestUnquoteReceiver(t *testing.T) {
	for quoted, want := range map[string]string{
		`storage\.team`: "storage.team", `audit \(copy\+1\)`: "audit (copy+1)", "plain": "plain", `a\\b`: `a\b`,
		`a\b`: `a\b`, `\`: `\`, "": "", `été\.x`: "été.x",
	} {
		require.Equal(t, want, UnquoteReceiver(quoted))
	}
}
