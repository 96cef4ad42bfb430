package receiver

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"

	"muster/internal/limit"
)

// errTooMuch says that the limit of bodies is reached.
var errBodyMemory = errors.New("too many requests at once")

// arrival is the body of a notification that is in memory. Bodies are bounded by
// their bytes, not by their number: a client that sends slowly, or nothing at
// all, keeps nobody else out.
type requestBody struct {
	hold          limit.Hold
	buf           *bytes.Buffer // nil once closed
	contentLength int64         // length of the body; -1: not known
}

// arrive starts a body. Its length is what the client says.
func (s *Server) newRequestBody(declared int64) *requestBody {
	hold, _ := s.limits.bodyBytes.Take(0) // nothing is never too much
	buf, _ := bodyBuffers.Get().(*bytes.Buffer)
	return &requestBody{hold: hold, buf: buf, contentLength: declared}
}

// read reads the body. If it cannot, it returns the status of the answer, and a
// word for why.
func (a *requestBody) receive(r io.Reader) (code int, reason string, err error) {
	_, err = io.Copy(a, r)
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		return 0, "", nil
	case errors.As(err, &tooLarge):
		return http.StatusRequestEntityTooLarge, rejectedTooLarge, messageErrorf("", "the body is larger than %d bytes", tooLarge.Limit)
	case errors.Is(err, errBodyMemory):
		return http.StatusServiceUnavailable, rejectedOverloaded, err
	default:
		return http.StatusServiceUnavailable, rejectedIncomplete, messageErrorf("", "the body ends too early") // a retry mends it
	}
}

// Write takes what has come of the body.
func (a *requestBody) Write(p []byte) (int, error) {
	need := a.buf.Len() + len(p)
	size := need
	if need > a.buf.Cap() {
		// It grows fourfold, so that little is left over, up to what was declared.
		if size = max(need, 2*a.buf.Cap()); a.contentLength >= int64(need) {
			size = int(min(int64(max(need, 4*a.buf.Cap())), a.contentLength))
		}
	}
	if more := int64(size) - a.hold.Size(); more > 0 && !a.hold.Grow(more) {
		return 0, errBodyMemory
	}
	if need > a.buf.Cap() {
		larger := bytes.NewBuffer(make([]byte, 0, size))
		larger.Write(a.buf.Bytes())
		a.buf = larger
	}
	return a.buf.Write(p)
}

// close gives the memory back. It may be called again.
func (a *requestBody) close() {
	if a.buf == nil {
		return
	}
	a.hold.Release()
	// A huge body's buffer is not kept for the small ones that follow.
	if a.buf.Cap() <= 1<<20 {
		a.buf.Reset()
		bodyBuffers.Put(a.buf)
	}
	a.buf = nil
}

var bodyBuffers = sync.Pool{New: func() any { return &bytes.Buffer{} }}
