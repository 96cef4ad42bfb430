package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// buildSettable builds the program with a host clock that a test can set. It builds once
// for all tests.
var buildSettable = sync.OnceValues(func() (binary string, err error) {
	from, err := filepath.Abs("../grouping/hosttime.go")
	if err != nil {
		return "", err
	}
	to, err := filepath.Abs("testdata/hosttime.go.txt")
	if err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {from: to}})
	if err != nil {
		return "", err
	}
	file := filepath.Join(filepath.Dir(musterBinary), "overlay.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		return "", err
	}
	binary = musterBinary + "-settable"
	build := exec.CommandContext(context.Background(), "go", "build", "-race", "-tags", "nomsgpack", "-overlay", file, "-o", binary, "muster")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	return binary, build.Run()
})

func settableBinary(t *testing.T) string {
	t.Helper()
	needsMuster(t)
	binary, err := buildSettable()
	require.NoError(t, err)
	return binary
}

// setClock sets the host clock of Muster to an offset from the real time.
func (m *muster) setClock(step time.Duration) {
	m.t.Helper()
	// Rename the file into place, so that Muster never reads an incomplete file.
	next := filepath.Join(m.dir, "clock.next")
	require.NoError(m.t, os.WriteFile(next, []byte(step.String()), 0o600))
	require.NoError(m.t, os.Rename(next, filepath.Join(m.dir, "clock")))
}

// postChange posts a change of one group and waits until every replica has it.
func postChange(t *testing.T, n int, to *muster, all ...*muster) {
	t.Helper()
	a := newAlert("Clock", "a", time.Date(2026, 11, 23, 3, n, 0, 0, time.UTC))
	a.Annotations["change"] = fmt.Sprint(n)
	msg := newMessage("Clock", a)
	if n%3 == 2 {
		msg.Status, msg.Alerts[0].Status, msg.Alerts[0].EndsAt = "resolved", "resolved", a.StartsAt.Add(time.Second)
	}
	_, err := deliver(to, msg)
	require.NoError(t, err)
	for _, m := range all {
		m.waitGroup(followTime, fmt.Sprintf("change %d was acknowledged and is applied", n), func(g group) bool {
			return len(g.Alerts) == 1 && g.Alerts[0].Annotations["change"] == fmt.Sprint(n) && g.Alerts[0].Status == msg.Status
		})
	}
}

// The clocks of two hosts differ. They are set while Muster runs, and before a restart.
// Every acknowledged change is applied.
func TestClocksDifferAndStep(t *testing.T) {
	t.Parallel()
	binary := settableBinary(t)
	redis := startRedis(t)
	a, b := newMuster(t, "--redis.url="+redis.url), newMuster(t, "--redis.url="+redis.url)
	a.path, b.path = binary, binary
	b.setClock(time.Minute)
	a.start()
	b.start()
	n := 0
	changes := func() {
		t.Helper()
		for range 4 {
			n += 2
			postChange(t, n, a, a, b)
			postChange(t, n+1, b, a, b)
		}
	}
	changes()
	for _, step := range []time.Duration{-time.Hour, 5 * time.Second, time.Hour, -5 * time.Second, 0} {
		a.setClock(step)
		changes()
	}
	a.setClock(-time.Hour)
	a.stop()
	a.start()
	changes()
}

// The same with a file. After a restart, only the stored stamps show that the clock was
// set back.
func TestTheClockIsSetBackWithAFile(t *testing.T) {
	t.Parallel()
	binary := settableBinary(t)
	m := newMuster(t, "--storage.path=muster.db")
	m.path = binary
	m.start()
	before := []event{}
	for n := range 20 {
		switch n {
		case 5:
			m.setClock(-time.Hour)
		case 10:
			m.setClock(-2 * time.Hour)
			m.stop()
			m.start()
		case 15:
			m.setClock(0)
		}
		postChange(t, n, m, m)
		events, err := m.events()
		require.NoError(t, err)
		require.Greater(t, len(events), len(before))
		require.Equal(t, before, events[:len(before)], "new events must come after old events")
		before = events
	}
}
