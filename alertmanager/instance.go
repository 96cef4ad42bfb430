package alertmanager

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/common/config"

	"muster/grouping"
	"muster/internal/wire"
)

const (
	// An Alertmanager spends at most a thirtieth of its time on usual polls, and at most a
	// tenth on extra ones.
	usualShare, extraShare = 30, 10
	// maxBackOff is the maximum time until the next try of an Alertmanager that failed,
	// unless the usual interval is longer.
	maxBackOff = 5 * time.Minute
)

// api is what an instance needs of an Alertmanager. An error is a *RequestError, or the
// cause of the end of the context.
type api interface {
	Status(ctx context.Context) (*wire.APIStatus, error)
	Groups(ctx context.Context, fn func(*wire.APIGroup)) error
	Silences(ctx context.Context, fn func(*wire.APISilence)) error
	FailedNotifications(ctx context.Context) (map[string]uint64, error)
	Close()
}

// connectFunc returns the API of the Alertmanager with the URL.
type connectFunc func(u *url.URL, cfg config.HTTPClientConfig) (api, error)

// instance is one Alertmanager that is polled. Only run uses its fields, except extra.
type instance struct {
	source  *source
	url     *url.URL
	name    string // the URL without credentials
	extra   chan struct{}
	metrics *targetMetrics
	logger  *slog.Logger

	connect    connectFunc
	api        api
	apiVersion int // of the config file with which api was made

	maxLabels int
	startedAt time.Time // of the Alertmanager
	report    grouping.PollReport
	problems  []string      // of the last poll, each a sentence
	failures  int           // number of polls in a row that read no alerts
	started   time.Time     // of the last poll
	cost      time.Duration // time of the requests of the last poll that succeeded
}

func newInstance(s *source, u *url.URL, m *metrics, logger *slog.Logger, maxLabels int, connect connectFunc) (*instance, error) {
	name := nameOf(u)
	i := &instance{
		source: s, url: u, name: name, extra: make(chan struct{}, 1), connect: connect, metrics: m.of(s.name, name), maxLabels: maxLabels,
		logger: logger.With("alertmanagerSource", s.name, "alertmanager", name), report: grouping.PollReport{URL: name},
	}
	return i, i.refreshAPI()
}

// refreshAPI makes a new client if the config file changed. If it cannot, the old one
// stays.
func (i *instance) refreshAPI() error {
	cfg, version := i.source.config.current()
	if i.api != nil && version == i.apiVersion {
		return nil
	}
	next, err := i.connect(i.url, cfg)
	if err != nil {
		return err
	}
	if i.api != nil {
		i.api.Close()
	}
	i.api, i.apiVersion = next, version
	return nil
}

// run polls the Alertmanager until the context ends, while this Muster polls its source.
func (i *instance) run(ctx context.Context, to observer) {
	defer func() { i.api.Close() }()
	next := time.Now().Add(jitter(i.source.interval))
	timer := time.NewTimer(time.Until(next))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-i.extra:
			if earliest := i.started.Add(extraShare * i.cost); i.failures == 0 && earliest.Before(next) {
				next = earliest
			}
		case <-timer.C:
			wait := i.source.interval
			if i.source.leads.Load() {
				wait = i.poll(ctx, to)
			}
			next = time.Now().Add(jitter(wait))
		}
		timer.Reset(time.Until(next))
	}
}

// poll reads everything once, and returns the time until the next poll.
func (i *instance) poll(ctx context.Context, to observer) time.Duration {
	i.started, i.cost, i.problems = time.Now(), 0, nil
	if err := i.refreshAPI(); err != nil {
		i.problems = append(i.problems, "the settings of --alertmanager.http-config-file cannot be used: "+err.Error())
	}
	var alerts, silences bool
	if i.succeeded(i.readStatus(ctx)) {
		alerts, silences = i.observe(ctx, to)
		i.readFailed(ctx)
	}
	if ctx.Err() != nil {
		return 0
	}
	i.record(to, alerts && silences)
	if alerts {
		i.failures = 0
		return max(i.source.interval, usualShare*i.cost)
	}
	i.failures++
	return max(i.source.interval, min(i.source.interval<<min(i.failures-1, 10), maxBackOff))
}

// request makes a request and counts it. The error says what was asked, in a sentence. If the
// context ended, the result does not matter and does not count.
func (i *instance) request(ctx context.Context, what reading, read func() error) error {
	started := time.Now()
	err := i.measured(ctx, what, read)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return fmt.Errorf("GET %s: %w", what.path(), err)
	}
	i.cost += time.Since(started)
	return nil
}

// measured makes a request and counts it, unless the context ends. It is safe for concurrent use.
func (i *instance) measured(ctx context.Context, what reading, request func() error) error {
	started := time.Now()
	err := request()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	i.metrics.record(what, time.Since(started))
	if err != nil {
		reason := ReasonUnreachable
		if fault, ok := errors.AsType[*RequestError](err); ok {
			reason = fault.Reason
		}
		i.metrics.failures.WithLabelValues(string(reason)).Inc()
	}
	return err
}

// succeeded reports whether there is no error. Otherwise the error is a problem of the poll.
func (i *instance) succeeded(err error) bool {
	if err != nil {
		i.problems = append(i.problems, err.Error())
	}
	return err == nil
}

// readStatus reads the version and the time of the last start.
func (i *instance) readStatus(ctx context.Context) error {
	return i.request(ctx, readingStatus, func() error {
		status, err := i.api.Status(ctx)
		if err == nil {
			i.report.Version, i.startedAt = status.VersionInfo.Version, status.Uptime.UTC()
		}
		return err
	})
}

// readFailed reads the numbers of failed notifications. If it cannot, they are not known, and
// that is no problem of the poll: a proxy may hide the metrics.
func (i *instance) readFailed(ctx context.Context) {
	i.report.Failed = nil
	err := i.request(ctx, readingMetrics, func() error {
		failed, err := i.api.FailedNotifications(ctx)
		i.report.Failed = failed
		return err
	})
	if err != nil {
		i.report.Failed = nil
		i.logger.Debug("Failed notifications are not known", "err", err)
	}
}

// observe reads the alerts and the silences, and reports which of them were read and kept.
// It passes the silences on first, because the alerts name them. It reads them last, so
// that none is missing.
func (i *instance) observe(ctx context.Context, to observer) (alerts, silences bool) {
	at := time.Now().UTC()
	list, known := alertList{maxLabels: i.maxLabels}, []grouping.Silence{}
	alerts = i.succeeded(i.request(ctx, readingAlerts, func() error { return i.api.Groups(ctx, list.add) }))
	silencesAt := time.Now().UTC()
	silences = i.succeeded(i.request(ctx, readingSilences, func() error {
		return i.api.Silences(ctx, func(s *wire.APISilence) {
			if s, ok := silence(s); ok {
				known = append(known, s)
			}
		})
	}))
	if silences {
		silences = i.kept(to.ObserveSilences(ctx, i.source.name, i.name, silencesAt, known))
	}
	if alerts {
		alerts = i.kept(to.ObservePoll(ctx, i.source.name, i.name, grouping.Poll{
			At: at, StartedAt: i.startedAt, Version: i.report.Version, Alerts: list.alerts, Complete: list.leftOut == 0,
		}))
	}
	if list.leftOut > 0 {
		i.problems = append(i.problems, fmt.Sprintf("%d alerts were left out: each has an impossible start or more than %d labels",
			list.leftOut, i.maxLabels))
	}
	return alerts, silences
}

// kept reports whether the domain kept what it was told.
func (i *instance) kept(err error) bool {
	if err != nil {
		err = fmt.Errorf("the answer could not be stored: %w", err)
	}
	return i.succeeded(err)
}

// record says how the poll went, and logs each change.
func (i *instance) record(to observer, ok bool) {
	i.report.Err = strings.Join(i.problems, "; ")
	switch {
	case ok:
		if !i.report.FailingSince.IsZero() {
			i.logger.Info("Polling an Alertmanager works again", "since", i.report.FailingSince)
		}
		i.report.LastAt, i.report.FailingSince = i.started.UTC(), time.Time{}
		i.metrics.lastSuccess.Set(float64(i.started.UnixMilli()) / 1000)
	case i.report.FailingSince.IsZero():
		i.report.FailingSince = i.started.UTC()
		i.logger.Warn("Polling an Alertmanager failed", "err", i.report.Err)
	}
	to.RecordPoll(i.source.name, i.name, i.report)
}
