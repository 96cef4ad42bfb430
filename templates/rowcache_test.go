package templates

import (
	"testing"

	"github.com/stretchr/testify/require"

	"muster/templates/internal/fixture"
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

// A page of the past leaves the rows of the present in the cache.
func TestPagesOfThePastKeepNoRows(t *testing.T) {
	r := newRenderer(t)
	r.rows.heads, r.rows.ages = nil, nil // the row that was rendered at the start
	body := renderPage(t, r, listPage(t, fixture.Groups(night), "", goBack))
	require.Contains(t, body, "<article")
	require.Empty(t, r.rows.heads)
	require.Empty(t, r.rows.ages)
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
