package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// Passwords with all that a URL or a configuration must quote. They have no
// part in common with anything else that is shown.
const (
	redisSecret    = `r3d1s@s3cr3t/?#%&+=: x`
	sentinelSecret = `s3nt1n3l@s3cr3t/?#%&+=: x`
)

// checkSecrets looks for the passwords in all that a Muster says.
func (m *muster) checkSecrets() {
	m.t.Helper()
	log, err := os.ReadFile(m.log)
	require.NoError(m.t, err)
	require.Contains(m.t, string(log), "level=DEBUG", "all that can be logged is")
	said := map[string]string{"log": string(log)}
	for _, path := range []string{
		"/", "/groups", "/history", "/status", "/help", "/nothing", "/metrics", "/api/v1/status", "/api/v1/stats", "/api/v1/groups",
		"/-/healthy", "/-/ready", "/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=2", "/debug/pprof/heap?debug=1",
	} {
		text, err := m.fetch(path, nil)
		said[path] = string(text) + fmt.Sprint(err)
	}
	for _, secret := range []string{redisSecret, sentinelSecret} {
		// Encoded, too; and the parts before and after what a URL must quote.
		for _, form := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret), url.User(secret).String(), secret[:strings.Index(secret, "@")], "s3cr3t"} {
			for where, text := range said {
				require.NotContains(m.t, text, form, where)
			}
		}
	}
}

// problems returns what the status page says of how Redis is set up, when it
// says something.
func (m *muster) problems() []string {
	m.t.Helper()
	var s struct {
		Storage struct {
			Problems []string `json:"problems"`
		} `json:"storage"`
	}
	waitFor(m.t, patience, "the status tells a problem", func() error {
		if _, err := m.fetch("/api/v1/status", &s); err != nil {
			return err
		}
		if len(s.Storage.Problems) == 0 {
			return errors.New("none yet")
		}
		return nil
	})
	return s.Storage.Problems
}

// talkative are the flags of a Muster that says all that it can.
func talkative(flags ...string) []string {
	return append([]string{"--log.level=debug", "--web.enable-pprof"}, flags...)
}

// node is a redis-server with a configuration of its own.
type node struct {
	*process

	port   int
	client *redis.Client
}

// newNode returns a redis-server that is not started yet. The lines have %d for
// its port.
func newNode(t *testing.T, lines string, args ...string) *node {
	t.Helper()
	path := needsRedis(t)
	n := &node{port: freePort(t)}
	dir := t.TempDir()
	config := filepath.Join(dir, "redis.conf")
	text := fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %s\nappendonly yes\nsave ''\nmaxmemory-policy noeviction\n%s\n", n.port, dir, lines)
	if len(args) > 0 { // a Sentinel, which keeps nothing
		text = fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %s\n%s\n", n.port, dir, lines)
	}
	require.NoError(t, os.WriteFile(config, []byte(text), 0o600))
	n.process = newProcess(t, "redis-server", path, append([]string{config}, args...)...)
	n.client = redis.NewClient(&redis.Options{Addr: n.addr(), Password: redisSecret, MaxRetries: -1})
	t.Cleanup(func() { _ = n.client.Close() })
	return n
}

func (n *node) addr() string { return fmt.Sprintf("127.0.0.1:%d", n.port) }

// start starts it and returns when it answers.
func (n *node) start() {
	n.t.Helper()
	n.process.start()
	waitFor(n.t, patience, "redis-server answers", func() error { return n.client.Ping(context.Background()).Err() })
}

// do is one command of an administrator.
func (n *node) do(args ...any) any {
	n.t.Helper()
	answer, err := n.client.Do(context.Background(), args...).Result()
	require.NoError(n.t, err, "%v", args[0])
	return answer
}

// Three Sentinels, each with a password of its own kind; the master is killed,
// its replica takes over, and the old master comes back.
func TestSentinelFailoverUnderTraffic(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	auth := fmt.Sprintf("requirepass %q\nmasterauth %[1]q\n", redisSecret)
	first := newNode(t, auth)
	second := newNode(t, auth+fmt.Sprintf("replicaof 127.0.0.1 %d\n", first.port))
	first.start()
	second.start()
	var sentinels []*redis.SentinelClient
	var addrs []string
	for range 3 {
		s := newNode(t, fmt.Sprintf("requirepass %q\nsentinel monitor mine 127.0.0.1 %d 2\nsentinel auth-pass mine %q\n"+
			"sentinel down-after-milliseconds mine 1000\nsentinel failover-timeout mine 3000\n", sentinelSecret, first.port, redisSecret), "--sentinel")
		s.process.start()
		c := redis.NewSentinelClient(&redis.Options{Addr: s.addr(), Password: sentinelSecret, MaxRetries: -1})
		t.Cleanup(func() { _ = c.Close() })
		sentinels, addrs = append(sentinels, c), append(addrs, s.addr())
	}
	for _, s := range sentinels {
		waitFor(t, patience, "Sentinel knows the others and the replica", func() error {
			others, err := s.Sentinels(ctx, "mine").Result()
			if err != nil {
				return err
			}
			replicas, err := s.Replicas(ctx, "mine").Result()
			if err == nil && (len(others) != 2 || len(replicas) != 1 || replicas[0]["master-link-status"] != "ok") {
				err = fmt.Errorf("%d others, replicas %v", len(others), replicas)
			}
			return err
		})
	}

	query := "?master_name=mine&addr=" + addrs[1] + "&addr=" + addrs[2]
	byFile := talkative("--redis.url=redis://"+addrs[0]+query,
		"--redis.password-file="+writeFile(t, "password", redisSecret+"\n"), "--redis.sentinel-password-file="+writeFile(t, "password", sentinelSecret))
	byURL := talkative("--redis.url=redis://:" + url.QueryEscape(sentinelSecret) + "@" + addrs[0] + query + "&password=" + url.QueryEscape(redisSecret))
	// What QueryEscape makes of a space is none in a password.
	byURL[2] = strings.ReplaceAll(byURL[2], "+", "%20")
	a, b := startMuster(t, byFile...), startMuster(t, byURL...)
	a.waitHealthy(patience)
	b.waitHealthy(patience)
	tr := startTraffic(t, a, b)
	tr.waitMore(200)
	first.kill()
	a.waitDegraded()
	b.waitDegraded()
	waitFor(t, patience, "the replica is the master", func() error {
		addr, err := sentinels[0].GetMasterAddrByName(ctx, "mine").Result()
		if err == nil && addr[1] != fmt.Sprint(second.port) {
			err = errors.New("it is not yet")
		}
		return err
	})
	tr.quieten()
	tr.waitMore(50)
	first.start()
	<-time.After(back)
	tr.checkKept(byFile, a, b)
	a.waitHealthy(patience)
	b.waitHealthy(patience)
	a.checkSecrets()
	b.checkSecrets()

	wrong := startMuster(t, talkative("--redis.url=redis://:"+url.PathEscape(redisSecret)+"@"+addrs[0]+query)...)
	require.Equal(t, []string{"Sentinel refuses the user or the password."}, wrong.problems())
	wrong.checkSecrets()
	wrong.process.kill()
}

// cluster is three masters, of which the first has a replica.
type cluster []*node

func startCluster(t *testing.T) cluster {
	t.Helper()
	var c cluster
	for range 4 {
		n := newNode(t, fmt.Sprintf("requirepass %q\nmasterauth %[1]q\ncluster-enabled yes\ncluster-port %d\ncluster-node-timeout 1500\n", redisSecret, freePort(t)))
		n.start()
		c = append(c, n)
	}
	bounds := []int{0, 5461, 10923, 16384}
	for i, n := range c[:3] {
		n.do("CLUSTER", "ADDSLOTSRANGE", bounds[i], bounds[i+1]-1)
		n.do("CLUSTER", "SET-CONFIG-EPOCH", i+1)
	}
	for _, n := range c[1:] {
		info, err := n.client.InfoMap(context.Background(), "cluster").Result()
		require.NoError(t, err, info)
		c[0].do("CLUSTER", "MEET", "127.0.0.1", n.port, n.busPort())
	}
	c.wait("ok", 4)
	c[3].do("CLUSTER", "REPLICATE", c[0].id())
	waitFor(t, patience, "the replica follows", func() error {
		info, err := c[3].client.InfoMap(context.Background(), "replication").Result()
		if err == nil && info["Replication"]["master_link_status"] != "up" {
			err = fmt.Errorf("%v", info)
		}
		return err
	})
	return c
}

// busPort is the port of the cluster's own talk.
func (n *node) busPort() string {
	n.t.Helper()
	port, ok := n.do("CONFIG", "GET", "cluster-port").(map[any]any)["cluster-port"].(string)
	require.True(n.t, ok)
	return port
}

func (n *node) id() string { return n.do("CLUSTER", "MYID").(string) }

// wait waits until every node that runs says that the cluster is in the state.
func (c cluster) wait(state string, nodes int) {
	c[0].t.Helper()
	waitFor(c[0].t, patience, "the cluster is "+state, func() error {
		for _, n := range c {
			if !n.running() {
				continue
			}
			info, err := n.client.ClusterInfo(context.Background()).Result()
			if err != nil {
				return err
			}
			if !strings.Contains(info, "cluster_state:"+state) || !strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d", nodes)) {
				return errors.New(info)
			}
		}
		return nil
	})
}

// busiest returns the slot of a node's that has the most keys, and how many.
func (n *node) busiest() (slot, keys int64) {
	n.t.Helper()
	ctx := context.Background()
	for shard := range 16 {
		s, err := n.client.ClusterKeySlot(ctx, fmt.Sprintf("muster:{%d}:index", shard)).Result()
		require.NoError(n.t, err)
		if held, err := n.client.ClusterCountKeysInSlot(ctx, int(s)).Result(); err == nil && held > keys {
			slot, keys = s, held
		}
	}
	return slot, keys
}

// moveKeys moves some keys of a slot.
func (n *node) moveKeys(to *node, slot, count int64) (moved int) {
	n.t.Helper()
	keys, err := n.client.ClusterGetKeysInSlot(context.Background(), int(slot), int(count)).Result()
	require.NoError(n.t, err)
	if len(keys) == 0 {
		return 0
	}
	args := []any{"MIGRATE", "127.0.0.1", to.port, "", 0, 5000, "AUTH", redisSecret, "KEYS"}
	for _, key := range keys {
		args = append(args, key)
	}
	n.do(args...)
	return len(keys)
}

// A slot is moved under traffic, with a pause while its keys are in two places;
// then a master is killed that has a replica, and then one that has none.
func TestClusterUnderTraffic(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	addrs := "&addr=" + c[1].addr() + "&addr=" + c[2].addr()
	flags := talkative("--redis.url=redis://:" + url.PathEscape(redisSecret) + "@" + c[0].addr() + "?" + addrs[1:])
	byFile := talkative("--redis.url=redis://"+c[2].addr()+"?"+addrs[1:], "--redis.password-file="+writeFile(t, "password", redisSecret))
	a, b := startMuster(t, flags...), startMuster(t, byFile...)
	a.waitHealthy(patience)
	b.waitHealthy(patience)
	tr := startTraffic(t, a, b)
	tr.waitMore(200)

	from, to := c[1], c[2]
	slot, keys := from.busiest()
	require.Greater(t, keys, int64(5), "the slot has groups")
	to.do("CLUSTER", "SETSLOT", slot, "IMPORTING", from.id())
	from.do("CLUSTER", "SETSLOT", slot, "MIGRATING", to.id())
	require.NotZero(t, from.moveKeys(to, slot, keys/2))
	tr.waitMore(100)
	for from.moveKeys(to, slot, 100) > 0 {
	}
	for _, n := range []*node{to, from, c[0]} {
		n.do("CLUSTER", "SETSLOT", slot, "NODE", to.id())
	}
	tr.waitMore(50)
	a.waitHealthy(patience)
	b.waitHealthy(patience)

	c[0].kill()
	a.waitDegraded()
	b.waitDegraded()
	c.wait("ok", 4)
	a.waitHealthy(patience)
	b.waitHealthy(patience)
	c[0].start() // as the replica of its replica

	c[2].kill()
	a.waitDegraded()
	b.waitDegraded()
	tr.quieten()
	tr.waitMore(50)
	c[2].start()
	c.wait("ok", 4)
	tr.checkReturned(flags, a, b)
	a.waitHealthy(patience)
	b.waitHealthy(patience)
	a.checkSecrets()
	b.checkSecrets()

	alone := startMuster(t, talkative("--redis.url=redis://:"+url.PathEscape(redisSecret)+"@"+c[1].addr())...)
	require.Equal(t, []string{"Redis is a node of a cluster: name a second one in the URL, with addr=host:port."}, alone.problems())
	alone.checkSecrets()
	alone.process.kill()
}

// outageOf kills the node under traffic and starts it again. Nothing that was
// acknowledged is lost, and no secret is told.
func outageOf(n *node, start func(), m *muster, flags []string) {
	tr := startTraffic(m.t, m)
	tr.waitMore(100)
	n.kill()
	m.waitDegraded()
	tr.waitMore(50)
	tr.quieten()
	tr.waitMore(50)
	start()
	<-time.After(back)
	tr.checkKept(flags, m)
	m.waitHealthy(patience)
	m.checkSecrets()
}

// leastUser is README's.
func leastUser(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	_, line, found := strings.Cut(string(text), "\nuser muster ")
	require.True(t, found)
	line, _, _ = strings.Cut(line, "\n")
	return "user muster " + strings.Replace(line, ">PASSWORD", fmt.Sprintf("%q", ">"+redisSecret), 1)
}

// By a socket, as a user that may do nothing but what README says.
func TestRedisBySocketAsTheLeastUser(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "s")
	n := newNode(t, "unixsocket "+socket+"\nrequirepass "+fmt.Sprintf("%q", redisSecret)+"\n"+leastUser(t))
	n.start()
	flags := talkative("--redis.url=unix://muster:" + url.PathEscape(redisSecret) + "@" + socket + "?db=3")
	m := startMuster(t, flags...)
	m.waitHealthy(patience)
	outageOf(n, n.start, m, flags)
	require.Zero(t, n.do("DBSIZE"), "the database is the URL's")

	wrong := startMuster(t, talkative("--redis.url=unix://muster:"+url.PathEscape(sentinelSecret)+"@"+socket)...)
	require.Equal(t, []string{"Redis refuses the user or the password."}, wrong.problems())
	wrong.waitDegraded()
	_, err := deliver(wrong, newMessage("Kept", newAlert("Kept", "a", time.Now())))
	require.NoError(t, err, "in memory")
	wrong.checkSecrets()
	wrong.process.kill()
}

// A Redis that speaks TLS alone and wants a certificate of its clients.
func TestRedisByTLS(t *testing.T) {
	t.Parallel()
	ca, stranger := newAuthority(t, "ours"), newAuthority(t, "theirs")
	caFile := writeFile(t, "ca.crt", string(ca.pem))
	serverCert, serverKey := ca.files("redis.example", "192.0.2.1")
	clientCert, clientKey := ca.files("muster", loopback)
	otherCert, otherKey := stranger.files("muster", loopback)
	n := newNode(t, "")
	config := n.args[0]
	text, err := os.ReadFile(config)
	require.NoError(t, err)
	lines := strings.Replace(string(text), fmt.Sprintf("port %d", n.port), fmt.Sprintf("port 0\ntls-port %d", n.port), 1) +
		fmt.Sprintf("tls-cert-file %s\ntls-key-file %s\ntls-ca-cert-file %s\ntls-auth-clients yes\nrequirepass %q\n", serverCert, serverKey, caFile, redisSecret)
	require.NoError(t, os.WriteFile(config, []byte(lines), 0o600))
	n.process.start()

	at := "--redis.url=rediss://:" + url.PathEscape(redisSecret) + "@" + n.addr()
	trust, name := "--redis.tls-ca-file="+caFile, "--redis.tls-server-name=redis.example"
	certificate := []string{"--redis.tls-cert-file=" + clientCert, "--redis.tls-key-file=" + clientKey}
	flags := append(talkative(at, trust, name), certificate...)
	m := startMuster(t, flags...)
	m.waitHealthy(patience)
	outageOf(n, n.process.start, m, flags)

	for want, flags := range map[string][]string{
		"The certificate of Redis is not accepted: x509: certificate is valid for 192.0.2.1, not 127.0.0.1": append([]string{at, trust}, certificate...),
		"The certificate of Redis is not accepted: x509: certificate signed by unknown authority":           append([]string{at, name}, certificate...),
		"Redis does not accept the TLS connection: tls: certificate required":                               {at, trust, name},
	} {
		m := startMuster(t, talkative(flags...)...)
		require.Contains(t, strings.Join(m.problems(), ""), want)
		m.checkSecrets()
		m.process.kill()
	}

	renewed := startMuster(t, talkative(at, trust, name, "--redis.tls-cert-file="+otherCert, "--redis.tls-key-file="+otherKey)...)
	require.Equal(t, []string{"Redis does not accept the TLS connection: tls: unknown certificate authority."}, renewed.problems())
	require.NoError(t, os.Rename(clientCert, otherCert))
	require.NoError(t, os.Rename(clientKey, otherKey))
	renewed.waitHealthy(patience)
	renewed.checkSecrets()
}
