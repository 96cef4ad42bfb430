package receiver

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"

	"muster/internal/limit"
)

const (
	// minBody is the size of a new buffer. One alert needs less than 2 KiB.
	minBody = 4 << 10
	// maxMediumBody is the size from which a buffer has a pool of its own, like one of minBody.
	// Otherwise small bodies would keep the memory of large buffers in use, and a body that
	// grows would find none.
	maxMediumBody = 64 << 10
	// maxPooledBody is the maximum size of a buffer that is used again. A
	// notification of 4,000 alerts has about 4 MiB.
	maxPooledBody = 4 << 20
)

var (
	smallBodies  = sync.Pool{New: func() any { return bytes.NewBuffer(make([]byte, 0, minBody)) }}
	mediumBodies = sync.Pool{}
	largeBodies  = sync.Pool{}
)

// errBodyMemory reports that the limit on body bytes leaves no room for more.
var errBodyMemory = errors.New("too many concurrent requests, try again")

// requestBody is the body of a request in memory. The limit counts the
// bytes of the bodies, not the bodies. So clients that send slowly do not block
// others.
type requestBody struct {
	hold          limit.Hold
	buf           *bytes.Buffer // nil after close
	contentLength int64         // length in the header; -1: unknown
}

// newRequestBody returns an empty body, whose bytes count toward the limit. The
// content length is the length that the client announced, or -1.
func newRequestBody(bodyBytes *limit.Limit, contentLength int64) *requestBody {
	hold, _ := bodyBytes.Take(0) // 0 bytes always fit
	buf, _ := smallBodies.Get().(*bytes.Buffer)
	return &requestBody{hold: hold, buf: buf, contentLength: contentLength}
}

// bytes returns the body. It is valid until close.
func (b *requestBody) bytes() []byte { return b.buf.Bytes() }

// receive reads the whole body.
func (b *requestBody) receive(r io.Reader) *refusal {
	err := b.read(r)
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &tooLarge):
		return refuse(http.StatusRequestEntityTooLarge, limit.TooLarge, "the body is larger than %d bytes", tooLarge.Limit)
	case errors.Is(err, errBodyMemory):
		return &refusal{code: http.StatusServiceUnavailable, reason: limit.Overloaded, err: err}
	default:
		return refuse(http.StatusServiceUnavailable, limit.Incomplete, "the body is incomplete") // Alertmanager retries a 503
	}
}

// read reads to the end, directly into the buffer. It returns errBodyMemory if the
// limit leaves no room for the next part.
func (b *requestBody) read(r io.Reader) error {
	for {
		if b.buf.Available() == 0 && !b.grow() {
			return errBodyMemory
		}
		free := b.buf.AvailableBuffer()
		n, err := r.Read(free[:cap(free)])
		b.buf.Write(free[:n]) // the bytes are already in their place
		if !b.count(b.buf.Len()) {
			return errBodyMemory
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// count makes the limit count at least size bytes. It returns false if the limit
// leaves no room for them.
func (b *requestBody) count(size int) bool {
	more := int64(size) - b.hold.Size()
	return more <= 0 || b.hold.Grow(more)
}

// grow replaces the full buffer by a larger one. It returns false if the limit leaves
// no room for it.
func (b *requestBody) grow() bool {
	size := 2 * b.buf.Cap()
	if b.contentLength >= int64(b.buf.Cap()) {
		// Up to the announced length, grow by a factor of four, so that copying
		// leaves little garbage. The last read needs one more byte to find the end.
		size = int(min(int64(4*b.buf.Cap()), b.contentLength)) + 1
	}
	size = (size + minBody - 1) / minBody * minBody // so that a buffer fits bodies of about this size
	if !b.count(size) {
		return false
	}
	larger := newBuffer(size)
	if more := int64(larger.Cap()) - b.hold.Size(); more > 0 {
		b.hold.Add(more) // the pool has this memory already
	}
	larger.Write(b.buf.Bytes())
	recycle(b.buf)
	b.buf = larger
	return true
}

// newBuffer returns an empty buffer with room for at least size bytes, which are more than minBody.
func newBuffer(size int) *bytes.Buffer {
	pool := &mediumBodies
	if size > maxMediumBody {
		pool = &largeBodies
	}
	if buf, ok := pool.Get().(*bytes.Buffer); ok && buf.Cap() >= size {
		return buf
	}
	return bytes.NewBuffer(make([]byte, 0, size))
}

// recycle makes a buffer available to later bodies.
func recycle(buf *bytes.Buffer) {
	size := buf.Cap()
	buf.Reset()
	switch {
	case size <= minBody:
		smallBodies.Put(buf)
	case size <= maxMediumBody:
		mediumBodies.Put(buf)
	case size <= maxPooledBody:
		largeBodies.Put(buf)
	}
}

// close releases the memory. It is safe to call it more than once.
func (b *requestBody) close() {
	if b.buf == nil {
		return
	}
	b.hold.Release()
	recycle(b.buf)
	b.buf = nil
}
