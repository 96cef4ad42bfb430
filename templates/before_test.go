package templates

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/history"
	"muster/templates/internal/fixture"
)

const day = 24 * time.Hour

// beforeStates returns the pages of a group and of an alert that fired before.
func beforeStates(groups []*grouping.AlertGroup, g *grouping.AlertGroup) map[string]Page {
	s, v, fp := newSite(groups), GroupView{Range: rangeEpisode}, g.Alerts[0].Fingerprint
	often := history.NewBefore(fixture.EpisodesBefore(night), nil, night.Add(-40*day), night)
	group := NewGroupPage(s, v, g, fixture.Events(g))
	group.SetBefore(s, v, g.ID, &often)
	alert := NewAlertPage(s, AlertView{}, fp, []*grouping.AlertGroup{g}, fixture.Events(g))
	first := history.NewBefore([]grouping.Episode{{StartsAt: night.Add(-14 * time.Minute)}}, nil, night.Add(-4*day), night)
	alert.SetBefore(s, AlertView{}, fp, []SourceBefore{{"prod-eu1", often}, {"staging", first}})
	return map[string]Page{"groupbefore": group, "alertbefore": alert}
}

func TestTimesBefore(t *testing.T) {
	for want, b := range map[string]history.Before{
		"First time in 30 days.":                                          {Firings: 1, RecentFirings: 1, KnownSince: night.Add(-30 * day)},
		"4th time in 7 days, 11th in 30 days.":                            {Firings: 11, RecentFirings: 4, KnownSince: night.Add(-30 * day)},
		"First time in 7 days, 2nd in 30 days.":                           {Firings: 2, RecentFirings: 1, KnownSince: night.Add(-30 * day)},
		"3rd time in 7 days, 3rd in 30 days.":                             {Firings: 3, RecentFirings: 3, KnownSince: night.Add(-30 * day)},
		"3 times in 30 days, but not in the last 7 days.":                 {Firings: 3, KnownSince: night.Add(-30 * day)},
		"Once in the 12 days that are known, but not in the last 7 days.": {Firings: 1, KnownSince: night.Add(-12*day - time.Hour)},
		"2nd time in the 4 days that are known.": {
			Firings: 2, RecentFirings: 2, KnownSince: night.Add(-4*day - 23*time.Hour),
		},
		"First time in the 5h 12m that are known.": {
			Firings: 1, RecentFirings: 1, KnownSince: night.Add(-5*time.Hour - 12*time.Minute),
		},
		"First time in 30 days, of which 22m 0s are without data.": {
			Firings: 1, RecentFirings: 1, KnownSince: night.Add(-30 * day), NoData: 22 * time.Minute,
		},
	} {
		require.Equal(t, want, timesBefore(&b, night))
	}
	for n, want := range map[int]string{
		1: "First", 2: "2nd", 3: "3rd", 4: "4th", 11: "11th", 12: "12th", 13: "13th", 21: "21st", 112: "112th", 122: "122nd",
	} {
		require.Equal(t, want, ordinal(n))
	}
}

func TestNothingIsSaidBefore(t *testing.T) {
	groups := fixture.Groups(night)
	s, g := newSite(groups), groups[0]
	p := NewGroupPage(s, GroupView{}, g, nil)
	p.SetBefore(s, GroupView{}, g.ID, &history.Before{KnownSince: night.Add(-day)})
	require.Nil(t, p.Before, "it ended before what is known")
}
