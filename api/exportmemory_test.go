package api_test

import (
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/testserver"
)

// longHistory streams many events, a part at a time like a storage. After each part it
// records the greatest heap.
type longHistory struct {
	testserver.Stub

	events int
	heap   uint64
}

func (s *longHistory) StreamEvents(context.Context, time.Time) iter.Seq2[grouping.Event, error] {
	return func(yield func(grouping.Event, error) bool) {
		for i := range s.events {
			if i%15_000 == 0 {
				s.heap = max(s.heap, liveHeap())
			}
			e := grouping.Event{
				ID: fmt.Sprintf("%040x", i), Time: time.Now(), Kind: grouping.EventFired, Source: "prod", Receiver: "team",
				Labels: grouping.NewLabels(map[string]string{"alertname": "Down", "instance": fmt.Sprint("10.42.0.", i)}),
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// liveHeap returns the number of bytes on the heap that are in use.
func liveHeap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// manyGroups are many groups with a different alert in each. It records the greatest heap while an
// answer is written.
type manyGroups struct {
	testserver.Stub

	groups []*grouping.AlertGroup
	asked  int
	heap   uint64
}

func (s *manyGroups) All(context.Context) ([]*grouping.AlertGroup, error) {
	return slices.Clone(s.groups), nil
}

func (s *manyGroups) ListedUntil(string, grouping.Fingerprint) time.Time {
	if s.asked++; s.asked%10_000 == 0 {
		s.heap = max(s.heap, liveHeap())
	}
	return time.Time{}
}

// Alertmanager's answers about all alerts need little memory beside the groups.
func TestAnswersOfAlertmanagersAPINeedLittleMemory(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	srv := h.Listen(t)
	var groups []*grouping.AlertGroup
	for i := range 40_000 {
		g := grouping.AlertGroup{ID: grouping.ID(fmt.Sprint(i))}
		g.Source, g.Receiver = "prod", "team"
		g.Alerts = []*grouping.Alert{{Fingerprint: grouping.Fingerprint(fmt.Sprintf("%016x", i)), Status: grouping.StatusFiring}}
		groups = append(groups, grouping.NewAlertGroup(g))
	}
	for _, path := range []string{"alerts", "alerts/groups"} {
		state := &manyGroups{groups: groups}
		h.Use(state)
		before := liveHeap()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/api/v2/"+path, nil)
		require.NoError(t, err)
		res, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, len(groups), state.asked)
		require.Less(t, int64(state.heap)-int64(before), int64(3<<20), path)
	}
}

// An export needs the same memory for any number of events. The answers are much larger.
func TestExportsNeedLittleMemory(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	srv := h.Listen(t)
	for _, format := range []string{"ndjson", "csv"} {
		history := &longHistory{events: 60_000}
		h.Use(history)
		before := liveHeap()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/api/v1/events?format="+format, nil)
		require.NoError(t, err)
		r.Header.Set("Accept-Encoding", "identity")
		res, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		size, err := io.Copy(io.Discard, res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Greater(t, size, int64(8<<20))
		require.Less(t, int64(history.heap)-int64(before), int64(4<<20), format)
	}
}
