package storage

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// link is a proxy before a Redis: a network that is slow, or is gone.
type link struct {
	addr string

	mu    sync.Mutex
	gone  bool                  // guarded by mu
	conns map[net.Conn]struct{} // guarded by mu
}

// startLink starts a link to a unix socket that passes on a number of bytes per
// second and connection, in each direction, until the test ends. 0: no limit.
func startLink(t *testing.T, socket string, rate int) *link {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := &link{addr: listener.Addr().String(), conns: map[net.Conn]struct{}{}}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { l.serve(conn, socket, rate) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		l.cut(true)
		wg.Wait()
	})
	return l
}

// cut breaks all connections and every one that is made, or lets them be.
func (l *link) cut(gone bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = gone
	for conn := range l.conns {
		if gone {
			_ = conn.Close()
		}
	}
}

func (l *link) keep(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone {
		return false
	}
	l.conns[conn] = struct{}{}
	return true
}

func (l *link) serve(client net.Conn, socket string, rate int) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("unix", socket)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	if !l.keep(client) || !l.keep(server) {
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() { throttle(server, client, rate) })
	throttle(client, server, rate)
	wg.Wait()
}

// throttle copies until one side closes, and closes both.
func throttle(to, from net.Conn, rate int) {
	defer func() { _, _ = to.Close(), from.Close() }()
	if rate == 0 {
		_, _ = io.Copy(to, from)
		return
	}
	// What is sent waits here, as in the buffers of a network.
	sent := make(chan []byte, 1<<16)
	defer close(sent)
	go func() {
		defer func() { _, _ = to.Close(), from.Close() }()
		for part := range sent {
			time.Sleep(time.Second * time.Duration(len(part)) / time.Duration(rate))
			if _, err := to.Write(part); err != nil {
				break
			}
		}
		for range sent { // nobody is left to take it
		}
	}()
	for {
		part := make([]byte, 4096)
		n, err := from.Read(part)
		if n > 0 {
			sent <- part[:n]
		}
		if err != nil {
			return
		}
	}
}
