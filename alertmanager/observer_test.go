package alertmanager_test

import (
	"context"
	"errors"
	"maps"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/config"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"muster/alertmanager"
	"muster/grouping"
	"muster/internal/wire"
)

// observed is what a fakeObserver was told, by the name of the Alertmanager.
type observed struct {
	polls    []grouping.Poll
	silences [][]grouping.Silence
	reports  []grouping.PollReport
	order    []string
}

// fakeObserver is the domain: it keeps what it is told.
type fakeObserver struct {
	mu       sync.Mutex
	by       map[string]*observed // guarded by mu; by source and URL
	acquired []time.Duration      // guarded by mu; the intervals of AcquirePolling
	released []string             // guarded by mu; the sources of ReleasePolling
	standby  bool                 // guarded by mu
	leaseErr error                // guarded by mu
	err      error                // guarded by mu; of all writes
	told     chan struct{}        // after each report
}

func newFakeObserver() *fakeObserver {
	return &fakeObserver{by: map[string]*observed{}, told: make(chan struct{}, 1000)}
}

func (f *fakeObserver) AcquirePolling(_ context.Context, _ string, interval time.Duration) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.acquired = append(f.acquired, interval)
	return !f.standby, f.leaseErr
}

func (f *fakeObserver) ReleasePolling(ctx context.Context, source string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.released = append(f.released, source)
	return ctx.Err()
}

func (f *fakeObserver) tell(source, url, what string, fn func(*observed)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	o := f.by[source+" "+url]
	if o == nil {
		o = &observed{}
		f.by[source+" "+url] = o
	}
	o.order = append(o.order, what)
	fn(o)
	return f.err
}

func (f *fakeObserver) ObservePoll(_ context.Context, source, url string, p grouping.Poll) error {
	return f.tell(source, url, "alerts", func(o *observed) { o.polls = append(o.polls, p) })
}

func (f *fakeObserver) ObserveSilences(_ context.Context, source, url string, _ time.Time, s []grouping.Silence) error {
	return f.tell(source, url, "silences", func(o *observed) { o.silences = append(o.silences, s) })
}

func (f *fakeObserver) RecordPoll(source, url string, r grouping.PollReport) {
	_ = f.tell(source, url, "report", func(o *observed) { o.reports = append(o.reports, r) })
	f.told <- struct{}{}
}

func (f *fakeObserver) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// of returns a copy of what was told of the Alertmanager.
func (f *fakeObserver) of(source, url string) observed {
	f.mu.Lock()
	defer f.mu.Unlock()
	if o := f.by[source+" "+url]; o != nil {
		return *o
	}
	return observed{}
}

// lastReport returns the last report about the Alertmanager.
func (f *fakeObserver) lastReport(t *testing.T, source, url string) grouping.PollReport {
	t.Helper()
	o := f.of(source, url)
	require.NotEmpty(t, o.reports)
	return o.reports[len(o.reports)-1]
}

// fakeAlertmanager is an Alertmanager that answers after a time.
type fakeAlertmanager struct {
	t *testing.T

	mu       sync.Mutex
	takes    map[string]time.Duration // guarded by mu; by request
	fails    map[string]error         // guarded by mu; by request
	at       []time.Time              // guarded by mu; the times of requests of alerts
	inFlight int                      // guarded by mu
	closed   bool                     // guarded by mu
}

var errFake = &alertmanager.RequestError{Reason: alertmanager.ReasonUnreachable, What: "connection refused"}

func newFakeAlertmanager(t *testing.T) *fakeAlertmanager {
	return &fakeAlertmanager{t: t, takes: map[string]time.Duration{}, fails: map[string]error{}}
}

func (f *fakeAlertmanager) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// answer waits as long as the request takes. It must be the only one.
func (f *fakeAlertmanager) answer(ctx context.Context, request string) error {
	f.mu.Lock()
	f.inFlight++
	require.Equal(f.t, 1, f.inFlight, "one request at a time")
	require.False(f.t, f.closed)
	if request == "alerts" {
		f.at = append(f.at, time.Now())
	}
	takes, err := f.takes[request], f.fails[request]
	f.mu.Unlock()
	select {
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-time.After(takes):
	}
	f.set(func() { f.inFlight-- })
	return err
}

func (f *fakeAlertmanager) Status(ctx context.Context) (*wire.APIStatus, error) {
	s := &wire.APIStatus{}
	s.VersionInfo.Version = "0.35.0"
	return s, f.answer(ctx, "status")
}

func (f *fakeAlertmanager) Groups(ctx context.Context, fn func(*wire.APIGroup)) error {
	fn(&wire.APIGroup{Receiver: wire.APIReceiver{Name: "muster"}, Alerts: []wire.APIAlert{{StartsAt: time.Now()}}})
	return f.answer(ctx, "alerts")
}

func (f *fakeAlertmanager) Silences(ctx context.Context, fn func(*wire.APISilence)) error {
	fn(&wire.APISilence{ID: "s1"})
	return f.answer(ctx, "silences")
}

func (f *fakeAlertmanager) FailedNotifications(ctx context.Context) (map[string]uint64, error) {
	return map[string]uint64{"webhook": 3}, f.answer(ctx, "metrics")
}

func (f *fakeAlertmanager) Close() { f.set(func() { f.closed = true }) }

// gaps returns the times between the requests of alerts, and forgets all but the last.
func (f *fakeAlertmanager) gaps() (gaps []time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := 1; i < len(f.at); i++ {
		gaps = append(gaps, f.at[i].Sub(f.at[i-1]))
	}
	if len(f.at) > 0 {
		f.at = f.at[len(f.at)-1:]
	}
	return gaps
}

func (f *fakeAlertmanager) asked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.at)
}

// target returns a target of a source.
func target(t *testing.T, source, text string) alertmanager.Target {
	t.Helper()
	u, err := url.Parse(text)
	require.NoError(t, err)
	return alertmanager.Target{Source: source, URL: u}
}

// running is a poller that runs until the end of the test or stop.
type running struct {
	*alertmanager.Poller

	domain *fakeObserver
	am     *fakeAlertmanager // if there is one
	reg    *prometheus.Registry
	stop   func()
}

// start runs a poller.
func start(t *testing.T, domain *fakeObserver, poller *alertmanager.Poller, reg *prometheus.Registry) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- poller.Run(ctx, domain) }()
	stop := sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	t.Cleanup(stop)
	return &running{Poller: poller, domain: domain, reg: reg, stop: stop}
}

// startFakes polls fake Alertmanagers, which have the names "source host".
func startFakes(t *testing.T, domain *fakeObserver, fakes map[string]*fakeAlertmanager, targets ...alertmanager.Target) *running {
	t.Helper()
	opts, reg := optionsFor(targets...), prometheus.NewRegistry()
	byHost := maps.Clone(fakes)
	poller, err := alertmanager.NewWithAPI(reg, promslog.NewNopLogger(), opts,
		func(u *url.URL, _ config.HTTPClientConfig) (alertmanager.API, error) { return byHost[u.Host], nil })
	require.NoError(t, err)
	return start(t, domain, poller, reg)
}

func optionsFor(targets ...alertmanager.Target) alertmanager.Options {
	opts := alertmanager.DefaultOptions(1 << 40)
	opts.Targets = targets
	return opts
}

var errStorage = errors.New("storage is unavailable")

// gathered returns the sum of all values of a metric whose labels have the value.
func gathered(t *testing.T, reg *prometheus.Registry, name, value string) (sum float64) {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				if label.GetValue() == value {
					sum += metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + float64(metric.GetHistogram().GetSampleCount())
				}
			}
		}
	}
	return sum
}
