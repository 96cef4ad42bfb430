package receiver

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"muster/grouping"
	"muster/internal/query"
)

// Live updates are server-sent events:
//
//	group   a group changed; data is the group without its alerts
//	gone    a group was removed; data is {"id": …}
//	resync  events were missed, the client must reload; data is {}
//	hb      keep-alive; data is {}
//
// The ID of an event is "<epoch>-<sequence>". Each process has its own epoch. A
// client that reconnects with Last-Event-ID gets the updates that it missed. A
// page starts with ?after=, the ID of the last event that the page shows.

const (
	// ringSize is the number of updates that are kept for clients that
	// reconnect. It covers some seconds of a storm.
	ringSize = 1024
	// keepAliveInterval is the time between keep-alive events. They show the
	// page and the proxies that the connection is alive.
	keepAliveInterval = 15 * time.Second
	// batchSize is the maximum number of updates that are prepared for one
	// client. Otherwise 500 slow clients would keep many old versions of the
	// whole ring in memory.
	batchSize = 32
)

// broadcaster passes updates to live clients. Each client reads from the ring
// at its own speed. A client that falls behind the ring must reload.
type broadcaster struct {
	epoch      string
	maxClients int
	keepAlive  time.Duration
	clients    prometheus.Gauge

	mu     sync.Mutex
	ring   [ringSize]*liveUpdate  // guarded by mu; the update with sequence n is at n % ringSize
	seq    uint64                 // guarded by mu; sequence of the last update
	wake   map[chan struct{}]bool // guarded by mu; one channel per client
	closed bool                   // guarded by mu
}

func newBroadcaster(maxClients int, clients prometheus.Gauge) *broadcaster {
	return &broadcaster{
		epoch: strings.ToLower(rand.Text()[:10]), maxClients: maxClients, keepAlive: keepAliveInterval, clients: clients,
		wake: map[chan struct{}]bool{},
	}
}

func (b *broadcaster) broadcast(u grouping.Update) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seq++
	b.ring[b.seq%ringSize] = &liveUpdate{seq: b.seq, id: u.ID, group: u.Group}
	for ch := range b.wake {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// subscribe adds a client. It returns false if the maximum number of clients is
// reached or the broadcaster is closed.
func (b *broadcaster) subscribe() (wake chan struct{}, seq uint64, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || len(b.wake) >= b.maxClients {
		return nil, 0, false
	}
	wake = make(chan struct{}, 1)
	b.wake[wake] = true
	b.clients.Inc()
	return wake, b.seq, true
}

// lastSequence returns the sequence number of the last update. The state is
// unchanged while the number is unchanged.
func (b *broadcaster) lastSequence() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.seq
}

func (b *broadcaster) clientCount() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.wake)
}

func (b *broadcaster) unsubscribe(wake chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.wake[wake] {
		delete(b.wake, wake)
	}
	b.clients.Dec()
}

func (b *broadcaster) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for ch := range b.wake {
		delete(b.wake, ch)
		close(ch)
	}
}

// updatesSince returns the first batch of updates after the sequence. If a
// group has several, it returns only the newest. Last is the sequence that the
// client then has. Missed reports that the ring no longer holds all updates.
func (b *broadcaster) updatesSince(seq uint64) (updates []*liveUpdate, last uint64, missed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if seq > b.seq || b.seq-seq > ringSize {
		return nil, b.seq, true
	}
	newest := map[grouping.ID]uint64{}
	for n := seq + 1; n <= b.seq; n++ {
		newest[b.ring[n%ringSize].id] = n
	}
	for n := seq + 1; n <= b.seq; n++ {
		if u := b.ring[n%ringSize]; newest[u.id] == n {
			if updates = append(updates, u); len(updates) == batchSize {
				return updates, n, false
			}
		}
	}
	return updates, b.seq, false
}

// liveUpdate is a change of one group. The first client that needs its JSON
// encodes it for all clients.
type liveUpdate struct {
	seq   uint64
	id    grouping.ID
	group *grouping.AlertGroup // nil: the group was removed

	once sync.Once
	data []byte
	err  error
}

func (u *liveUpdate) encode() (event string, data []byte, err error) {
	event, value := "group", any(gin.H{"id": u.id})
	if u.group == nil {
		event = "gone"
	}
	u.once.Do(func() {
		if u.group != nil {
			value = viewGroup(u.group)
		}
		u.data, u.err = json.Marshal(value)
	})
	return event, u.data, u.err
}

// serveLive streams live updates until the client disconnects or the server
// drains.
func (s *Server) serveLive(c *gin.Context) {
	if c.Request.Method == http.MethodHead { // a HEAD request needs no slot
		c.Header("Content-Type", "text/event-stream")
		c.Status(http.StatusOK)
		return
	}
	params := query.Parse(c.Request.URL.RawQuery)
	after := params.Text("after")
	if err := params.Err(); err != nil {
		s.failWith(c, err)
		return
	}
	wake, seq, ok := s.live.subscribe()
	if !ok {
		if s.draining.Load() {
			fail(c, http.StatusServiceUnavailable, "shutting down, reconnect")
			return
		}
		s.rejections.countLimit("live_clients")
		fail(c, http.StatusServiceUnavailable, fmt.Sprintf("limit of %d live clients reached, try again", s.opts.MaxLiveClients))
		return
	}
	defer s.live.unsubscribe(wake)
	removeLastDeadline(c.Writer)
	out := eventStream{w: c.Writer, epoch: s.live.epoch}
	c.Header("Content-Type", "text/event-stream")
	c.Header("X-Accel-Buffering", "no")
	c.Status(http.StatusOK)

	// The first event tells the client the ID to resume from.
	first := "hb"
	if id := cmp.Or(c.GetHeader("Last-Event-ID"), after); id != "" {
		if at, ok := s.live.parseEventID(id); ok {
			seq = at
		} else {
			first = "resync"
		}
	}
	if out.writeEvent(first, seq, emptyData) != nil {
		return
	}
	c.Writer.Flush()
	keepAlive := time.NewTicker(s.live.keepAlive)
	defer keepAlive.Stop()
	for {
		updates, last, missed := s.live.updatesSince(seq)
		if missed {
			if out.writeEvent("resync", last, emptyData) != nil {
				return
			}
		}
		for _, u := range updates {
			event, data, err := u.encode()
			if err != nil || out.writeEvent(event, u.seq, data) != nil {
				return
			}
		}
		seq = last
		if missed || len(updates) > 0 {
			c.Writer.Flush()
		}
		if len(updates) == batchSize && c.Request.Context().Err() == nil {
			continue
		}
		select {
		case <-c.Request.Context().Done():
			return
		case _, open := <-wake:
			if !open {
				return
			}
		case <-keepAlive.C:
			if out.writeEvent("hb", seq, emptyData) != nil {
				return
			}
			c.Writer.Flush()
		}
	}
}

// lastEventID returns the ID of the last event.
func (b *broadcaster) lastEventID() string { return formatEventID(b.epoch, b.lastSequence()) }

func formatEventID(epoch string, seq uint64) string { return epoch + "-" + strconv.FormatUint(seq, 10) }

// parseEventID returns the sequence number in an event ID. It returns false if
// the ID is invalid or belongs to another process.
func (b *broadcaster) parseEventID(id string) (uint64, bool) {
	text, ok := strings.CutPrefix(id, b.epoch+"-")
	if !ok {
		return 0, false
	}
	seq, err := strconv.ParseUint(text, 10, 64)
	return seq, err == nil
}

// eventStream writes server-sent events to one client.
type eventStream struct {
	w     http.ResponseWriter
	epoch string
}

// emptyData is the data of an event whose name says everything.
var emptyData = []byte("{}")

// writeEvent writes one event. The data is always one line, because JSON
// escapes line breaks in labels.
func (s *eventStream) writeEvent(event string, seq uint64, data []byte) error {
	_, err := fmt.Fprintf(s.w, "id: %s\nevent: %s\ndata: %s\n\n", formatEventID(s.epoch, seq), event, data)
	return err
}
