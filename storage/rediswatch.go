package storage

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

// A time limit for an answer cannot tell a server that hangs from one that is
// busy, nor from a slow link or a process that waits for a core. So the limit is
// on silence: if no byte moves on a connection for a while, the server is asked
// on another one. Only if it is silent there too does it hang.

const (
	// slowestLink is the least that a link has to pass on, in bytes per second: a
	// command may take the time that its bytes and those of its answer need.
	slowestLink = 64 << 10
	// longestCommand bounds a command in any case.
	longestCommand = time.Minute
	// lastLook is how long a read waits for bytes that are there already. They
	// came while this process did not run.
	lastLook = 10 * time.Millisecond
)

// dialFunc is the form of a dialer of go-redis.
type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// watcher makes connections that ask the server when they are silent.
type watcher struct {
	// patience is how long a server may take to answer when it is asked. It is
	// asked after half of that time without a byte.
	patience time.Duration
	config   *tls.Config // nil: without TLS
	caFile   string
	wg       sync.WaitGroup

	mu     sync.Mutex
	closed bool              // guarded by mu
	probes map[string]*probe // guarded by mu; under way, by address
}

// probe is a question to a server.
type probe struct {
	done     chan struct{} // closed when the answer is known
	answered bool
}

func newWatcher(patience time.Duration, config *tls.Config, caFile string) *watcher {
	return &watcher{patience: patience, config: config, caFile: caFile, probes: map[string]*probe{}}
}

// close waits for the questions under way.
func (w *watcher) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.wg.Wait()
}

// dialer returns a dialer of connections that are watched.
func (w *watcher) dialer(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &watchedConn{Conn: conn, watcher: w, network: network, addr: addr}, nil
	}
}

// ask asks the server at an address whether it answers. All who ask while a
// question is under way share it.
func (w *watcher) ask(network, addr string) *probe {
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
		p.answered = w.answers(network, addr)
		close(p.done)
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.probes, addr)
	})
	return p
}

// answers reports whether the server says anything on a new connection. An
// error is an answer: it comes without a password, and beyond maxclients.
func (w *watcher) answers(network, addr string) bool {
	deadline := time.Now().Add(w.patience)
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
	word := make([]byte, 1)
	n, err := conn.Read(word)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		_ = conn.SetReadDeadline(time.Now().Add(lastLook))
		n, _ = conn.Read(word)
	}
	return n > 0
}

// watchedConn is a connection of a watcher. The time limits that a client sets
// bound a command in all. A read without one waits for what may come at any
// time, and is not watched.
type watchedConn struct {
	net.Conn

	watcher       *watcher
	network, addr string

	mu             sync.Mutex
	reading        time.Time // guarded by mu; the client's limits
	writing        time.Time // guarded by mu
	began          time.Time // guarded by mu; the command under way
	bytes          int       // guarded by mu; its own and its answer's
	answersCommand bool      // guarded by mu; a part of the answer was read
}

// silenceError says that no bytes moved on a connection.
type silenceError struct {
	// asked tells that the server answered on another connection meanwhile.
	asked bool
}

func (e *silenceError) Error() string {
	if e.asked {
		return "the server answers, but not to this command in time"
	}
	return "the server does not answer: i/o timeout"
}

// Timeout and Temporary implement net.Error.
func (e *silenceError) Timeout() bool { return true }

// Temporary implements net.Error. A TLS connection can be used no more after
// an error that is not.
func (e *silenceError) Temporary() bool { return true }

// Is makes it one of the errors of a time limit.
func (e *silenceError) Is(target error) bool { return target == os.ErrDeadlineExceeded }

// SetDeadline implements net.Conn.
func (c *watchedConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn.
func (c *watchedConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading = t
	return c.Conn.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn.
func (c *watchedConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writing = t
	return c.Conn.SetWriteDeadline(t)
}

// SyscallConn implements syscall.Conn, by which the pool looks at a connection.
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
	limit := c.reading
	c.answersCommand = true
	c.mu.Unlock()
	if limit.IsZero() || len(p) == 0 {
		return c.Conn.Read(p)
	}
	return c.watch(limit, c.Conn.SetReadDeadline, func() (int, error) { return c.Conn.Read(p) })
}

// Write implements net.Conn.
func (c *watchedConn) Write(p []byte) (written int, err error) {
	c.mu.Lock()
	limit := c.writing
	if c.answersCommand || c.began.IsZero() {
		c.began, c.bytes, c.answersCommand = time.Now(), 0, false
	}
	c.mu.Unlock()
	if limit.IsZero() {
		return c.Conn.Write(p)
	}
	for written < len(p) {
		n, err := c.watch(limit, c.Conn.SetWriteDeadline, func() (int, error) { return c.Conn.Write(p[written:]) })
		written += n
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// watch runs one read or write until bytes move, the server turns out to hang,
// or the time for the command is up.
func (c *watchedConn) watch(limit time.Time, setDeadline func(time.Time) error, move func() (int, error)) (int, error) {
	try := func(patience time.Duration) (n int, silent bool, err error) {
		until := time.Now().Add(patience)
		if limit.Before(until) {
			until = limit
		}
		if err := setDeadline(until); err != nil {
			return 0, false, err
		}
		n, err = move()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.bytes += n
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, false, err
		}
		return n, n == 0, nil
	}
	for asked := false; ; asked = true {
		n, silent, err := try(c.watcher.patience / 2)
		if !silent {
			return n, err
		}
		if now := time.Now(); !now.Before(limit) || asked && now.After(c.end()) {
			return 0, &silenceError{asked}
		}
		question := c.watcher.ask(c.network, c.addr)
		if n, silent, err = try(c.watcher.patience); !silent {
			return n, err
		}
		if !time.Now().Before(limit) {
			return 0, &silenceError{asked}
		}
		if <-question.done; question.answered {
			continue
		}
		if n, silent, err = try(lastLook); !silent {
			return n, err
		}
		return 0, &silenceError{}
	}
}

// end is when the command under way has taken too long: the time in which a
// server is found to hang, twice, and what its bytes need.
func (c *watchedConn) end() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.began.Add(3*c.watcher.patience + time.Second*time.Duration(c.bytes)/slowestLink)
}
