package grouping

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What is observed of a group is forgotten with the group.
func TestAnEndIsForgottenWithItsGroup(t *testing.T) {
	m := newLocalManager(t)
	g, _ := applied(nil, step{0, am0, []NotifiedAlert{fires("a", 0)}, 0, ""}.notification(0), testRules)
	m.groupChanged(Update{ID: g.ID, Group: g})
	end := groupedAt(minute, ended("a", 0, minute))
	require.NoError(t, m.Observe(t.Context(), g.Source, []Observation{end}))
	require.False(t, m.observed.of(g.Source).nextEnd(g.ID).IsZero())
	m.groupChanged(Update{ID: g.ID})
	require.True(t, m.observed.of(g.Source).nextEnd(g.ID).IsZero())
}
