package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a program that the benchmark starts and stops.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the program has exited
	log  string
}

// start starts a program in the folder and writes its output to a file there.
func start(ctx context.Context, dir, name, program string, args ...string) (*process, error) {
	program, err := exec.LookPath(program)
	if err == nil {
		program, err = filepath.Abs(program)
	}
	if err != nil {
		return nil, err
	}
	p := &process{done: make(chan struct{}), log: filepath.Join(dir, name+".log")}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	// The context must not kill the program: stop sends SIGTERM first.
	p.cmd = exec.CommandContext(context.WithoutCancel(ctx), program, args...) //nolint:gosec // G204: the user chooses what to run
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, log, log
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait()
	}()
	return p, nil
}

// stop sends SIGTERM and waits until the process has exited.
func (p *process) stop() {
	if p == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// waitFor calls ask repeatedly until it returns nil.
func (p *process) waitFor(ctx context.Context, pause time.Duration, ask func() error) error {
	deadline := time.Now().Add(time.Minute)
	for {
		err := ask()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-p.done:
			text, _ := os.ReadFile(p.log)
			return fmt.Errorf("%s has exited:\n%s", p.cmd.Path, bytes.TrimSpace(text))
		case <-time.After(pause):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is not ready: %w", p.cmd.Path, err)
		}
	}
}

// cpuTime returns the CPU time of the process.
func (p *process) cpuTime() time.Duration {
	if p == nil {
		return 0
	}
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.cmd.Process.Pid))
	var sum time.Duration
	for _, file := range tasks {
		text, err := os.ReadFile(file) //nolint:gosec // G304: below /proc
		if err != nil {
			continue // the thread has just exited
		}
		first, _, _ := strings.Cut(string(text), " ")
		ns, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return 0
		}
		sum += time.Duration(ns)
	}
	return sum
}

// memory is the resident memory of a process in bytes.
type memory struct {
	resident int64
	mapped   int64 // the part that is pages of files
	redis    int64 // of the Redis of the program
}

// memory returns the resident memory of the process. Files in the folder count as mapped.
func (p *process) memory(folder string) (m memory) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps", p.cmd.Process.Pid))
	if err != nil {
		return memory{}
	}
	ofFile := false
	for line := range strings.Lines(string(text)) {
		size, isSize := strings.CutPrefix(line, "Rss:")
		if !isSize {
			if first, _, _ := strings.Cut(line, " "); strings.Contains(first, "-") {
				ofFile = strings.Contains(line, folder+"/")
			}
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(size), "kB")), 10, 64)
		if err != nil {
			continue
		}
		m.resident += kib << 10
		if ofFile {
			m.mapped += kib << 10
		}
	}
	return m
}

// freeAddress returns a loopback address with a free port.
func freeAddress(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
