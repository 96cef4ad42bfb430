package api

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"muster/grouping"
	"muster/internal/limit"
	"muster/internal/query"
	"muster/internal/reply"
)

// Live updates are server-sent events:
//
//	group   a group changed; data is the group without its alerts
//	gone    a group was removed, or the filter of the client does not select it
//	        any more; data is {"id": …}
//	resync  events were missed or a gap was found, the client must reload; data is {}
//	hb      keep-alive; data is {}
//
// The ID of an event is "<epoch>-<sequence>". Each process has its own epoch. A
// client that reconnects with Last-Event-ID gets the updates that it missed. A
// page starts with ?after=, the ID of the last event that the page shows.

// serveLive streams live updates until the client disconnects or the hub closes.
func (d *Door) serveLive(c *gin.Context) {
	reply.Stream(c)
	if c.Request.Method == http.MethodHead { // a HEAD request needs no slot
		c.Header("Content-Type", "text/event-stream")
		c.Status(http.StatusOK)
		return
	}
	params := query.Parse(c.Request.URL.RawQuery)
	after, asked := params.Text("after"), params.Selection(query.StateAll)
	if err := queryError(params, &asked.Filter); err != nil {
		reply.Error(c, d.Logger, err)
		return
	}
	seq, ok := d.Hub.subscribe()
	if !ok {
		d.rejectClient(c)
		return
	}
	defer d.Hub.unsubscribe()
	c.Header("Content-Type", "text/event-stream")
	c.Header("X-Accel-Buffering", "no")
	c.Status(http.StatusOK)
	client := &liveClient{hub: d.Hub, w: c.Writer, seq: seq}
	if !asked.SelectsAll() {
		selected := asked.Query()
		client.selects = selected.Selection()
		// An acknowledgement that ran out changes what is selected, and not the group. So the
		// state before could have had any.
		before := selected
		before.Ack = ""
		client.selected = before.Selection()
	}
	if client.begin(cmp.Or(c.GetHeader("Last-Event-ID"), after)) == nil {
		client.follow(c.Request.Context())
	}
}

// rejectClient answers a client for which the hub has no room.
func (d *Door) rejectClient(c *gin.Context) {
	if d.Hub.isClosed() {
		reply.Fail(c, http.StatusServiceUnavailable, "shutting down, reconnect")
		return
	}
	d.Limits.Count(limit.LiveClients)
	reply.Fail(c, http.StatusServiceUnavailable, fmt.Sprintf("limit of %d live clients reached, try again", d.Hub.opts.MaxClients))
}

// liveClient is one client of the hub. Its methods return an error if the client
// disconnected.
type liveClient struct {
	hub *Hub
	w   interface {
		io.Writer
		http.Flusher
	}
	seq uint64 // sequence of the last event that the client has
	// selects reports whether the client asked for a group. It is nil for all groups.
	selects func(*grouping.AlertGroup) bool
	// selected reports whether the client may have been told of a group.
	selected func(*grouping.AlertGroup) bool
}

// begin sends the first event, which tells the client the ID to resume from. id is
// the last event that the client has; "" means that it starts now.
func (l *liveClient) begin(id string) error {
	first := "hb"
	if id != "" {
		if at, ok := l.hub.parseEventID(id); ok {
			l.seq = at
		} else {
			first = "resync"
		}
	}
	if err := l.writeEvent(first, l.seq, emptyData); err != nil {
		return err
	}
	l.w.Flush()
	return nil
}

// follow sends events until the client disconnects or the hub closes.
func (l *liveClient) follow(ctx context.Context) {
	keepAlive := time.NewTicker(l.hub.opts.KeepAlive)
	defer keepAlive.Stop()
	pause := time.NewTimer(0)
	defer pause.Stop()
	var changed <-chan struct{} // nil during a pause
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.hub.done:
			return
		case <-changed:
			changed = nil
			pause.Reset(l.hub.turn())
		case <-pause.C:
			var err error
			if changed, err = l.sendUpdates(ctx); err != nil {
				return
			}
			if changed == nil { // collect what follows
				pause.Reset(l.hub.opts.BatchInterval)
			}
		case <-keepAlive.C:
			if l.writeEvent("hb", l.seq, emptyData) != nil {
				return
			}
			l.w.Flush()
		}
	}
}

// sendUpdates sends the updates that the client does not have, batch by batch. If there
// were none, it returns a channel that is closed by the next update.
func (l *liveClient) sendUpdates(ctx context.Context) (changed <-chan struct{}, err error) {
	for sent := false; ; sent = true {
		next := l.hub.since(l.seq)
		if next.changed != nil && !sent {
			return next.changed, nil
		}
		if err := l.sendBatch(next); err != nil || len(next.updates) < batchSize {
			return nil, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

// sendBatch sends some updates, or tells the client to load everything again.
func (l *liveClient) sendBatch(n news) error {
	if len(n.updates) == 0 && !n.missed {
		return nil
	}
	// One large write needs fewer packets and system calls than many small ones.
	text, _ := batches.Get().(*bytes.Buffer)
	defer recycleBatch(text)
	if n.missed {
		text.Write(appendEvent(nil, "resync", formatEventID(l.hub.epoch, n.last), emptyData))
	}
	for _, u := range n.updates {
		event, err := l.eventOf(u)
		if err != nil {
			return err
		}
		text.Write(event)
	}
	l.seq = n.last
	if text.Len() == 0 {
		return nil
	}
	if _, err := l.w.Write(text.Bytes()); err != nil {
		return err
	}
	l.w.Flush()
	return nil
}

// eventOf returns the event that tells the client of an update. It is empty if the client
// did not ask for the group. A client that had the group must know that it has it no more.
func (l *liveClient) eventOf(u groupNews) ([]byte, error) {
	switch {
	case l.selects == nil, u.group != nil && l.selects(u.group):
		return u.event(l.hub.epoch)
	case u.before != nil && l.selected(u.before):
		return u.gone(l.hub.epoch)
	}
	return nil, nil
}

// maxPooledBatch is the maximum size of a buffer that a later batch uses again. It fits
// 32 groups of a usual size.
const maxPooledBatch = 64 << 10

var batches = sync.Pool{New: func() any { return &bytes.Buffer{} }}

func recycleBatch(text *bytes.Buffer) {
	if text.Cap() <= maxPooledBatch {
		text.Reset()
		batches.Put(text)
	}
}

// emptyData is the data of an event whose name says everything.
var emptyData = []byte("{}")

// writeEvent writes one event.
func (l *liveClient) writeEvent(event string, seq uint64, data []byte) error {
	_, err := l.w.Write(appendEvent(nil, event, formatEventID(l.hub.epoch, seq), data))
	return err
}

// appendEvent appends an event. The data is always one line, because JSON escapes line
// breaks in labels.
func appendEvent(text []byte, event, id string, data []byte) []byte {
	return fmt.Appendf(text, "id: %s\nevent: %s\ndata: %s\n\n", id, event, data)
}
