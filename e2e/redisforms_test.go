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

// The passwords contain all characters that a URL or a configuration must quote. No part
// of them occurs in other output.
const (
	redisSecret    = `r3d1s@s3cr3t/?#%&+=: x`
	sentinelSecret = `s3nt1n3l@s3cr3t/?#%&+=: x`
)

// checkSecrets checks that no output of Muster contains a password.
func (m *muster) checkSecrets() {
	m.t.Helper()
	log, err := os.ReadFile(m.log)
	require.NoError(m.t, err)
	require.Contains(m.t, string(log), "level=DEBUG", "the log must be complete")
	outputs := map[string]string{"log": string(log)}
	for _, path := range []string{
		"/", "/groups", "/history", "/status", "/help", "/nothing", "/metrics", "/api/v1/status", "/api/v1/stats", "/api/v1/groups",
		"/-/healthy", "/-/ready", "/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=2", "/debug/pprof/heap?debug=1",
	} {
		text, err := m.fetch(path, nil)
		outputs[path] = string(text) + fmt.Sprint(err)
	}
	for _, secret := range []string{redisSecret, sentinelSecret} {
		// Also search for encoded forms, and for the parts before and after characters
		// that a URL must quote.
		for _, form := range []string{
			secret, url.QueryEscape(secret), url.PathEscape(secret), url.User(secret).String(), secret[:strings.Index(secret, "@")], "s3cr3t",
		} {
			for where, text := range outputs {
				require.NotContains(m.t, text, form, where)
			}
		}
	}
}

// problems waits until the status has problems of the storage, and returns them.
func (m *muster) problems() []string {
	m.t.Helper()
	var s struct {
		Storage struct {
			Problems []string `json:"problems"`
		} `json:"storage"`
	}
	waitFor(m.t, waitTimeout, "the status has a problem", func() error {
		if _, err := m.fetch("/api/v1/status", &s); err != nil {
			return err
		}
		if len(s.Storage.Problems) == 0 {
			return errors.New("no problem yet")
		}
		return nil
	})
	return s.Storage.Problems
}

// verbose adds flags for the maximum of output.
func verbose(flags ...string) []string {
	return append([]string{"--log.level=debug", "--web.enable-pprof"}, flags...)
}

// node is a redis-server with its own configuration file.
type node struct {
	*process

	port   int
	client *redis.Client
}

// newNode returns a redis-server that is not started yet. The lines are added to its
// configuration.
func newNode(t *testing.T, lines string, args ...string) *node {
	t.Helper()
	path := needsRedis(t)
	n := &node{port: freePort(t)}
	dir := t.TempDir()
	config := filepath.Join(dir, "redis.conf")
	text := fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %s\nappendonly yes\nsave ''\nmaxmemory-policy noeviction\n%s\n", n.port, dir, lines)
	if len(args) > 0 { // a Sentinel, which stores no data
		text = fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %s\n%s\n", n.port, dir, lines)
	}
	require.NoError(t, os.WriteFile(config, []byte(text), 0o600))
	n.process = newProcess(t, "redis-server", path, append([]string{config}, args...)...)
	n.client = redis.NewClient(&redis.Options{Addr: n.addr(), Password: redisSecret, MaxRetries: -1})
	t.Cleanup(func() { _ = n.client.Close() })
	return n
}

func (n *node) addr() string { return fmt.Sprintf("127.0.0.1:%d", n.port) }

// start starts redis-server and waits until it answers.
func (n *node) start() {
	n.t.Helper()
	n.process.start()
	waitFor(n.t, waitTimeout, "redis-server answers", func() error { return n.client.Ping(context.Background()).Err() })
}

// do runs one command as the default user.
func (n *node) do(args ...any) any {
	n.t.Helper()
	answer, err := n.client.Do(context.Background(), args...).Result()
	require.NoError(n.t, err, "%v", args[0])
	return answer
}

// Three Sentinels and Redis have different passwords. The master is killed, its replica
// takes over, and the old master comes back as a replica.
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
		config := fmt.Sprintf("requirepass %q\nsentinel monitor mine 127.0.0.1 %d 2\nsentinel auth-pass mine %q\n"+
			"sentinel down-after-milliseconds mine 1000\nsentinel failover-timeout mine 3000\n", sentinelSecret, first.port, redisSecret)
		s := newNode(t, config, "--sentinel")
		s.process.start()
		c := redis.NewSentinelClient(&redis.Options{Addr: s.addr(), Password: sentinelSecret, MaxRetries: -1})
		t.Cleanup(func() { _ = c.Close() })
		sentinels, addrs = append(sentinels, c), append(addrs, s.addr())
	}
	for _, s := range sentinels {
		waitFor(t, waitTimeout, "Sentinel has found the other Sentinels and the replica", func() error {
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
	byFile := verbose("--redis.url=redis://"+addrs[0]+query,
		"--redis.password-file="+writeFile(t, "password", redisSecret+"\n"),
		"--redis.sentinel-password-file="+writeFile(t, "password", sentinelSecret))
	byURL := verbose("--redis.url=redis://:" + url.QueryEscape(sentinelSecret) + "@" + addrs[0] + query +
		"&password=" + url.QueryEscape(redisSecret))
	// QueryEscape writes a space as "+", which is not a space in a password of a URL.
	byURL[2] = strings.ReplaceAll(byURL[2], "+", "%20")
	a, b := startMuster(t, byFile...), startMuster(t, byURL...)
	a.waitHealthy(waitTimeout)
	b.waitHealthy(waitTimeout)
	tr := startTraffic(t, a, b)
	tr.waitMore(120)
	first.kill()
	a.waitDegraded()
	b.waitDegraded()
	waitFor(t, waitTimeout, "the replica is the master", func() error {
		addr, err := sentinels[0].GetMasterAddrByName(ctx, "mine").Result()
		if err == nil && addr[1] != fmt.Sprint(second.port) {
			err = errors.New("not yet")
		}
		return err
	})
	tr.stopHalf()
	tr.waitMore(50)
	first.start()
	<-time.After(recoveryTime)
	tr.checkKept(byFile, a, b)
	a.waitHealthy(waitTimeout)
	b.waitHealthy(waitTimeout)
	a.checkSecrets()
	b.checkSecrets()

	wrong := startMuster(t, verbose("--redis.url=redis://:"+url.PathEscape(redisSecret)+"@"+addrs[0]+query)...)
	require.Equal(t, []string{"Sentinel refuses the user or the password."}, wrong.problems())
	wrong.checkSecrets()
	wrong.process.kill()
}

// cluster has three masters. The fourth node is a replica of the first.
type cluster []*node

func startCluster(t *testing.T) cluster {
	t.Helper()
	var c cluster
	for range 4 {
		n := newNode(t, fmt.Sprintf("requirepass %q\nmasterauth %[1]q\ncluster-enabled yes\ncluster-port %d\ncluster-node-timeout 1500\n",
			redisSecret, freePort(t)))
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
	waitFor(t, waitTimeout, "the replica follows", func() error {
		info, err := c[3].client.InfoMap(context.Background(), "replication").Result()
		if err == nil && info["Replication"]["master_link_status"] != "up" {
			err = fmt.Errorf("%v", info)
		}
		return err
	})
	return c
}

// busPort returns the port of the cluster bus.
func (n *node) busPort() string {
	n.t.Helper()
	port, ok := n.do("CONFIG", "GET", "cluster-port").(map[any]any)["cluster-port"].(string)
	require.True(n.t, ok)
	return port
}

func (n *node) id() string { return n.do("CLUSTER", "MYID").(string) }

// wait waits until every running node reports the state of the cluster.
func (c cluster) wait(state string, nodes int) {
	c[0].t.Helper()
	waitFor(c[0].t, waitTimeout, "the cluster is "+state, func() error {
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

// busiest returns the slot with the maximum number of keys on the node, and this number.
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

// moveKeys moves at most count keys of a slot to another node, and returns their number.
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

// A slot is moved under traffic, with a pause while its keys are on two nodes. Then a
// master with a replica is killed, and then a master without a replica.
func TestClusterUnderTraffic(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	addrs := "&addr=" + c[1].addr() + "&addr=" + c[2].addr()
	flags := verbose("--redis.url=redis://:" + url.PathEscape(redisSecret) + "@" + c[0].addr() + "?" + addrs[1:])
	byFile := verbose("--redis.url=redis://"+c[2].addr()+"?"+addrs[1:], "--redis.password-file="+writeFile(t, "password", redisSecret))
	a, b := startMuster(t, flags...), startMuster(t, byFile...)
	a.waitHealthy(waitTimeout)
	b.waitHealthy(waitTimeout)
	tr := startTraffic(t, a, b)
	tr.waitMore(120)

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
	a.waitHealthy(waitTimeout)
	b.waitHealthy(waitTimeout)

	c[0].kill()
	a.waitDegraded()
	b.waitDegraded()
	c.wait("ok", 4)
	a.waitHealthy(waitTimeout)
	b.waitHealthy(waitTimeout)
	c[0].start() // it becomes a replica of the new master

	c[2].kill()
	a.waitDegraded()
	b.waitDegraded()
	tr.stopHalf()
	tr.waitMore(50)
	c[2].start()
	c.wait("ok", 4)
	tr.checkReturned(flags, a, b)
	a.waitHealthy(waitTimeout)
	b.waitHealthy(waitTimeout)
	a.checkSecrets()
	b.checkSecrets()

	alone := startMuster(t, verbose("--redis.url=redis://:"+url.PathEscape(redisSecret)+"@"+c[1].addr())...)
	require.Equal(t, []string{"Redis is a node of a cluster: name a second one in the URL, with addr=host:port."}, alone.problems())
	alone.checkSecrets()
	alone.process.kill()
}

// checkOutage kills the node under traffic and starts it again. It checks that nothing
// acknowledged is lost, and that no output contains a secret.
func checkOutage(n *node, start func(), m *muster, flags []string) {
	tr := startTraffic(m.t, m)
	tr.waitMore(100)
	n.kill()
	m.waitDegraded()
	tr.waitMore(50)
	tr.stopHalf()
	tr.waitMore(50)
	start()
	<-time.After(recoveryTime)
	tr.checkKept(flags, m)
	m.waitHealthy(waitTimeout)
	m.checkSecrets()
}

// restrictedUser returns the ACL line of the README.
func restrictedUser(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	_, line, found := strings.Cut(string(text), "\nuser muster ")
	require.True(t, found)
	line, _, _ = strings.Cut(line, "\n")
	return "user muster " + strings.Replace(line, ">PASSWORD", fmt.Sprintf("%q", ">"+redisSecret), 1)
}

// Muster connects by a Unix socket, as the user with the minimum rights of the README.
func TestRedisBySocketAsTheLeastUser(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "s")
	n := newNode(t, "unixsocket "+socket+"\nrequirepass "+fmt.Sprintf("%q", redisSecret)+"\n"+restrictedUser(t))
	n.start()
	flags := verbose("--redis.url=unix://muster:" + url.PathEscape(redisSecret) + "@" + socket + "?db=3")
	m := startMuster(t, flags...)
	m.waitHealthy(waitTimeout)
	checkOutage(n, n.start, m, flags)
	require.Zero(t, n.do("DBSIZE"), "database 0 is empty, because the URL names database 3")

	wrong := startMuster(t, verbose("--redis.url=unix://muster:"+url.PathEscape(sentinelSecret)+"@"+socket)...)
	require.Equal(t, []string{"Redis refuses the user or the password."}, wrong.problems())
	wrong.waitDegraded()
	_, err := deliver(wrong, newMessage("Kept", newAlert("Kept", "a", time.Now())))
	require.NoError(t, err, "it is kept in memory")
	wrong.checkSecrets()
	wrong.process.kill()
}

// Redis accepts only TLS, and requires client certificates.
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
		fmt.Sprintf("tls-cert-file %s\ntls-key-file %s\ntls-ca-cert-file %s\ntls-auth-clients yes\nrequirepass %q\n",
			serverCert, serverKey, caFile, redisSecret)
	require.NoError(t, os.WriteFile(config, []byte(lines), 0o600))
	n.process.start()

	at := "--redis.url=rediss://:" + url.PathEscape(redisSecret) + "@" + n.addr()
	trust, name := "--redis.tls-ca-file="+caFile, "--redis.tls-server-name=redis.example"
	certificate := []string{"--redis.tls-cert-file=" + clientCert, "--redis.tls-key-file=" + clientKey}
	flags := append(verbose(at, trust, name), certificate...)
	m := startMuster(t, flags...)
	m.waitHealthy(waitTimeout)
	checkOutage(n, n.process.start, m, flags)

	const notAccepted = "The certificate of Redis is not accepted: x509: "
	for want, flags := range map[string][]string{
		notAccepted + "certificate is valid for 192.0.2.1, not 127.0.0.1":     append([]string{at, trust}, certificate...),
		notAccepted + "certificate signed by unknown authority":               append([]string{at, name}, certificate...),
		"Redis does not accept the TLS connection: tls: certificate required": {at, trust, name},
	} {
		m := startMuster(t, verbose(flags...)...)
		require.Contains(t, strings.Join(m.problems(), ""), want)
		m.checkSecrets()
		m.process.kill()
	}

	renewed := startMuster(t, verbose(at, trust, name, "--redis.tls-cert-file="+otherCert, "--redis.tls-key-file="+otherKey)...)
	require.Equal(t, []string{"Redis does not accept the TLS connection: tls: unknown certificate authority."}, renewed.problems())
	require.NoError(t, os.Rename(clientCert, otherCert))
	require.NoError(t, os.Rename(clientKey, otherKey))
	renewed.waitHealthy(waitTimeout)
	renewed.checkSecrets()
}
