package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"sync"
	"time"
)

// clients is the number of concurrent connections. Alertmanager flushes groups in parallel,
// and a single connection would measure only the network.
const clients = 4

// side is one of the two compared programs.
type side struct {
	name, program, redis, dir string
	results                   io.Writer

	storage string // path of the file storage
	url     string
	process *process
	server  *process // redis-server
	redisAt string   // address of redis-server
	client  *http.Client
}

var backends = []string{"memory", "file", "redis"}

// startFresh starts the program with an empty storage.
func (s *side) startFresh(ctx context.Context, backend string, round int) error {
	s.storage = filepath.Join(s.dir, fmt.Sprintf("%s-%d.db", backend, round))
	if backend == "redis" {
		var err error
		if s.redisAt, err = freeAddress(ctx); err != nil {
			return err
		}
		host, port := s.redisAt[:len("127.0.0.1")], s.redisAt[len("127.0.0.1:"):]
		s.server, err = start(ctx, s.dir, "redis", s.redis, "--bind", host, "--port", port, "--save", "", "--appendonly", "no")
		if err != nil {
			return err
		}
	}
	return s.start(ctx, backend)
}

// start starts the program and waits until it is ready.
func (s *side) start(ctx context.Context, backend string) error {
	address, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	args := []string{"--web.listen-address=" + address, "--log.level=warn"}
	switch backend {
	case "memory":
		args = append(args, "--storage.path=")
	case "file":
		args = append(args, "--storage.path="+s.storage)
	case "redis":
		args = append(args, "--redis.url=redis://"+s.redisAt)
	}
	s.url = "http://" + address
	s.client = &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	if s.process, err = start(ctx, s.dir, "muster", s.program, args...); err != nil {
		return err
	}
	return s.process.waitFor(ctx, 2*time.Millisecond, func() error {
		text, err := ask(ctx, s.client, http.MethodGet, s.url+"/api/v1/status", nil)
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
	})
}

func (s *side) stopMuster() {
	if s.client != nil {
		s.client.CloseIdleConnections()
	}
	s.process.stop()
	s.process = nil
}

func (s *side) stop() {
	s.stopMuster()
	s.server.stop()
	s.server = nil
}

// post posts the bodies over several concurrent connections.
func (s *side) post(ctx context.Context, bodies [][]byte) error {
	var (
		group sync.WaitGroup
		errs  [clients]error
	)
	for c := range clients {
		group.Go(func() {
			for i := c; i < len(bodies) && errs[c] == nil; i += clients {
				_, errs[c] = ask(ctx, s.client, http.MethodPost, s.url+"/webhook/bench", bodies[i])
			}
		})
	}
	group.Wait()
	return errors.Join(errs[:]...)
}

// row measures n operations and writes one line of results.
func (s *side) row(name string, n int, do func() error) error {
	before, _ := s.process.cpuTime()
	started := time.Now()
	if err := do(); err != nil {
		return fmt.Errorf("%s: %s: %w", s.name, name, err)
	}
	return s.write(name, n, time.Since(started), before)
}

// write writes one line of results. before is the CPU time of the program at the start of
// the row.
func (s *side) write(name string, n int, took, before time.Duration) error {
	line := fmt.Sprintf("Benchmark%s %d %d ns/op", name, n, took.Nanoseconds()/int64(n))
	if used, exact := s.process.cpuTime(); exact {
		line += fmt.Sprintf(" %d cpu-ns/op", (used-before).Nanoseconds()/int64(n))
	}
	if resident := s.process.residentBytes(); resident > 0 {
		line += fmt.Sprintf(" %d resident-B", resident)
	}
	_, err := fmt.Fprintln(s.results, line)
	return err
}
