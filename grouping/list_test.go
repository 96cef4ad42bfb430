package grouping

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/pkg/labels"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// listPage returns the page of the groups that the query asks for.
func listPage(groups []*AlertGroup, q ListQuery) (GroupPage, error) {
	x := newIndex(nil, time.Now)
	for _, g := range groups {
		x.update(g.ID, nil, g)
	}
	return x.list(q)
}

// longName is a valid name of an alert that is too long for a URL.
var longName = strings.Repeat("ü", 15_000)

func drawnKey(i int) Key { return Key{Source: "default", Receiver: "team", GroupKey: fmt.Sprint(i)} }

// drawGroups draws groups. Many of them are equal in the fields that are used for
// sorting.
func drawGroups(t *rapid.T) []*AlertGroup {
	names := rapid.SampledFrom([]string{"", "A", "A B", "B\n1 2", "Überlast", "\xff", longName + "1", longName + "2"})
	var groups []*AlertGroup
	for i := range rapid.IntRange(0, 40).Draw(t, "groups") {
		n := Notification{
			Key: drawnKey(i), Stamp: NewStamp(base.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "updated"))*second), uint16(i), testWriter),
			GroupLabels: LabelsOf([]Label{{"alertname", names.Draw(t, "name")}}),
			Truncated:   rapid.Uint64Range(0, 1).Draw(t, "truncated"),
		}
		for j := range rapid.IntRange(0, 3).Draw(t, "alerts") {
			a := fires(string("abc"[j]), time.Duration(rapid.IntRange(0, 2).Draw(t, "start"))*minute)
			a.Labels = NewLabels(
				map[string]string{"severity": rapid.SampledFrom([]string{"critical", "warning", "info", "none", ""}).Draw(t, "severity")},
			)
			if rapid.Bool().Draw(t, "resolved") {
				a.Status, a.EndsAt = StatusResolved, a.StartsAt.Add(second)
			}
			n.Alerts = append(n.Alerts, a)
		}
		g, _ := applied(nil, n, testRules)
		if g.IsOpen() && rapid.IntRange(0, 3).Draw(t, "acknowledged") == 0 {
			g, _ = person(t, g, minute, func(tr *transition) error { tr.id = g.ID; return tr.acknowledge(AckRequest{By: jo}) })
		}
		groups = append(groups, g)
	}
	return groups
}

// All pages of a list together are the whole sorted list, for any limit and any order
// in which the groups were added.
func TestPagesAreTheWholeList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		groups := drawGroups(t)
		q := ListQuery{
			Sort:  rapid.SampledFrom(append(Sorts(), "")).Draw(t, "sort"),
			Limit: rapid.IntRange(1, 12).Draw(t, "limit"),
		}
		whole, err := listPage(groups, ListQuery{Sort: q.Sort, Limit: MaxLimit})
		require.NoError(t, err)
		require.Empty(t, whole.Next)
		requireSorted(t, q.Sort, whole.Groups)
		require.ElementsMatch(t, groups, whole.Groups)

		got := []*AlertGroup{}
		for pages := 0; ; pages++ {
			page, err := listPage(rapid.Permutation(groups).Draw(t, "order"), q)
			require.NoError(t, err)
			require.Equal(t, len(groups), page.Total, "the total counts all pages")
			require.LessOrEqual(t, len(page.Groups), q.Limit)
			got = append(got, page.Groups...)
			if q.Cursor = page.Next; q.Cursor == "" {
				break
			}
			require.Less(t, len(q.Cursor), 500, "a cursor is part of a URL")
			require.Len(t, page.Groups, q.Limit, "all pages but the last must be full")
			require.Less(t, pages, len(groups), "the list must end")
		}
		require.Equal(t, whole.Groups, got)
	})
}

// requireSorted checks the order by the definition of Sort, without positions.
func requireSorted(t *rapid.T, s Sort, groups []*AlertGroup) {
	t.Helper()
	prefix := func(name string) string { return name[:min(len(name), 200)] }
	for i := 1; i < len(groups); i++ {
		a, b := groups[i-1], groups[i]
		var before, tie bool
		switch s {
		case SortNewest:
			before, tie = a.NewestAt.After(b.NewestAt), a.NewestAt.Equal(b.NewestAt)
		case SortCount:
			before, tie = a.Counts.Firing > b.Counts.Firing, a.Counts.Firing == b.Counts.Firing
		case SortUpdated:
			before, tie = a.UpdatedAt.After(b.UpdatedAt), a.UpdatedAt.Equal(b.UpdatedAt)
		case SortName:
			tie = true
		default:
			urgency := func(g *AlertGroup) int {
				rank := 10 * (slices.Index([]State{StateUnreported, StateResolved}, g.State) + 1)
				if g.Ack(base) != nil {
					rank += 100
				}
				return rank + g.Severity.urgency()
			}
			before = urgency(a) < urgency(b) || urgency(a) == urgency(b) && a.NewestAt.After(b.NewestAt)
			tie = urgency(a) == urgency(b) && a.NewestAt.Equal(b.NewestAt)
		}
		if tie {
			x, y := prefix(a.Name), prefix(b.Name)
			before = x < y || x == y && a.ID < b.ID
		}
		require.True(t, before, "%s: %d comes before %d", s, i-1, i)
	}
}

// List gives the same pages as an index of the same groups.
func TestListEqualsTheIndex(t *testing.T) {
	matchers := []labels.Matchers{
		nil, {newMatcher(labels.MatchEqual, "severity", "critical")}, {newMatcher(labels.MatchNotEqual, "severity", "")},
	}
	rapid.Check(t, func(t *rapid.T) {
		groups := drawGroups(t)
		q := ListQuery{
			Matchers: rapid.SampledFrom(matchers).Draw(t, "matchers"),
			Words:    rapid.SampledFrom([][]string{nil, {"a"}, {"critical", "A"}, {"nowhere"}}).Draw(t, "words"),
			States:   rapid.SliceOfDistinct(rapid.SampledFrom(States()), func(s State) State { return s }).Draw(t, "states"),
			Receiver: rapid.SampledFrom([]string{"", "team", "other"}).Draw(t, "receiver"),
			Source:   rapid.SampledFrom([]string{"", "default", "other"}).Draw(t, "source"),
			Ack:      rapid.SampledFrom([]AckState{"", "", AckYes, AckNo, AckNew, "odd"}).Draw(t, "ack"),
			Sort:     rapid.SampledFrom(append(Sorts(), "", "odd")).Draw(t, "sort"),
			Limit:    rapid.IntRange(-1, 12).Draw(t, "limit"),
			Cursor:   rapid.SampledFrom([]string{"", "", "", "odd"}).Draw(t, "cursor"),
		}
		for range len(groups) + 1 {
			want, wantErr := listPage(groups, q)
			got, err := List(rapid.Permutation(groups).Draw(t, "order"), q)
			require.Equal(t, wantErr, err)
			require.Equal(t, want, got)
			untotaled := q
			untotaled.NoTotal, want.Total = true, 0
			short, err := listPage(groups, untotaled)
			require.Equal(t, wantErr, err)
			require.Equal(t, want, short)
			if q.Cursor = got.Next; q.Cursor == "" {
				break
			}
		}
		require.Empty(t, q.Cursor, "the list must end")
	})
}

// If a group is added or removed between two pages, the other groups are still listed
// exactly once.
func TestPagesWhileTheListChanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		groups := drawGroups(t)
		q := ListQuery{Sort: rapid.SampledFrom(Sorts()).Draw(t, "sort"), Limit: rapid.IntRange(1, 5).Draw(t, "limit")}
		stay := func(*AlertGroup) bool { return rapid.IntRange(0, 4).Draw(t, "stays") > 0 }
		steady := map[*AlertGroup]int{}
		for _, g := range groups {
			steady[g] = 0
		}
		for {
			now := slices.DeleteFunc(slices.Clone(groups), func(g *AlertGroup) bool {
				if stay(g) {
					return false
				}
				delete(steady, g)
				return true
			})
			page, err := listPage(now, q)
			require.NoError(t, err)
			for _, g := range page.Groups {
				if _, ok := steady[g]; ok {
					steady[g]++
				}
			}
			if q.Cursor = page.Next; q.Cursor == "" {
				break
			}
		}
		for g, times := range steady {
			require.Equal(t, 1, times, "%+v", g.Key)
		}
	})
}

// A cursor of one sort order is not valid for another one.
func TestACursorBelongsToItsOrder(t *testing.T) {
	var groups []*AlertGroup
	for i := range 3 {
		g, _ := applied(nil, Notification{
			Key:    Key{Source: "default", Receiver: "team", GroupKey: fmt.Sprint(i)},
			Alerts: list(fires("a", 0)), Stamp: NewStamp(base, uint16(i), testWriter),
		}, testRules)
		groups = append(groups, g)
	}
	for _, given := range Sorts() {
		page, err := listPage(groups, ListQuery{Sort: given, Limit: 1})
		require.NoError(t, err)
		for _, asked := range Sorts() {
			_, err := listPage(groups, ListQuery{Sort: asked, Limit: 1, Cursor: page.Next})
			if asked == given {
				require.NoError(t, err)
				continue
			}
			require.EqualError(t, err, "bad query: cursor: from a response with another sort order than "+string(asked))
		}
	}
}

func TestBadCursorsAndQueries(t *testing.T) {
	encode := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	id := strings.Repeat("a", idLen)
	for _, cursor := range []string{
		"x", "!!!!", encode(" "), encode("1 2"), encode("severity 1 2 " + id), encode("severity a b " + id + " name"),
		encode("severity 1 2 " + id + "a name"), encode("severity 1 2 ../../etc name"), encode("severity 99999999999999999999 1 " + id + " name"),
		encode("1 2 " + id + " name"), encode("name 1 2 " + id + " name"), encode("odd 1 2 " + id + " name"),
		strings.Repeat("A", 100_000),
	} {
		_, err := listPage(nil, ListQuery{Cursor: cursor})
		require.ErrorIs(t, err, ErrBadQuery, "%.40q", cursor)
	}
	for _, q := range []ListQuery{{Limit: -1}, {Limit: MaxLimit + 1}, {Sort: "size"}, {States: []State{"odd"}}} {
		_, err := listPage(nil, q)
		require.ErrorIs(t, err, ErrBadQuery, "%+v", q)
	}
	rapid.Check(t, func(t *rapid.T) {
		p := position{
			rank: rapid.Int64().Draw(t, "rank"), number: rapid.Int64().Draw(t, "number"),
			name: rapid.String().Draw(t, "name"), id: ID(id),
		}
		got, err := parseCursor(p.cursor(SortName), SortName)
		require.NoError(t, err)
		require.Equal(t, p, got)
		require.Regexp(t, `^[A-Za-z0-9_-]+$`, p.cursor(SortName), "a cursor is not escaped in a URL")

		_, err = listPage(nil, ListQuery{Cursor: rapid.String().Draw(t, "cursor")})
		require.True(t, err == nil || errors.Is(err, ErrBadQuery))
	})
}

func TestSelects(t *testing.T) {
	disk := fires("a", 0)
	disk.Labels = NewLabels(map[string]string{"alertname": "DiskFull", "severity": "critical", "instance": "node-1:9100"})
	disk.Annotations = LabelsOf([]Label{{"summary", "Платте voll"}})
	net := fires("b", 0)
	net.Labels = NewLabels(map[string]string{"alertname": "LinkDown", "severity": "warning"})
	g, _ := applied(nil, Notification{
		Key: testKey, Alerts: list(disk, net), GroupLabels: LabelsOf([]Label{{"cluster", "eu-1"}}), Stamp: NewStamp(base, 0, testWriter),
	}, testRules)
	empty, _ := removeAlerts(g, []Fingerprint{fp("a"), fp("b")}, NewStamp(base, 1, testWriter))
	ended := disk
	ended.Status, ended.EndsAt = StatusResolved, base.Add(minute)
	mixed, _ := applied(g, Notification{
		Key: testKey, Alerts: list(ended, net), GroupLabels: LabelsOf([]Label{{"cluster", "eu-1"}}),
		Stamp: NewStamp(base.Add(minute), 0, testWriter),
	}, testRules)
	require.Equal(t, StateMixed, mixed.State)
	fire := []State{StateFiring, StateMixed}

	match := func(kind labels.MatchType, name, value string) labels.Matchers {
		m, err := labels.NewMatcher(kind, name, value)
		require.NoError(t, err)
		return labels.Matchers{m}
	}
	eq := func(name, value string) labels.Matchers { return match(labels.MatchEqual, name, value) }
	for _, tc := range []struct {
		name  string
		q     ListQuery
		group *AlertGroup
		want  bool
	}{
		{"everything", ListQuery{}, g, true},
		{"a matcher", ListQuery{Matchers: eq("severity", "critical")}, g, true},
		{"all matchers, on one alert", ListQuery{Matchers: append(eq("severity", "critical"), eq("alertname", "DiskFull")...)}, g, true},
		{"not one matcher on each alert", ListQuery{Matchers: append(eq("severity", "critical"), eq("alertname", "LinkDown")...)}, g, false},
		{"a missing label is empty", ListQuery{Matchers: eq("instance", "")}, g, true},
		{"a missing label is unequal to a value", ListQuery{Matchers: match(labels.MatchNotEqual, "severity", "warning")}, g, true},
		{"a regular expression is anchored", ListQuery{Matchers: match(labels.MatchRegexp, "instance", "node")}, g, false},
		{"a regular expression", ListQuery{Matchers: match(labels.MatchRegexp, "instance", "node-.*")}, g, true},
		{"a negative one", ListQuery{Matchers: match(labels.MatchNotRegexp, "alertname", "Disk.*|Link.*")}, g, false},
		{"group labels do not match", ListQuery{Matchers: eq("cluster", "eu-1")}, g, false},
		{"but those of a group without alerts do", ListQuery{Matchers: eq("cluster", "eu-1")}, empty, true},
		{"which has no other labels", ListQuery{Matchers: eq("severity", "critical")}, empty, false},
		{"a word of a value", ListQuery{Words: []string{"diskf"}}, g, true},
		{"a word of a name", ListQuery{Words: []string{"INSTANCE"}}, g, true},
		{"a word of an annotation, in any case", ListQuery{Words: []string{"ПЛАТТЕ"}}, g, true},
		{"a word of the receiver", ListQuery{Words: []string{"tea"}}, g, true},
		{"a word of the group labels", ListQuery{Words: []string{"eu-1"}}, g, true},
		{"all words, in any place", ListQuery{Words: []string{"node-1", "linkdown"}}, g, true},
		{"not all words", ListQuery{Words: []string{"node-1", "nowhere"}}, g, false},
		{"a state", ListQuery{States: []State{StateMixed, StateFiring}}, g, true},
		{"another state", ListQuery{States: []State{StateResolved}}, g, false},
		{"the receiver", ListQuery{Receiver: "team"}, g, true},
		{"another receiver", ListQuery{Receiver: "tea"}, g, false},
		{"the source", ListQuery{Source: "default"}, g, true},
		{"another source", ListQuery{Source: "prod"}, g, false},
		{"a word of the source", ListQuery{Words: []string{"DEFAULT"}}, g, true},
		{"firing, a firing alert", ListQuery{States: fire, Matchers: eq("severity", "warning")}, mixed, true},
		{"firing, a resolved alert", ListQuery{States: fire, Matchers: eq("severity", "critical")}, mixed, false},
		{"firing, a label unequal", ListQuery{States: fire, Matchers: match(labels.MatchNotEqual, "severity", "warning")}, mixed, false},
		{"any state, a resolved alert", ListQuery{Matchers: eq("severity", "critical")}, mixed, true},
		{"firing, a word of a firing alert", ListQuery{States: fire, Words: []string{"linkdown"}}, mixed, true},
		{"firing, a word of a resolved alert", ListQuery{States: fire, Words: []string{"diskfull"}}, mixed, false},
		{"any state, a word of a resolved alert", ListQuery{Words: []string{"diskfull"}}, mixed, true},
	} {
		require.Equal(t, tc.want, tc.q.Selects(tc.group), tc.name)
		page, err := listPage([]*AlertGroup{tc.group}, tc.q)
		require.NoError(t, err)
		require.Equal(t, tc.want, page.Total == 1 && len(page.Groups) == 1, tc.name)
	}
	q := ListQuery{Matchers: eq("severity", "critical")}
	require.True(t, q.MatchesAlert(g.Alert(fp("a"))))
	require.False(t, q.MatchesAlert(g.Alert(fp("b"))))
	require.True(t, q.MatchesAlert(mixed.Alert(fp("a"))))
	for status, states := range map[Status][]State{StatusFiring: fire, StatusUnreported: {StateUnreported}, StatusResolved: {StateResolved}} {
		for _, s := range States() {
			only := ListQuery{States: []State{s}}
			require.Equal(t, slices.Contains(states, s), only.Wants(status), "%s %s", s, status)
		}
	}
}

func BenchmarkListOf10000(b *testing.B) {
	var groups []*AlertGroup
	for i := range 10_000 {
		a := fires("a", time.Duration(rand.IntN(1e6))*second)
		a.Labels = NewLabels(map[string]string{
			"alertname": fmt.Sprint("Alert", i%100), "severity": []string{"critical", "warning", "info"}[i%3],
			"instance": fmt.Sprint("node-", i),
		})
		g, _ := applied(nil, Notification{
			Key: Key{Source: "default", Receiver: "team", GroupKey: fmt.Sprint(i)},
			Stamp: NewStamp(
				base,
				uint16(i),
				testWriter,
			), Alerts: list(a), GroupLabels: LabelsOf([]Label{{"alertname", a.Labels.Get("alertname")}}),
		}, testRules)
		groups = append(groups, g)
	}
	x := newIndex(nil, time.Now)
	for _, g := range groups {
		x.update(g.ID, nil, g)
	}
	for name, q := range map[string]ListQuery{
		"all": {}, "words": {Words: []string{"NODE-99"}}, "name": {Sort: SortName, Limit: MaxLimit},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if page, err := x.list(q); err != nil || len(page.Groups) == 0 {
					b.Fatal(page, err)
				}
			}
		})
	}
}
