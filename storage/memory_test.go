package storage

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/storage/durable"
	"muster/storage/storagetest"
)

func TestMemoryMerge(t *testing.T) {
	m := NewMemory(DefaultMemoryOptions())
	w := newWriter(m)
	g := w.Add(t, groupKey("g"), a("x", "1"))
	older := w.Change(g, g.Key, a("x", "2")).Group
	newer := w.Change(g, g.Key, a("x", "3"), a("y", "1")).Group
	merged, changed := m.Merge(newer)
	require.True(t, changed)
	require.True(t, grouping.EqualDocuments(merged, newer))
	again, changed := m.Merge(older)
	require.False(t, changed, "an older state must change nothing")
	require.Same(t, merged, again)

	ahead := *newer
	ahead.Version, ahead.Notifications = 7, 5
	merged, changed = m.Merge(&ahead)
	require.False(t, changed, "counters are for display")
	require.Equal(t, []int64{7, 5}, []int64{merged.Header().Version, merged.Header().Notifications})
	require.Same(t, merged, w.MustLoad(t, g.Key))

	tombstone := grouping.Tombstone(g.ID, w.Stamp())
	merged, changed = m.Merge(tombstone)
	require.True(t, changed)
	require.True(t, merged.IsTombstone())
	n, err := m.Size(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
	require.NotNil(t, m.Get(g.ID))
	merged, changed = m.Merge(newer)
	require.False(t, changed)
	require.True(t, merged.IsTombstone(), "a deleted group must stay deleted")
}

func TestMemoryForgetsTombstones(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory(DefaultMemoryOptions())
		w := newWriter(m)
		for i := range 10 {
			g := w.Add(t, groupKey(fmt.Sprint(i)), a("x", "1"))
			require.NoError(t, m.Delete(t.Context(), grouping.Change{Base: g, Stamp: w.Stamp()}))
			if i == 4 {
				time.Sleep(durable.TombstoneAge - time.Minute)
			}
		}
		count := func() (n int) {
			for i := range 11 {
				if m.Get(groupKey(fmt.Sprint(i)).ID()) != nil {
					n++
				}
			}
			return n
		}
		require.Equal(t, 10, count())
		time.Sleep(2 * time.Minute)
		m.Merge(grouping.Tombstone(groupKey("10").ID(), w.Stamp()))
		require.Equal(t, 6, count(), "five tombstones are too old")
		require.Len(t, m.tombstoneIDs, 6)
		require.Empty(t, m.lastWrites)
	})
}

func TestMemoryHistoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory(MemoryOptions{MaxEvents: 50, HistoryRetention: time.Hour})
		w := newWriter(m)
		all := storagetest.FillHistory(t, w, 40)
		page, err := m.Events(context.Background(), grouping.EventQuery{Limit: 1000})
		require.NoError(t, err)
		require.Equal(t, all[:50], page.Events)
		time.Sleep(time.Hour + time.Second)
		storagetest.FillHistory(t, w, 1)
		page, err = m.Events(context.Background(), grouping.EventQuery{})
		require.NoError(t, err)
		require.Len(t, page.Events, 2, "the other events are older than the retention")
	})
}

// A content stays as long as an event that has it.
func TestMemoryContentsGoWithTheHistory(t *testing.T) {
	m := NewMemory(MemoryOptions{MaxEvents: 4, HistoryRetention: time.Hour})
	w := newWriter(m)
	stored := func() []string { return storagetest.StoredContents(t, m, "slow", "full", "late", "4", "5", "6") }
	first := w.FiredChange(t, nil, groupKey("g"), "slow", "full")
	g := w.MustStore(t, first)
	g = w.MustStore(t, w.FiredChange(t, g, groupKey("g"), "slow", "4"))
	require.Equal(t, []string{"slow", "full", "4"}, stored())
	g = w.MustStore(t, w.FiredChange(t, g, groupKey("g"), "5", "6"))
	require.Equal(t, []string{"slow", "4", "5", "6"}, stored())
	w.MustStore(t, w.FiredChange(t, g, groupKey("g"), "5", "6"))
	require.Equal(t, []string{"5", "6"}, stored())
	require.Len(t, m.history.contents, 2)

	// The text of a content can arrive after the events.
	late := w.FiredChange(t, nil, groupKey("g"), "late", "late")
	m.PutEvents(late.Events, nil)
	require.Equal(t, []string{"5", "6"}, stored())
	m.PutEvents(late.Events[:1], late.Contents)
	require.Equal(t, []string{"late", "5", "6"}, stored())
	m.PutEvents(w.FiredChange(t, nil, groupKey("g"), "4", "4", "4").Events, nil)
	require.Equal(t, []string{"late"}, stored())
	m.PutEvents(w.FiredChange(t, nil, groupKey("g"), "4").Events, nil)
	require.Empty(t, stored())
}

// Events of other replicas arrive late and in any order.
func TestMemoryPutEvents(t *testing.T) {
	m := NewMemory(DefaultMemoryOptions())
	w := newWriter(m)
	want := storagetest.FillHistory(t, &writer{GroupStorage: NewMemory(DefaultMemoryOptions()), Clock: w.Clock}, 20)
	for i := range want {
		j := i * 7 % len(want)
		m.PutEvents(want[j:j+1], nil)
	}
	m.PutEvents(want, nil)
	page, err := m.Events(t.Context(), grouping.EventQuery{})
	require.NoError(t, err)
	require.Equal(t, want, page.Events)
	since := m.EventsSince(want[10].ID)
	require.Len(t, since, 11)
	require.Equal(t, want[10], since[0])
}

// A reader holds no lock while it filters events. Events that arrive meanwhile must
// not change what it reads. The race detector would report that.
func TestMemoryEventsWhileOthersCome(t *testing.T) {
	w := &writer{GroupStorage: NewMemory(DefaultMemoryOptions()), Clock: grouping.NewClock()}
	all := storagetest.FillHistory(t, w, 100)
	m := NewMemory(DefaultMemoryOptions())
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range all { // newest first, so that each insertion moves all other events
			m.PutEvents(all[i:i+1], nil)
		}
	})
	wg.Go(func() {
		for range 100 {
			page, err := m.Events(context.Background(), grouping.EventQuery{Limit: 1000})
			if err != nil || !slices.IsSortedFunc(page.Events, func(a, b grouping.Event) int { return strings.Compare(b.ID, a.ID) }) {
				t.Error("a page is not sorted", err)
			}
		}
	})
	wg.Wait()
}

func TestMemorySaysSinceWhenItsHistoryIsWhole(t *testing.T) {
	storagetest.RunHistorySince(t, NewMemory(MemoryOptions{MaxEvents: 200, HistoryRetention: time.Hour}))
}

func TestMemoryKeepsChangedEventsApart(t *testing.T) {
	m := NewMemory(MemoryOptions{MaxEvents: 200, HistoryRetention: time.Hour})
	require.Len(t, storagetest.RunChangedFlood(t, m), 20)
	require.Len(t, m.changed.contents, 20)
}
