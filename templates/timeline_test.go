package templates

import (
	"testing"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/templates/internal/fixture"
)

// A small screen hides alerts of the timeline, and refers to the table only if it has all.
func TestTimelineRefersToAWholeTable(t *testing.T) {
	for alerts, want := range map[int]string{
		maxNarrowRows:       "",
		maxNarrowRows + 1:   "A small screen shows the first 6 alerts. The table below shows all alerts.",
		maxTimelineRows + 1: "A small screen shows the first 6 alerts.",
	} {
		g := fixture.Big(night, alerts)
		p := NewGroupPage(newSite([]*grouping.AlertGroup{g}), GroupView{Range: rangeEpisode}, g, nil)
		require.Equal(t, want, p.Timeline.Narrow, alerts)
	}
}

func TestTimelineCountsWhatItLeavesOut(t *testing.T) {
	g := fixture.Big(night, maxTimelineRows+1)
	p := NewGroupPage(newSite([]*grouping.AlertGroup{g}), GroupView{Range: rangeEpisode}, g, nil)
	require.Equal(t, "+1 more alert", p.Timeline.More)
}
