package receiver

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"

	"muster/internal/limit"
)

// errBodyMemory reports that the limit on body bytes leaves no room for more.
var errBodyMemory = errors.New("too many concurrent requests, try again")

// requestBody is the body of a notification in memory. The limit counts the
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
	buf, _ := bodyBuffers.Get().(*bytes.Buffer)
	return &requestBody{hold: hold, buf: buf, contentLength: contentLength}
}

// bytes returns the body. It is valid until close.
func (b *requestBody) bytes() []byte { return b.buf.Bytes() }

// receive reads the whole body.
func (b *requestBody) receive(r io.Reader) *refusal {
	_, err := io.Copy(b, r)
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &tooLarge):
		return refuse(http.StatusRequestEntityTooLarge, limit.TooLarge, "the body is larger than %d bytes", tooLarge.Limit)
	case errors.Is(err, errBodyMemory):
		return &refusal{http.StatusServiceUnavailable, limit.Overloaded, err}
	default:
		return refuse(http.StatusServiceUnavailable, limit.Incomplete, "the body is incomplete") // Alertmanager retries a 503
	}
}

// Write appends the next part of the body. It returns errBodyMemory if the
// limit leaves no room for it.
func (b *requestBody) Write(p []byte) (int, error) {
	need := b.buf.Len() + len(p)
	size := need
	if need > b.buf.Cap() {
		// Up to the announced length, grow by a factor of four, so that copying
		// leaves little garbage.
		if size = max(need, 2*b.buf.Cap()); b.contentLength >= int64(need) {
			size = int(min(int64(max(need, 4*b.buf.Cap())), b.contentLength))
		}
	}
	if more := int64(size) - b.hold.Size(); more > 0 && !b.hold.Grow(more) {
		return 0, errBodyMemory
	}
	if need > b.buf.Cap() {
		larger := bytes.NewBuffer(make([]byte, 0, size))
		larger.Write(b.buf.Bytes())
		b.buf = larger
	}
	return b.buf.Write(p)
}

// close releases the memory. It is safe to call it more than once.
func (b *requestBody) close() {
	if b.buf == nil {
		return
	}
	b.hold.Release()
	// Do not reuse a large buffer: small bodies would keep its memory in use.
	if b.buf.Cap() <= 1<<20 {
		b.buf.Reset()
		bodyBuffers.Put(b.buf)
	}
	b.buf = nil
}

var bodyBuffers = sync.Pool{New: func() any { return &bytes.Buffer{} }}
