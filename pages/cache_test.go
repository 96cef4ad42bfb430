package pages

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// The cache limits the bytes of pages with huge labels.
func TestCachedBytesAreLimited(t *testing.T) {
	var m pageCache
	for i := range 40 {
		m.put("etag", fmt.Sprint(i), &renderedPage{body: make([]byte, 1<<20)})
		require.LessOrEqual(t, m.size, maxCachedBytes)
		require.LessOrEqual(t, len(m.pages), maxCachedBytes>>20)
	}
	m.put("etag", "39", &renderedPage{body: make([]byte, 100)})
	before := m.size
	m.put("etag", "39", &renderedPage{body: make([]byte, 100)})
	require.Equal(t, before, m.size)
	m.put("etag", "huge", &renderedPage{body: make([]byte, maxCachedBytes)})
	_, ok := m.get("etag", "huge")
	require.False(t, ok)
}

func TestSizesAreWrittenInTheirUnit(t *testing.T) {
	for n, want := range map[int64]string{64 << 20: "64 MiB", 1536 << 10: "1536 KiB", 1 << 10: "1 KiB", 1000: "1000 bytes", 0: "0 bytes"} {
		require.Equal(t, want, bytesText(n))
	}
}
