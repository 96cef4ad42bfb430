package grouping

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A start in the future counts as the time of the report. So the alert is not the
// newest for ten years.
func TestAStartInTheFutureCountsFromItsArrival(t *testing.T) {
	ahead := fires("a", 10*365*24*time.Hour)
	first := Notification{Key: drawnKey(1), Stamp: NewStamp(base, 0, testWriter), Alerts: []NotifiedAlert{ahead}}
	g, _ := applied(nil, first, testRules)
	require.True(t, g.NewestAt.Equal(base))
	require.True(t, g.Alerts[0].StartsAt.Equal(ahead.StartsAt), "the sent time is kept")

	// A repeated report does not make it newer.
	again := first
	again.Stamp = NewStamp(base.Add(time.Hour), 0, testWriter)
	g, _ = applied(g, again, testRules)
	require.True(t, g.NewestAt.Equal(base))

	late := Notification{Key: drawnKey(2), Stamp: NewStamp(base.Add(2*minute), 0, testWriter), Alerts: []NotifiedAlert{fires("b", minute)}}
	fresh, _ := applied(nil, late, testRules)
	for _, sort := range []Sort{SortSeverity, SortNewest} {
		page, err := listPage([]*AlertGroup{g, fresh}, ListQuery{Sort: sort})
		require.NoError(t, err)
		require.Equal(t, []ID{fresh.ID, g.ID}, []ID{page.Groups[0].ID, page.Groups[1].ID}, sort)
	}
}
