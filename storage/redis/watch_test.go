package redis

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/storage/durable"
	"muster/storage/storagetest"
)

// listen starts a server that runs until the test ends. It calls serve for each
// connection, with the number of the connection.
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

// answerWithError answers a command with an error, which counts as an answer.
func answerWithError(conn net.Conn) {
	if _, err := bufio.NewReader(conn).ReadByte(); err == nil {
		_, _ = conn.Write([]byte("-NOAUTH Authentication required.\r\n"))
	}
}

// dialWatched returns a watched connection with a deadline.
func dialWatched(t *testing.T, w *watcher, addr net.Addr, limit time.Duration) net.Conn {
	t.Helper()
	conn, err := w.dialer(plainDialer(time.Second))(t.Context(), "tcp", addr.String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(limit)))
	return conn
}

// A server that is silent on one connection hangs only if it is also silent on
// another one.
func TestWatchedConnections(t *testing.T) {
	silent := func(int, net.Conn) {}
	busy := func(n int, conn net.Conn) {
		if n > 0 {
			answerWithError(conn)
		}
	}
	for name, test := range map[string]struct {
		serve  func(int, net.Conn)
		limit  time.Duration
		reason string
	}{
		"a server that hangs":            {silent, time.Minute, durable.ReasonTimeout},
		"a server that answers a probe":  {busy, time.Minute, reasonStalled},
		"a caller with a short deadline": {silent, 20 * time.Millisecond, durable.ReasonTimeout},
		"a caller with a long deadline":  {busy, 200 * time.Millisecond, reasonStalled},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWatcher(50*time.Millisecond, nil, "")
			defer w.stop()
			conn := dialWatched(t, w, listen(t, test.serve), test.limit)
			_, err := conn.Write([]byte("a command"))
			require.NoError(t, err)
			_, err = conn.Read(make([]byte, 1))
			require.Equal(t, test.reason, faultReason(err), "%v", err)
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			network, ok := errors.AsType[net.Error](err)
			require.True(t, ok && network.Timeout())
		})
	}
}

// A large command does not time out while the server reads it. A late answer does
// not time out while the server answers probes.
func TestWatchedConnectionsTakeTheirTime(t *testing.T) {
	w := newWatcher(20*time.Millisecond, nil, "")
	defer w.stop()
	const size = 1 << 20
	addr := listen(t, func(n int, conn net.Conn) {
		if n > 0 {
			answerWithError(conn)
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
	conn := dialWatched(t, w, addr, time.Minute)
	n, err := conn.Write(make([]byte, size))
	require.NoError(t, err)
	require.Equal(t, size, n)
	said, err := bufio.NewReader(conn).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "+OK\r\n", said)
}

// A read without a deadline waits for data that may come at any time.
func TestWatchedConnectionsWithoutDeadline(t *testing.T) {
	w := newWatcher(time.Millisecond, nil, "")
	defer w.stop()
	addr := listen(t, func(_ int, conn net.Conn) {
		<-time.After(50 * time.Millisecond)
		_, _ = conn.Write([]byte("news"))
	})
	conn := dialWatched(t, w, addr, time.Minute)
	require.NoError(t, conn.SetReadDeadline(time.Time{}))
	said := make([]byte, 4)
	n, err := conn.Read(said)
	require.NoError(t, err)
	require.Equal(t, "news", string(said[:n]))
}

func TestWriteLimiter(t *testing.T) {
	l := newWriteLimiter(16)
	hung := &silenceError{}
	entered, end := make(chan struct{}), make(chan error)
	first := make(chan error, 1)
	go func() {
		first <- l.runWrite(context.Background(), 100*maxBytesInFlight, func() error { // larger than the limit
			close(entered)
			return <-end
		})
	}()
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	err := l.runWrite(ctx, 1, func() error { return errors.New("it was not limited") })
	require.ErrorIs(t, err, redis.ErrPoolTimeout)

	waiting := make(chan error, 1)
	go func() { waiting <- l.runWrite(context.Background(), 1, func() error { return nil }) }()
	select {
	case err := <-waiting:
		require.Fail(t, "it did not wait", "%v", err)
	case <-time.After(10 * time.Millisecond):
	}
	end <- hung
	require.Equal(t, hung, <-first)
	if err := <-waiting; err != nil {
		require.Equal(t, hung, err, "a waiting write gets the error")
	}
	require.NoError(t, l.runWrite(t.Context(), 1, func() error { return nil }), "the next write is tried")
}

// A batch grows up to the size that the link can send in time. It shrinks with each
// timeout until it has one item.
func TestPace(t *testing.T) {
	var p pace
	require.Equal(t, firstBatch, p.size())
	for range 10 {
		p.sent(p.size(), time.Millisecond, nil)
	}
	require.Equal(t, maxBatch, p.size())
	p.sent(1000, time.Millisecond, nil)
	p.sent(p.size(), batchTime/2, nil)
	p.sent(p.size(), time.Minute, answeredError("OOM"))
	require.Equal(t, maxBatch, p.size(), "the size is not changed")
	p.sent(p.size(), 2*batchTime, nil)
	require.Equal(t, maxBatch/2, p.size())
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

// If a batch of events takes too long, the events are sent in smaller batches, and
// finally one by one.
func TestPushEventsOverSlowLink(t *testing.T) {
	server := storagetest.StartRedis(t)
	link := storagetest.StartLink(t, server.Socket, 20_000)
	opts := withDefaults(Options{URL: "redis://" + link.Addr})
	opts.Limits.Answer = 300 * time.Millisecond
	r, err := New(opts)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	r.pace.bytes = maxBatch
	var events []grouping.Event
	clock := grouping.NewClock()
	for range 30 {
		events = append(events, grouping.Event{
			ID: string(clock.Stamp()) + "00000000", GroupID: groupKey("g").ID(), Kind: grouping.EventNotified,
			Notified: &grouping.Notified{ExternalURL: strings.Repeat("x", 1000)},
		})
	}
	require.NoError(t, r.PushEvents(t.Context(), events, nil))
	direct, err := New(withDefaults(Options{URL: "unix://" + server.Socket}))
	require.NoError(t, err)
	defer func() { require.NoError(t, direct.Close()) }()
	page, err := direct.Events(t.Context(), grouping.EventQuery{Limit: 1000})
	require.NoError(t, err)
	require.Len(t, page.Events, len(events))
	require.Less(t, r.pace.size(), maxBatch)
}
