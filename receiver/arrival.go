package receiver

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// arrivals are the bodies of notifications that are in memory. They are bounded
// by their bytes, not by their number: a client that sends slowly, or nothing
// at all, keeps nobody else out.
type arrivals struct {
	most int64
	held atomic.Int64
}

// maxArrivals is how many bodies of the largest size may be in memory at once;
// of the usual size, some kilobytes, many more.
const maxArrivals = 4

// errTooMuch says that the bound of arrivals is reached.
var errTooMuch = errors.New("too many requests at once")

func (a *arrivals) open() *arrival {
	buf, _ := buffers.Get().(*bytes.Buffer)
	return &arrival{all: a, buf: buf}
}

// arrival is one body.
type arrival struct {
	all  *arrivals
	buf  *bytes.Buffer // nil once closed
	size int64
}

// read reads the body. If it cannot, it returns the status of the answer, and a
// word for why.
func (a *arrival) read(r io.Reader) (code int, reason string, err error) {
	_, err = io.Copy(a, r)
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		return 0, "", nil
	case errors.As(err, &tooLarge):
		return http.StatusRequestEntityTooLarge, refusedTooLarge, bad("", "the body is larger than %d bytes", tooLarge.Limit)
	case errors.Is(err, errTooMuch):
		return http.StatusServiceUnavailable, refusedOverloaded, err
	default:
		return http.StatusServiceUnavailable, refusedIncomplete, bad("", "the body ends too early") // a retry mends it
	}
}

// Write takes what has come of the body.
func (a *arrival) Write(p []byte) (int, error) {
	a.size += int64(len(p))
	if a.all.held.Add(int64(len(p))) > a.all.most {
		return 0, errTooMuch
	}
	return a.buf.Write(p)
}

// close gives the memory back. It may be called again.
func (a *arrival) close() {
	if a.buf == nil {
		return
	}
	a.all.held.Add(-a.size)
	// A huge body's buffer is not kept for the small ones that follow.
	if a.buf.Cap() <= 1<<20 {
		a.buf.Reset()
		buffers.Put(a.buf)
	}
	a.buf = nil
}

var buffers = sync.Pool{New: func() any { return &bytes.Buffer{} }}
