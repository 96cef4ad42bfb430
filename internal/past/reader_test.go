package past_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/history"
	"muster/internal/past"
	"muster/storage"
)

func newManager(t *testing.T) *grouping.Manager {
	t.Helper()
	m, err := grouping.NewManager(storage.NewMemory(storage.DefaultMemoryOptions()), grouping.NewClock(), nil,
		prometheus.NewRegistry(), promslog.NewNopLogger(), grouping.DefaultOptions)
	require.NoError(t, err)
	return m
}

func notification(status grouping.Status) grouping.Notification {
	l := grouping.NewLabels(map[string]string{"alertname": "Down", "instance": "a"})
	a := grouping.NotifiedAlert{
		Fingerprint: "00000000000000aa", Status: status, Labels: l, StartsAt: time.Now().Add(-time.Minute),
		Annotations: grouping.NewLabels(map[string]string{"summary": "a is down"}),
	}
	if status == grouping.StatusResolved {
		a.EndsAt = time.Now()
	}
	return grouping.Notification{
		Key:         grouping.Key{Source: "default", Receiver: "team", GroupKey: "{}:{alertname=\"Down\"}"},
		GroupLabels: grouping.NewLabels(map[string]string{"alertname": "Down"}), Alerts: []grouping.NotifiedAlert{a},
	}
}

func TestTheReaderShowsTheStateAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t)
		r := past.New(m)
		start := time.Now()
		_, err := m.Ingest(t.Context(), notification(grouping.StatusFiring))
		require.NoError(t, err)
		fired := time.Now()
		time.Sleep(time.Hour)
		_, err = m.Ingest(t.Context(), notification(grouping.StatusResolved))
		require.NoError(t, err)

		wall, err := r.At(t.Context(), fired.Add(time.Minute))
		require.NoError(t, err)
		require.Len(t, wall.Groups, 1)
		g := wall.Groups[0]
		require.Equal(t, grouping.StateFiring, g.State)
		require.Equal(t, "a is down", g.Alerts[0].Annotations.Get("summary"))
		require.Equal(t, notification("").Key, g.Key)
		require.False(t, wall.CausesKnown)

		wall, err = r.At(t.Context(), time.Now())
		require.NoError(t, err)
		require.Equal(t, grouping.StateResolved, wall.Groups[0].State)

		_, err = r.At(t.Context(), start.Add(-time.Hour))
		var before *history.BeforeError
		require.ErrorAs(t, err, &before)
		require.False(t, before.KnownSince.Before(start))
	})
}
