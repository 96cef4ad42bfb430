package alertmanager

import (
	"io"
	"log/slog"
	"net/url"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/config"

	"muster/grouping"
	"muster/internal/wire"
)

// What the tests need of the times of a Poller.
const (
	ExtraInterval = extraInterval
	MaxBackOff    = maxBackOff
)

// API is what a Poller needs of an Alertmanager.
type API = api

// NewWithAPI returns a poller whose Alertmanagers are not reached by HTTP.
func NewWithAPI(
	reg prometheus.Registerer, logger *slog.Logger, opts Options, connect func(*url.URL, config.HTTPClientConfig) (API, error),
) (*Poller, error) {
	return newPoller(reg, logger, opts, connect)
}

// Observe returns the observations of groups, and the number of alerts that were left out.
func Observe(maxLabels int, groups ...*wire.APIGroup) ([]grouping.ObservedAlert, int) {
	l := alertList{maxLabels: maxLabels}
	for _, g := range groups {
		l.add(g)
	}
	return l.alerts, l.leftOut
}

// ObserveSilence converts a silence.
func ObserveSilence(s *wire.APISilence) (grouping.Silence, bool) { return silence(s) }

// ObserveAnswer returns the number of alerts in the answer with groups.
func ObserveAnswer(r io.Reader) int {
	l := alertList{maxLabels: 256}
	for g, err := range wire.ReadGroups(r) {
		if err != nil {
			return 0
		}
		l.add(g)
	}
	return len(l.alerts)
}
