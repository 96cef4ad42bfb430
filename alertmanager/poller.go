package alertmanager

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/config"

	"muster/grouping"
)

// observer is what the poller needs from the domain. It is safe for concurrent use. Source
// and URL say which Alertmanager is meant. The URL has no credentials.
type observer interface {
	// AcquirePolling reports whether this Muster may poll the Alertmanagers of the source.
	// Of several Musters one may, as long as it asks again within two intervals.
	AcquirePolling(ctx context.Context, source string, interval time.Duration) (bool, error)
	// ReleasePolling lets another Muster poll the source at once.
	ReleasePolling(ctx context.Context, source string) error
	// ObservePoll applies what an Alertmanager said about its alerts. It owns the poll
	// afterwards. After an error the next poll says it again.
	ObservePoll(ctx context.Context, source, url string, p grouping.Poll) error
	// ObserveSilences is ObservePoll for all silences of an Alertmanager.
	ObserveSilences(ctx context.Context, source, url string, at time.Time, silences []grouping.Silence) error
	// RecordPoll says how the last poll went.
	RecordPoll(source, url string, r grouping.PollReport)
}

// extraInterval is the minimum time between two extra polls of a source.
const extraInterval = 10 * time.Second

// releaseTimeout limits how long a stop waits for the storage.
const releaseTimeout = 2 * time.Second

// Poller polls the Alertmanagers of all sources. It is safe for concurrent use.
type Poller struct {
	sources  []*source
	maxBytes int64 // of an answer
	logger   *slog.Logger
}

// source is one source with its Alertmanagers. Only one Muster polls them.
type source struct {
	name      string
	interval  time.Duration
	config    *configFile
	instances []*instance
	pokes     chan struct{} // has room for one
	leads     atomic.Bool   // whether this Muster polls the source
	polling   prometheus.Gauge
}

// New returns a poller. It reads the config files, and connects to nothing. Run polls.
func New(reg prometheus.Registerer, logger *slog.Logger, opts Options) (*Poller, error) {
	return newPoller(reg, logger, opts, func(u *url.URL, cfg config.HTTPClientConfig) (api, error) {
		return NewClient(u, cfg, opts.Client)
	})
}

func newPoller(reg prometheus.Registerer, logger *slog.Logger, opts Options, connect connectFunc) (*Poller, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	p := &Poller{logger: logger, maxBytes: opts.Client.MaxBytes}
	metrics := newMetrics(reg)
	files := map[string]string{}
	for _, f := range opts.ConfigFiles {
		files[f.Source] = f.Path
	}
	for _, t := range opts.Targets {
		s := p.source(t.Source)
		if s == nil {
			file, err := newConfigFile(t.Source, files[t.Source], logger)
			if err != nil {
				return nil, err
			}
			s = &source{
				name: t.Source, interval: opts.Interval, config: file, pokes: make(chan struct{}, 1),
				polling: metrics.polling.WithLabelValues(t.Source),
			}
			p.sources = append(p.sources, s)
		}
		i, err := newInstance(s, t.URL, metrics, logger, opts.MaxLabels, connect)
		if err != nil {
			return nil, fmt.Errorf("--alertmanager.url: %s: %w", nameOf(t.URL), err)
		}
		s.instances = append(s.instances, i)
	}
	return p, nil
}

// source returns the source with the name, or nil.
func (p *Poller) source(name string) *source {
	for _, s := range p.sources {
		if s.name == name {
			return s
		}
	}
	return nil
}

// Poke asks for a poll of the source before its time. It never blocks.
func (p *Poller) Poke(source string) {
	if s := p.source(source); s != nil {
		notify(s.pokes)
	}
}

// notify wakes the reader of a channel that has room for one.
func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Problems returns the problems of the config files, one sentence each.
func (p *Poller) Problems() (problems []string) {
	for _, s := range p.sources {
		if problem := s.config.problem(); problem != "" {
			problems = append(problems, problem)
		}
	}
	return problems
}

// Run polls until the context ends. The Alertmanagers do not wait for each other, and each
// has one request at a time.
func (p *Poller) Run(ctx context.Context, to observer) error {
	var wg sync.WaitGroup
	for _, s := range p.sources {
		wg.Go(func() { s.lead(ctx, to, p.logger) })
		wg.Go(func() { s.passPokes(ctx) })
		for _, i := range s.instances {
			wg.Go(func() { i.run(ctx, to) })
		}
	}
	<-ctx.Done()
	wg.Wait()
	return nil
}

// lead asks again and again whether this Muster polls the source. An error changes nothing. When
// the context ends, another Muster may poll the source.
func (s *source) lead(ctx context.Context, to observer, logger *slog.Logger) {
	failing := false
	for ctx.Err() == nil {
		leads, err := to.AcquirePolling(ctx, s.name, s.interval)
		switch {
		case err == nil:
			s.setLeads(leads)
		case ctx.Err() == nil && !failing:
			logger.Warn("Whether this Muster polls the Alertmanagers of a source is not known", "alertmanagerSource", s.name, "err", err)
		}
		failing = err != nil
		wait(ctx, s.interval)
	}
	if !s.leads.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	if err := to.ReleasePolling(ctx, s.name); err != nil {
		logger.Warn("No other Muster polls the Alertmanagers of a source until two intervals have passed",
			"alertmanagerSource", s.name, "err", err)
	}
}

// setLeads starts or ends the polls of the source.
func (s *source) setLeads(leads bool) {
	if s.leads.Swap(leads) == leads {
		return
	}
	s.polling.Set(0)
	if leads {
		s.polling.Set(1)
		s.wake()
	}
}

// wake asks all Alertmanagers of the source for a poll before its time.
func (s *source) wake() {
	for _, i := range s.instances {
		notify(i.extra)
	}
}

// passPokes wakes the Alertmanagers after a poke, but not too often.
func (s *source) passPokes(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.pokes:
			s.wake()
			wait(ctx, extraInterval)
		}
	}
}

// wait waits until the time is over or the context ends.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// jitter returns the time, or up to a tenth more. So Alertmanagers are not polled in step.
func jitter(d time.Duration) time.Duration {
	return d + rand.N(d/10+1) //nolint:gosec // G404: jitter, no secret
}
