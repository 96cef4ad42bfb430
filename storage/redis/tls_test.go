package redis

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// pongServer answers PING over TLS. It can break all of its connections at once,
// as a server does that is restarted.
type pongServer struct {
	net.Listener

	authority []byte // in PEM
	mu        sync.Mutex
	conns     []net.Conn // guarded by mu
	wg        sync.WaitGroup
}

func startPongServer(t *testing.T) *pongServer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	require.NoError(t, err)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	require.NoError(t, err)
	s := &pongServer{Listener: l, authority: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
	s.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, conn)
			s.mu.Unlock()
			s.wg.Go(func() {
				buf := make([]byte, 1024)
				for {
					n, err := conn.Read(buf)
					if err != nil {
						return
					}
					answer := "+PONG\r\n"
					if bytes.Contains(buf[:n], []byte("hello")) {
						answer = "-ERR unknown command\r\n" // older than RESP3
					}
					if _, err := io.WriteString(conn, answer); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		s.breakAll()
		s.wg.Wait()
	})
	return s
}

func (s *pongServer) breakAll() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		_ = c.Close()
	}
	n, s.conns = len(s.conns), nil
	return n
}

// After a restart of the server, only one command fails, not one command for each
// connection in the pool.
func TestTLSConnectionsBreakTogether(t *testing.T) {
	const connections = 8
	server := startPongServer(t)
	c := redis.NewClient(&redis.Options{
		Dialer:   tlsDialer(plainDialer(time.Minute), &tls.Config{InsecureSkipVerify: true}, "", time.Minute),
		Addr:     server.Addr().String(),
		Protocol: 2, PoolSize: connections, MaxRetries: -1, DisableIdentity: true, PipelinePoolSize: -1,
	})
	defer func() { require.NoError(t, c.Close()) }()
	fill := func() {
		var held []*redis.Conn
		for range connections {
			conn := c.Conn()
			require.NoError(t, conn.Ping(t.Context()).Err())
			held = append(held, conn)
		}
		for _, conn := range held {
			require.NoError(t, conn.Close())
		}
	}
	fill()
	fill() // with the same connections
	require.Equal(t, connections, server.breakAll())
	require.Error(t, c.Ping(t.Context()).Err())
	for range 2 * connections {
		require.NoError(t, c.Ping(t.Context()).Err())
	}
	fill()
	require.Equal(t, connections, server.breakAll(), "the pool keeps its connections again")
}

func TestTLSDialerTimesOut(t *testing.T) {
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, silent.Close()) }()
	started := time.Now()
	_, err = tlsDialer(plainDialer(time.Minute), &tls.Config{}, "", 50*time.Millisecond)(context.Background(), "tcp", silent.Addr().String())
	require.ErrorIs(t, err, context.DeadlineExceeded, fmt.Sprint(time.Since(started)))
	require.Equal(t, "timeout", faultReason(err))
}
