package history_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/history"
)

// noon is the time at which the tests ask.
var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// lasted returns an episode that began some time before noon. A duration of 0 means that its
// end is not known.
func lasted(before, d time.Duration) grouping.Episode {
	e := grouping.Episode{StartsAt: noon.Add(-before)}
	if d > 0 {
		e.EndsAt = e.StartsAt.Add(d)
	}
	return e
}

func TestBeforeCountsEpisodes(t *testing.T) {
	ten := []grouping.Episode{
		lasted(31*day, day/2),                 // ended before the window
		lasted(30*day+time.Hour, 2*time.Hour), // began before it
		lasted(20*day, 0),                     // nobody reported its end
		lasted(10*day, 5*time.Minute),
		lasted(9*day, 30*time.Minute),
		lasted(7*day+time.Hour, 65*time.Minute), // ended within seven days
		lasted(3*day, 12*time.Minute),
		lasted(2*day, 9*time.Minute),
		lasted(time.Hour, 0),
		lasted(-time.Minute, 0), // in the future
	}
	for name, test := range map[string]struct {
		episodes []grouping.Episode
		known    time.Time
		gaps     []grouping.Gap
		want     history.Before
	}{
		"nothing": {known: noon.Add(-4 * day), want: history.Before{KnownSince: noon.Add(-4 * day)}},
		"all": {
			episodes: ten, known: noon.Add(-90 * day),
			want: history.Before{
				KnownSince: noon.Add(-30 * day), Firings: 8, RecentFirings: 4, Resolved: 6,
				// 5m, 9m, 12m, 30m, 65m, 2h
				Median: 12 * time.Minute, P90: 2 * time.Hour, Longest: 2 * time.Hour,
				Newest: ten[8], Last: ten[7],
			},
		},
		"a short history": {
			episodes: ten, known: noon.Add(-2*day - time.Hour),
			want: history.Before{
				KnownSince: noon.Add(-2*day - time.Hour), Firings: 2, RecentFirings: 2, Resolved: 1,
				Median: 9 * time.Minute, P90: 9 * time.Minute, Longest: 9 * time.Minute, Newest: ten[8], Last: ten[7],
			},
		},
		"the one before is not within the window": {
			episodes: ten, known: noon.Add(-day),
			want: history.Before{KnownSince: noon.Add(-day), Firings: 1, RecentFirings: 1, Newest: ten[8]},
		},
		"it fires for longer than the window": {
			episodes: []grouping.Episode{lasted(40*day, 0)},
			want:     history.Before{KnownSince: noon.Add(-30 * day), Firings: 1, RecentFirings: 1, Newest: lasted(40*day, 0)},
		},
		"it is over": {
			episodes: ten[:5],
			want: history.Before{
				KnownSince: noon.Add(-30 * day), Firings: 4, Resolved: 3, Median: 30 * time.Minute, P90: 2 * time.Hour,
				Longest: 2 * time.Hour, Newest: ten[4], Last: ten[3],
			},
		},
		"gaps": {
			known: noon.Add(-day),
			gaps: []grouping.Gap{
				{From: noon.Add(-3 * day), To: noon.Add(-2 * day)},
				{From: noon.Add(-day - time.Hour), To: noon.Add(-day + 10*time.Minute)},
				{From: noon.Add(-time.Hour), To: noon.Add(-48 * time.Minute)},
			},
			want: history.Before{KnownSince: noon.Add(-day), NoData: 22 * time.Minute},
		},
		"asked for a time in the past": {
			episodes: []grouping.Episode{lasted(time.Hour, 2*time.Hour)},
			want: history.Before{
				KnownSince: noon.Add(-30 * day), Firings: 1, RecentFirings: 1, Newest: lasted(time.Hour, 0),
			},
		},
	} {
		require.Equal(t, test.want, history.NewBefore(test.episodes, test.gaps, test.known, noon), name)
	}
}

func TestLongerThanUsual(t *testing.T) {
	var episodes []grouping.Episode
	for i := range 5 {
		episodes = append(episodes, lasted(time.Duration(10-i)*day, time.Duration(i+1)*10*time.Minute))
	}
	for want, fires := range map[bool]time.Duration{false: 50 * time.Minute, true: 51 * time.Minute} {
		b := history.NewBefore(append(episodes, lasted(fires, 0)), nil, time.Time{}, noon)
		require.Equal(t, 50*time.Minute, b.P90)
		require.Equal(t, want, b.LongerThanUsual(noon))
	}
	b := history.NewBefore(append(episodes[1:], lasted(10*time.Hour, 0)), nil, time.Time{}, noon)
	require.False(t, b.LongerThanUsual(noon), "too few are known")
	require.True(t, b.Covers(history.RecentWindow, noon))
}

// minute returns a time some minutes after noon.
func minute(n int) time.Time { return noon.Add(time.Duration(n) * time.Minute) }

// spans returns episodes by the minutes of their starts and ends. An end of 0 is not known.
func spans(pairs ...[2]int) (list []grouping.Episode) {
	for _, p := range pairs {
		e := grouping.Episode{StartsAt: minute(p[0])}
		if p[1] != 0 {
			e.EndsAt = minute(p[1])
		}
		list = append(list, e)
	}
	return list
}

func episodesOf(events []grouping.Event) (all history.Episodes) {
	for i := range events {
		all.Add(&events[i])
	}
	return all
}

func TestEpisodesOfAGroup(t *testing.T) {
	opened := func(at, start int) grouping.Event {
		return grouping.Event{Kind: grouping.EventOpened, Time: minute(at), StartsAt: minute(start)}
	}
	closed := func(at, end int) grouping.Event {
		return grouping.Event{Kind: grouping.EventClosed, Time: minute(at), EndsAt: minute(end)}
	}
	for name, test := range map[string]struct {
		events []grouping.Event
		want   []grouping.Episode
	}{
		"two": {[]grouping.Event{opened(2, 1), closed(12, 10), opened(22, 21)}, spans([2]int{1, 10}, [2]int{21, 0})},
		"without a time": {
			[]grouping.Event{{Kind: grouping.EventOpened, Time: minute(2)}, {Kind: grouping.EventClosed, Time: minute(12)}},
			spans([2]int{2, 12}),
		},
		"reopened": {[]grouping.Event{opened(2, 1), closed(12, 10), opened(15, 1), closed(22, 20)}, spans([2]int{1, 20})},
		"an alert of an older episode is reopened": {
			[]grouping.Event{opened(2, 1), closed(12, 10), opened(22, 21), closed(32, 30), opened(42, 1), closed(52, 50)},
			spans([2]int{1, 10}, [2]int{21, 30}, [2]int{42, 50}),
		},
		"an end before the start": {[]grouping.Event{opened(2, 1), closed(12, -5)}, spans([2]int{1, 1})},
		"removed, and back as resolved": {
			[]grouping.Event{opened(2, 1), {Kind: grouping.EventExpired, Time: minute(100)}, closed(200, 190)},
			spans([2]int{1, 0}),
		},
		"an alert expired": {
			[]grouping.Event{opened(2, 1), {Kind: grouping.EventExpired, Fingerprint: "f"}, closed(12, 10)}, spans([2]int{1, 10}),
		},
		"the history begins inside": {[]grouping.Event{closed(12, 10), opened(22, 21)}, spans([2]int{21, 0})},
	} {
		require.Equal(t, test.want, episodesOf(test.events).List, name)
	}
}

func TestTheStateCompletesTheEpisodesOfAGroup(t *testing.T) {
	firing := grouping.NewAlertGroup(grouping.AlertGroup{Alerts: []*grouping.Alert{
		{Status: grouping.StatusFiring, StartsAt: minute(30)}, {Fingerprint: "b", Status: grouping.StatusFiring, StartsAt: minute(31)},
	}})
	var g history.Episodes
	require.Equal(t, spans([2]int{30, 0}), g.OfGroup(firing), "it opened before the history begins")
	g.Add(&grouping.Event{Kind: grouping.EventOpened, Time: minute(2), StartsAt: minute(1)})
	require.Equal(t, spans([2]int{1, 0}), g.OfGroup(firing))
	g.Add(&grouping.Event{Kind: grouping.EventClosed, Time: minute(12), EndsAt: minute(10)})
	require.Equal(t, spans([2]int{1, 10}, [2]int{30, 0}), g.OfGroup(firing))
	require.Equal(t, spans([2]int{1, 10}), g.OfGroup(grouping.NewAlertGroup(grouping.AlertGroup{})))
}

func TestEpisodesOfAnAlert(t *testing.T) {
	event := func(kind grouping.EventKind, start, end int) grouping.Event {
		e := grouping.Event{Kind: kind, StartsAt: minute(start)}
		if end != 0 {
			e.EndsAt = minute(end)
		}
		return e
	}
	const fired, refired, reopened, resolved = grouping.EventFired, grouping.EventRefired, grouping.EventReopened, grouping.EventResolved
	for name, test := range map[string]struct {
		events []grouping.Event
		want   []grouping.Episode
	}{
		"two": {
			[]grouping.Event{event(fired, 1, 0), event(resolved, 1, 5), event(refired, 10, 0)},
			spans([2]int{1, 5}, [2]int{10, 0}),
		},
		"reopened": {
			[]grouping.Event{event(fired, 1, 0), event(resolved, 1, 5), event(reopened, 1, 0)},
			spans([2]int{1, 0}),
		},
		"the start moved back": {[]grouping.Event{event(fired, 3, 0), event(resolved, 1, 5)}, spans([2]int{1, 5})},
		"the end alone": {
			[]grouping.Event{event(resolved, 1, 5), event(resolved, 8, 9)},
			spans([2]int{1, 5}, [2]int{8, 9}),
		},
		"no end": {
			[]grouping.Event{event(fired, 1, 0), event(refired, 8, 0), event(resolved, 8, 9)},
			spans([2]int{1, 0}, [2]int{8, 9}),
		},
		"an end is told late": {
			[]grouping.Event{event(fired, 1, 0), event(refired, 8, 0), event(resolved, 1, 5)},
			spans([2]int{1, 5}, [2]int{8, 0}),
		},
		"an unknown older one": {
			[]grouping.Event{event(fired, 3, 0), event(resolved, 3, 5), event(refired, 8, 0), event(resolved, 1, 2)},
			spans([2]int{3, 5}, [2]int{8, 0}),
		},
		"a second Prometheus": {
			[]grouping.Event{event(fired, 1, 0), event(resolved, 1, 9), event(reopened, 5, 0)},
			spans([2]int{1, 0}),
		},
		"an end before a start": {[]grouping.Event{event(resolved, 5, 4)}, spans([2]int{5, 5})},
	} {
		require.Equal(t, test.want, episodesOf(test.events).List, name)
	}
}

func TestEpisodesSince(t *testing.T) {
	all := episodesOf([]grouping.Event{
		{Kind: grouping.EventOpened, StartsAt: minute(1)},
		{Kind: grouping.EventClosed, EndsAt: minute(5)},
		{Kind: grouping.EventOpened, StartsAt: minute(11)},
		{Kind: grouping.EventClosed, EndsAt: minute(15)},
		{Kind: grouping.EventOpened, StartsAt: minute(21)},
	})
	some := all.Since(minute(12))
	some.Add(&grouping.Event{Kind: grouping.EventClosed, EndsAt: minute(25)})
	require.Equal(t, spans([2]int{11, 15}, [2]int{21, 25}), some.List)
	require.Equal(t, spans([2]int{1, 5}, [2]int{11, 15}, [2]int{21, 0}), all.List, "the copy is one")
}

func TestJoinEpisodes(t *testing.T) {
	events := spans([2]int{1, 5}, [2]int{10, 0}, [2]int{20, 25}, [2]int{40, 45})
	state := spans([2]int{10, 15}, [2]int{18, 30}, [2]int{50, 0})
	require.Equal(t, spans([2]int{1, 5}, [2]int{10, 15}, [2]int{18, 30}, [2]int{40, 45}, [2]int{50, 0}), history.JoinEpisodes(events, state))
	require.Empty(t, history.JoinEpisodes(nil, nil))
}
