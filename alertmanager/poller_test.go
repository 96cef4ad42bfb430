package alertmanager_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

const (
	amURL    = "http://am:9093"
	interval = time.Minute
)

// inBubble runs a test of one fake Alertmanager of the source prod on a fake clock.
func inBubble(t *testing.T, test func(t *testing.T, p *running)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		am, domain := newFakeAlertmanager(t), newFakeObserver()
		p := startFakes(t, domain, map[string]*fakeAlertmanager{"am:9093": am}, target(t, "prod", amURL))
		p.am = am
		synctest.Wait()
		test(t, p)
		p.stop()
		require.True(t, am.closed)
	})
}

// pass lets the time pass on the fake clock.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// requireGaps requires that each gap is the wanted time, or up to a tenth more.
func requireGaps(t *testing.T, gaps []time.Duration, want ...time.Duration) {
	t.Helper()
	require.GreaterOrEqual(t, len(gaps), len(want))
	for i, w := range want {
		require.GreaterOrEqual(t, gaps[i], w, "%d: %v", i, gaps)
		require.LessOrEqual(t, gaps[i], w+w/10, "%d: %v", i, gaps)
	}
}

func TestPollsAtItsInterval(t *testing.T) {
	inBubble(t, func(t *testing.T, p *running) {
		require.Equal(t, 1, p.am.asked(), "the first poll does not wait")
		o := p.domain.of("prod", amURL)
		require.Equal(t, []string{"silences", "alerts", "report"}, o.order, "the alerts name silences")
		require.True(t, o.polls[0].Complete)
		require.Equal(t, "0.35.0", o.polls[0].Version)
		require.Len(t, o.polls[0].Alerts, 1)
		require.Equal(t, "s1", o.silences[0][0].ID)
		r := p.domain.lastReport(t, "prod", amURL)
		require.Equal(t, map[string]uint64{"webhook": 3}, r.Failed)
		require.Equal(t, time.Now().UTC(), r.LastAt)
		require.Equal(t, amURL, r.URL)
		require.Empty(t, r.Err)
		require.Zero(t, r.FailingSince)
		pass(5 * interval)
		requireGaps(t, p.am.gaps(), interval, interval, interval, interval)
	})
}

// An Alertmanager that needs long to answer is polled less often. A request that fails does
// not count.
func TestSlowAlertmanagerIsPolledLessOften(t *testing.T) {
	inBubble(t, func(t *testing.T, p *running) {
		p.am.set(func() {
			p.am.takes["alerts"], p.am.takes["metrics"], p.am.fails["metrics"] = 8*time.Second, 20*time.Second, errFake
		})
		pass(30 * time.Minute)
		gaps := p.am.gaps()
		requireGaps(t, gaps[1:], 28*time.Second+30*8*time.Second, 28*time.Second+30*8*time.Second)
		p.am.set(func() { p.am.takes["alerts"] = 0 })
		pass(30 * time.Minute)
		gaps = p.am.gaps()
		requireGaps(t, gaps[len(gaps)-2:], interval+20*time.Second, interval+20*time.Second)
	})
}

// One that hangs does not delay another of the same source or of another source.
func TestSlowAlertmanagerDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		domain := newFakeObserver()
		fakes := map[string]*fakeAlertmanager{
			"hangs": newFakeAlertmanager(t), "replica": newFakeAlertmanager(t), "other": newFakeAlertmanager(t),
		}
		fakes["hangs"].takes["status"] = 1000 * time.Hour
		p := startFakes(t, domain, fakes, target(t, "prod", "http://hangs"), target(t, "prod", "http://replica"),
			target(t, "dev", "http://other"))
		pass(10 * interval)
		for _, name := range []string{"replica", "other"} {
			require.GreaterOrEqual(t, fakes[name].asked(), 9, name)
		}
		require.Zero(t, fakes["hangs"].asked())
		require.Len(t, domain.of("dev", "http://other").polls, fakes["other"].asked())
		p.stop()
		require.Empty(t, domain.of("prod", "http://hangs").reports, "a stop is no failure")
	})
}

func TestBacksOffAfterFailures(t *testing.T) {
	for _, request := range []string{"status", "alerts"} {
		inBubble(t, func(t *testing.T, p *running) {
			p.am.set(func() { p.am.fails[request] = errFake })
			var at []time.Duration
			for start := time.Now(); len(at) < 7; {
				<-p.domain.told
				at = append(at, time.Since(start))
			}
			var gaps []time.Duration
			for i := range at[2:] {
				gaps = append(gaps, at[i+2]-at[i+1])
			}
			requireGaps(t, gaps, interval, 2*interval, 4*interval, 5*interval, 5*interval)
			r := p.domain.lastReport(t, "prod", amURL)
			require.Contains(t, r.Err, "connection refused")
			require.Contains(t, r.Err, map[string]string{"status": "GET /api/v2/status: ", "alerts": "GET /api/v2/alerts/groups: "}[request])
			require.Equal(t, p.domain.of("prod", amURL).reports[1].FailingSince, r.FailingSince, "of the first failure")
			require.True(t, r.LastAt.Before(r.FailingSince))
			require.Len(t, p.domain.of("prod", amURL).polls, 1, "nothing is concluded")

			p.am.set(func() { p.am.fails = map[string]error{} })
			pass(6 * interval)
			r = p.domain.lastReport(t, "prod", amURL)
			require.Empty(t, r.Err)
			require.Zero(t, r.FailingSince)
			p.am.gaps()
			pass(3 * interval)
			requireGaps(t, p.am.gaps(), interval, interval)
		})
	}
}

// What is not the list of alerts may fail on its own: a silence with several sets of
// matchers makes the whole list of silences fail, and a proxy may hide the metrics.
func TestPartialFailures(t *testing.T) {
	inBubble(t, func(t *testing.T, p *running) {
		p.am.set(func() { p.am.fails["metrics"] = errFake })
		pass(2 * interval)
		r := p.domain.lastReport(t, "prod", amURL)
		require.Empty(t, r.Err)
		require.Nil(t, r.Failed, "not known")
		require.Positive(t, gathered(t, p.reg, "muster_alertmanager_failures_total", "unreachable"))
		require.Zero(t, r.FailingSince)

		p.am.set(func() { p.am.fails = map[string]error{"silences": errFake} })
		before := p.domain.of("prod", amURL)
		pass(5 * interval)
		after := p.domain.of("prod", amURL)
		require.Greater(t, len(after.polls), len(before.polls)+3, "alerts are read as often")
		require.LessOrEqual(t, len(after.silences), len(before.silences)+1)
		r = p.domain.lastReport(t, "prod", amURL)
		require.Contains(t, r.Err, "GET /api/v2/silences: connection refused")
		require.NotZero(t, r.FailingSince)
		require.Equal(t, map[string]uint64{"webhook": 3}, r.Failed)
	})
}

func TestAnswerThatCannotBeStored(t *testing.T) {
	inBubble(t, func(t *testing.T, p *running) {
		first := p.domain.lastReport(t, "prod", amURL)
		p.domain.set(func() { p.domain.err = errStorage })
		pass(2 * interval)
		r := p.domain.lastReport(t, "prod", amURL)
		require.Contains(t, r.Err, "could not be stored: storage is unavailable")
		require.Equal(t, first.LastAt, r.LastAt)
	})
}

func TestExtraPolls(t *testing.T) {
	inBubble(t, func(t *testing.T, p *running) {
		pass(5 * time.Second)
		p.Poke("other")
		p.Poke("")
		pass(time.Second)
		require.Equal(t, 1, p.am.asked())

		p.Poke("prod")
		synctest.Wait()
		require.Equal(t, 2, p.am.asked(), "at once")
		for range 1000 {
			p.Poke("prod")
			pass(30 * time.Millisecond)
		}
		require.Equal(t, 2+3, p.am.asked(), "at most one in 10 s")
		p.Poke("prod")
		p.am.gaps()
		pass(5 * interval)
		gaps := p.am.gaps()
		require.LessOrEqual(t, gaps[0], 10*time.Second, "the last poke is not lost")
		requireGaps(t, gaps[1:], interval, interval, interval)
	})
}

// Extra polls neither overload an Alertmanager that answers slowly nor replace the back-off.
func TestExtraPollsAreLimited(t *testing.T) {
	inBubble(t, func(t *testing.T, p *running) {
		p.am.set(func() { p.am.takes["alerts"] = 4 * time.Second })
		p.Poke("prod")
		pass(10 * time.Second)
		p.am.gaps()
		for range 100 {
			p.Poke("prod")
			pass(time.Second)
		}
		for _, gap := range p.am.gaps() {
			require.GreaterOrEqual(t, gap, 40*time.Second)
			require.LessOrEqual(t, gap, 55*time.Second)
		}

		p.am.set(func() { p.am.takes["alerts"], p.am.fails["alerts"] = 0, errFake })
		pass(6 * interval)
		failed := len(p.domain.of("prod", amURL).reports)
		for range 100 {
			p.Poke("prod")
			pass(time.Second)
		}
		require.LessOrEqual(t, len(p.domain.of("prod", amURL).reports), failed+2)
	})
}

// Of several Musters one polls a source.
func TestOnlyOneMusterPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		am, domain := newFakeAlertmanager(t), newFakeObserver()
		domain.standby = true
		p := startFakes(t, domain, map[string]*fakeAlertmanager{"am:9093": am}, target(t, "prod", amURL))
		polling := func() float64 {
			n, err := testutil.GatherAndCount(p.reg, "muster_alertmanager_polling")
			require.NoError(t, err)
			require.Equal(t, 1, n)
			return gathered(t, p.reg, "muster_alertmanager_polling", "prod")
		}
		pass(10 * interval)
		p.Poke("prod")
		pass(interval)
		require.Zero(t, am.asked())
		require.Zero(t, polling())
		require.GreaterOrEqual(t, len(domain.acquired), 10)
		require.Equal(t, interval, domain.acquired[0])

		domain.set(func() { domain.standby = false })
		pass(interval)
		require.Positive(t, am.asked(), "it takes over within an interval")
		require.InDelta(t, 1, polling(), 0)

		domain.set(func() { domain.leaseErr, domain.standby = errStorage, true })
		am.gaps()
		pass(5 * interval)
		require.GreaterOrEqual(t, len(am.gaps()), 4, "an error changes nothing")

		domain.set(func() { domain.leaseErr = nil })
		pass(interval)
		am.gaps()
		pass(5 * interval)
		require.Empty(t, am.gaps())
		require.Zero(t, polling())
		p.stop()
		require.Empty(t, domain.released)
	})
}

// A stop lets another Muster poll at once.
func TestAStopReleasesThePolling(t *testing.T) {
	inBubble(t, func(t *testing.T, p *running) {
		pass(interval)
		require.Empty(t, p.domain.released)
		p.stop()
		require.Equal(t, []string{"prod"}, p.domain.released)
	})
}

// A stop during a request ends the poller at once, and is not reported as a failure.
func TestStopDuringARequest(t *testing.T) {
	inBubble(t, func(t *testing.T, p *running) {
		p.am.set(func() { p.am.takes["alerts"] = 20 * time.Second })
		pass(interval + interval/10 + time.Second)
		began := time.Now()
		p.stop()
		require.Zero(t, time.Since(began))
		require.Len(t, p.domain.of("prod", amURL).reports, 1)
		require.Zero(t, gathered(t, p.reg, "muster_alertmanager_failures_total", "prod"))
	})
}
