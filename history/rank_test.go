package history

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Half of the durations, or nine of ten, do not exceed the result, and it is one of them.
func TestNearestRank(t *testing.T) {
	sorted := make([]time.Duration, 0, 11)
	for n, want := range []struct{ median, p90 time.Duration }{
		1: {1, 1}, 2: {1, 2}, 3: {2, 3}, 4: {2, 4}, 5: {3, 5}, 9: {5, 9}, 10: {5, 9}, 11: {6, 10},
	} {
		if n > 0 {
			sorted = append(sorted, time.Duration(n))
		}
		if want.median > 0 {
			require.Equal(t, want.median, nearestRank(sorted, 50), "the median of %d", n)
			require.Equal(t, want.p90, nearestRank(sorted, 90), "nine of ten of %d", n)
		}
	}
}
