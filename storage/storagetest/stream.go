package storagetest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
)

// stream reads a stream of events to its end.
func stream(t *testing.T, w *Writer, from time.Time) (events []grouping.Event) {
	t.Helper()
	for e, err := range w.StreamEvents(t.Context(), from) {
		require.NoError(t, err)
		events = append(events, e)
	}
	return events
}

// fillLongHistory writes more events than one part of a stream has.
func fillLongHistory(t *testing.T, w *Writer) []grouping.Event {
	t.Helper()
	return fillHistory(t, w, 60, 17)
}

func contractEventStream(t *testing.T, w *Writer) {
	require.Empty(t, stream(t, w, time.Time{}), "a storage without events")
	all := fillLongHistory(t, w)
	slices.Reverse(all)
	require.Equal(t, all, stream(t, w, time.Time{}))
	for _, i := range []int{0, 510, len(all) - 1} {
		from := all[i].Time
		want := slices.DeleteFunc(slices.Clone(all), func(e grouping.Event) bool { return e.Time.Before(from) })
		require.Equal(t, want, stream(t, w, from), "from event %d", i)
		later := slices.DeleteFunc(want, func(e grouping.Event) bool { return !e.Time.After(from) })
		require.Len(t, stream(t, w, from.Add(time.Nanosecond)), len(later), "after event %d", i)
	}
	require.Empty(t, stream(t, w, all[len(all)-1].Time.Add(time.Hour)))
	n := 0
	for _, err := range w.StreamEvents(t.Context(), time.Time{}) {
		require.NoError(t, err)
		if n++; n == 3 {
			break
		}
	}
	require.Equal(t, 3, n, "the reader must be able to stop the stream")
}

// A stream ends although events are written all the time. It has everything that was
// stored when it began, in order.
func contractEventStreamDuringWrites(t *testing.T, w *Writer) {
	before := fillLongHistory(t, w)
	slices.Reverse(before)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := w.Store(t.Context(), w.Change(nil, Key(fmt.Sprint("other ", i)), [2]string{"x", "1"})); err != nil {
				t.Error(err)
				return
			}
		}
	})
	var streamed []grouping.Event
	for e, err := range w.StreamEvents(t.Context(), time.Time{}) {
		require.NoError(t, err)
		streamed = append(streamed, e)
		// The reader may write between two events: nothing is locked.
		if len(streamed)%500 == 0 {
			w.Add(t, Key(fmt.Sprint("reader ", len(streamed))), [2]string{"x", "1"})
		}
	}
	close(stop)
	wg.Wait()
	require.True(t, slices.IsSortedFunc(streamed, func(a, b grouping.Event) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	}), "an event comes twice or too late")
	require.Equal(t, before, streamed[:len(before)])
}
