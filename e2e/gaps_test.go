package e2e

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// gap is a time in which Muster was not running.
type gap struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// The precision of a gap, the time after the start at which a Muster with Redis looks for gaps,
// and some time for a slow machine.
const (
	gapPrecision = 10 * time.Second
	gapSettle    = 15 * time.Second
	gapSlack     = 5 * time.Second
)

// gaps returns the gaps of the history, newest first. The status has the same ones.
func (m *muster) gaps() ([]gap, error) {
	var page struct {
		Events []struct {
			gap

			GroupID string `json:"groupId"`
			Source  string `json:"source"`
		} `json:"events"`
	}
	var status struct {
		Gaps []gap `json:"gaps"`
	}
	if _, err := m.fetch("/api/v1/status", &status); err != nil {
		return nil, err
	}
	if _, err := m.fetch("/api/v1/events?kind=gap", &page); err != nil {
		return nil, err
	}
	gaps := make([]gap, 0, len(page.Events))
	for i, e := range page.Events {
		n := len(page.Events) - 1 - i
		if e.GroupID != "" || e.Source != "" || len(status.Gaps) != len(page.Events) || status.Gaps[n] != e.gap {
			return nil, fmt.Errorf("events %+v, status %+v", page.Events, status.Gaps)
		}
		gaps = append(gaps, e.gap)
	}
	return gaps, nil
}

// requireGap checks that the gap is the time from a kill to a start.
func requireGap(t *testing.T, g gap, killed, started time.Time) {
	t.Helper()
	require.WithinRange(t, g.From, killed.Add(-gapPrecision-gapSlack), killed.Add(time.Second), "from")
	require.WithinRange(t, g.To, started.Add(-time.Second), started.Add(gapSlack), "to")
}

// A Muster with a file knows at once how long it was not running.
func TestAGapWithAFile(t *testing.T) {
	t.Parallel()
	m := newMuster(t, "--storage.path=muster.db")
	m.path = settableBinary(t)
	m.start()
	_, err := deliver(m, newMessage("Gap", newAlert("Gap", "a", time.Now().UTC())))
	require.NoError(t, err)
	gaps, err := m.gaps()
	require.NoError(t, err)
	require.Empty(t, gaps, "the first start")

	m.stop()
	m.start()
	killed := time.Now()
	m.kill()
	m.setClock(time.Hour) // an hour later
	started := time.Now().Add(time.Hour)
	m.start()
	waitFor(t, waitTimeout, "the gap is known", func() error {
		if gaps, err = m.gaps(); err == nil && len(gaps) != 1 {
			err = fmt.Errorf("%v", gaps)
		}
		return err
	})
	requireGap(t, gaps[0], killed, started)

	for path, want := range map[string]string{
		"/history": "Muster was not running", "/status": "1h 0m", "/groups/" + groupID(t, m) + "?range=6h": `<path class="gap"`,
	} {
		body, err := do(http.MethodGet, m.url+path, nil, nil)
		require.NoError(t, err)
		require.Contains(t, string(body), want, path)
	}
	m.stop()
	m.start()
	again, err := m.gaps()
	require.NoError(t, err)
	require.Equal(t, gaps, again)
}

func groupID(t *testing.T, m *muster) string {
	t.Helper()
	g, err := m.group()
	require.NoError(t, err)
	return g.ID
}

// Two Musters on one Redis: while one of them runs, nothing is missing.
func TestNoGapWhileAMusterRuns(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	a, b := startMuster(t, "--redis.url="+redis.url), startMuster(t, "--redis.url="+redis.url)
	b.kill()
	<-time.After(gapPrecision + gapSlack)
	b.start()
	<-time.After(gapSettle + gapSlack)
	for _, m := range []*muster{a, b} {
		gaps, err := m.gaps()
		require.NoError(t, err)
		require.Empty(t, gaps)
	}
}

// After both Musters were killed, they know one gap.
func TestAGapOfTwoMusters(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	a, b := startMuster(t, "--redis.url="+redis.url), startMuster(t, "--redis.url="+redis.url)
	<-time.After(gapSettle + gapSlack) // both looked for gaps
	for _, m := range []*muster{a, b} {
		gaps, err := m.gaps()
		require.NoError(t, err)
		require.Empty(t, gaps)
	}

	killed := time.Now()
	a.kill()
	b.kill()
	<-time.After(gapPrecision + gapSlack)
	started := time.Now()
	b.start()
	a.start()
	for _, m := range []*muster{a, b} {
		waitFor(t, waitTimeout, "both know one gap", func() error {
			gaps, err := m.gaps()
			if err == nil && len(gaps) != 1 {
				err = fmt.Errorf("%v", gaps)
			}
			if err == nil {
				requireGap(t, gaps[0], killed, started)
			}
			return err
		})
	}
	<-time.After(gapSettle) // the second one looked for gaps too
	gaps, err := a.gaps()
	require.NoError(t, err)
	require.Len(t, gaps, 1)
}
