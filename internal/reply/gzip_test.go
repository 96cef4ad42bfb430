package reply

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGzip(t *testing.T) {
	for header, want := range map[string]bool{
		"gzip":                       true,
		"GZIP":                       true,
		"x-gzip":                     true,
		"deflate, gzip, br, zstd":    true,
		"br;q=1.0, gzip;q=0.8":       true,
		"gzip ; q=0.001":             true,
		"*":                          true,
		"*;q=0.1":                    true,
		"identity;q=0, gzip":         true,
		"identity;q=0.5, gzip;q=1.0": true,

		"":                           false,
		"identity":                   false,
		"br, deflate":                false,
		"nogzip":                     false,
		"gzipped":                    false,
		"gzip;q=0":                   false,
		"gzip; Q=0.000":              false,
		"gzip;q=0, *":                false,
		"gzip;q=0, deflate;q=1":      false,
		"*;q=0":                      false,
		"identity, *;q=0":            false,
		"identity;q=1.0, gzip;q=0.5": false,
		"gzip;q=much":                false,
		"gzip;q=NaN":                 false,
		"gzip;q=2":                   false,
		"gzip;level=9":               false,
	} {
		require.Equal(t, want, Gzip([]string{header}), header)
	}
	require.False(t, Gzip(nil))
	require.True(t, Gzip([]string{"br", "gzip"}), "a request may have the header twice")
}
