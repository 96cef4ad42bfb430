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
//	gone    a group is gone; data is {"id": …}
//	resync  events were missed: load again; data is {}
//	hb      a heartbeat; data is {}
//
// The id of an event is "<epoch>-<sequence>", the epoch that of the process. A
// client that comes back with Last-Event-ID gets what it missed. A page begins
// with ?after=, the place of which it shows the state.

const (
	// ringSize is how many updates are kept for clients that come back: some
	// seconds of a storm.
	ringSize = 1024
	// heartbeat tells a page that it is still connected, and proxies that the
	// connection lives.
	keepAliveInterval = 15 * time.Second
	// batchSize bounds the updates that wait for one client: 500 slow ones would
	// keep the whole ring, each as it was at another time.
	batchSize = 32
)

// broadcaster hands updates to live clients. A client reads at its own speed
// from the ring; one that falls behind the ring is told to load again.
type broadcaster struct {
	epoch      string
	maxClients int
	keepAlive  time.Duration
	clients    prometheus.Gauge

	mu     sync.Mutex
	ring   [ringSize]*liveUpdate  // guarded by mu; of sequence n at n % ringSize
	seq    uint64                 // guarded by mu; of the last update
	wake   map[chan struct{}]bool // guarded by mu; one per client
	closed bool                   // guarded by mu
}

func newBroadcaster(most int, clients prometheus.Gauge) *broadcaster {
	return &broadcaster{epoch: strings.ToLower(rand.Text()[:10]), maxClients: most, keepAlive: keepAliveInterval, clients: clients, wake: map[chan struct{}]bool{}}
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

// join adds a client, unless there are too many.
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

// sequence returns that of the last update: what is held did not change while
// it stays.
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

// since returns the first updates after the sequence, of several to one group
// the last, and the sequence that they lead to. Missed says that the ring no
// longer holds all of them.
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

// update is a change to tell of. Its text is made when the first client wants
// it, and once for all.
type liveUpdate struct {
	seq   uint64
	id    grouping.ID
	group *grouping.AlertGroup // nil: gone

	once sync.Once
	data []byte
	err  error
}

func (u *liveUpdate) encode() (event string, text []byte, err error) {
	event, data := "group", any(gin.H{"id": u.id})
	if u.group == nil {
		event = "gone"
	}
	u.once.Do(func() {
		if u.group != nil {
			data = viewGroup(u.group)
		}
		u.data, u.err = json.Marshal(data)
	})
	return event, u.data, u.err
}

// follow streams live updates.
func (s *Server) serveLive(c *gin.Context) {
	if c.Request.Method == http.MethodHead { // asks whether the stream is there, and takes no place
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
			fail(c, http.StatusServiceUnavailable, "shutting down, follow again")
			return
		}
		s.rejections.countLimit("live_clients")
		fail(c, http.StatusServiceUnavailable, "too many clients follow live updates")
		return
	}
	defer s.live.unsubscribe(wake)
	removeLastDeadline(c.Writer)
	out := eventStream{w: c.Writer, epoch: s.live.epoch}
	c.Header("Content-Type", "text/event-stream")
	c.Header("X-Accel-Buffering", "no")
	c.Status(http.StatusOK)

	// The first event gives the client its place.
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
	beat := time.NewTicker(s.live.keepAlive)
	defer beat.Stop()
	for {
		updates, last, missed := s.live.updatesSince(seq)
		if missed {
			if out.writeEvent("resync", last, emptyData) != nil {
				return
			}
		}
		for _, u := range updates {
			event, text, err := u.encode()
			if err != nil || out.writeEvent(event, u.seq, text) != nil {
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
		case <-beat.C:
			if out.writeEvent("hb", seq, emptyData) != nil {
				return
			}
			c.Writer.Flush()
		}
	}
}

// place returns the id of the last event.
func (b *broadcaster) lastEventID() string { return formatEventID(b.epoch, b.lastSequence()) }

func formatEventID(epoch string, seq uint64) string { return epoch + "-" + strconv.FormatUint(seq, 10) }

// parseID returns the sequence of an event's id, if it is one of this process.
func (b *broadcaster) parseEventID(id string) (uint64, bool) {
	text, ok := strings.CutPrefix(id, b.epoch+"-")
	if !ok {
		return 0, false
	}
	seq, err := strconv.ParseUint(text, 10, 64)
	return seq, err == nil
}

// eventStream writes events to one client.
type eventStream struct {
	w     http.ResponseWriter
	epoch string
}

// noData is the data of an event that says all by its name.
var emptyData = []byte("{}")

// send writes one event. Its data is one line of JSON, whatever the labels hold.
func (s *eventStream) writeEvent(event string, seq uint64, text []byte) error {
	_, err := fmt.Fprintf(s.w, "id: %s\nevent: %s\ndata: %s\n\n", formatEventID(s.epoch, seq), event, text)
	return err
}
