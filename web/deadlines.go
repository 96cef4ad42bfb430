package web

import (
	"context"
	"net"
	"net/http"
	"time"
)

const (
	// chunkSize is the number of bytes of an answer that are passed to the
	// connection at once. A client has the write timeout for each chunk. Each chunk
	// needs two system calls.
	chunkSize = 32 << 10
	// writeTimeout is the default time after which a client that reads nothing
	// is disconnected. Together with sendBuffer it allows a phone that reads 5
	// kB a second.
	writeTimeout = 10 * time.Second
	// responseTimeout is the maximum time for a whole answer: 10 MB at 33 kB a
	// second. Without it, a client that reads single bytes keeps the answer in
	// memory for hours.
	responseTimeout = 5 * time.Minute
	// sendBuffer is the size of the kernel's send buffer of one connection. The
	// default is several megabytes, which count as memory of the container. A
	// full default buffer also blocks writes until a third of it was read.
	sendBuffer = 128 << 10
)

// deadlineWriter writes an answer in chunks and sets a new deadline for each.
// Slow clients are served, and clients that do not read are disconnected.
type deadlineWriter struct {
	http.ResponseWriter

	control      *http.ResponseController
	timeout      time.Duration
	lastDeadline time.Time // for the whole answer; zero: no limit
}

// withDeadlines wraps the handler so that it writes through a deadlineWriter.
func (r *Router) withDeadlines(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		dw := &deadlineWriter{
			ResponseWriter: w, control: http.NewResponseController(w), timeout: r.opts.WriteTimeout, lastDeadline: time.Now().Add(responseTimeout),
		}
		next.ServeHTTP(dw, req)
		dw.setDeadline() // for the data that net/http still buffers
	})
}

// Unwrap returns the underlying writer for http.ResponseController.
func (w *deadlineWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Write implements http.ResponseWriter.
func (w *deadlineWriter) Write(p []byte) (n int, err error) {
	for {
		w.setDeadline()
		var written int
		written, err = w.ResponseWriter.Write(p[:min(len(p), chunkSize)])
		n += written
		if p = p[written:]; err != nil || len(p) == 0 {
			break
		}
	}
	w.clearDeadline()
	return n, err
}

// Flush implements http.Flusher.
func (w *deadlineWriter) Flush() {
	w.setDeadline()
	_ = w.control.Flush() // the next write returns the error
	w.clearDeadline()
}

// setDeadline sets the deadline for the next write. It ignores errors, because
// some writers have no deadlines, for example in tests.
func (w *deadlineWriter) setDeadline() {
	deadline := time.Now().Add(w.timeout)
	if !w.lastDeadline.IsZero() && deadline.After(w.lastDeadline) {
		deadline = w.lastDeadline
	}
	_ = w.control.SetWriteDeadline(deadline)
}

// clearDeadline removes the deadline while nothing is written. Otherwise HTTP/2
// resets an idle stream when the deadline passes.
func (w *deadlineWriter) clearDeadline() { _ = w.control.SetWriteDeadline(time.Time{}) }

// RemoveLastDeadline removes the limit on the duration of the whole answer.
func (w *deadlineWriter) RemoveLastDeadline() { w.lastDeadline = time.Time{} }

// limitSendBuffer sets the size of the send buffer. It is meant for the
// ConnContext of http.Server.
func limitSendBuffer(ctx context.Context, conn net.Conn) context.Context {
	if secure, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = secure.NetConn()
	}
	if tcp, ok := conn.(interface{ SetWriteBuffer(size int) error }); ok {
		_ = tcp.SetWriteBuffer(sendBuffer) // optional: the kernel has a default
	}
	return ctx
}
