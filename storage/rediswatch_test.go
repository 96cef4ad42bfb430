package storage

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"muster/grouping"

	"github.com/prometheus/common/promslog"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// listen starts a server that serves each connection, by its number, until the
// test ends.
func listen(t *testing.T, serve func(n int, conn net.Conn)) net.Addr {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ; n++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
			go serve(n, conn)
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	return listener.Addr()
}

// answer says that something is wrong, which is an answer.
func answer(conn net.Conn) {
	if _, err := bufio.NewReader(conn).ReadByte(); err == nil {
		_, _ = conn.Write([]byte("-NOAUTH Authentication required.\r\n"))
	}
}

func watched(t *testing.T, w *watcher, addr net.Addr, limit time.Duration) net.Conn {
	t.Helper()
	conn, err := w.dialer(plainDialer(time.Second))(t.Context(), "tcp", addr.String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(limit)))
	return conn
}

// What is silent on one connection hangs only if it is silent on another, too.
func TestWatchedConnections(t *testing.T) {
	silent := func(int, net.Conn) {}
	busy := func(n int, conn net.Conn) {
		if n > 0 {
			answer(conn)
		}
	}
	for name, test := range map[string]struct {
		serve  func(int, net.Conn)
		limit  time.Duration
		reason string
	}{
		"a server that hangs":            {silent, time.Minute, reasonTimeout},
		"one that answers others":        {busy, time.Minute, reasonStalled},
		"a caller that waits no longer":  {silent, time.Millisecond, reasonTimeout},
		"a caller that waited long then": {busy, 200 * time.Millisecond, reasonStalled},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWatcher(50*time.Millisecond, nil, "")
			defer w.close()
			conn := watched(t, w, listen(t, test.serve), test.limit)
			_, err := conn.Write([]byte("a command"))
			require.NoError(t, err)
			_, err = conn.Read(make([]byte, 1))
			require.Equal(t, test.reason, FaultReason(err), "%v", err)
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			network, ok := errors.AsType[net.Error](err)
			require.True(t, ok && network.Timeout())
		})
	}
}

// Neither a large command nor a late answer is given up while the other side
// takes it, or answers others.
func TestWatchedConnectionsTakeTheirTime(t *testing.T) {
	w := newWatcher(20*time.Millisecond, nil, "")
	defer w.close()
	const size = 1 << 20
	addr := listen(t, func(n int, conn net.Conn) {
		if n > 0 {
			answer(conn)
			return
		}
		part := make([]byte, 1<<16)
		for read := 0; read < size; {
			<-time.After(10 * time.Millisecond)
			n, err := conn.Read(part)
			if err != nil {
				return
			}
			read += n
		}
		<-time.After(100 * time.Millisecond)
		_, _ = conn.Write([]byte("+OK\r\n"))
	})
	conn := watched(t, w, addr, time.Minute)
	n, err := conn.Write(make([]byte, size))
	require.NoError(t, err)
	require.Equal(t, size, n)
	said, err := bufio.NewReader(conn).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "+OK\r\n", said)
}

// Word that comes at any time is waited for in silence.
func TestWatchedConnectionsWithoutALimit(t *testing.T) {
	w := newWatcher(time.Millisecond, nil, "")
	defer w.close()
	addr := listen(t, func(_ int, conn net.Conn) {
		<-time.After(50 * time.Millisecond)
		_, _ = conn.Write([]byte("news"))
	})
	conn := watched(t, w, addr, time.Minute)
	require.NoError(t, conn.SetReadDeadline(time.Time{}))
	said := make([]byte, 4)
	n, err := conn.Read(said)
	require.NoError(t, err)
	require.Equal(t, "news", string(said[:n]))
}

// A server that answers on other connections does not make writes fail for
// all at once.
func TestAStalledConnectionIsNoOutage(t *testing.T) {
	var b breaker
	require.False(t, b.failure(reasonStalled))
	require.False(t, b.failure(reasonStalled))
	for range 10 {
		require.False(t, b.failure(reasonPool), "it waited for others of this process")
	}
	require.True(t, b.failure(reasonStalled), "three in a row")
}

func TestGate(t *testing.T) {
	g := newGate(16)
	hung := &silenceError{}
	entered, end := make(chan struct{}), make(chan error)
	first := make(chan error, 1)
	go func() {
		first <- g.pass(context.Background(), 100*gateBytes, func() error { // larger than all of it
			close(entered)
			return <-end
		})
	}()
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	err := g.pass(ctx, 1, func() error { return errors.New("it had no room") })
	require.ErrorIs(t, err, redis.ErrPoolTimeout)

	waiting := make(chan error, 1)
	go func() { waiting <- g.pass(context.Background(), 1, func() error { return nil }) }()
	select {
	case err := <-waiting:
		require.Fail(t, "it did not wait", "%v", err)
	case <-time.After(10 * time.Millisecond):
	}
	end <- hung
	require.Equal(t, hung, <-first)
	if err := <-waiting; err != nil {
		require.Equal(t, hung, err, "who waits hears of it")
	}
	require.NoError(t, g.pass(t.Context(), 1, func() error { return nil }), "the next one tries")
}

// A batch has the size that the link takes in its time, and shrinks with each
// time-out until it is one piece.
func TestPace(t *testing.T) {
	var p pace
	require.Equal(t, startBatch, p.size())
	for range 10 {
		p.sent(p.size(), time.Millisecond, nil)
	}
	require.Equal(t, largestBatch, p.size())
	p.sent(1000, time.Millisecond, nil)
	p.sent(p.size(), batchTime/2, nil)
	p.sent(p.size(), time.Minute, answeredError("OOM"))
	require.Equal(t, largestBatch, p.size(), "it fits")
	p.sent(p.size(), 2*batchTime, nil)
	require.Equal(t, largestBatch/2, p.size())
	p.sent(1000, time.Second, &silenceError{})
	require.Equal(t, 500, p.size())
	for range 20 {
		p.sent(p.size(), time.Second, &silenceError{})
	}
	require.Equal(t, 1, p.size())
}

// answeredError is an error that Redis answers.
type answeredError string

func (e answeredError) Error() string { return string(e) }
func (answeredError) RedisError()     {}

// Events that take longer than their time in one batch are sent in smaller
// ones, in the end one by one.
func TestPushEventsInWhatTheLinkTakes(t *testing.T) {
	server := startRedis(t)
	link := startLink(t, server.socket, 20_000)
	r, err := newRedis(RedisOptions{URL: "redis://" + link.addr}, limits{
		answer: 100 * time.Millisecond, dial: time.Second, pool: time.Second, connections: 16,
	})
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	r.pace.bytes = largestBatch
	var events []grouping.Event
	clock := grouping.NewClock()
	for range 30 {
		events = append(events, grouping.Event{
			ID: string(clock.Stamp()) + "00000000", GroupID: testKey.ID(), Kind: grouping.EventNotified, ExternalURL: strings.Repeat("x", 1000),
		})
	}
	require.NoError(t, r.PushEvents(t.Context(), events))
	direct, err := NewRedis(RedisOptions{URL: "unix://" + server.socket}, promslog.NewNopLogger())
	require.NoError(t, err)
	defer func() { require.NoError(t, direct.Close()) }()
	page, err := direct.Events(t.Context(), grouping.EventQuery{Limit: 1000})
	require.NoError(t, err)
	require.Len(t, page.Events, len(events))
	require.Less(t, r.pace.size(), largestBatch)
}
