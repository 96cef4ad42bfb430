package templates

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/history"
	"muster/templates/internal/fixture"
)

// A row says from the third time on how often its group fired, and that it takes longer than
// usual. It says nothing while that is not known.
func TestRowsSayHowOften(t *testing.T) {
	groups := fixture.Groups(night)
	g := groups[0]
	require.Positive(t, g.Counts.Firing)
	start := night.Add(-2 * time.Hour)
	often := history.Before{
		KnownSince: night.AddDate(0, 0, -30), Firings: 11, RecentFirings: 4, Resolved: 10, P90: 54 * time.Minute,
		Newest: grouping.Episode{StartsAt: start},
	}
	marks := func(g *grouping.AlertGroup, b history.Before, known bool) (texts []string) {
		s := newSite(groups)
		s.BeforeOf = nil
		without := len(NewGroupRow(g, viewOfState("firing"), s, grouping.Labels{}).Marks)
		s.BeforeOf = func(*grouping.AlertGroup) (history.Before, bool) { return b, known }
		all := NewGroupRow(g, viewOfState("firing"), s, grouping.Labels{}).Marks
		for _, m := range all {
			if m.Text == "longer than usual" {
				require.Equal(t, all[0], m, "a loud mark is first")
				require.True(t, m.Loud)
				require.Equal(t, "90 % of its episodes ended within 54m 0s", m.Title)
			}
			texts = append(texts, m.Text)
		}
		require.GreaterOrEqual(t, len(all), without)
		return texts
	}
	require.Contains(t, marks(g, often, true), "4th in 7 days")
	require.Contains(t, marks(g, often, true), "longer than usual")
	require.NotContains(t, marks(g, often, false), "4th in 7 days")
	usual := often
	usual.RecentFirings, usual.P90 = 2, 3*time.Hour
	require.NotContains(t, marks(g, usual, true), "2nd in 7 days")
	require.NotContains(t, marks(g, usual, true), "longer than usual")
	young := often
	young.RecentFirings, young.KnownSince = 3, night.Add(-50*time.Hour)
	require.Contains(t, marks(g, young, true), "3rd in 2 days")
	for _, over := range groups {
		if over.State == grouping.StateResolved {
			require.NotContains(t, marks(over, often, true), "4th in 7 days")
		}
	}
}
