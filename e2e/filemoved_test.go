package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// The file is removed or renamed under traffic. Muster soon writes it again at its path.
// If Muster is killed after that, nothing is lost.
func TestFileRemovedUnderTraffic(t *testing.T) {
	t.Parallel()
	needsMuster(t)
	folder := filepath.Join(t.TempDir(), "data")
	path := filepath.Join(folder, "muster.db")
	m := startMuster(t, "--storage.path="+path)
	tr := startTraffic(t, m)
	moves := []func(){
		func() { require.NoError(t, os.Remove(path)) },
		func() { require.NoError(t, os.Rename(path, path+".bak")) },
		func() {
			require.NoError(t, os.RemoveAll(folder))
			m.waitDegraded()
			require.NoError(t, os.Mkdir(folder, 0o700))
		},
	}
	for _, move := range moves {
		tr.waitMore(100)
		move()
		waitFor(t, waitTimeout, "the file exists at its path again", func() error {
			_, err := os.Stat(path)
			return err
		})
		m.waitHealthy(waitTimeout)
	}
	tr.stopHalf()
	tr.waitMore(50)
	tr.stop()
	m.waitHealthy(waitTimeout)
	m.down.Store(true)
	m.kill()
	m.start()
	require.NoError(t, tr.oracle().check(m))
}

// Two processes never write to the same path, whichever process gets the free path
// first.
func TestOneMusterHasAPath(t *testing.T) {
	t.Parallel()
	needsMuster(t)
	path := filepath.Join(t.TempDir(), "muster.db")
	first := startMuster(t, "--storage.path="+path)
	second := newMuster(t, "--storage.path="+path)
	require.NoError(t, os.Remove(path))
	second.process.start()
	waitFor(t, waitTimeout, "one of the two processes has the path", func() error {
		if !second.running() {
			first.waitHealthy(waitTimeout)
			require.Contains(t, second.tail(), "is in use by process")
			return nil
		}
		s, err := first.status()
		if err == nil && (s.Storage.Healthy || s.Storage.Reason != "moved") {
			err = errors.New("both run")
		}
		if err == nil {
			_, err = second.fetch("/-/ready", nil)
		}
		return err
	})
	if second.running() {
		says := fmt.Sprintf("process %d uses it", second.cmd.Process.Pid)
		waitFor(t, waitTimeout, "the status page says what to do", func() error {
			page, err := first.fetch("/status", nil)
			if err == nil && !bytes.Contains(page, []byte(says)) {
				err = errors.New("it does not say: " + says)
			}
			return err
		})
	}
}
