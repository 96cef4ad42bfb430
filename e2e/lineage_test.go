package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// proxy is a TCP proxy whose server can be replaced. It delays the responses of the
// server. When the server dies, delayed responses are lost.
type proxy struct {
	port  int
	to    atomic.Pointer[string] // address of the server
	delay time.Duration
}

func startProxy(t *testing.T, to string, delay time.Duration) *proxy {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	p := &proxy{port: l.Addr().(*net.TCPAddr).Port, delay: delay}
	p.to.Store(&to)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.pass(c)
		}
	}()
	return p
}

// pass forwards one connection.
func (p *proxy) pass(c net.Conn) {
	defer func() { _ = c.Close() }()
	server, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", *p.to.Load())
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	go func() {
		_, _ = io.Copy(server, c)
		_ = server.Close()
	}()
	if p.delay == 0 {
		_, _ = io.Copy(c, server)
		return
	}
	type part struct {
		due  time.Time
		text []byte
	}
	parts, dead := make(chan part, 10_000), make(chan struct{})
	go func() {
		defer close(dead)
		for {
			b := make([]byte, 64<<10)
			n, err := server.Read(b)
			if err != nil {
				return
			}
			parts <- part{time.Now().Add(p.delay), b[:n]}
		}
	}()
	for {
		var next part
		select {
		case <-dead:
			return
		case next = <-parts:
		}
		select {
		case <-dead: // the delayed response is lost
			return
		case <-time.After(time.Until(next.due)):
		}
		if _, err := c.Write(next.text); err != nil {
			return
		}
	}
}

// lostWrites returns the value of muster_storage_lost_writes_total.
func (m *muster) lostWrites() float64 {
	m.t.Helper()
	text, err := m.fetch("/metrics", nil)
	require.NoError(m.t, err)
	found := regexp.MustCompile(`(?m)^muster_storage_lost_writes_total (\S+)$`).FindSubmatch(text)
	require.NotNil(m.t, found)
	n, err := strconv.ParseFloat(string(found[1]), 64)
	require.NoError(m.t, err)
	return n
}

// The replica lags, the master dies, and the replica takes over at once. The last
// acknowledged writes are in no Redis, and within a second the sequence is as high as
// before. The traffic is so slow that no Muster notices an outage.
func TestFailoverToALaggingReplica(t *testing.T) {
	t.Parallel()
	needsRedis(t)
	for run := range 3 {
		t.Run(strconv.Itoa(run), func(t *testing.T) {
			t.Parallel()
			master := newNode(t, fmt.Sprintf("requirepass %q\nrepl-diskless-sync-delay 0", redisSecret))
			master.start()
			link := startProxy(t, master.addr(), 500*time.Millisecond)
			replica := newNode(t, fmt.Sprintf("requirepass %q\nmasterauth %[1]q\nreplicaof 127.0.0.1 %[2]d", redisSecret, link.port))
			replica.start()
			waitFor(t, waitTimeout, "the replica follows", func() error {
				info, err := replica.client.InfoMap(context.Background(), "replication").Result()
				if err == nil && info["Replication"]["master_link_status"] != "up" {
					err = fmt.Errorf("%v", info)
				}
				return err
			})
			front := startProxy(t, master.addr(), 0)
			flags := []string{
				fmt.Sprintf("--redis.url=redis://127.0.0.1:%d", front.port), "--redis.password-file=" + writeFile(t, "password", redisSecret),
			}
			a, b := startMuster(t, flags...), startMuster(t, flags...)
			a.waitHealthy(waitTimeout)
			b.waitHealthy(waitTimeout)
			tr := startTrafficAt(t, 2400*time.Millisecond, a, b) // ten notifications a second
			tr.waitMore(60)
			next := replica.addr()
			front.to.Store(&next)
			master.kill()
			replica.do("REPLICAOF", "NO", "ONE")
			tr.waitMore(20)
			tr.stopHalf()
			<-time.After(recoveryTime)
			tr.checkKept(flags, a, b)
			require.NotZero(t, a.lostWrites()+b.lostWrites(), "the test needs lost writes")
		})
	}
}

// Redis reaches its memory limit for a while and evicts keys under traffic.
func TestEvictedKeysComeBack(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"allkeys-lru", "allkeys-random"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			ctx := context.Background()
			redis := startRedis(t)
			a, b := startMuster(t, "--redis.url="+redis.url), startMuster(t, "--redis.url="+redis.url)
			tr := startTraffic(t, a, b)
			tr.waitMore(200)
			tr.stopHalf()
			require.NoError(t, redis.client.ConfigSet(ctx, "maxmemory-policy", policy).Err())
			for tries := 64; ; tries-- {
				info, err := redis.client.InfoMap(ctx, "memory", "stats").Result()
				require.NoError(t, err)
				evicted, err := strconv.Atoi(info["Stats"]["evicted_keys"])
				require.NoError(t, err)
				if evicted >= 5 {
					t.Logf("%d keys were evicted", evicted)
					break
				}
				require.NotZero(t, tries)
				used, err := strconv.Atoi(info["Memory"]["used_memory"])
				require.NoError(t, err)
				require.NoError(t, redis.client.ConfigSet(ctx, "maxmemory", strconv.Itoa(used-8<<10)).Err())
				tr.waitMore(2)
			}
			require.NoError(t, redis.client.ConfigSet(ctx, "maxmemory", "0").Err())
			require.NoError(t, redis.client.ConfigSet(ctx, "maxmemory-policy", "noeviction").Err())
			tr.waitMore(50)
			tr.checkReturned([]string{"--redis.url=" + redis.url}, a, b)
		})
	}
}
