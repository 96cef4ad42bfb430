package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Names of programs. A Muster is named after its storage.
const (
	memoryMuster = "muster/memory"
	fileMuster   = "muster/file"
	redisMuster  = "muster/redis"
	alertmanager = "alertmanager"
)

// program is a program that is measured: a Muster, a floor, or Alertmanager.
type program struct {
	name   string
	side   int // the build of Muster
	binary string
	args   []string // without the address
	dir    string
	file   string // path of the storage's file
	post   string // path to which notifications are posted

	address string
	process *process
	redis   *process
	redisAt string // address of redis-server
}

// isMuster reports whether the program is a Muster.
func (p *program) isMuster() bool { return isMuster(p.name) }

func isMuster(program string) bool { return strings.HasPrefix(program, "muster/") }

// start starts the program and waits until it is ready. A Muster is ready when it has
// restored what is stored.
func (p *program) start(ctx context.Context) (err error) {
	if p.address, err = freeAddress(ctx); err != nil {
		return err
	}
	args := slices.Clone(p.args)
	ready := func() error { _, err := get(ctx, p.address, "/-/ready"); return err }
	switch {
	case p.isMuster():
		args = append(args, "--web.listen-address="+p.address)
		ready = func() error { return p.restored(ctx) }
	case p.name == alertmanager:
		args = append(args, "--web.listen-address="+p.address)
	default:
		args = append([]string{"-listen", p.address}, args...)
	}
	log := fmt.Sprintf("%s-%d", strings.ReplaceAll(p.name, "/", "-"), p.side)
	if p.process, err = start(ctx, p.dir, log, p.binary, args...); err != nil {
		return err
	}
	return p.process.waitFor(ctx, 5*time.Millisecond, ready)
}

// startReplica starts another Muster with the same storage. It returns the replica also if
// it does not start, so that the caller can stop it.
func (p *program) startReplica(ctx context.Context) (*program, error) {
	second := *p
	second.dir, second.process, second.redis = p.dir+"-replica", nil, nil
	if err := os.MkdirAll(second.dir, 0o700); err != nil {
		return &second, err
	}
	return &second, second.start(ctx)
}

// restored returns an error until Muster has restored what is stored.
func (p *program) restored(ctx context.Context) error {
	text, err := get(ctx, p.address, "/api/v1/status")
	if err != nil {
		return err
	}
	var status struct {
		Storage struct{ Healthy, Partial bool }
	}
	if err := json.Unmarshal(text, &status); err != nil {
		return err
	}
	if status.Storage.Partial || !status.Storage.Healthy {
		return errors.New("the stored groups are not restored yet")
	}
	return nil
}

// stop stops the program and its Redis.
func (p *program) stop() {
	p.process.stop()
	p.redis.stop()
	p.process, p.redis = nil, nil
}

// body returns a notification in the form that the program accepts.
func (p *program) body(n notification) []byte {
	if p.name == alertmanager {
		return n.posted()
	}
	return n.webhook()
}

// requests returns posts of the notifications.
func (p *program) requests(list []notification) [][]byte {
	requests := make([][]byte, len(list))
	for i, n := range list {
		requests[i] = encode("POST", p.post, p.body(n))
	}
	return requests
}

// fill posts the notifications, without measuring.
func (p *program) fill(ctx context.Context, list []notification) error {
	const part = 1000 // so that the bodies need little memory
	for part := range slices.Chunk(list, part) {
		if _, err := (load{addresses: p.connections(clients), requests: p.requests(part)}).run(ctx); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

// connections returns the address n times.
func (p *program) connections(n int) []string { return slices.Repeat([]string{p.address}, n) }

// clients is the number of concurrent connections. Alertmanager flushes groups in parallel,
// and a single connection would measure only the network.
const clients = 4

// programs are the programs of a row, which are stopped together.
type programs []*program

func (ps programs) stop() {
	for _, p := range ps {
		p.stop()
	}
}

// startRedis starts an empty Redis that does not save its data.
func startRedis(ctx context.Context, dir, name, redis string, args ...string) (*process, string, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, "", err
	}
	host, port, _ := strings.Cut(address, ":")
	dir = filepath.Join(dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, "", err
	}
	p, err := start(ctx, dir, "redis", redis, append([]string{"--bind", host, "--port", port, "--save", ""}, args...)...)
	if err != nil {
		return nil, "", err
	}
	err = p.waitFor(ctx, 5*time.Millisecond, func() error { return ping(ctx, address) })
	return p, address, err
}

// ping asks Redis whether it answers.
func ping(ctx context.Context, address string) error {
	c, err := dial(ctx, address)
	if err != nil {
		return err
	}
	defer c.close()
	if _, err := c.conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	answer, err := c.reader.ReadString('\n')
	if err == nil && answer != "+PONG\r\n" {
		err = fmt.Errorf("the answer of Redis is %q", answer)
	}
	return err
}
