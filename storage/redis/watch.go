package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// A time limit for an answer is not enough to find a server that hangs. The server
// may be busy, the link may be slow, or this process may wait for a CPU. So Muster
// limits the time without any bytes. If no bytes move on a connection for a while,
// Muster sends a probe to the server on another connection. The server hangs only
// if it does not answer the probe either.

const (
	// minLinkSpeed is the minimum speed of a link that Muster supports, in bytes
	// per second. It gives a command more time if the command or its answer is
	// large.
	minLinkSpeed = 64 << 10
	// maxCommandTime is the maximum time of any command.
	maxCommandTime = time.Minute
	// lastReadTimeout is the time limit for the last read before a connection is
	// given up. It only returns bytes that arrived while this process did not
	// run.
	lastReadTimeout = 10 * time.Millisecond
)

// dialFunc is the type of a go-redis dialer.
type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// watcher makes connections that probe the server when no bytes move. It is safe
// for concurrent use.
type watcher struct {
	// probeTimeout is the time limit for the answer to a probe. The probe is sent
	// after half of this time without bytes.
	probeTimeout time.Duration
	config       *tls.Config // nil: without TLS
	caFile       string
	wg           sync.WaitGroup

	mu     sync.Mutex
	closed bool              // guarded by mu
	probes map[string]*probe // guarded by mu; running probes by address
}

// probe is a PING to a server on a new connection.
type probe struct {
	done     chan struct{} // closed when answered is known
	answered bool
}

func newWatcher(probeTimeout time.Duration, config *tls.Config, caFile string) *watcher {
	return &watcher{probeTimeout: probeTimeout, config: config, caFile: caFile, probes: map[string]*probe{}}
}

// stop waits until the running probes have ended. Later probes are not sent.
func (w *watcher) stop() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.wg.Wait()
}

// dialer returns a dialer of watched connections.
func (w *watcher) dialer(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &watchedConn{Conn: conn, watcher: w, network: network, addr: addr}, nil
	}
}

// startProbe starts a probe of the server at an address. It returns the running
// probe if there is one, so that concurrent callers share it.
func (w *watcher) startProbe(network, addr string) *probe {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p := w.probes[addr]; p != nil {
		return p
	}
	p := &probe{done: make(chan struct{})}
	if w.closed {
		close(p.done)
		return p
	}
	w.probes[addr] = p
	w.wg.Go(func() {
		p.answered = w.probeServer(network, addr)
		close(p.done)
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.probes, addr)
	})
	return p
}

// probeServer reports whether the server answers anything on a new connection. An
// error is an answer too: Redis sends one if the password is missing or there are
// too many clients.
func (w *watcher) probeServer(network, addr string) bool {
	deadline := time.Now().Add(w.probeTimeout)
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(deadline)
	if w.config != nil {
		secure, err := tlsClient(ctx, conn, w.config, w.caFile, addr)
		if err != nil {
			return false
		}
		conn = secure
	}
	if _, err := conn.Write([]byte("*1\r\n$4\r\nPING\r\n")); err != nil {
		return false
	}
	answer := make([]byte, 1)
	n, err := conn.Read(answer)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		_ = conn.SetReadDeadline(time.Now().Add(lastReadTimeout))
		n, _ = conn.Read(answer)
	}
	return n > 0
}

// watchedConn is a connection of a watcher. The deadlines that the client sets limit
// a whole command. A read without a deadline is not watched, because it waits for
// data that may come at any time.
type watchedConn struct {
	net.Conn

	watcher       *watcher
	network, addr string

	mu            sync.Mutex
	readDeadline  time.Time // guarded by mu; as set by the client
	writeDeadline time.Time // guarded by mu; as set by the client
	started       time.Time // guarded by mu; when the current command started
	bytes         int       // guarded by mu; of the current command and its answer
	reading       bool      // guarded by mu; the client reads the answer
}

// silenceError says that no bytes moved on a connection.
type silenceError struct {
	// asked is set if the server answered a probe meanwhile.
	asked bool
}

func (e *silenceError) Error() string {
	if e.asked {
		return "the server answered a probe, but did not answer this command in time"
	}
	return "the server does not answer: i/o timeout"
}

// Timeout implements net.Error.
func (e *silenceError) Timeout() bool { return true }

// Temporary implements net.Error. It returns true, because a TLS connection cannot
// be used after an error that is not temporary.
func (e *silenceError) Temporary() bool { return true }

// Is makes errors.Is(err, os.ErrDeadlineExceeded) true.
func (e *silenceError) Is(target error) bool { return target == os.ErrDeadlineExceeded }

// SetDeadline implements net.Conn.
func (c *watchedConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn.
func (c *watchedConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readDeadline = t
	return c.Conn.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn.
func (c *watchedConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writeDeadline = t
	return c.Conn.SetWriteDeadline(t)
}

// SyscallConn implements syscall.Conn. The pool uses it to check a connection.
func (c *watchedConn) SyscallConn() (syscall.RawConn, error) {
	conn, ok := c.Conn.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("%T has no socket", c.Conn)
	}
	return conn.SyscallConn()
}

// Read implements net.Conn.
func (c *watchedConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	deadline := c.readDeadline
	c.reading = true
	c.mu.Unlock()
	if deadline.IsZero() || len(p) == 0 {
		return c.Conn.Read(p)
	}
	return c.watch(deadline, c.Conn.SetReadDeadline, func() (int, error) { return c.Conn.Read(p) })
}

// Write implements net.Conn.
func (c *watchedConn) Write(p []byte) (written int, err error) {
	c.mu.Lock()
	deadline := c.writeDeadline
	if c.reading || c.started.IsZero() {
		c.started, c.bytes, c.reading = time.Now(), 0, false // a new command
	}
	c.mu.Unlock()
	if deadline.IsZero() {
		return c.Conn.Write(p)
	}
	for written < len(p) {
		n, err := c.watch(deadline, c.Conn.SetWriteDeadline, func() (int, error) { return c.Conn.Write(p[written:]) })
		written += n
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// watch runs one read or write. It returns when bytes have moved, when the server
// is found to hang, or at the deadline of the command.
func (c *watchedConn) watch(deadline time.Time, setDeadline func(time.Time) error, readOrWrite func() (int, error)) (int, error) {
	try := func(timeout time.Duration) (n int, silent bool, err error) {
		until := time.Now().Add(timeout)
		if deadline.Before(until) {
			until = deadline
		}
		if err := setDeadline(until); err != nil {
			return 0, false, err
		}
		n, err = readOrWrite()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.bytes += n
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, false, err
		}
		return n, n == 0, nil
	}
	for asked := false; ; asked = true {
		n, silent, err := try(c.watcher.probeTimeout / 2)
		if !silent {
			return n, err
		}
		if now := time.Now(); !now.Before(deadline) || asked && now.After(c.commandDeadline()) {
			return 0, &silenceError{asked}
		}
		probe := c.watcher.startProbe(c.network, c.addr)
		if n, silent, err = try(c.watcher.probeTimeout); !silent {
			return n, err
		}
		if !time.Now().Before(deadline) {
			return 0, &silenceError{asked}
		}
		if <-probe.done; probe.answered {
			continue
		}
		if n, silent, err = try(lastReadTimeout); !silent {
			return n, err
		}
		return 0, &silenceError{}
	}
}

// commandDeadline returns the time at which the current command has taken too long.
// It allows twice the time that Muster needs to find a server that hangs, plus the
// time that the bytes of the command need on a slow link.
func (c *watchedConn) commandDeadline() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.started.Add(3*c.watcher.probeTimeout + time.Second*time.Duration(c.bytes)/minLinkSpeed)
}
