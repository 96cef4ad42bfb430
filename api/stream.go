package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"sync"

	"github.com/gin-gonic/gin"

	"muster/grouping"
	"muster/internal/limit"
	"muster/internal/reply"
)

// flushSize is the number of buffered bytes from which JSON is written.
// streamSize is the usual memory of a stream: the buffer and one more element.
const (
	flushSize  = 32 << 10
	streamSize = 64 << 10
)

// jsonStream writes one JSON value to a client in parts. A list of any length
// uses no more memory than its largest element.
type jsonStream struct {
	c            *gin.Context
	hold         limit.Hold
	buf          *jsonBuffer
	started      bool
	err          error // first error; nothing is written after it
	disconnected bool  // the client disconnected
}

// jsonBuffer is a reusable buffer with its encoder.
type jsonBuffer struct {
	bytes.Buffer

	encoder *json.Encoder
}

var jsonBuffers = sync.Pool{New: func() any {
	b := &jsonBuffer{}
	b.encoder = json.NewEncoder(&b.Buffer)
	return b
}}

// streamJSON answers with the JSON that the function write writes. Held is the
// number of other bytes that the answer keeps in memory until it is sent.
//
// An error before the first byte is answered with its status code. A later
// error closes the connection, so that an incomplete answer does not look
// complete.
func (d *Door) streamJSON(c *gin.Context, held int64, write func(*jsonStream)) {
	hold, ok := d.readers.Hold(c, streamSize+held)
	if !ok {
		return
	}
	buf, _ := jsonBuffers.Get().(*jsonBuffer)
	out := &jsonStream{c: c, hold: hold, buf: buf}
	defer out.close()
	write(out)
	out.writeBuffered()
	switch {
	case out.err == nil || out.disconnected:
	case out.started:
		d.logger.ErrorContext(c.Request.Context(), "Writing an answer failed", "handler", c.FullPath(), "err", out.err)
		panic(http.ErrAbortHandler)
	default:
		reply.Error(c, d.logger, out.err)
	}
}

// respondJSON answers with a small value.
func (d *Door) respondJSON(c *gin.Context, value any) {
	d.streamJSON(c, 0, func(out *jsonStream) { out.writeValue(value) })
}

func (o *jsonStream) close() {
	o.hold.Release()
	if o.buf.Cap() <= streamSize {
		o.buf.Reset()
		jsonBuffers.Put(o.buf)
	}
}

// failed reports whether an error ended the stream.
func (o *jsonStream) failed() bool { return o.err != nil }

// writeRaw writes JSON text unchanged.
func (o *jsonStream) writeRaw(s string) {
	if o.err == nil {
		o.buf.WriteString(s)
	}
}

// writeComma writes a comma before every element of a list but the first.
func (o *jsonStream) writeComma(i int) {
	if i > 0 {
		o.writeRaw(",")
	}
}

// writeValue writes a value as JSON.
func (o *jsonStream) writeValue(v any) {
	if o.err != nil {
		return
	}
	if o.err = o.buf.encoder.Encode(v); o.err != nil {
		return
	}
	o.buf.Truncate(o.buf.Len() - len("\n"))
	o.finishValue()
}

// writeAlert writes an alert as JSON.
func (o *jsonStream) writeAlert(v *alertView) {
	if o.err != nil {
		return
	}
	var text []byte
	if text, o.err = appendAlert(o.buf.AvailableBuffer(), v); o.err != nil {
		return
	}
	o.buf.Write(text)
	o.finishValue()
}

// finishValue counts the memory of the buffer after a value, and writes a full buffer.
func (o *jsonStream) finishValue() {
	// A huge element is already in memory, so count it even above the limit.
	if more := int64(o.buf.Cap()) - o.hold.Size(); more > 0 {
		o.hold.Add(more)
	}
	if o.buf.Len() >= flushSize {
		o.writeBuffered()
	}
}

// writeOpenObject writes an object without its closing brace, so that more
// fields can follow.
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

// writeGroup writes a group and the given alerts.
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
		v := viewAlert(g, a)
		o.writeAlert(&v)
	}
	o.writeRaw("]}")
}

// writeGroups writes the beginning of an object with a list of groups. The
// function alerts returns the alerts to write for a group.
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

// writeNext writes the cursor of the next page, if there is one, and closes the
// object.
func (o *jsonStream) writeNext(cursor string) {
	if cursor != "" {
		o.writeRaw(`,"next":`)
		o.writeValue(cursor)
	}
	o.writeRaw("}")
}

// eventsSize estimates the memory of events in bytes.
func eventsSize(events []grouping.Event) (size int64) {
	const event, label = 256, 64
	for i := range events {
		size += event
		for name, value := range events[i].Labels.All() {
			size += label + int64(len(name)+len(value))
		}
	}
	return size
}
