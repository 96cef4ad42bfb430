package storagetest

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// RedisServer is a real redis-server with its own directory.
type RedisServer struct {
	Socket  string // path of its unix socket
	Process *os.Process
}

// Short reports whether the tests run without a real Redis.
func Short() bool { return os.Getenv("SHORT") == "1" }

// StartRedis starts a redis-server that runs until the end of the test.
func StartRedis(t *testing.T, args ...string) *RedisServer {
	t.Helper()
	if Short() {
		t.Skip("SHORT=1: without a real Redis")
	}
	path, err := exec.LookPath("redis-server")
	require.NoError(t, err,
		"redis-server is not installed: run scripts/install.sh redis-server redis-server (Debian: apt-get install redis-server), or set SHORT=1")
	dir := t.TempDir()
	s := &RedisServer{Socket: filepath.Join(dir, "s")}
	args = append([]string{"--port", "0", "--unixsocket", s.Socket, "--dir", dir, "--save", "", "--appendonly", "no"}, args...)
	cmd := exec.Command(path, args...)
	require.NoError(t, cmd.Start())
	s.Process = cmd.Process
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		var exit *exec.ExitError
		if err := cmd.Wait(); err != nil {
			require.ErrorAs(t, err, &exit)
		}
	})
	require.Eventually(t, s.answers, 10*time.Second, 10*time.Millisecond)
	return s
}

// answers reports whether the server answers to a PING.
func (s *RedisServer) answers() bool {
	conn, err := net.Dial("unix", s.Socket)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	answer := make([]byte, 5)
	_, err = conn.Write([]byte("PING\r\n"))
	if err == nil {
		_, err = conn.Read(answer)
	}
	return err == nil && string(answer) == "+PONG"
}

// Pause suspends the server, or resumes it.
func (s *RedisServer) Pause(t *testing.T, stop bool) {
	t.Helper()
	signal := syscall.SIGCONT
	if stop {
		signal = syscall.SIGSTOP
	}
	require.NoError(t, s.Process.Signal(signal))
}
