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
	c       *gin.Context
	hold    limit.Hold
	buf     *jsonBuffer
	started bool
	err     error // the first one; nothing is written after it
	lost    bool  // the client is gone
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
func (s *Server) stream(c *gin.Context, held int64, write func(*jsonStream)) {
	hold, ok := s.limits.responses.Take(streamSize + held)
	if !ok {
		tooManyBytes(c)
		return
	}
	made(c)
	buf, _ := jsonBuffers.Get().(*jsonBuffer)
	out := &jsonStream{c: c, hold: hold, buf: buf}
	defer out.close()
	write(out)
	out.flush()
	switch {
	case out.err == nil || out.lost:
	case out.started:
		s.logger.Error("An answer could not be written", "handler", c.FullPath(), "err", out.err)
		panic(http.ErrAbortHandler)
	default:
		s.failWith(c, out.err)
	}
}

// answer answers with a value that is small.
func (s *Server) answer(c *gin.Context, value any) {
	s.stream(c, 0, func(out *jsonStream) { out.value(value) })
}

func (o *jsonStream) close() {
	o.hold.Release()
	if o.buf.Cap() <= streamSize {
		o.buf.Reset()
		jsonBuffers.Put(o.buf)
	}
}

// ended reports whether nothing more needs to be written.
func (o *jsonStream) ended() bool { return o.err != nil }

// text writes JSON as it is.
func (o *jsonStream) text(s string) {
	if o.err == nil {
		o.buf.WriteString(s)
	}
}

// comma separates the elements of a list.
func (o *jsonStream) comma(i int) {
	if i > 0 {
		o.text(",")
	}
}

// value writes a value.
func (o *jsonStream) value(v any) {
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
		o.flush()
	}
}

// open writes a value that is an object, but its end, so that fields can follow.
func (o *jsonStream) open(v any) {
	if o.err != nil {
		return
	}
	if o.err = o.buf.encoder.Encode(v); o.err == nil {
		o.buf.Truncate(o.buf.Len() - len("}\n"))
	}
}

func (o *jsonStream) flush() {
	if o.err != nil || o.buf.Len() == 0 {
		return
	}
	if !o.started {
		o.started = true
		o.c.Header("Content-Type", "application/json; charset=utf-8")
		o.c.Status(http.StatusOK)
	}
	_, err := o.c.Writer.Write(o.buf.Bytes())
	o.lost = err != nil
	o.err = err
	o.buf.Reset()
}

// group writes a group, and these alerts of it.
func (o *jsonStream) group(g *grouping.AlertGroup, alerts []*grouping.Alert) {
	if len(alerts) == 0 {
		o.value(viewGroup(g))
		return
	}
	o.open(viewGroup(g))
	o.text(`,"alerts":[`)
	for i, a := range alerts {
		if o.ended() {
			return
		}
		o.comma(i)
		o.value(viewAlert(g, a))
	}
	o.text("]}")
}

// groups writes the start of an object with the groups, each with the alerts
// that alerts returns of it.
func (o *jsonStream) groups(groups []*grouping.AlertGroup, alerts func(*grouping.AlertGroup) []*grouping.Alert) {
	o.text(`{"groups":[`)
	for i, g := range groups {
		if o.ended() {
			return
		}
		o.comma(i)
		o.group(g, alerts(g))
	}
	o.text("]")
}

// next writes the cursor of the next page, if there is one, and the end of the
// object.
func (o *jsonStream) next(cursor string) {
	if cursor != "" {
		o.text(`,"next":`)
		o.value(cursor)
	}
	o.text("}")
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
