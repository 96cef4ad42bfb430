package receiver

import (
	"context"
	"net"
	"net/http"
	"time"
)

const (
	// chunkSize is how much of an answer is given to the connection at once. A
	// client may take writeTimeout for each chunk.
	chunkSize = 16 << 10
	// writeTimeout cuts a client that takes nothing. With sendBuffer, a phone
	// that reads 5 kB a second is not cut.
	writeTimeout = 10 * time.Second
	// answerTimeout bounds an answer as a whole: 10 MB at 33 kB a second. So a
	// client that reads byte by byte does not keep what it is sent for hours.
	responseTimeout = 5 * time.Minute
	// sendBuffer bounds what the kernel takes of an answer for one connection.
	// Without it that is megabytes, which count as the container's memory, and a
	// write goes on only after a third of them was read.
	sendBuffer = 128 << 10
)

// pacedWriter writes an answer in chunks and gives the client its time for each,
// so that who reads slowly is served, and who does not read is cut.
type deadlineWriter struct {
	http.ResponseWriter

	control      *http.ResponseController
	timeout      time.Duration
	lastDeadline time.Time // of the answer as a whole; zero: it goes on
}

// paced serves with a pacedWriter.
func (s *Server) withDeadlines(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paced := &deadlineWriter{
			ResponseWriter: w, control: http.NewResponseController(w), timeout: s.writeTimeout, lastDeadline: time.Now().Add(responseTimeout),
		}
		next.ServeHTTP(paced, r)
		paced.setDeadline() // for what the server still has in its buffers
	})
}

// Unwrap is for http.ResponseController.
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
	_ = w.control.Flush() // the next write has the error
	w.clearDeadline()
}

// extend gives the client time for what is written next. That a writer has no
// deadlines, as in tests, is not an error.
func (w *deadlineWriter) setDeadline() {
	deadline := time.Now().Add(w.timeout)
	if !w.lastDeadline.IsZero() && deadline.After(w.lastDeadline) {
		deadline = w.lastDeadline
	}
	_ = w.control.SetWriteDeadline(deadline)
}

// rest takes the deadline away while nothing is written: HTTP/2 resets a stream
// when one passes.
func (w *deadlineWriter) clearDeadline() { _ = w.control.SetWriteDeadline(time.Time{}) }

// endless takes the bound from the answer as a whole.
func removeLastDeadline(w http.ResponseWriter) {
	for {
		if paced, ok := w.(*deadlineWriter); ok {
			paced.lastDeadline = time.Time{}
			return
		}
		inner, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return
		}
		w = inner.Unwrap()
	}
}

// boundSendBuffer is for http.Server's ConnContext.
func limitSendBuffer(ctx context.Context, conn net.Conn) context.Context {
	if secure, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = secure.NetConn()
	}
	if tcp, ok := conn.(interface{ SetWriteBuffer(size int) error }); ok {
		_ = tcp.SetWriteBuffer(sendBuffer) // the system's own bound is no fault
	}
	return ctx
}
