package redis

import (
	"cmp"
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

// tlsDialer returns a dialer of TLS connections that report when they are dead.
//
// The pool of the client checks the socket of a connection before it uses it, but
// it cannot do this through TLS. After a restart of the server, each pooled
// connection would fail one command, for some seconds in total. So the first
// connection that breaks marks all connections of its generation as dead: those
// that were made since the last break.
//
// The file with the certificates of the authorities is read for each connection.
func tlsDialer(dial dialFunc, config *tls.Config, caFile string, timeout time.Duration) dialFunc {
	var current atomic.Int64
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout) // includes the handshake
		defer cancel()
		generation := current.Load()
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		secure, err := tlsClient(ctx, conn, config, caFile, addr)
		if err != nil {
			return nil, err
		}
		return &tlsConn{secure, generation, &current}, nil
	}
}

// tlsClient starts TLS on a connection to an address. It closes the connection if
// this fails.
func tlsClient(ctx context.Context, conn net.Conn, config *tls.Config, caFile, addr string) (net.Conn, error) {
	config = config.Clone()
	config.ServerName = cmp.Or(config.ServerName, hostOf(addr))
	if caFile != "" {
		var err error
		if config.RootCAs, err = readAuthorities(caFile); err != nil {
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

	generation int64         // the generation of this connection
	current    *atomic.Int64 // the generation of new connections
}

// Read implements net.Conn.
func (c *tlsConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.current.CompareAndSwap(c.generation, c.generation+1)
	}
	return n, err
}

// Write implements net.Conn. A server that rejects the client certificate sends an
// alert after the handshake and closes the connection. The error of the write does
// not tell this reason, so Write also reads the alert.
func (c *tlsConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		return n, err
	}
	c.current.CompareAndSwap(c.generation, c.generation+1)
	_ = c.SetReadDeadline(time.Now().Add(alertTimeout))
	if _, alert := c.Conn.Read(make([]byte, 1)); tlsAlert(alert) != nil {
		return n, alert
	}
	return n, err
}

// alertTimeout is how long Write waits for an alert. It is short, because the alert
// has arrived already or was lost.
const alertTimeout = 10 * time.Millisecond

// tlsAlert returns the alert with which the server ended a TLS connection, or nil.
func tlsAlert(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" {
		return op.Err
	}
	return nil
}

// SyscallConn implements syscall.Conn. The pool uses it to check a connection.
func (c *tlsConn) SyscallConn() (syscall.RawConn, error) {
	if c.current.Load() != c.generation {
		return nil, net.ErrClosed
	}
	return aliveSocket{}, nil
}

// aliveSocket is a syscall.RawConn without access to the socket. The pool would
// take waiting TLS records, such as a session ticket, for an unexpected answer.
type aliveSocket struct{}

func (aliveSocket) Control(func(uintptr)) error    { return nil }
func (aliveSocket) Read(func(uintptr) bool) error  { return nil }
func (aliveSocket) Write(func(uintptr) bool) error { return nil }
