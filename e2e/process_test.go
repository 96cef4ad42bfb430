package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// process is a program that a test can start, stop, kill and start again.
type process struct {
	t    *testing.T
	name string
	path string
	args []string
	dir  string // working directory
	log  string // path of the log file

	cmd  *exec.Cmd
	done chan struct{} // closed when the process has exited
	err  error         // result of Wait; read it only after done
}

func newProcess(t *testing.T, name, path string, args ...string) *process {
	t.Helper()
	dir := t.TempDir()
	p := &process{t: t, name: name, path: path, args: args, dir: dir, log: filepath.Join(dir, "log")}
	t.Cleanup(func() {
		defer p.check() // reports a data race even if stop fails
		if p.running() {
			p.stop()
		}
	})
	return p
}

// start starts the process, also again after it has exited. It appends to the log file.
func (p *process) start() {
	p.t.Helper()
	require.False(p.t, p.running(), "%s is already running", p.name)
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(p.t, err)
	defer func() { _ = log.Close() }()
	// The context of the test ends before the cleanup, which must stop the process.
	p.cmd = exec.CommandContext(context.Background(), p.path, p.args...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = p.dir, log, log
	p.cmd.SysProcAttr = childAttributes()
	require.NoError(p.t, p.cmd.Start())
	done := make(chan struct{})
	p.done = done
	go func() {
		p.err = p.cmd.Wait()
		close(done)
	}()
}

func (p *process) running() bool {
	if p.done == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// stop sends SIGTERM and waits. The process must exit with 0.
func (p *process) stop() {
	p.t.Helper()
	require.NoError(p.t, p.terminate(), "%s after SIGTERM: %s", p.name, p.tail())
}

// terminate sends SIGTERM, waits and returns the result of the process.
func (p *process) terminate() error {
	p.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return p.err
	case <-time.After(30 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
		return errors.New("did not exit within 30 s")
	}
}

// kill sends SIGKILL and waits.
func (p *process) kill() {
	p.t.Helper()
	require.True(p.t, p.running(), "%s has exited by itself: %s", p.name, p.tail())
	_ = p.cmd.Process.Kill()
	<-p.done
}

// check searches the log for texts that must never occur.
func (p *process) check() {
	p.t.Helper()
	text, err := os.ReadFile(p.log)
	if err != nil {
		return
	}
	for _, bad := range []string{"DATA RACE", "panic:", "fatal error:"} {
		if i := strings.Index(string(text), bad); i >= 0 {
			p.t.Errorf("log of %s: %.4000s", p.name, text[max(0, i-200):])
		}
	}
	if p.t.Failed() {
		p.t.Logf("last lines of %s:\n%s", p.name, p.tail())
	}
}

// tail returns the end of the log.
func (p *process) tail() string {
	text, _ := os.ReadFile(p.log)
	return string(text[max(0, len(text)-4000):])
}

// waitFor polls until the condition returns nil. After the timeout, the test fails with
// the last error of the condition.
func waitFor(t *testing.T, timeout time.Duration, what string, condition func() error) {
	t.Helper()
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := condition()
		if err == nil {
			return
		}
		select {
		case <-deadline.C:
			require.FailNowf(t, "timeout", "%s, waited %s: %v", what, timeout, err)
		case <-tick.C:
		}
	}
}

// ports has the ports that are in use by tests. They are below the ports that the kernel
// uses for outgoing connections. So the port of a server stays free while it restarts.
var ports struct {
	sync.Mutex
	used map[int]bool // guarded by Mutex
}

func freePort(t *testing.T) int {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	if ports.used == nil {
		ports.used = map[int]bool{}
	}
	for range 1000 {
		port := 20000 + rand.IntN(10000)
		if ports.used[port] {
			continue
		}
		l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		require.NoError(t, l.Close())
		ports.used[port] = true
		return port
	}
	t.Fatal("no free port")
	return 0
}
