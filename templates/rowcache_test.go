package templates

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A page is the same whatever pages were made before it, with the same groups
// in another state, view or place.
func TestPagesDoNotDependOnThoseBefore(t *testing.T) {
	used, pages := newRenderer(t), states(t)
	for range 2 {
		for name, p := range pages { // in an order of chance
			want, err := newRenderer(t).Render(p)
			require.NoError(t, err)
			got, err := used.Render(p)
			require.NoError(t, err)
			require.Equal(t, string(want), string(got), name)
		}
	}
	require.NotEmpty(t, used.rows.kept)
}

func TestRowsKeptAreBounded(t *testing.T) {
	r := newRenderer(t)
	for i := range maxCachedRows + 10 {
		_, err := r.rows.get(GroupRow{Key: formatCount(i)})
		require.NoError(t, err)
	}
	require.LessOrEqual(t, len(r.rows.kept), maxCachedRows)
}
