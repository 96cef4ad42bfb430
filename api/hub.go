package api

import (
	"crypto/rand"
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
	batchSize = 64
)

// Hub passes updates to live clients. It is safe for concurrent use. Each client reads
// from the ring at its own speed. A client that falls behind the ring must reload.
type Hub struct {
	epoch   string
	opts    HubOptions
	clients prometheus.Gauge

	mu     sync.Mutex
	ring   [ringSize]*liveUpdate       // guarded by mu; the update with sequence n is at n % ringSize
	newest map[grouping.ID]*liveUpdate // guarded by mu; the newest update in the ring of each group
	seq    uint64                      // guarded by mu; sequence of the last update
	// named is true if the hub told anybody a sequence. Nobody can ask for the updates before,
	// so the ring does not have them: a restore has one for each group. forgotten is the sequence
	// of the last of them.
	named     bool   // guarded by mu
	forgotten uint64 // guarded by mu
	// changed is closed by the next update. It is nil if no client waits for one.
	changed   chan struct{} // guarded by mu
	following int           // guarded by mu; number of clients
	nextTurn  time.Time     // guarded by mu; when the next client may begin to send
	closed    bool          // guarded by mu
	// news has the readers of the history.
	news map[*historyNews]bool // guarded by mu

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
		epoch: strings.ToLower(rand.Text()[:10]), opts: opts, newest: map[grouping.ID]*liveUpdate{}, news: map[*historyNews]bool{},
		done: make(chan struct{}),
		clients: promauto.With(reg).NewGauge(prometheus.GaugeOpts{
			Name: "muster_live_clients", Help: "Number of clients of live updates.",
		}),
	}, nil
}

// Publish passes a change to the live clients. It never blocks, and its cost does not grow
// with the number of clients that already know of a change.
func (h *Hub) Publish(u grouping.Update) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tellNews(&u)
	if h.seq++; !h.named {
		h.forgotten = h.seq
		return
	}
	// What a source knows is part of no group, so no client needs to hear of it. But pages that
	// were rendered before are out of date.
	update := &liveUpdate{seq: h.seq, id: u.ID, group: u.Group, before: u.Before, untold: u.Source != nil}
	// A gap is part of everything, so clients load everything again.
	update.resync = u.Source != nil && u.Source.Source == ""
	place := &h.ring[h.seq%ringSize]
	if oldest := *place; oldest != nil {
		if oldest.next == nil {
			delete(h.newest, oldest.id)
		} else {
			oldest.next.previous = nil
		}
	}
	if previous := h.newest[u.ID]; previous != nil {
		previous.next, update.previous = update, previous
	}
	if *place = update; !update.untold {
		h.newest[u.ID] = update
	}
	if h.changed != nil {
		close(h.changed)
		h.changed = nil
	}
}

// subscribe adds a client. It returns false if the maximum number of clients is
// reached or the hub is closed.
func (h *Hub) subscribe() (seq uint64, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || h.following >= h.opts.MaxClients {
		return 0, false
	}
	h.following++
	h.clients.Inc()
	h.named = true
	return h.seq, true
}

// Clients returns the number of clients.
func (h *Hub) Clients() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.following
}

func (h *Hub) unsubscribe() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.following--
	h.clients.Dec()
}

// turn returns how long a client must wait before it sends the first update after a time
// without updates. An update wakes all clients. If they all sent at once, and after each
// batch interval again, notifications would have to wait for them.
func (h *Hub) turn() time.Duration {
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.nextTurn.Before(now) {
		h.nextTurn = now
	}
	wait := h.nextTurn.Sub(now)
	h.nextTurn = h.nextTurn.Add(h.opts.BatchInterval / time.Duration(h.opts.MaxClients))
	return wait
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

// news is what a client needs to know next.
type news struct {
	// updates are the next updates, at most a batch. If a group has several, only the
	// newest is among them.
	updates []groupNews
	// last is the sequence that the client has after the updates.
	last uint64
	// missed reports that the client must load everything again: the ring no longer holds all
	// updates, or one of them is about everything.
	missed bool
	// changed is closed by the next update. It is nil if there are news already.
	changed <-chan struct{}
}

// groupNews is the newest update of a group, and the state of the group before the updates
// that the client does not have. It is nil if there was no group.
type groupNews struct {
	*liveUpdate

	before *grouping.AlertGroup
}

// since returns the news after a sequence.
func (h *Hub) since(seq uint64) news {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case seq < h.forgotten || seq > h.seq || h.seq-seq > ringSize:
		return news{last: h.seq, missed: true}
	case seq == h.seq:
		if h.changed == nil {
			h.changed = make(chan struct{})
		}
		return news{last: h.seq, changed: h.changed}
	}
	var updates []groupNews
	for n := seq + 1; n <= h.seq; n++ {
		u := h.ring[n%ringSize]
		if u.resync {
			return news{last: h.seq, missed: true}
		}
		if u.next != nil || u.untold {
			continue
		}
		first := u
		for first.previous != nil && first.previous.seq > seq {
			first = first.previous
		}
		if updates = append(updates, groupNews{u, first.before}); len(updates) == batchSize {
			return news{updates: updates, last: n}
		}
	}
	return news{updates: updates, last: h.seq}
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
	h.named = true
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

// liveUpdate is a change of one group.
type liveUpdate struct {
	seq    uint64
	id     grouping.ID
	group  *grouping.AlertGroup // nil: the group was removed
	before *grouping.AlertGroup // nil: there was no group
	untold bool                 // no client is told
	resync bool                 // clients must load everything again

	// The updates of the same group before and after this one, as far as the ring has them.
	previous, next *liveUpdate // guarded by Hub.mu

	told, left eventText
}

// eventText is the text of an event. The first client that needs it encodes it for all.
type eventText struct {
	once sync.Once
	text []byte
	err  error
}

// event returns the event that tells clients of the update.
func (u *liveUpdate) event(epoch string) ([]byte, error) {
	if u.group == nil {
		return u.gone(epoch)
	}
	return u.told.encode("group", formatEventID(epoch, u.seq), func(data *encoder) error { return data.group(u.group) })
}

// gone returns the event that tells clients that they no longer have the group.
func (u *liveUpdate) gone(epoch string) ([]byte, error) {
	return u.left.encode("gone", formatEventID(epoch, u.seq), func(data *encoder) error { return data.value(goneView{u.id}) })
}

func (t *eventText) encode(event, id string, add func(*encoder) error) ([]byte, error) {
	t.once.Do(func() {
		data := encoder{now: time.Now()}
		if t.err = add(&data); t.err == nil {
			t.text = appendEvent(make([]byte, 0, len(data.text)+64), event, id, data.text)
		}
	})
	return t.text, t.err
}
