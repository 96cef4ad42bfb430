package grouping

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/pkg/labels"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// After any updates, the index equals a new index of the remaining groups.
func TestAnIndexMatchesItsGroups(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, held := newIndex(testHeartbeats, time.Now), map[ID]*AlertGroup{}
		for range rapid.IntRange(1, 4).Draw(t, "rounds") {
			// The index keeps the orders that were asked for.
			_, err := x.list(ListQuery{Sort: rapid.SampledFrom(Sorts()).Draw(t, "asked")})
			require.NoError(t, err)
			for i, g := range drawGroups(t) {
				before := held[g.ID]
				removed := rapid.IntRange(0, 3).Draw(t, "removed") == 0
				if removed {
					g = nil
					delete(held, drawn(i))
				}
				handedOut := x.currentTotals()
				copied := handedOut.clone()
				if rapid.Bool().Draw(t, "values are asked for") {
					x.valuesOf("alertname")
				}
				was, got := x.update(drawn(i), nil, g)
				require.Equal(t, copied, handedOut.clone(), "an update does not change totals that were read before")
				require.Same(t, before, was)
				if !removed {
					require.Equal(t, Merge(before, g), got, "the index merges both")
					held[got.ID] = got
				}
			}
		}
		fresh := newIndex(testHeartbeats, time.Now)
		fresh.seed = x.seed
		for id, g := range held {
			fresh.update(id, nil, g)
		}

		require.Equal(t, fresh.groups, x.groups)
		require.Equal(t, sortedSets(fresh.alerts), sortedSets(x.alerts))
		require.Equal(t, sortedSets(fresh.labels), sortedSets(x.labels))
		require.ElementsMatch(t, fresh.valuesOf("alertname"), x.valuesOf("alertname"))
		require.Equal(t, fresh.values, x.values)
		require.Equal(t, fresh.heartbeats, x.heartbeats)
		require.Equal(t, countsOf(fresh.currentTotals()), countsOf(x.currentTotals()))
		require.Equal(t, countsOf(x.currentTotals()), countsOf(new(TotalsOf(slices.Collect(maps.Values(held)), testHeartbeats, time.Now()))))
		for _, s := range Sorts() {
			want, err := fresh.list(ListQuery{Sort: s, Limit: MaxLimit})
			require.NoError(t, err)
			got, err := x.list(ListQuery{Sort: s, Limit: MaxLimit})
			require.NoError(t, err)
			require.Equal(t, want, got, s)
		}
	})
}

// sortedSets returns the sets with their groups in order.
func sortedSets(sets idSets) map[uint64][]ID {
	sorted := map[uint64][]ID{}
	for key := range sets.first {
		sorted[key] = slices.Sorted(sets.of(key))
	}
	return sorted
}

// Sets are what was added and not removed. Those that have one group need no list.
func TestIDSets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sets, want := newIDSets(), map[uint64][]ID{}
		for range rapid.IntRange(1, 40).Draw(t, "changes") {
			key, id := rapid.Uint64Range(0, 2).Draw(t, "key"), rapid.SampledFrom([]ID{"a", "b", "c"}).Draw(t, "ID")
			switch i := slices.Index(want[key], id); {
			case rapid.Bool().Draw(t, "remove"):
				sets.remove(key, id)
				if i >= 0 {
					want[key] = slices.Delete(want[key], i, i+1)
				}
			case i < 0:
				sets.add(key, id)
				want[key] = append(want[key], id)
			}
			for key := range uint64(3) {
				require.ElementsMatch(t, want[key], slices.Collect(sets.of(key)))
				require.Len(t, sets.more[key], max(0, len(want[key])-1))
				require.Equal(t, len(want[key]) > 1, sets.more[key] != nil)
			}
		}
	})
}

// drawn returns the ID of the i-th group of drawGroups.
func drawn(i int) ID { return drawnKey(i).ID() }

// testHeartbeats selects some of the alerts that drawGroups draws.
var testHeartbeats = []labels.Matchers{{newMatcher(labels.MatchEqual, "severity", "none")}}

// countsOf returns the totals without times, which also count removed groups.
func countsOf(t *Totals) Totals {
	t = t.clone()
	t.LastNotification = time.Time{}
	for name, source := range t.Sources {
		source.LastNotification = time.Time{}
		for url := range source.Alertmanagers {
			source.Alertmanagers[url] = time.Time{}
		}
		t.Sources[name] = source
	}
	return *t
}

// The total from the index equals the total from reading all groups.
func TestTotalOfAList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		groups := drawGroups(t)
		q := ListQuery{States: rapid.SliceOfDistinct(rapid.SampledFrom(States()), func(s State) State { return s }).Draw(t, "states"), Limit: 2}
		found := 0
		for _, g := range groups {
			if len(q.States) == 0 || slices.Contains(q.States, g.State) {
				found++
			}
		}
		for {
			page, err := listPage(groups, q)
			require.NoError(t, err)
			require.Equal(t, found, page.Total)
			readAll := q
			readAll.Source = "default" // the source of all groups
			same, err := listPage(groups, readAll)
			require.NoError(t, err)
			require.Equal(t, same, page)
			if q.Cursor = page.Next; q.Cursor == "" {
				break
			}
		}
	})
}

// A state that was made from the indexed one replaces it. Another one is merged.
func TestIndexMergesOnlyWhatItDoesNotKnow(t *testing.T) {
	x := newIndex(nil, time.Now)
	with := func(g *AlertGroup, name string, seconds time.Duration) *AlertGroup {
		fires := NotifiedAlert{Fingerprint: fp(name), Status: StatusFiring}
		g, _ = appliedAlert(g, testKey, fires, NewStamp(base.Add(seconds*second), 0, testWriter), testRules)
		return g
	}
	a := with(nil, "a", 0)
	b, c := with(a, "b", 1), with(a, "c", 2)
	x.update(a.ID, nil, a)
	_, got := x.update(a.ID, a, b)
	require.Same(t, b, got)
	_, got = x.update(a.ID, a, c)
	require.Len(t, got.Alerts, 3, "b was written meanwhile")
}

// Senders choose fingerprints. A group with the same fingerprint and other labels is not
// looked at when an alert is resolved.
func TestOnlyAlertsWithTheSameLabelsAreOpenUnderOtherKeys(t *testing.T) {
	x := newIndex(nil, time.Now)
	group := func(key, pod string) *AlertGroup {
		g := AlertGroup{ID: ID(key)}
		g.GroupKey, g.Stamp = key, "1"
		g.Alerts = []*Alert{{Fingerprint: "f", Status: StatusFiring, Labels: LabelsOf([]Label{{"pod", pod}})}}
		next := NewAlertGroup(g)
		x.update(next.ID, nil, next)
		return next
	}
	resolved := group("a", "x")
	group("b", "x")
	group("c", "y")
	open := x.openUnderOtherKeys(resolved, []Event{{Kind: EventResolved, Fingerprint: "f", Labels: resolved.Alerts[0].Labels}})
	require.Equal(t, map[ID][]Fingerprint{"b": {"f"}}, open)
}
