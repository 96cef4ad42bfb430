package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	// maxStopDelay is how much longer Alertmanager may need for a stop or a reload because
	// Muster is slow.
	maxStopDelay = 2 * time.Second
	// maxStops is the maximum number of times that are measured. Other tests use the machine
	// too, so the shortest time counts: a Muster that hangs makes all of them long.
	maxStops = 3
	// maxStopRefused is how long it may need while Muster refuses its events. Alertmanager
	// retries for 30 s.
	maxStopRefused = 35 * time.Second
)

// stopTime stops Alertmanager and returns how long that took.
func (a *alertmanager) stopTime() time.Duration {
	a.t.Helper()
	started := time.Now()
	require.NoError(a.t, a.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-a.done:
	case <-time.After(2 * maxStopRefused):
		require.FailNow(a.t, "Alertmanager does not stop", a.tail())
	}
	return time.Since(started)
}

// reloadTime makes Alertmanager replace its event recorder and returns how long that took.
func (a *alertmanager) reloadTime(eventTimeout string) time.Duration {
	a.t.Helper()
	config, err := os.ReadFile(a.file)
	require.NoError(a.t, err)
	changed := strings.Replace(string(config), "      workers: 1\n", "      workers: 1\n      timeout: "+eventTimeout+"\n", 1)
	changed = regexp.MustCompile(`(?m)(^      timeout: .*\n)      timeout: .*\n`).ReplaceAllString(changed, "$1")
	require.NoError(a.t, os.WriteFile(a.file, []byte(changed), 0o600))
	ctx, cancel := context.WithTimeout(context.Background(), 2*maxStopRefused)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url+"/-/reload", nil)
	require.NoError(a.t, err)
	started := time.Now()
	resp, err := (&http.Client{}).Do(req)
	require.NoError(a.t, err)
	require.NoError(a.t, resp.Body.Close())
	require.Equal(a.t, http.StatusOK, resp.StatusCode)
	return time.Since(started)
}

// postMany posts so many alerts that their events are still on their way afterwards.
func (c *causes) postMany(name string) {
	c.Helper()
	alerts := make([]posted, 500)
	for i := range alerts {
		alerts[i] = named(name, fmt.Sprint(i))
	}
	c.am.post(alerts...)
}

// A Muster that is slow does not delay the stop of an Alertmanager, nor a reload that replaces
// the event recorder.
func TestSlowMusterDoesNotDelayAlertmanager(t *testing.T) {
	t.Parallel()
	needsAlertmanager(t)
	faults := map[string]func(*testing.T, *causes, *redisServer){
		"Redis is down": func(t *testing.T, c *causes, redis *redisServer) {
			t.Helper()
			redis.kill()
			t.Cleanup(redis.start) // so that Muster can stop without a loss
			c.m.waitDegraded()
		},
		"Redis hangs": func(_ *testing.T, c *causes, redis *redisServer) {
			redis.freeze()
			c.m.waitDegraded()
		},
		"overloaded": func(t *testing.T, c *causes, _ *redisServer) { t.Helper(); overload(t, c.m) },
	}
	for name, fail := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redis := startRedis(t)
			c := startCauses(t, causesSetup{version: alertmanagerVersion, recorder: true}, "--redis.url="+redis.url, "--web.max-requests=1")
			c.fires("Stop", "a")
			c.postMany("Reload")
			reload := c.am.reloadTime("9s")
			c.postMany("Stop")
			stop := c.am.stopTime()
			c.am.start()

			fail(t, c, redis)
			slowReload, slowStop := time.Hour, time.Hour
			for i := 0; i < maxStops && (slowReload >= reload+maxStopDelay || slowStop >= stop+maxStopDelay); i++ {
				if i > 0 {
					c.am.start()
				}
				c.postMany(fmt.Sprintf("ReloadAgain%d", i))
				slowReload = min(slowReload, c.am.reloadTime(fmt.Sprintf("%ds", 8-i)))
				c.postMany(fmt.Sprintf("StopAgain%d", i))
				slowStop = min(slowStop, c.am.stopTime())
				t.Logf("reload %s, then %s; stop %s, then %s", reload, slowReload, stop, slowStop)
			}
			require.Less(t, slowReload, reload+maxStopDelay)
			require.Less(t, slowStop, stop+maxStopDelay)
			s, err := c.m.status()
			require.NoError(t, err)
			require.Len(t, s.Sources, 1)
			require.NotZero(t, s.Sources[0].Recorder.LastAt)
		})
	}
}

// overload posts more notifications than Muster accepts at the same time, until the test
// ends. It returns when Muster has refused some.
func overload(t *testing.T, m *muster) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var (
		wg      sync.WaitGroup
		refused atomic.Int64
	)
	for i := range 16 {
		name := fmt.Sprintf("Overload%d", i)
		wg.Go(func() {
			for ctx.Err() == nil {
				if _, err := deliver(m, newMessage(name, newAlert(name, "a", time.Now().UTC()))); err != nil {
					refused.Add(1)
				}
				select {
				case <-ctx.Done():
				case <-time.After(20 * time.Millisecond): // leave some of the machine to Alertmanager
				}
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	waitFor(t, waitTimeout, "Muster refuses notifications", func() error {
		if refused.Load() == 0 {
			return errors.New("not yet")
		}
		return nil
	})
}

// A Muster that refuses events delays the stop and the reload of an Alertmanager only by the
// time for which Alertmanager retries.
func TestRefusingMusterDelaysAlertmanagerWithinBounds(t *testing.T) {
	t.Parallel()
	needsAlertmanager(t)
	for name, wait := range map[string]func(*causes) time.Duration{
		"stop":   func(c *causes) time.Duration { return c.am.stopTime() },
		"reload": func(c *causes) time.Duration { return c.am.reloadTime("9s") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			token := writeFile(t, "token", writerPassword+"\n") // Alertmanager does not know it
			c := newCauses(t, causesSetup{version: alertmanagerVersion, recorder: true}, "--webhook.token-file="+token)
			c.m.start()
			c.am.start()
			c.postMany("Refused")
			waited := wait(c)
			t.Logf("%s took %s", name, waited)
			require.Less(t, waited, maxStopRefused)
			if name == "reload" {
				c.am.kill() // its stop would retry again
			}
		})
	}
}
