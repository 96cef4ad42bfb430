package grouping

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"
)

// Each byte at each place of texts of several lengths gives the same JSON as the library.
func TestIsPlain(t *testing.T) {
	for n := 1; n <= 18; n++ {
		for at := range n {
			for c := range 256 {
				text := strings.Repeat("~", at) + string([]byte{byte(c)}) + strings.Repeat("!", n-at-1)
				want, _ := jsontext.AppendQuote(nil, text)
				require.Equal(t, string(want), string(appendQuoted(nil, text)))
				require.Equal(t, string(want) == `"`+text+`"`, IsPlain(text), "%q", text)
				require.Equal(t, IsPlain(text), IsPlain([]byte(text)), "%q", text)
			}
		}
	}
	require.True(t, IsPlain(""))
}

func BenchmarkAppendQuoted(b *testing.B) {
	text := strings.Repeat("Pod app-7c9d8b6f5d is waiting. ", 3)
	var buffer []byte
	for b.Loop() {
		buffer = appendQuoted(buffer[:0], text)
	}
}
