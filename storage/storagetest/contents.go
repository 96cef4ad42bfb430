package storagetest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"muster/grouping"
)

// Contents returns the number of alerts of each stored group, and the number of events.
func Contents(t *testing.T, s grouping.GroupStorage) (groups map[grouping.ID]int, events int) {
	t.Helper()
	groups = map[grouping.ID]int{}
	for g, err := range s.LoadAll(t.Context()) {
		require.NoError(t, err)
		groups[g.ID] = len(g.Alerts)
	}
	page, err := s.Events(t.Context(), grouping.EventQuery{Limit: 100_000})
	require.NoError(t, err)
	return groups, len(page.Events)
}
