package storage

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// tlsDialer returns a dialer whose connections tell the client's pool when they
// are dead. The pool looks at a connection's socket before it uses it, but not
// through TLS: a server that comes back would cost a failed command for each of
// the connections that it had, some seconds. So the first that breaks speaks
// for all that are as old as itself. The file with the certificates of the
// authorities is read for each connection.
func tlsDialer(dial dialFunc, config *tls.Config, caFile string, timeout time.Duration) dialFunc {
	var broken atomic.Int64
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout) // with the handshake
		defer cancel()
		age := broken.Load()
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		secure, err := tlsClient(ctx, conn, config, caFile, addr)
		if err != nil {
			return nil, err
		}
		return &tlsConn{secure, age, &broken}, nil
	}
}

// tlsClient makes a connection to an address one with TLS. It closes it if that
// fails.
func tlsClient(ctx context.Context, conn net.Conn, config *tls.Config, caFile, addr string) (net.Conn, error) {
	config = config.Clone()
	orDefault(&config.ServerName, hostOf(addr))
	if caFile != "" {
		var err error
		if config.RootCAs, err = authorities(caFile); err != nil {
			_ = conn.Close()
			return nil, err
		}
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secure, nil
}

// hostOf returns the host of an address, as tls.Dialer does.
func hostOf(addr string) string {
	if i := strings.LastIndexByte(addr, ':'); i >= 0 {
		return addr[:i]
	}
	return addr
}

// tlsConn is a connection of a tlsDialer.
type tlsConn struct {
	net.Conn

	age    int64         // how often connections had broken when it was made
	broken *atomic.Int64 // and now
}

// Read implements net.Conn.
func (c *tlsConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.broken.CompareAndSwap(c.age, c.age+1)
	}
	return n, err
}

// Write implements net.Conn. A server that does not accept the certificate of
// its client says so after the handshake and hangs up; who only hears that it
// cannot write would not know why.
func (c *tlsConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		return n, err
	}
	c.broken.CompareAndSwap(c.age, c.age+1)
	_ = c.SetReadDeadline(time.Now().Add(lastWord))
	if _, said := c.Conn.Read(make([]byte, 1)); tlsAlert(said) != nil {
		return n, said
	}
	return n, err
}

// lastWord is how long what a server said before it hung up is waited for. It is
// there already, or was lost.
const lastWord = 10 * time.Millisecond

// tlsAlert returns why the other side ended a TLS connection, or nil.
func tlsAlert(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" {
		return op.Err
	}
	return nil
}

// SyscallConn implements syscall.Conn, by which the pool looks at a connection.
func (c *tlsConn) SyscallConn() (syscall.RawConn, error) {
	if c.broken.Load() != c.age {
		return nil, net.ErrClosed
	}
	return alive{}, nil
}

// alive lets nobody at the socket: what waits there is not what the pool takes
// it for.
type alive struct{}

func (alive) Control(func(uintptr)) error    { return nil }
func (alive) Read(func(uintptr) bool) error  { return nil }
func (alive) Write(func(uintptr) bool) error { return nil }
