package receiver_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
	"muster/receiver"
	"muster/storage"
)

// countingStorage counts the writes.
type countingStorage struct {
	grouping.GroupStorage

	writes atomic.Int64
}

func (s *countingStorage) Store(ctx context.Context, c grouping.Change) (*grouping.AlertGroup, error) {
	s.writes.Add(1)
	return s.GroupStorage.Store(ctx, c)
}

func (s *countingStorage) StoreSource(ctx context.Context, c grouping.SourceChange) (*grouping.SourceDocument, error) {
	s.writes.Add(1)
	return s.GroupStorage.StoreSource(ctx, c)
}

// Alerts that are posted again and again write nothing after their first events. This also
// holds for events that are passed to the domain because the last one is some time ago.
func TestEventsThatSayNothingNewWriteNothing(t *testing.T) {
	const alerts, minutes = 100, 31
	synctest.Test(t, func(t *testing.T) {
		counting := &countingStorage{GroupStorage: storage.NewMemory(storage.DefaultMemoryOptions())}
		groups := grouping.DefaultOptions
		groups.Receivers = []grouping.SourceReceiver{{Source: "default", Receiver: "team"}}
		h := testserver.New(t, testserver.Options{Storage: counting, Clock: grouping.NewClock(), Groups: groups})
		started := time.Now().UTC().Format(time.RFC3339)
		passedOn := 0
		var first int64
		for minute := range minutes {
			// The time of the events is that of the bubble.
			body := wiretest.GroupedMany(alerts, time.Since(wiretest.EventTime))
			w := h.PostEvents(strings.ReplaceAll(body, "2026-11-23T02:59:00Z", started))
			var answer receiver.KeptEvents
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
			require.Equal(t, alerts, answer.Kept+answer.Ignored)
			if minute == 0 {
				first = counting.writes.Load()
				require.Equal(t, alerts, answer.Kept)
				require.Positive(t, first)
			} else {
				passedOn += answer.Kept
			}
			time.Sleep(time.Minute)
		}
		require.Equal(t, first, counting.writes.Load())
		require.Equal(t, alerts*(minutes-1)/5, passedOn, "each alert once in five minutes")
		require.InDelta(t, alerts*minutes, h.Counter(t, "muster_events_received_total", "source", "default", "type", "alertGrouped"), 0)
		list, err := h.Manager.List(t.Context(), grouping.ListQuery{})
		require.NoError(t, err)
		require.Len(t, list.Groups, 1)
		require.Equal(t, alerts, list.Groups[0].Counts.Firing)
	})
}
