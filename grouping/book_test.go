package grouping_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/matcher/parse"
	"github.com/prometheus/alertmanager/pkg/labels"
	"github.com/stretchr/testify/require"

	"muster/grouping"
)

// A book answers like the manager of the same groups.
func TestABookAnswersLikeAManager(t *testing.T) {
	ctx := t.Context()
	m := newManager(t, memory(), grouping.DefaultOptions)
	for i, name := range []string{"Down", "Slow", "Watchdog", "Full", "Over"} {
		l := grouping.NewLabels(map[string]string{"alertname": name, "severity": []string{"critical", "warning", "none"}[i%3]})
		a := grouping.NotifiedAlert{Fingerprint: l.Fingerprint(), Status: grouping.StatusFiring, Labels: l, StartsAt: time.Now().Add(-time.Hour)}
		if name == "Over" {
			a = resolved(a)
		}
		n := notification(a, alert(name))
		if name == "Watchdog" {
			n = notification(a)
		}
		n.Key = grouping.Key{Source: []string{"default", "prod"}[i%2], Receiver: "team", GroupKey: name}
		n.GroupLabels = grouping.NewLabels(map[string]string{"alertname": name})
		_, err := m.Ingest(ctx, n)
		require.NoError(t, err)
	}
	all, err := m.All(ctx)
	require.NoError(t, err)
	b := grouping.NewBook(all, grouping.DefaultHeartbeats(), time.Now())

	for _, q := range []grouping.ListQuery{
		{},
		{Sort: grouping.SortName, Limit: 2},
		{States: []grouping.State{grouping.StateFiring}, Source: "prod"},
		{Words: []string{"ful"}},
		{Matchers: matchers(t, `severity="critical"`)},
		{Matchers: matchers(t, `severity="nosuch"`)},
	} {
		want, err := m.List(ctx, q)
		require.NoError(t, err)
		got, err := b.List(ctx, q)
		require.NoError(t, err)
		require.Equal(t, want, got, q)
		if q.Cursor = want.Next; q.Cursor != "" {
			want, err = m.List(ctx, q)
			require.NoError(t, err)
			got, err = b.List(ctx, q)
			require.NoError(t, err)
			require.Equal(t, want, got, "the second page")
		}
		selects, err := m.Selects(ctx, q)
		require.NoError(t, err)
		bookSelects, err := b.Selects(ctx, q)
		require.NoError(t, err)
		require.Equal(t, selects, bookSelects)
		mutes, err := m.SummarizeMutes(ctx, q)
		require.NoError(t, err)
		bookMutes, err := b.SummarizeMutes(ctx, q)
		require.NoError(t, err)
		require.Equal(t, mutes, bookMutes)
	}
	_, err = b.List(ctx, grouping.ListQuery{Sort: "nosuch"})
	require.ErrorIs(t, err, grouping.ErrBadQuery)

	for _, g := range all {
		got, err := b.Get(ctx, g.ID)
		require.NoError(t, err)
		require.Same(t, g, got)
	}
	_, err = b.Get(ctx, "00000000000000000000")
	require.ErrorIs(t, err, grouping.ErrGroupNotFound)
	inAll := alert("Down").Fingerprint
	want, err := m.ByFingerprint(ctx, inAll)
	require.NoError(t, err)
	got, err := b.ByFingerprint(ctx, inAll)
	require.NoError(t, err)
	require.Equal(t, want, got)
	_, err = b.ByFingerprint(ctx, "0000000000000000")
	require.ErrorIs(t, err, grouping.ErrGroupNotFound)

	values, err := m.LabelValues(ctx, "alertname")
	require.NoError(t, err)
	bookValues, err := b.LabelValues(ctx, "alertname")
	require.NoError(t, err)
	require.ElementsMatch(t, values, bookValues)
	bookAll, err := b.All(ctx)
	require.NoError(t, err)
	require.ElementsMatch(t, all, bookAll)

	totals, err := m.Totals(ctx)
	require.NoError(t, err)
	bookTotals, err := b.Totals(ctx)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprint(totals.GroupTotals, totals.WithoutHeartbeats, totals.LastNotification),
		fmt.Sprint(bookTotals.GroupTotals, bookTotals.WithoutHeartbeats, bookTotals.LastNotification))
	beats, err := m.Heartbeats(ctx)
	require.NoError(t, err)
	bookBeats, err := b.Heartbeats(ctx)
	require.NoError(t, err)
	require.Equal(t, beats, bookBeats)
	require.True(t, slices.ContainsFunc(beats, func(h grouping.Heartbeat) bool { return h.Labels.Get("alertname") == "Watchdog" }))
}

func matchers(t *testing.T, text string) labels.Matchers {
	t.Helper()
	ms, err := parse.Matchers(text)
	require.NoError(t, err)
	return ms
}
