package api

import (
	"cmp"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"time"

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

// textStream writes an answer of any length to a client in parts. It uses no more memory
// than the largest part.
type textStream struct {
	c            *gin.Context
	head         answerHead
	to           io.Writer    // the client, or the compressor
	zipped       *gzip.Writer // nil: the answer is not compressed
	hold         limit.Hold
	enc          *encoder
	started      bool
	err          error // first error; nothing is written after it
	disconnected bool  // the client disconnected
}

// answerHead says how an answer is sent.
type answerHead struct {
	media string // its media type
	file  string // the name under which a browser saves it; "": it is shown
	code  int    // 0: 200
}

const jsonMedia = "application/json; charset=utf-8"

// jsonStream writes one JSON value to a client in parts. A list of any length
// uses no more memory than its largest element.
type jsonStream struct{ *textStream }

// encoders holds the encoders of streams with their memory.
var encoders = sync.Pool{New: func() any { return &encoder{text: make([]byte, 0, streamSize)} }}

// streamJSON answers with the JSON that the function write writes. Held is the
// number of other bytes that the answer keeps in memory until it is sent.
func (d *Door) streamJSON(c *gin.Context, held int64, write func(*jsonStream)) {
	d.stream(c, held, answerHead{media: jsonMedia}, func(out *textStream) { write(&jsonStream{out}) })
}

// stream answers with the text that the function write writes. Held is as in streamJSON. A
// file is compressed if the client asks for it.
//
// An error before the first byte is answered with its status code. A later
// error closes the connection, so that an incomplete answer does not look
// complete.
func (d *Door) stream(c *gin.Context, held int64, head answerHead, write func(*textStream)) {
	compress := head.file != "" && reply.Gzip(c.Request.Header.Values("Accept-Encoding"))
	if compress {
		held += reply.GzipMemory
	}
	hold, ok := d.Readers.Hold(c, streamSize+held)
	if !ok {
		return
	}
	enc, _ := encoders.Get().(*encoder)
	enc.mutes, enc.now, enc.withNotes = d.Groups, time.Now(), true
	out := &textStream{c: c, head: head, to: c.Writer, hold: hold, enc: enc}
	if compress {
		out.zipped = reply.NewGzipWriter(c.Writer)
		out.to = out.zipped
	}
	defer out.close()
	if head.file == "" || c.Request.Method != http.MethodHead { // a file may take long
		write(out)
	}
	out.finish()
	switch {
	case out.err == nil || out.disconnected:
	case out.started && c.Request.Context().Err() != nil: // the client disconnected
		panic(http.ErrAbortHandler)
	case out.started:
		d.Logger.ErrorContext(c.Request.Context(), "Writing an answer failed", "handler", c.FullPath(), "err", out.err)
		panic(http.ErrAbortHandler)
	default:
		reply.Error(c, d.Logger, out.err)
	}
}

// respondJSON answers with a small value.
func (d *Door) respondJSON(c *gin.Context, value any) {
	d.streamJSON(c, 0, func(out *jsonStream) { out.writeValue(value) })
}

func (o *textStream) close() {
	o.hold.Release()
	if o.zipped != nil {
		reply.RecycleGzipWriter(o.zipped)
	}
	if cap(o.enc.text) <= streamSize {
		o.enc.text = o.enc.text[:0]
		encoders.Put(o.enc)
	}
}

// failed reports whether an error ended the stream.
func (o *textStream) failed() bool { return o.err != nil }

// fail ends the stream with an error, if it is not nil and nothing else ended it.
func (o *textStream) fail(err error) {
	if o.err == nil {
		o.err = err
	}
}

// disconnect ends the stream because the client is gone.
func (o *textStream) disconnect(err error) {
	o.fail(err)
	o.disconnected = true
}

// writeRaw writes text unchanged.
func (o *textStream) writeRaw(s string) {
	if o.err == nil {
		o.enc.raw(s)
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
	if o.err == nil {
		o.finishValue(o.enc.value(v))
	}
}

// finishValue counts the memory of the text after a value, and writes a long text. err is
// the error of encoding the value.
func (o *textStream) finishValue(err error) {
	if o.err = err; err != nil {
		return
	}
	// A huge element is already in memory, so count it even above the limit.
	if more := int64(cap(o.enc.text)) - o.hold.Size(); more > 0 {
		o.hold.Add(more)
	}
	if len(o.enc.text) >= flushSize {
		o.writeBuffered()
	}
}

func (o *textStream) writeBuffered() {
	if o.err != nil || len(o.enc.text) == 0 {
		return
	}
	o.start()
	if _, err := o.to.Write(o.enc.text); err != nil {
		o.disconnect(err)
	}
	o.enc.text = o.enc.text[:0]
}

// start sets the headers of the answer.
func (o *textStream) start() {
	if o.started {
		return
	}
	o.started = true
	o.c.Header("Content-Type", o.head.media)
	if o.head.file != "" {
		o.c.Header("Content-Disposition", `attachment; filename="`+o.head.file+`"`)
		o.c.Header("Vary", "Accept-Encoding")
	}
	if o.zipped != nil {
		o.c.Header("Content-Encoding", "gzip")
	}
	o.c.Status(cmp.Or(o.head.code, http.StatusOK))
}

// flush sends what was written so far.
func (o *textStream) flush() {
	if o.writeBuffered(); o.err != nil {
		return
	}
	o.start()
	if o.zipped != nil {
		if err := o.zipped.Flush(); err != nil {
			o.disconnect(err)
		}
	}
	o.c.Writer.Flush()
}

// finish writes the end of the answer. After an error the end is missing.
func (o *textStream) finish() {
	if o.writeBuffered(); o.err != nil {
		return
	}
	o.start()
	if o.zipped != nil {
		if err := o.zipped.Close(); err != nil {
			o.disconnect(err)
		}
	}
}

// writeEvent writes an event.
func (o *jsonStream) writeEvent(e *grouping.Event) {
	if o.err == nil {
		o.finishValue(o.enc.event(e))
	}
}

// writeGroup writes a group and the given alerts.
func (o *jsonStream) writeGroup(g *grouping.AlertGroup, alerts []*grouping.Alert) {
	o.writeGroupWith(nil, g, alerts)
}

// writeGroupWith is writeGroup for an answer that is one group. It adds the fields of more, or
// nothing if more is nil.
func (o *jsonStream) writeGroupWith(more any, g *grouping.AlertGroup, alerts []*grouping.Alert) {
	if o.err != nil {
		return
	}
	if err := o.enc.group(g); err != nil || len(alerts) == 0 && more == nil {
		o.finishValue(err)
		return
	}
	o.enc.text = o.enc.text[:len(o.enc.text)-len("}")] // more fields follow
	o.writeFields(more)
	o.writeRaw(`,"alerts":[`)
	for i, a := range alerts {
		if o.failed() {
			return
		}
		o.writeComma(i)
		o.finishValue(o.enc.alert(g, a))
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

// writeFields writes the fields of a struct after those of an object. A nil pointer has none.
func (o *jsonStream) writeFields(of any) {
	if of == nil || o.err != nil {
		return
	}
	fields, err := json.Marshal(of)
	if o.err = err; err == nil && fields[0] == '{' {
		o.writeRaw("," + string(fields[1:len(fields)-1]))
	}
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
