package receiver

import (
	"bytes"
	"encoding/json"
	"net/http"
	"sync"

	"github.com/gin-gonic/gin"

	"muster/grouping"
	"muster/internal/limit"
)

// flushSize is how much JSON is collected before it is written. With the
// element that passes it, streamSize is what a usual stream has in memory.
const (
	flushSize  = 32 << 10
	streamSize = 64 << 10
)

// jsonStream writes one JSON value to a client piece by piece: a list of any
// length takes no more memory than its largest element.
type jsonStream struct {
	c            *gin.Context
	hold         limit.Hold
	buf          *jsonBuffer
	started      bool
	err          error // the first one; nothing is written after it
	disconnected bool  // the client is gone
}

// jsonBuffer is a buffer with its encoder, which are used again.
type jsonBuffer struct {
	bytes.Buffer

	encoder *json.Encoder
}

var jsonBuffers = sync.Pool{New: func() any {
	b := &jsonBuffer{}
	b.encoder = json.NewEncoder(&b.Buffer)
	return b
}}

// stream answers with the JSON that write writes. Held is what else the answer
// keeps in memory while it is sent. An error before the first byte is answered
// as such; after it the connection is cut, so that half an answer does not look
// like a whole one.
func (s *Server) streamJSON(c *gin.Context, held int64, write func(*jsonStream)) {
	hold, ok := s.limits.responseBytes.Take(streamSize + held)
	if !ok {
		failResponseLimit(c)
		return
	}
	releaseReader(c)
	buf, _ := jsonBuffers.Get().(*jsonBuffer)
	out := &jsonStream{c: c, hold: hold, buf: buf}
	defer out.close()
	write(out)
	out.writeBuffered()
	switch {
	case out.err == nil || out.disconnected:
	case out.started:
		s.logger.Error("An answer could not be written", "handler", c.FullPath(), "err", out.err)
		panic(http.ErrAbortHandler)
	default:
		s.failWith(c, out.err)
	}
}

// answer answers with a value that is small.
func (s *Server) respondJSON(c *gin.Context, value any) {
	s.streamJSON(c, 0, func(out *jsonStream) { out.writeValue(value) })
}

func (o *jsonStream) close() {
	o.hold.Release()
	if o.buf.Cap() <= streamSize {
		o.buf.Reset()
		jsonBuffers.Put(o.buf)
	}
}

// ended reports whether nothing more needs to be written.
func (o *jsonStream) failed() bool { return o.err != nil }

// text writes JSON as it is.
func (o *jsonStream) writeRaw(s string) {
	if o.err == nil {
		o.buf.WriteString(s)
	}
}

// comma separates the elements of a list.
func (o *jsonStream) writeComma(i int) {
	if i > 0 {
		o.writeRaw(",")
	}
}

// value writes a value.
func (o *jsonStream) writeValue(v any) {
	if o.err != nil {
		return
	}
	if o.err = o.buf.encoder.Encode(v); o.err != nil {
		return
	}
	o.buf.Truncate(o.buf.Len() - len("\n"))
	// A huge element is in memory already.
	if more := int64(o.buf.Cap()) - o.hold.Size(); more > 0 {
		o.hold.Add(more)
	}
	if o.buf.Len() >= flushSize {
		o.writeBuffered()
	}
}

// open writes a value that is an object, but its end, so that fields can follow.
func (o *jsonStream) writeOpenObject(v any) {
	if o.err != nil {
		return
	}
	if o.err = o.buf.encoder.Encode(v); o.err == nil {
		o.buf.Truncate(o.buf.Len() - len("}\n"))
	}
}

func (o *jsonStream) writeBuffered() {
	if o.err != nil || o.buf.Len() == 0 {
		return
	}
	if !o.started {
		o.started = true
		o.c.Header("Content-Type", "application/json; charset=utf-8")
		o.c.Status(http.StatusOK)
	}
	_, err := o.c.Writer.Write(o.buf.Bytes())
	o.disconnected = err != nil
	o.err = err
	o.buf.Reset()
}

// group writes a group, and these alerts of it.
func (o *jsonStream) writeGroup(g *grouping.AlertGroup, alerts []*grouping.Alert) {
	if len(alerts) == 0 {
		o.writeValue(viewGroup(g))
		return
	}
	o.writeOpenObject(viewGroup(g))
	o.writeRaw(`,"alerts":[`)
	for i, a := range alerts {
		if o.failed() {
			return
		}
		o.writeComma(i)
		o.writeValue(viewAlert(g, a))
	}
	o.writeRaw("]}")
}

// groups writes the start of an object with the groups, each with the alerts
// that alerts returns of it.
func (o *jsonStream) writeGroups(groups []*grouping.AlertGroup, alerts func(*grouping.AlertGroup) []*grouping.Alert) {
	o.writeRaw(`{"groups":[`)
	for i, g := range groups {
		if o.failed() {
			return
		}
		o.writeComma(i)
		o.writeGroup(g, alerts(g))
	}
	o.writeRaw("]")
}

// next writes the cursor of the next page, if there is one, and the end of the
// object.
func (o *jsonStream) writeNext(cursor string) {
	if cursor != "" {
		o.writeRaw(`,"next":`)
		o.writeValue(cursor)
	}
	o.writeRaw("}")
}

// eventsSize estimates how much memory events take.
func eventsSize(events []grouping.Event) (size int64) {
	const event, label = 256, 64
	for i := range events {
		size += event
		for name, value := range events[i].Labels {
			size += label + int64(len(name)+len(value))
		}
	}
	return size
}
