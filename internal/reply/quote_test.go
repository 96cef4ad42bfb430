package reply

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestQuoted(t *testing.T) {
	for text, want := range map[string]string{
		"":                      `""`,
		"5":                     `"5"`,
		"a\"b\\\x00":            `"a\"b\\\x00"`,
		strings.Repeat("x", 40): `"` + strings.Repeat("x", 40) + `"`,
		strings.Repeat("x", 41): `"` + strings.Repeat("x", 40) + `…"`,
		strings.Repeat("é", 21): `"` + strings.Repeat("é", 20) + `…"`,
		strings.Repeat("<", 40): `"<<<<<<…"`,
	} {
		require.Equal(t, want, Quoted(text))
	}
}
