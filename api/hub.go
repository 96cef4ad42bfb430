package api

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"muster/grouping"
	"muster/internal/limit"
)

const (
	// ringSize is the number of updates that are kept for clients that
	// reconnect. It covers some seconds of a storm.
	ringSize = 1024
	// batchSize is the maximum number of updates that are prepared for one
	// client. Otherwise 500 slow clients would keep many old versions of the
	// whole ring in memory.
	batchSize = 32
)

// Hub passes updates to live clients. It is safe for concurrent use. Each client reads
// from the ring at its own speed. A client that falls behind the ring must reload.
type Hub struct {
	epoch   string
	opts    HubOptions
	clients prometheus.Gauge

	mu     sync.Mutex
	ring   [ringSize]*liveUpdate  // guarded by mu; the update with sequence n is at n % ringSize
	seq    uint64                 // guarded by mu; sequence of the last update
	wake   map[chan struct{}]bool // guarded by mu; one channel per client
	closed bool                   // guarded by mu

	done chan struct{} // closed by Close
}

// HubOptions limit the live clients.
type HubOptions struct {
	// MaxClients is the maximum number of clients of live updates.
	MaxClients int
	// KeepAlive is the time between keep-alive events. They show the page and
	// the proxies that the connection is alive.
	KeepAlive time.Duration
	// BatchInterval is the minimum time between two batches of updates to a client.
	// With many clients, single updates would cost more than the notifications.
	BatchInterval time.Duration
}

// DefaultHubOptions returns the default options.
func DefaultHubOptions() HubOptions {
	return HubOptions{MaxClients: 500, KeepAlive: 15 * time.Second, BatchInterval: 200 * time.Millisecond}
}

// Validate returns an error for an option that is not positive.
func (o HubOptions) Validate() error {
	if o.MaxClients < 1 || o.KeepAlive <= 0 || o.BatchInterval <= 0 {
		return fmt.Errorf("limits of live updates must be positive: %d clients, %s between keep-alive events, %s between batches",
			o.MaxClients, o.KeepAlive, o.BatchInterval)
	}
	return nil
}

// NewHub returns a hub without clients.
func NewHub(limits *limit.Registry, reg prometheus.Registerer, opts HubOptions) (*Hub, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	limits.ShowReason("Live pages", limit.Requests, int64(opts.MaxClients), limit.LiveClients)
	return &Hub{
		epoch: strings.ToLower(rand.Text()[:10]), opts: opts, wake: map[chan struct{}]bool{}, done: make(chan struct{}),
		clients: promauto.With(reg).NewGauge(prometheus.GaugeOpts{
			Name: "muster_live_clients", Help: "Number of clients of live updates.",
		}),
	}, nil
}

// Publish passes a change to the live clients. It never blocks.
func (h *Hub) Publish(u grouping.Update) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seq++
	h.ring[h.seq%ringSize] = &liveUpdate{seq: h.seq, id: u.ID, group: u.Group}
	for ch := range h.wake {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// subscribe adds a client. It returns false if the maximum number of clients is
// reached or the hub is closed.
func (h *Hub) subscribe() (wake chan struct{}, seq uint64, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || len(h.wake) >= h.opts.MaxClients {
		return nil, 0, false
	}
	wake = make(chan struct{}, 1)
	h.wake[wake] = true
	h.clients.Inc()
	return wake, h.seq, true
}

// Clients returns the number of clients.
func (h *Hub) Clients() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.wake)
}

func (h *Hub) unsubscribe(wake chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.wake, wake)
	h.clients.Dec()
}

// Close ends all streams, and rejects new clients.
func (h *Hub) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.closed = true
		close(h.done)
	}
}

// updatesSince returns the first batch of updates after the sequence. If a
// group has several, it returns only the newest. Last is the sequence that the
// client then has. Missed reports that the ring no longer holds all updates.
func (h *Hub) updatesSince(seq uint64) (updates []*liveUpdate, last uint64, missed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if seq > h.seq || h.seq-seq > ringSize {
		return nil, h.seq, true
	}
	newest := map[grouping.ID]uint64{}
	for n := seq + 1; n <= h.seq; n++ {
		newest[h.ring[n%ringSize].id] = n
	}
	for n := seq + 1; n <= h.seq; n++ {
		if u := h.ring[n%ringSize]; newest[u.id] == n {
			if updates = append(updates, u); len(updates) == batchSize {
				return updates, n, false
			}
		}
	}
	return updates, h.seq, false
}

// isClosed reports whether the hub rejects new clients because it is closed.
func (h *Hub) isClosed() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.closed
}

// LastEventID returns the ID of the last event. The state is unchanged while the ID
// is unchanged.
func (h *Hub) LastEventID() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return formatEventID(h.epoch, h.seq)
}

func formatEventID(epoch string, seq uint64) string { return epoch + "-" + strconv.FormatUint(seq, 10) }

// parseEventID returns the sequence number in an event ID. It returns false if
// the ID is invalid or belongs to another process.
func (h *Hub) parseEventID(id string) (uint64, bool) {
	text, ok := strings.CutPrefix(id, h.epoch+"-")
	if !ok {
		return 0, false
	}
	seq, err := strconv.ParseUint(text, 10, 64)
	return seq, err == nil
}

// liveUpdate is a change of one group. The first client that needs its event encodes it
// for all clients.
type liveUpdate struct {
	seq   uint64
	id    grouping.ID
	group *grouping.AlertGroup // nil: the group was removed

	once sync.Once
	text []byte
	err  error
}

// event returns the event that tells clients of the update.
func (u *liveUpdate) event(epoch string) ([]byte, error) {
	u.once.Do(func() {
		event, value := "gone", any(goneView{u.id})
		if u.group != nil {
			event, value = "group", viewGroup(u.group)
		}
		var data []byte
		if data, u.err = json.Marshal(value); u.err == nil {
			u.text = appendEvent(nil, event, formatEventID(epoch, u.seq), data)
		}
	})
	return u.text, u.err
}
