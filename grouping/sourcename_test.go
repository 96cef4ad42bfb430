package grouping_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"muster/grouping"
)

func TestNamesOfSources(t *testing.T) {
	for name, valid := range map[string]bool{
		grouping.DefaultSource: true, "a": true, "Prod_1.eu-west": true, strings.Repeat("x", 64): true,
		"": false, strings.Repeat("x", 65): false, "a/b": false, "a b": false, "http:": false, "ä": false, "a\n": false,
	} {
		require.Equal(t, valid, grouping.ValidSource(name), name)
	}
}
