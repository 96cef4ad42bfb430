package api

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/limit"
)

// written is what a client got since it was last taken.
type written struct {
	mu   sync.Mutex
	text []byte // guarded by mu
}

func (w *written) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, p...)
	return len(p), nil
}

func (w *written) Flush() {}

func (w *written) take() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := string(w.text)
	w.text = nil
	return text
}

// The first update is sent at once. What follows is collected, and each group that
// changed is sent once.
func TestUpdatesAreSentInBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits, err := limit.NewRegistry(prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		hub, err := NewHub(limits, prometheus.NewRegistry(), DefaultHubOptions())
		require.NoError(t, err)
		seq, ok := hub.subscribe()
		require.True(t, ok)
		w := &written{}
		client := &liveClient{hub: hub, w: w, seq: seq}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			client.follow(context.Background())
		}()
		sent := func(want ...string) {
			t.Helper()
			synctest.Wait()
			var got []string
			for line := range strings.Lines(w.take()) {
				if data, ok := strings.CutPrefix(line, "data: "); ok {
					got = append(got, strings.TrimSpace(data))
				}
			}
			require.Equal(t, want, got)
		}
		publish := func(id grouping.ID) { hub.Publish(grouping.Update{ID: id}) }
		time.Sleep(time.Second)
		sent()
		publish("a")
		sent(`{"id":"a"}`)
		publish("a")
		publish("b")
		publish("a")
		time.Sleep(hub.opts.BatchInterval - time.Nanosecond)
		sent()
		time.Sleep(time.Nanosecond)
		sent(`{"id":"b"}`, `{"id":"a"}`)

		// More than fit into one batch are sent together.
		want := []string{}
		for i := range 3 * batchSize {
			id := strings.Repeat("x", i+1)
			publish(grouping.ID(id))
			want = append(want, `{"id":"`+id+`"}`)
		}
		time.Sleep(hub.opts.BatchInterval)
		sent(want...)

		time.Sleep(hub.opts.BatchInterval)
		publish("c")
		sent(`{"id":"c"}`)
		hub.Close()
		hub.Close()
		synctest.Wait()
		<-ended
		hub.unsubscribe()
		require.Zero(t, hub.Clients())
	})
}

// Clients that wait for the same update send it one after another, within one batch
// interval.
func TestClientsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits, err := limit.NewRegistry(prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		opts := DefaultHubOptions()
		opts.MaxClients = 4
		hub, err := NewHub(limits, prometheus.NewRegistry(), opts)
		require.NoError(t, err)
		writers := make([]*written, opts.MaxClients)
		var clients sync.WaitGroup
		for i := range writers {
			seq, ok := hub.subscribe()
			require.True(t, ok)
			writers[i] = &written{}
			client := &liveClient{hub: hub, w: writers[i], seq: seq}
			clients.Go(func() { client.follow(context.Background()) })
		}
		_, ok := hub.subscribe()
		require.False(t, ok)
		time.Sleep(time.Second)
		hub.Publish(grouping.Update{ID: "a"})
		for sent := 1; sent <= len(writers); sent++ {
			synctest.Wait()
			have := 0
			for _, w := range writers {
				w.mu.Lock()
				have += strings.Count(string(w.text), `{"id":"a"}`)
				w.mu.Unlock()
			}
			require.Equal(t, sent, have)
			time.Sleep(opts.BatchInterval / time.Duration(len(writers)))
		}
		hub.Close()
		clients.Wait()
	})
}
