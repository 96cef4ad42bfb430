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

// door is a TCP address behind which the server can be exchanged. What the
// server says arrives late by the delay, and not at all once it is dead.
type door struct {
	port  int
	to    atomic.Pointer[string]
	delay time.Duration
}

func openDoor(t *testing.T, to string, delay time.Duration) *door {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	d := &door{port: l.Addr().(*net.TCPAddr).Port, delay: delay}
	d.to.Store(&to)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go d.pass(c)
		}
	}()
	return d
}

func (d *door) pass(c net.Conn) {
	defer func() { _ = c.Close() }()
	server, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", *d.to.Load())
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	go func() {
		_, _ = io.Copy(server, c)
		_ = server.Close()
	}()
	if d.delay == 0 {
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
			parts <- part{time.Now().Add(d.delay), b[:n]}
		}
	}()
	for {
		var p part
		select {
		case <-dead:
			return
		case p = <-parts:
		}
		select {
		case <-dead: // what is on its way is lost
			return
		case <-time.After(time.Until(p.due)):
		}
		if _, err := c.Write(p.text); err != nil {
			return
		}
	}
}

// lostWrites is what the metric counts.
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

// The replica lags, the master dies, the replica takes over at once: what was
// acknowledged in the last moment is in no Redis, and the sequence is as high as
// before within a second. The traffic is so slow that no Muster takes Redis for
// down.
func TestFailoverToALaggingReplica(t *testing.T) {
	t.Parallel()
	needsRedis(t)
	for run := range 3 {
		t.Run(strconv.Itoa(run), func(t *testing.T) {
			t.Parallel()
			master := newNode(t, fmt.Sprintf("requirepass %q\nrepl-diskless-sync-delay 0", redisSecret))
			master.start()
			link := openDoor(t, master.addr(), 500*time.Millisecond)
			replica := newNode(t, fmt.Sprintf("requirepass %q\nmasterauth %[1]q\nreplicaof 127.0.0.1 %[2]d", redisSecret, link.port))
			replica.start()
			waitFor(t, patience, "the replica follows", func() error {
				info, err := replica.client.InfoMap(context.Background(), "replication").Result()
				if err == nil && info["Replication"]["master_link_status"] != "up" {
					err = fmt.Errorf("%v", info)
				}
				return err
			})
			front := openDoor(t, master.addr(), 0)
			flags := []string{
				fmt.Sprintf("--redis.url=redis://127.0.0.1:%d", front.port), "--redis.password-file=" + writeFile(t, "password", redisSecret),
			}
			a, b := startMuster(t, flags...), startMuster(t, flags...)
			a.waitHealthy(patience)
			b.waitHealthy(patience)
			tr := startTrafficAt(t, 2400*time.Millisecond, a, b) // ten a second
			tr.waitMore(60)
			next := replica.addr()
			front.to.Store(&next)
			master.kill()
			replica.do("REPLICAOF", "NO", "ONE")
			tr.waitMore(20)
			tr.quieten()
			<-time.After(back)
			tr.checkKept(flags, a, b)
			require.NotZero(t, a.lostWrites()+b.lostWrites(), "nothing was lost, so nothing was tested")
		})
	}
}

// Redis is short of memory for a while and evicts keys under traffic.
func TestEvictedKeysComeBack(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"allkeys-lru", "allkeys-random"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			ctx := context.Background()
			redis := startRedis(t)
			a, b := startMuster(t, "--redis.url="+redis.url), startMuster(t, "--redis.url="+redis.url)
			tr := startTraffic(t, a, b)
			tr.waitMore(300)
			tr.quieten()
			require.NoError(t, redis.client.ConfigSet(ctx, "maxmemory-policy", policy).Err())
			for most := 64; ; most-- {
				info, err := redis.client.InfoMap(ctx, "memory", "stats").Result()
				require.NoError(t, err)
				evicted, err := strconv.Atoi(info["Stats"]["evicted_keys"])
				require.NoError(t, err)
				if evicted >= 5 {
					t.Logf("%d keys were evicted", evicted)
					break
				}
				require.NotZero(t, most)
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
