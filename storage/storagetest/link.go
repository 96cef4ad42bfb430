package storagetest

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Link is a proxy before a Redis. It simulates a network that is slow or broken.
type Link struct {
	Addr string

	mu     sync.Mutex
	broken bool                  // guarded by mu
	conns  map[net.Conn]struct{} // guarded by mu
}

// StartLink starts a link to a unix socket until the test ends. rate is the maximum
// number of bytes per second for each connection and direction. 0 means no limit.
func StartLink(t *testing.T, socket string, rate int) *Link {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := &Link{Addr: listener.Addr().String(), conns: map[net.Conn]struct{}{}}
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
		l.Cut(true)
		wg.Wait()
	})
	return l
}

// Cut closes all connections and rejects new ones if broken is true. Otherwise it
// accepts new connections again.
func (l *Link) Cut(broken bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = broken
	for conn := range l.conns {
		if broken {
			_ = conn.Close()
		}
	}
}

// register records a connection. It returns false if the link is broken.
func (l *Link) register(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken {
		return false
	}
	l.conns[conn] = struct{}{}
	return true
}

func (l *Link) serve(client net.Conn, socket string, rate int) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("unix", socket)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	if !l.register(client) || !l.register(server) {
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() { throttle(server, client, rate) })
	throttle(client, server, rate)
	wg.Wait()
}

// throttle copies until one side closes its connection. Then it closes both.
func throttle(to, from net.Conn, rate int) {
	defer func() { _, _ = to.Close(), from.Close() }()
	if rate == 0 {
		_, _ = io.Copy(to, from)
		return
	}
	// Sent data waits here, as in the buffers of a network.
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
		for range sent { // discard the rest
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
