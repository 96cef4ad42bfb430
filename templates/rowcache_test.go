package templates

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The row cache does not change a page, even if the same groups were rendered
// before in another state or view.
func TestRowCacheDoesNotChangePages(t *testing.T) {
	used, fresh, pages := newRenderer(t), newRenderer(t), states(t)
	for range 2 {
		for name, p := range pages { // in random order
			fresh.rows.heads, fresh.rows.whys, fresh.rows.ages = nil, nil, nil
			want, err := fresh.Render(p)
			require.NoError(t, err)
			got, err := used.Render(p)
			require.NoError(t, err)
			require.Equal(t, string(want), string(got), name)
		}
	}
	require.NotEmpty(t, used.rows.heads)
	require.NotEmpty(t, used.rows.whys)
	require.NotEmpty(t, used.rows.ages)
}

func TestRowCacheIsLimited(t *testing.T) {
	r := newRenderer(t)
	for i := range maxCachedRows + 10 {
		_, err := r.rows.all([]GroupRow{{Key: formatCount(i)}})
		require.NoError(t, err)
	}
	require.LessOrEqual(t, len(r.rows.heads), maxCachedRows)
	require.LessOrEqual(t, len(r.rows.ages), maxCachedRows)
}
