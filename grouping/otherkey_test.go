package grouping_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
)

// keyed is a manager that receives notifications under several keys.
type keyed struct {
	*grouping.Manager
	t require.TestingT
}

func (m keyed) post(n grouping.Notification) {
	_, err := m.Ingest(context.Background(), n)
	require.NoError(m.t, err)
	time.Sleep(time.Second)
}

func (m keyed) group(key string) *grouping.AlertGroup {
	g, err := m.Get(context.Background(), of(key).ID())
	require.NoError(m.t, err)
	return g
}

func (m keyed) kinds(key string) (kinds []grouping.EventKind) {
	page, err := m.Events(context.Background(), grouping.EventQuery{Group: of(key).ID()})
	require.NoError(m.t, err)
	for _, e := range page.Events {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

func inBubble(t *testing.T, fn func(t *testing.T, m keyed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { fn(t, keyed{newManager(t, memory(), timing), t}) })
}

func TestAResolutionUnderAnotherKeyClosesTheOldGroup(t *testing.T) {
	inBubble(t, func(t *testing.T, m keyed) {
		a, b := alert("a"), alert("b")
		m.post(of("old", a, b))
		m.post(of("new", a, b))
		m.post(of("new", resolved(a), b))
		g := m.group("old")
		require.Equal(t, grouping.StateMixed, g.State)
		require.Equal(t, grouping.StatusFiring, g.Alert(b.Fingerprint).Status, "the other alert still fires")
		require.Equal(t, []grouping.EventKind{grouping.EventResolved}, m.kinds("old")[:1])

		end := resolved(b)
		m.post(of("new", end))
		g = m.group("old")
		require.Equal(t, grouping.StateResolved, g.State)
		require.Equal(t, end.EndsAt, g.Alert(b.Fingerprint).EndsAt)
		require.Equal(t, []grouping.EventKind{grouping.EventClosed, grouping.EventResolved}, m.kinds("old")[:2])
		page, err := m.List(t.Context(), grouping.ListQuery{States: []grouping.State{grouping.StateFiring, grouping.StateMixed}})
		require.NoError(t, err)
		require.Zero(t, page.Total)
	})
}

func TestAResolutionUnderAnotherKeyResolvesAnUnreportedAlert(t *testing.T) {
	inBubble(t, func(t *testing.T, m keyed) {
		a, b := alert("a"), alert("b")
		m.post(of("old", a, b))
		m.post(of("old", b)) // a moves to the new key
		require.Equal(t, grouping.StatusUnreported, m.group("old").Alert(a.Fingerprint).Status)
		m.post(of("new", a))
		m.post(of("new", resolved(a)))
		require.Equal(t, grouping.StatusResolved, m.group("old").Alert(a.Fingerprint).Status)
	})
}

// A resolution resolves only the same alert of the same source and receiver. It must be
// newer than the last report under the alert's own key.
func TestAResolutionUnderAnotherKeyResolvesOnlyTheSameAlert(t *testing.T) {
	inBubble(t, func(t *testing.T, m keyed) {
		a := alert("a")
		otherSource, otherReceiver := of("source", a), of("receiver", a)
		otherSource.Source, otherReceiver.Receiver = "staging", "pager"
		m.post(otherSource)
		m.post(otherReceiver)
		m.post(of("other alert", alert("b")))
		later := a
		later.StartsAt = time.Now().UTC()
		m.post(of("later episode", later))
		m.post(of("new", a))
		ended := resolved(a)
		ended.EndsAt = later.StartsAt.Add(-time.Second)
		m.post(of("new", ended))
		m.post(of("after", a)) // fires under this key after the resolution
		page, err := m.List(t.Context(), grouping.ListQuery{States: []grouping.State{grouping.StateFiring}})
		require.NoError(t, err)
		require.Equal(t, 5, page.Total)
	})
}

// If two routes send an alert to one receiver, it has two active groups. A group that was
// closed too early can fire again.
func TestTwoRoutesToOneReceiver(t *testing.T) {
	inBubble(t, func(t *testing.T, m keyed) {
		a := alert("a")
		m.post(of("one", a))
		m.post(of("two", a))
		m.post(of("one", resolved(a)))
		require.Equal(t, grouping.StateResolved, m.group("two").State)
		before := m.kinds("two")
		m.post(of("two", resolved(a)))
		require.Len(t, m.kinds("two"), len(before)+1, "its own resolution makes only a notified event")

		m.post(of("two", a)) // the same start: the resolution was premature
		require.Equal(t, grouping.StateFiring, m.group("two").State)
		_, err := m.UpdateGroupState(t.Context(), of("two").ID())
		require.NoError(t, err)
		require.Equal(t, grouping.StateFiring, m.group("two").State, "the older resolution does not close it again")
		require.False(t, m.group("two").Alerts[0].Disputed)

		again := a
		again.StartsAt = time.Now().UTC()
		m.post(of("one", again))
		m.post(of("two", again))
		require.Equal(t, grouping.StateFiring, m.group("one").State)
		require.Equal(t, grouping.StateFiring, m.group("two").State)
	})
}

// If a process stops before it resolves the alert under the other key, the next process
// does it at the group's first flush.
func TestARestartAppliesResolutionsUnderOtherKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory()
		a := alert("a")
		// Two replicas that do not share changes received the two keys.
		keyed{newManager(t, s, timing), t}.post(of("old", a))
		blind := keyed{newManager(t, s, timing), t}
		blind.post(of("new", a))
		blind.post(of("new", resolved(a)))
		stored, err := s.Load(t.Context(), of("old").ID())
		require.NoError(t, err)
		require.Equal(t, grouping.StateFiring, stored.State)

		m := runManager(t, s)
		defer m.stop()
		_, err = m.RestoreGroups(t.Context())
		require.NoError(t, err)
		passTime(timing.Interval + time.Second)
		require.Equal(t, grouping.StateResolved, keyed{m.Manager, t}.group("old").State)
	})
}

// Several keys report their alerts in any order. An alert fires under a key if its last
// report there was firing, and no other key reported it as resolved since.
func TestKeysInAnyOrder(t *testing.T) {
	for seed := range uint64(100) {
		synctest.Test(t, func(t *testing.T) { reportInAnyOrder(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func reportInAnyOrder(t *testing.T, random *rand.Rand) {
	t.Helper()
	m := keyed{newManager(t, memory(), timing), t}
	keys, names := []string{"one", "two", "three"}, []string{"a", "b"}
	firing := map[string]bool{}
	newest := map[string]grouping.NotifiedAlert{"a": alert("a"), "b": alert("b")}
	for range 20 {
		key, name := keys[random.IntN(len(keys))], names[random.IntN(len(names))]
		n := of(key, newest[name])
		n.Truncated = 1 // the other alert does not count as omitted
		switch random.IntN(4) {
		case 0:
			n.Alerts[0] = resolved(n.Alerts[0])
			for _, k := range keys {
				firing[k+name] = false
			}
		case 1:
			n.Alerts[0].StartsAt = time.Now().UTC()
			newest[name] = n.Alerts[0]
			firing[key+name] = true
		default:
			firing[key+name] = true
		}
		m.post(n)
		for _, k := range keys {
			g, err := m.UpdateGroupState(t.Context(), of(k).ID())
			if errors.Is(err, grouping.ErrGroupNotFound) {
				continue // no notification with this key yet
			}
			require.NoError(t, err)
			for _, name := range names {
				a := g.Alert(newest[name].Fingerprint)
				require.Equal(t, firing[k+name], a != nil && a.Status == grouping.StatusFiring, "%s %s", k, name)
			}
		}
	}
}
