package past_test

import (
	"context"
	"sync"
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

func newManager(t testing.TB) *grouping.Manager {
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

// From checkpoints the reader shows the same as from the first event. It takes the one before if
// one is damaged or absent.
func TestTheReaderBeginsAtACheckpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := storage.NewMemory(storage.DefaultMemoryOptions())
		m, err := grouping.NewManager(s, grouping.NewClock(), nil, prometheus.NewRegistry(), promslog.NewNopLogger(), grouping.DefaultOptions)
		require.NoError(t, err)
		var times []time.Time
		for i := range 10 {
			require.NoError(t, m.TakeCheckpoint(t.Context()))
			require.NoError(t, m.TakeCheckpoint(t.Context()), "it is not due yet")
			time.Sleep(time.Minute)
			_, err := m.Ingest(t.Context(), notification([]grouping.Status{grouping.StatusFiring, grouping.StatusResolved}[i%2]))
			require.NoError(t, err)
			times = append(times, time.Now())
			time.Sleep(4*time.Hour - time.Minute)
		}
		states := func(m *grouping.Manager) (states []grouping.State) {
			r := past.New(m)
			for _, at := range times {
				wall, err := r.At(t.Context(), at)
				require.NoError(t, err)
				require.Len(t, wall.Groups, 1)
				require.False(t, wall.KnownSince.After(times[0].Add(-time.Minute)), "the empty state before is known too")
				states = append(states, wall.Groups[0].State)
				again, err := r.At(t.Context(), at)
				require.NoError(t, err)
				require.Same(t, wall.Groups[0], again.Groups[0], "it is kept")
			}
			return states
		}
		want := states(m)
		require.Equal(t, []grouping.State{grouping.StateFiring, grouping.StateResolved}, want[:2])
		stored, err := m.Checkpoints(t.Context())
		require.NoError(t, err)
		require.Len(t, stored, 10)
		data, err := s.LoadCheckpoint(t.Context(), stored[4].Name)
		require.NoError(t, err)
		for i, damage := range [][]byte{data[:len(data)-9], {}, []byte("no checkpoint"), append(append([]byte{}, data[:20]...), data[30:]...)} {
			require.NoError(t, s.StoreCheckpoint(t.Context(), stored[i+3].Name, damage))
		}
		require.NoError(t, s.DeleteCheckpoint(t.Context(), stored[8].Name))
		require.Equal(t, want, states(m))
	})
}

// What retention removed is not known, and checkpoints go with it.
func TestTheReaderKnowsWhatRetentionKeeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := storage.NewMemory(storage.MemoryOptions{HistoryRetention: 48 * time.Hour, MaxEvents: 1000})
		m, err := grouping.NewManager(s, grouping.NewClock(), nil, prometheus.NewRegistry(), promslog.NewNopLogger(), grouping.DefaultOptions)
		require.NoError(t, err)
		r := past.New(m)
		_, err = m.Ingest(t.Context(), notification(grouping.StatusFiring))
		require.NoError(t, err)
		for range 40 {
			require.NoError(t, m.TakeCheckpoint(t.Context()))
			other := notification(grouping.StatusFiring)
			other.GroupKey = "{}:{alertname=\"Other\"}"
			_, err = m.Ingest(t.Context(), other)
			require.NoError(t, err)
			time.Sleep(4 * time.Hour)
		}
		stored, err := m.Checkpoints(t.Context())
		require.NoError(t, err)
		require.Less(t, len(stored), 14)
		var before *history.BeforeError
		_, err = r.At(t.Context(), time.Now().Add(-49*time.Hour))
		require.ErrorAs(t, err, &before)
		require.WithinDuration(t, time.Now().Add(-48*time.Hour), before.KnownSince, 5*time.Hour)
		wall, err := r.At(t.Context(), before.KnownSince)
		require.NoError(t, err)
		require.Len(t, wall.Groups, 2, "an alert that fired before is known from the checkpoint")
	})
}

// Of two Musters one takes a checkpoint.
func TestOneMusterTakesCheckpoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := storage.NewMemory(storage.DefaultMemoryOptions())
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		stored := make(chan struct{})
		for range 2 {
			m, err := grouping.NewManager(s, grouping.NewClock(), nil, prometheus.NewRegistry(), promslog.NewNopLogger(), grouping.DefaultOptions)
			require.NoError(t, err)
			group.Go(func() { require.NoError(t, m.KeepCheckpoints(ctx, stored)) })
		}
		time.Sleep(time.Hour)
		kept, err := s.Checkpoints(t.Context())
		require.NoError(t, err)
		require.Empty(t, kept, "the groups are not restored")
		close(stored)
		time.Sleep(11*time.Hour + time.Minute)
		kept, err = s.Checkpoints(t.Context())
		require.NoError(t, err)
		require.Len(t, kept, 3)
		cancel()
		group.Wait()
	})
}
