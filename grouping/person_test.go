package grouping

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestValidateName(t *testing.T) {
	for name, want := range map[string]string{
		"mira":                   "",
		"Mira Ohm, on call":      "",
		"mira@example.com":       "",
		"<script>":               "",
		"میرا":                   "",
		strings.Repeat("é", 100): "",
		strings.Repeat("é", 101): "the name has 101 characters, the limit is 100",
		"":                       "a name is required",
		" \u00a0\t":              "a name is required",
		"mi\nra":                 "the name has a control character",
		"mi\x00ra":               "the name has a control character",
		"mi\u0085ra":             "the name has a control character",
		"mi\u2028ra":             "the name has a control character",
		"mi\u202era":             "the name has a control character",
		"mi\u2066ra":             "the name has a control character",
		"mi\xffra":               "the name is not valid UTF-8",
	} {
		err := ValidateName(name)
		if want == "" {
			require.NoError(t, err, "%q", name)
			continue
		}
		require.EqualError(t, err, want, "%q", name)
	}
}
