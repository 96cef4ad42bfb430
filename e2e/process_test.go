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

// process is a child that a test started and may stop, kill and start again.
type process struct {
	t    *testing.T
	name string
	path string
	args []string
	dir  string // working directory
	log  string // file

	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // its end; read after done
}

func newProcess(t *testing.T, name, path string, args ...string) *process {
	t.Helper()
	dir := t.TempDir()
	p := &process{t: t, name: name, path: path, args: args, dir: dir, log: filepath.Join(dir, "log")}
	t.Cleanup(func() {
		defer p.check() // tells of a data race, with which no process ends well
		if p.running() {
			p.stop()
		}
	})
	return p
}

// start starts it, again if it has ended; its log goes on in the same file.
func (p *process) start() {
	p.t.Helper()
	require.False(p.t, p.running(), "%s runs already", p.name)
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(p.t, err)
	defer func() { _ = log.Close() }()
	// Not the test's context: it ends before the cleanup that stops the child.
	p.cmd = exec.CommandContext(context.Background(), p.path, p.args...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = p.dir, log, log
	// A test binary that is killed takes its children along.
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

// stop ends it as an operator does, and waits. It must exit with 0.
func (p *process) stop() {
	p.t.Helper()
	require.NoError(p.t, p.terminate(), "%s after SIGTERM: %s", p.name, p.tail())
}

// terminate ends it as an operator does, waits and returns how it exited.
func (p *process) terminate() error {
	p.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return p.err
	case <-time.After(30 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
		return errors.New("not ended within 30 s")
	}
}

// kill is kill -9.
func (p *process) kill() {
	p.t.Helper()
	require.True(p.t, p.running(), "%s has ended by itself: %s", p.name, p.tail())
	_ = p.cmd.Process.Kill()
	<-p.done
}

// check looks for what no process may ever say.
func (p *process) check() {
	p.t.Helper()
	text, err := os.ReadFile(p.log)
	if err != nil {
		return
	}
	for _, bad := range []string{"DATA RACE", "panic:", "fatal error:"} {
		if i := strings.Index(string(text), bad); i >= 0 {
			p.t.Errorf("%s says: %.4000s", p.name, text[max(0, i-200):])
		}
	}
	if p.t.Failed() {
		p.t.Logf("%s said last:\n%s", p.name, p.tail())
	}
}

func (p *process) tail() string {
	text, _ := os.ReadFile(p.log)
	return string(text[max(0, len(text)-4000):])
}

// waitFor polls until the condition holds. What it returns otherwise is in the
// message when time is up.
func waitFor(t *testing.T, most time.Duration, what string, condition func() error) {
	t.Helper()
	deadline := time.NewTimer(most)
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
			require.FailNowf(t, "time is up", "%s, waited %s: %v", what, most, err)
		case <-tick.C:
		}
	}
}

// ports hands out ports below those that the kernel takes for outgoing
// connections, so that a server that is started again finds its port free.
var ports struct {
	sync.Mutex
	used map[int]bool
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
